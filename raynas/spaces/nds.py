"""Two of the network design spaces (Radosavovic et al., "On Network Design Spaces for Visual Recognition", ICCV 2019).

Three stages of residual blocks on CIFAR-10, each with its own depth and width; ResNeXt-A's bottleneck blocks also
choose a bottleneck ratio and a number of groups. Notation: the fields of the published JSON files without the stem,
``ds=1,4,24 ws=16,64,256 bot_muls=0.5,1,0.25 num_gs=1,2,4``.
"""

from __future__ import annotations

from typing import ClassVar

from raynas.errors import ArchitectureError
from raynas.spaces.architecture import Decision
from raynas.spaces.base import Space
from raynas.spaces.notation import checked
from raynas.spaces.registry import SPACES

STAGES = 3
STAGE_STRIDES = (1, 2, 2)
STEM_CHANNELS = 16
FIELDS = {"depth": "ds", "width": "ws", "bot_mul": "bot_muls", "groups": "num_gs"}
"""The field of the JSON files for each of a stage's decisions."""

RESNET_CHOICES = {
    "depth": ("1", "2", "3", "4", "6", "8", "12", "16", "24"),
    "width": ("16", "24", "32", "40", "48", "64", "80", "96", "128", "160", "192", "256"),
}
RESNEXT_A_CHOICES = {
    "depth": ("1", "2", "4", "8", "16"),
    "width": ("16", "32", "64", "128", "256"),
    "bot_mul": ("0.25", "0.5", "1"),
    "groups": ("1", "2", "4"),
}


class NdsSpace(Space):
    """Three stages with the same choices each; see the module's docstring."""

    choices: ClassVar[dict[str, tuple[str, ...]]]
    """What each stage decides, and among which numbers."""

    def __init__(self) -> None:
        super().__init__(
            [
                Decision(f"stage{stage}.{what}", numbers)
                for stage in range(1, STAGES + 1)
                for what, numbers in self.choices.items()
            ]
        )

    def stages(self, options: tuple[str, ...]) -> tuple[dict[str, float], ...]:
        """Return each stage's numbers by what they decide (``{"depth": 4, "width": 64}``)."""
        place = iter(options)
        return tuple({what: float(next(place)) for what in self.choices} for _ in range(STAGES))

    def format_options(self, options: tuple[str, ...]) -> str:
        """Return ``ds=1,4,24 ws=16,64,256``: each field with its numbers for the three stages."""
        count = len(self.choices)
        return " ".join(f"{FIELDS[what]}={','.join(options[place::count])}" for place, what in enumerate(self.choices))

    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return one option a decision, stage by stage; raises ArchitectureError naming the field and stage."""
        fields = [FIELDS[what] for what in self.choices]
        given = [term.partition("=") for term in text.split()]
        if [name for name, _, _ in given] != fields:
            raise ArchitectureError(f"'{text}' is not of the form {' '.join(f'{name}=1,2,3' for name in fields)}")
        columns = []
        for (name, _, value), allowed in zip(given, self.choices.values(), strict=True):
            numbers = value.split(",")
            if len(numbers) != STAGES:
                raise ArchitectureError(f"{name} of '{text}' has {len(numbers)} numbers; {self.name} has 3 stages")
            columns.append(
                [
                    checked(number, allowed, f"in {name} of stage {stage}", text, "number")
                    for stage, number in enumerate(numbers, start=1)
                ]
            )
        return tuple(number for stage in zip(*columns, strict=True) for number in stage)


@SPACES.register("nds_resnet")
class NdsResnet(NdsSpace):
    """NDS ResNet: depth and width of three stages of basic blocks; 1,259,712 networks."""

    name = "nds_resnet"
    choices = RESNET_CHOICES


@SPACES.register("nds_resnext_a")
class NdsResnextA(NdsSpace):
    """NDS ResNeXt-A: depth, width, bottleneck ratio and groups of three stages of bottleneck blocks; 11,390,625."""

    name = "nds_resnext_a"
    choices = RESNEXT_A_CHOICES
