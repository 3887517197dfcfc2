"""The two network design spaces."""

from __future__ import annotations

import pytest

from raynas.errors import ArchitectureError
from raynas.spaces import space
from raynas.spaces.nds import NdsResnextA

TEXT = "ds=1,4,16 ws=16,64,256 bot_muls=0.5,1,0.25 num_gs=1,2,4"


def test_sizes_and_names() -> None:
    assert space("nds_resnet").size == 1_259_712
    assert space("nds_resnext_a").size == 11_390_625
    assert [decision.name for decision in space("nds_resnet").decisions] == [
        "stage1.depth", "stage1.width", "stage2.depth", "stage2.width", "stage3.depth", "stage3.width",
    ]  # fmt: skip


def test_notation() -> None:
    architecture = NdsResnextA().parse(TEXT)
    assert architecture.options == ("1", "16", "0.5", "1", "4", "64", "1", "2", "16", "256", "0.25", "4")
    assert str(architecture) == TEXT
    assert NdsResnextA().stages(architecture.options)[2] == {"depth": 16, "width": 256, "bot_mul": 0.25, "groups": 4}
    assert str(space("nds_resnet").parse("ds=1,4,24  ws=16,64,256")) == "ds=1,4,24 ws=16,64,256"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ws=16,64", "ws=16,65", "number '65' in ws of stage 2"),
        ("ds=1,4,16", "ds=1,4", "ds of .* has 2 numbers"),
        (" num_gs=1,2,4", "", "is not of the form ds=.* num_gs="),
        ("ds=", "depths=", "is not of the form ds="),
    ],
)
def test_malformed_notation_names_the_place(old: str, new: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        space("nds_resnext_a").parse(TEXT.replace(old, new))


def test_every_bottleneck_divides_into_its_groups() -> None:
    for width in space("nds_resnext_a").decision("stage1.width").options:
        for ratio in space("nds_resnext_a").decision("stage1.bot_mul").options:
            assert round(int(width) * float(ratio)) % 4 == 0
