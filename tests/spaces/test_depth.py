"""The monocular depth spaces."""

from __future__ import annotations

import pytest

from raynas.errors import ArchitectureError, ConfigError
from raynas.spaces import Space, space
from raynas.spaces.depth import DepthV2

CELL = "|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|"


@pytest.mark.parametrize(
    ("made", "size"),
    [
        (space("depth_v1"), 3_124),
        (space("depth_v1", sync=False), 3_124**4),
        (space("depth_v2"), 12_499),
        (space("depth_v2", sync=False), 12_499**4),
        (space("depth_v1", nodes=1), 24),
        (space("depth_v1", nodes=3), 5**9 - 1),
    ],
    ids=str,
)
def test_sizes(made: Space, size: int) -> None:
    assert made.size == size


def test_counts_of_subspaces_agree_with_brute_force() -> None:
    whole = space("depth_v2")
    for part in whole.partition(["2<-0", "upsample"]):
        assert len(list(part.enumerate())) == part.size


def test_names_and_notation() -> None:
    assert [d.name for d in space("depth_v2").decisions] == ["2<-0", "2<-1", "3<-0", "3<-1", "3<-2", "upsample"]
    assert [d.name for d in space("depth_v2", sync=False).decisions][5:7] == ["cell1.upsample", "cell2.2<-0"]
    assert str(space("depth_v1").parse(CELL)) == CELL
    text = ";".join([f"{CELL}@bicubic"] * 4)
    architecture = space("depth_v2", sync=False).parse(text)
    assert str(architecture) == text
    assert DepthV2(sync=False).split(architecture.options)[3] == (
        "none", "skip_connect", "none", "none", "nor_conv_3x3", "bicubic",
    )  # fmt: skip


def test_the_cell_of_first_options_is_refused() -> None:
    nothing = CELL.replace("skip_connect", "none").replace("nor_conv_3x3", "none")
    with pytest.raises(ArchitectureError, match="breaks the validity rule"):
        space("depth_v1").parse(nothing)
    with pytest.raises(ArchitectureError, match="breaks the validity rule"):
        space("depth_v2").parse(f"{nothing}@bilinear")
    with pytest.raises(ArchitectureError, match="breaks the validity rule"):
        space("depth_v1", sync=False).parse(";".join([CELL, CELL, nothing, CELL]))
    assert space("depth_v2").parse(f"{nothing}@bicubic") in space("depth_v2")


def test_active_edges_lead_from_an_input_to_the_last_node() -> None:
    made = space("depth_v2")
    assert made.active(made.parse(f"{CELL}@bicubic").options) == (False, True, False, False, True, True)
    unused = "|skip_connect~0|skip_connect~1|+|none~0|avg_pool_3x3~1|none~2|@bilinear"
    assert made.active(made.parse(unused).options) == (False, False, False, True, False, True)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (CELL, "lacks its upsampling"),
        (f"{CELL}@bilinaer", "'bilinaer' at the end.*did you mean 'bilinear'"),
        (f"{CELL.replace('none', 'non', 1)}@bilinear", "'non' on edge 2<-0.*did you mean 'none'"),
        (f"{CELL}@bilinear;{CELL}@bilinear", "has 2 cells"),
        ("|none~0|+|none~0|none~1|@bilinear", "node 2 .* must take its inputs from 0 to 1"),
    ],
)
def test_malformed_notation_names_the_place(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        space("depth_v2").parse(text)


def test_a_cell_needs_an_inner_node() -> None:
    with pytest.raises(ConfigError, match="nodes must be at least 1, got 0"):
        space("depth_v1", nodes=0)
