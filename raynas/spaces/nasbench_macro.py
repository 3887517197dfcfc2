"""NAS-Bench-Macro (Su et al., "Prioritized Architecture Sampling with Monte-Carlo Tree Search", CVPR 2021).

Eight layers in stages of two, three and three, one of three blocks in each: 6,561 encodings, 3,969 functions.
Notation: the eight digits of the benchmark's file, ``22212202``.
"""

from __future__ import annotations

from raynas.errors import ArchitectureError
from raynas.spaces.architecture import Architecture, Decision
from raynas.spaces.base import Space
from raynas.spaces.mobile_blocks import IDENTITY, block_activations, identities_last
from raynas.spaces.registry import SPACES

OPERATIONS = (IDENTITY, "MB3_K3", "MB6_K5")
"""What the digits 0, 1 and 2 stand for."""
STAGES = (2, 3, 3)
"""Layers a stage; the first layer of each has stride 2 and doubles the channels."""
STEM_CHANNELS = 32
STAGE_CHANNELS = (64, 128, 256)
HEAD_CHANNELS = 1280

LAYERS = sum(STAGES)


@SPACES.register("nasbench_macro")
class NasbenchMacro(Space):
    """NAS-Bench-Macro: eight layers, each an identity or one of two inverted residual blocks."""

    name = "nasbench_macro"

    def __init__(self) -> None:
        super().__init__([Decision(f"layer{layer}", OPERATIONS) for layer in range(1, LAYERS + 1)])

    def format_options(self, options: tuple[str, ...]) -> str:
        """Return the eight digits."""
        return "".join(str(OPERATIONS.index(option)) for option in options)

    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return the eight layers of a string of digits; raises ArchitectureError naming the layer."""
        digits = text.strip()
        for layer, digit in enumerate(digits, start=1):
            if digit not in "012":
                raise ArchitectureError(
                    f"'{digit}' in layer {layer} of '{text}' is not a digit of {self.name} "
                    f"(allowed: {', '.join(f'{i} {operation}' for i, operation in enumerate(OPERATIONS))})"
                )
        if len(digits) != LAYERS:
            raise ArchitectureError(f"'{text}' has {len(digits)} digits; {self.name} has {LAYERS} layers")
        return tuple(OPERATIONS[int(digit)] for digit in digits)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the architecture with each stage's identity layers last, except in the stage's first place."""
        return self._architecture(identities_last(architecture.options, STAGES))

    def nonlinear_functions(self, architecture: Architecture) -> int:
        """Return two for every layer that is a block, as ENN counts the MobileNet space: 0 to 16."""
        return block_activations(architecture.options)
