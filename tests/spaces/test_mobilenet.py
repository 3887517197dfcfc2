"""GreedyNAS's MobileNet space, and the three networks its authors released."""

from __future__ import annotations

import pytest

from raynas.errors import ArchitectureError
from raynas.spaces import space
from raynas.spaces.mobile_blocks import mobile_block
from raynas.spaces.mobilenet import (
    FIRST_CHANNELS,
    GREEDYNAS_A,
    GREEDYNAS_B,
    GREEDYNAS_C,
    HEAD_CHANNELS,
    SE_RATIO,
    STAGES,
    STEM_CHANNELS,
)

PLAIN = space("mobilenet")
WITH_SE = space("mobilenet", se=True)


def parameters(options: tuple[str, ...], classes: int = 1000) -> int:
    """Count the parameters of the ImageNet network by hand."""
    stem, width = STEM_CHANNELS, FIRST_CHANNELS
    total = 3 * stem * 9 + 2 * stem + (stem * 9 + 2 * stem) + (stem * width + 2 * width)
    place = iter(options)
    for channels, depth, _ in STAGES:
        for _ in range(depth):
            block = mobile_block(next(place))
            if block is not None:
                inner = width * block.expansion
                total += width * inner + inner * block.kernel**2 + inner * channels + 2 * (2 * inner + channels)
                if block.se:
                    squeezed = int(SE_RATIO * inner)
                    total += inner * squeezed + squeezed + squeezed * inner + inner
            elif width != channels:
                total += width * channels + 2 * channels
            width = channels
    return total + width * HEAD_CHANNELS + 2 * HEAD_CHANNELS + HEAD_CHANNELS * classes + classes


def test_sizes() -> None:
    assert PLAIN.size == 7**21
    assert WITH_SE.size == 13**21
    assert PLAIN.decisions[0].options == ("MB3_K3", "MB3_K5", "MB3_K7", "MB6_K3", "MB6_K5", "MB6_K7", "Identity")
    names = [decision.name for decision in PLAIN.decisions]
    assert (names[0], names[4], names[-1]) == ("stage1.layer1", "stage2.layer1", "stage6.layer1")


@pytest.mark.parametrize(
    ("text", "millions"), [(GREEDYNAS_A, 6.503), (GREEDYNAS_B, 5.208), (GREEDYNAS_C, 4.741)], ids="ABC"
)
def test_the_released_networks_have_the_published_sizes(text: str, millions: float) -> None:
    architecture = WITH_SE.parse(text)
    assert str(architecture) == text
    assert round(parameters(architecture.options) / 1e6, 3) == millions
    with pytest.raises(ArchitectureError, match="did you mean 'MB3_K"):
        PLAIN.parse(text)


def test_identity_layers_move_to_the_end_of_their_stage() -> None:
    text = "Identity|Identity|MB3_K3|MB6_K5+MB3_K3|Identity|MB3_K5|Identity" + "+MB3_K7|MB3_K3|MB3_K5|MB6_K3" * 3
    moved = "Identity|MB3_K3|MB6_K5|Identity+MB3_K3|MB3_K5|Identity|Identity" + "+MB3_K7|MB3_K3|MB3_K5|MB6_K3" * 3
    assert str(PLAIN.canonical(PLAIN.parse(f"{text}+Identity"))) == f"{moved}+Identity"


def test_malformed_notation_names_the_place() -> None:
    with pytest.raises(ArchitectureError, match=r"'MB3_K4' in layer 2 of stage 1 .* did you mean 'MB3_K"):
        WITH_SE.parse(GREEDYNAS_A.replace("MB3_K3|", "MB3_K4|", 1))
    with pytest.raises(ArchitectureError, match=r"stage 6 .* has 2 layers instead of 1"):
        WITH_SE.parse(f"{GREEDYNAS_A}|Identity")
    with pytest.raises(ArchitectureError, match="has 1 stages"):
        WITH_SE.parse("MB3_K3")
