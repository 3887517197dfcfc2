"""The larger MobileNet space of GreedyNAS (You et al., CVPR 2020): 21 layers in six stages.

A layer is an inverted residual block of kernel 3, 5 or 7 and expansion 3 or 6 (with ``se=True`` also with squeeze and
excitation), or the identity. Notation: options joined by ``|`` in a stage, stages joined by ``+``, as in
``MB3_K5_SE|MB3_K3|Identity|MB3_K3_SE+MB3_K5|...``. 7^21 (5.59e17) or 13^21 (2.47e23) encodings.
"""

from __future__ import annotations

from raynas.errors import ArchitectureError
from raynas.spaces.architecture import Architecture, Decision
from raynas.spaces.base import Space
from raynas.spaces.mobile_blocks import IDENTITY, MobileBlock, block_activations, identities_last
from raynas.spaces.notation import checked
from raynas.spaces.registry import SPACES

BLOCKS = tuple(MobileBlock(expansion, kernel).option for expansion in (3, 6) for kernel in (3, 5, 7))
SE_BLOCKS = tuple(f"{block}_SE" for block in BLOCKS)

STEM_CHANNELS = 32
"""Of the 3x3 convolution of stride 2 that comes first."""
FIRST_CHANNELS = 16
"""Of the fixed block after it: depthwise 3x3 on the stem's channels, then a projection; no squeeze and excitation."""
STAGES = ((32, 4, 2), (40, 4, 2), (80, 4, 2), (96, 4, 1), (192, 4, 2), (320, 1, 1))
"""(channels, layers, stride of the first layer) of the stages searched."""
HEAD_CHANNELS = 1280
SE_RATIO = 0.25
"""A block's squeeze has floor(0.25 * expanded width) channels, and biases in both convolutions."""

GREEDYNAS_A = (
    "MB3_K5_SE|MB3_K3|Identity|MB3_K3_SE+MB3_K5|MB3_K7|MB6_K3_SE|MB6_K5_SE+MB3_K5_SE|MB3_K7_SE|MB6_K7|MB3_K5"
    "+MB3_K5_SE|MB3_K3_SE|MB6_K3|MB3_K7_SE+MB3_K7_SE|MB6_K7_SE|MB3_K5|MB6_K3_SE+MB6_K7_SE"
)
"""The network GreedyNAS-A (6.503 M parameters), as its authors released it; an architecture of ``se=True``.

A, B and C are read from ``hunto/LocalMamba`` @45dbff7, ``classification/configs/models/GreedyNAS/*.yaml``.
"""
GREEDYNAS_B = (
    "MB3_K5_SE|MB3_K5_SE|MB3_K5_SE|Identity+MB3_K5_SE|MB3_K7_SE|MB3_K5_SE|MB3_K3+MB6_K5|Identity|MB3_K7_SE|MB3_K7_SE"
    "+MB3_K3_SE|MB3_K5|MB3_K5|MB3_K7_SE+MB6_K5_SE|MB3_K7_SE|MB3_K3_SE|MB3_K7_SE+MB6_K7_SE"
)
"""The network GreedyNAS-B (5.208 M parameters)."""
GREEDYNAS_C = (
    "MB3_K7|Identity|Identity|MB3_K3_SE+MB3_K5_SE|Identity|MB3_K3_SE|MB3_K3_SE+MB3_K7_SE|MB6_K5_SE|MB3_K5_SE|Identity"
    "+MB3_K5_SE|MB3_K5|MB6_K3|MB3_K7+MB3_K5_SE|MB3_K3|MB3_K7_SE|MB3_K5+MB6_K7_SE"
)
"""The network GreedyNAS-C (4.741 M parameters)."""

_DEPTHS = tuple(depth for _, depth, _ in STAGES)


@SPACES.register("mobilenet")
class Mobilenet(Space):
    """GreedyNAS's MobileNet space: 21 layers, each an inverted residual block or the identity.

    Args:
        se: Offer every block also with squeeze and excitation: 13 options a layer instead of 7.
    """

    name = "mobilenet"

    def __init__(self, *, se: bool = False) -> None:
        self.operations = (*BLOCKS, *(SE_BLOCKS if se else ()), IDENTITY)
        self.se = se
        super().__init__(
            [
                Decision(f"stage{stage}.layer{layer}", self.operations)
                for stage, depth in enumerate(_DEPTHS, start=1)
                for layer in range(1, depth + 1)
            ]
        )

    def format_options(self, options: tuple[str, ...]) -> str:
        """Return the options, joined by ``|`` in a stage and by ``+`` between stages."""
        place = iter(options)
        return "+".join("|".join(next(place) for _ in range(depth)) for depth in _DEPTHS)

    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return the 21 layers of a string; raises ArchitectureError naming the stage and layer."""
        stages = [stage.split("|") for stage in text.strip().split("+")]
        if len(stages) != len(_DEPTHS):
            raise ArchitectureError(
                f"'{text}' has {len(stages)} stages joined by '+'; {self.name} has {len(_DEPTHS)}, "
                f"of {', '.join(map(str, _DEPTHS))} layers joined by '|'"
            )
        options = []
        for number, (stage, depth) in enumerate(zip(stages, _DEPTHS, strict=True), start=1):
            if len(stage) != depth:
                raise ArchitectureError(f"stage {number} of '{text}' has {len(stage)} layers instead of {depth}")
            options += [
                checked(option, self.operations, f"in layer {layer} of stage {number}", text)
                for layer, option in enumerate(stage, start=1)
            ]
        return tuple(options)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the architecture with each stage's identity layers last, except in the stage's first place."""
        return self._architecture(identities_last(architecture.options, _DEPTHS))

    def nonlinear_functions(self, architecture: Architecture) -> int:
        """Return ENN's 2 * (21 - identity layers), 0 to 42: squeeze and excitation adds nothing."""
        return block_activations(architecture.options)
