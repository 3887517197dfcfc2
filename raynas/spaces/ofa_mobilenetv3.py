"""The MobileNetV3 space of Once-for-all (Cai et al., ICLR 2020): kernel, expansion and depth that shrink elastically.

Five stages of two to four blocks, each of kernel 3, 5 or 7 and expansion 3, 4 or 6: 7371^5 (2.18e19) networks for each
input resolution. Notation: blocks joined by ``|``, stages by ``+``, and the resolution where it is chosen:
``k3e6|k5e4|none|none+k7e3|...@224``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence

from raynas.errors import ArchitectureError, ConfigError
from raynas.spaces.architecture import Architecture, Decision
from raynas.spaces.base import Space
from raynas.spaces.notation import checked
from raynas.spaces.registry import SPACES

STAGES = 5
BLOCKS = 4
"""The most blocks a stage can have."""
LEAST_BLOCKS = 2
KERNELS = (3, 5, 7)
EXPANSIONS = (3, 4, 6)
OPERATIONS = tuple(f"k{kernel}e{expansion}" for kernel in KERNELS for expansion in EXPANSIONS)
NONE = "none"
"""The block is not there; only the last ones of a stage can be left out."""

FIRST_CHANNELS = (16, 16)
"""Of the stem (3x3, stride 2) and of the fixed first block."""
STAGE_CHANNELS = (24, 40, 80, 112, 160)
STAGE_STRIDES = (2, 2, 2, 1, 2)
STAGE_SE = (False, True, False, True, True)
STAGE_HSWISH = (False, False, True, True, True)
"""Whether a stage uses h-swish instead of ReLU."""
HEAD_CHANNELS = (960, 1280)


def kernel_and_expansion(option: str) -> tuple[int, int] | None:
    """Return (7, 6) for ``k7e6``, or None for ``none``."""
    return None if option == NONE else (int(option[1]), int(option[3]))


def depth(options: Sequence[str], stage: int) -> int:
    """Return how many blocks a stage (1 to 5) has."""
    return sum(option != NONE for option in options[(stage - 1) * BLOCKS : stage * BLOCKS])


@SPACES.register("ofa_mobilenetv3")
class OfaMobilenetV3(Space):
    """Once-for-all MobileNetV3: five stages of two to four blocks of elastic kernel and expansion.

    Args:
        resolutions: Input sizes to choose among (the paper: 128 to 224 in steps of 4); empty leaves them out.

    Raises:
        ConfigError: A resolution is not positive, or given twice.
    """

    name = "ofa_mobilenetv3"

    def __init__(self, *, resolutions: tuple[int, ...] = ()) -> None:
        if len(set(resolutions)) != len(resolutions) or any(size < 1 for size in resolutions):
            raise ConfigError([f"resolutions must be distinct positive numbers, got {list(resolutions)}"], self.name)
        self.resolutions = resolutions
        decisions = [
            Decision(f"stage{stage}.block{block}", OPERATIONS if block <= LEAST_BLOCKS else (NONE, *OPERATIONS))
            for stage in range(1, STAGES + 1)
            for block in range(1, BLOCKS + 1)
        ]
        if resolutions:
            decisions.append(Decision("resolution", tuple(map(str, resolutions))))
        super().__init__(decisions)

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """One group a stage, and the resolution by itself."""
        stages = tuple(tuple(range(stage * BLOCKS, (stage + 1) * BLOCKS)) for stage in range(STAGES))
        return (*stages, (STAGES * BLOCKS,)) if self.resolutions else stages

    def is_valid_part(self, part: int, options: tuple[str, ...]) -> bool:
        """Refuse a stage whose fourth block is there while its third is not."""
        return part == STAGES or not (options[2] == NONE and options[3] != NONE)

    def why_invalid(self, options: tuple[str, ...]) -> str:
        """Name the first stage whose fourth block is there while its third is not."""
        stages = (options[place : place + BLOCKS] for place in range(0, STAGES * BLOCKS, BLOCKS))
        wrong = [n for n, stage in enumerate(stages, 1) if stage[2] == NONE and stage[3] != NONE]
        return f"stage {wrong[0]} has a fourth block but no third" if wrong else ""

    def count_part(self, part: int) -> int:
        """Return how many valid stages (or resolutions) there are, in closed form."""
        allowed = [self.decisions[index].options for index in self.parts[part]]
        combinations = math.prod(map(len, allowed))
        if part == STAGES or NONE not in allowed[2]:
            return combinations
        return combinations - len(allowed[0]) * len(allowed[1]) * len(set(allowed[3]) - {NONE})

    def active(self, options: tuple[str, ...]) -> tuple[bool, ...]:
        """Say of each decision whether the block is there; the resolution always counts."""
        return tuple(option != NONE for option in options)

    def format_options(self, options: tuple[str, ...]) -> str:
        """Return the blocks joined by ``|`` and ``+``, and ``@resolution`` where it is chosen."""
        text = "+".join("|".join(options[place : place + BLOCKS]) for place in range(0, STAGES * BLOCKS, BLOCKS))
        return f"{text}@{options[-1]}" if self.resolutions else text

    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return one option a decision; raises ArchitectureError naming the stage and block."""
        blocks, at, resolution = text.strip().partition("@")
        stages = [stage.split("|") for stage in blocks.split("+")]
        whole = [len(stage) for stage in stages] == [BLOCKS] * STAGES
        if whole and at and not self.resolutions:
            raise ArchitectureError(
                f"'{text}' ends in @{resolution}, but this {self.name} has no resolutions: leave it out, or make "
                "the space with resolutions"
            )
        if whole and not at and self.resolutions:
            raise ArchitectureError(
                f"'{text}' lacks its resolution at the end (@{self._all_decisions[-1].options[0]}; allowed: "
                f"{', '.join(self._all_decisions[-1].options)})"
            )
        if not whole:
            raise ArchitectureError(
                f"'{text}' is not {STAGES} stages, joined by '+', of {BLOCKS} blocks, joined by '|' "
                f"({'and @resolution' if self.resolutions else 'and no @resolution'})"
            )
        options = tuple(
            checked(
                option,
                self._all_decisions[stage * BLOCKS + block].options,
                f"in block {block + 1} of stage {stage + 1}",
                text,
            )
            for stage, given in enumerate(stages)
            for block, option in enumerate(given)
        )
        if not self.resolutions:
            return options
        return (*options, checked(resolution, self._all_decisions[-1].options, "at the end", text, "resolution"))

    def from_arrays(self, ks: Iterable[int], e: Iterable[int], d: Iterable[int], r: int | None = None) -> Architecture:
        """Return the architecture of Once-for-all's own encoding; kernels and expansions of absent blocks are ignored.

        Args:
            ks: Kernel size of each of the 20 blocks.
            e: Expansion of each of the 20 blocks.
            d: Number of blocks of each of the five stages.
            r: Resolution; ignored by a space that does not choose it.

        Raises:
            ArchitectureError: A length or a value is not of the space.
        """
        kernels, expansions, depths = _whole_numbers("ks", ks), _whole_numbers("e", e), _whole_numbers("d", d)
        blocks = [f"k{kernel}e{expansion}" for kernel, expansion in zip(kernels, expansions, strict=False)]
        if (
            len(kernels) != len(expansions)
            or len(blocks) != STAGES * BLOCKS
            or len(depths) != STAGES
            or any(not LEAST_BLOCKS <= n <= BLOCKS for n in depths)
        ):
            raise ArchitectureError(
                f"{self.name} takes {STAGES * BLOCKS} kernels and expansions and {STAGES} depths of {LEAST_BLOCKS} to "
                f"{BLOCKS}, got {len(kernels)}, {len(expansions)} and {depths}"
            )
        options = [block if place % BLOCKS < depths[place // BLOCKS] else NONE for place, block in enumerate(blocks)]
        return self.make([*options, str(r)] if self.resolutions else options)


def _whole_numbers(name: str, values: Iterable[int]) -> list[int]:
    try:
        return [operator.index(value) for value in values]
    except TypeError:
        raise ArchitectureError(f"{name} must be a list of whole numbers, got {values!r}") from None
