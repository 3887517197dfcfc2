"""Once-for-all's MobileNetV3 space: counts, notation and its own arrays."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.errors import ArchitectureError, ConfigError
from raynas.spaces import space
from raynas.spaces.ofa_mobilenetv3 import BLOCKS, NONE, OfaMobilenetV3, depth, kernel_and_expansion
from tests.conftest import shared_file

TEXT = "k3e6|k5e4|none|none" + "+k7e3|k3e3|k5e6|none" * 2 + "+k7e3|k3e3|k5e6|k3e4" * 2


def test_sizes() -> None:
    assert space("ofa_mobilenetv3").size == 7371**5
    assert OfaMobilenetV3(resolutions=tuple(range(128, 225, 4))).size == 7371**5 * 25
    assert space("ofa_mobilenetv3").decision("stage5.block4").options[:2] == ("none", "k3e3")


def test_a_stages_count_agrees_with_brute_force() -> None:
    whole = space("ofa_mobilenetv3")
    one = whole.only(whole.parse(TEXT))
    for third in (("none", "k3e3", "k7e6"), ("k3e3", "k7e6"), ("none",)):
        for fourth in (("none", "k5e4"), ("k5e4", "k3e4"), ("none",)):
            free = {"stage2.block1": ("k3e3", "k7e3"), "stage2.block3": third, "stage2.block4": fourth}
            part = one.root.subspace({**{d.name: d.options for d in one.decisions}, **free})
            assert len(list(part.enumerate())) == part.size


def test_notation_and_depth() -> None:
    architecture = space("ofa_mobilenetv3").parse(TEXT)
    assert str(architecture) == TEXT
    assert [depth(architecture.options, stage) for stage in range(1, 6)] == [2, 3, 3, 4, 4]
    assert space("ofa_mobilenetv3").active(architecture.options)[:5] == (True, True, False, False, True)
    assert [kernel_and_expansion(option) for option in architecture.options[:3]] == [(3, 6), (5, 4), None]
    assert OfaMobilenetV3(resolutions=(224,)).parse(f"{TEXT}@224").options[-1] == "224"


def test_arrays_of_measured_networks() -> None:
    chosen = OfaMobilenetV3(resolutions=tuple(range(128, 225, 4)))
    with np.load(shared_file("hwnasbench/help_ofa_latency.npz"), allow_pickle=False) as stored:
        columns = [stored[name] for name in ("kernel_size", "expand_ratio", "depth", "resolution")]
    for ks, e, d, r in zip(*(column.tolist() for column in columns), strict=True):
        architecture = chosen.from_arrays(ks, e, d, r)
        assert [depth(architecture.options, stage) for stage in range(1, 6)] == d
        for place, option in enumerate(architecture.options[:-1]):
            there = place % BLOCKS < d[place // BLOCKS]
            assert option == (f"k{ks[place]}e{e[place]}" if there else NONE)
        assert architecture.options[-1] == str(r)
        assert chosen.parse(str(architecture)) == architecture


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TEXT.replace("k5e4", "k5e5", 1), "'k5e5' in block 2 of stage 1.*did you mean 'k5e"),
        (TEXT.replace("k5e4", "none", 1), "'none' in block 2 of stage 1"),
        (
            TEXT.replace("none|none", "none|k3e3", 1),
            "breaks the validity rule of ofa_mobilenetv3: stage 1 has a fourth",
        ),
        (f"{TEXT}@224", "ends in @224, but this ofa_mobilenetv3 has no resolutions: leave it out"),
        ("k3e6", "is not 5 stages"),
    ],
)
def test_malformed_notation_names_the_place(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        space("ofa_mobilenetv3").parse(text)


def test_bad_resolutions_and_arrays_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"distinct positive numbers, got \[128, 128\]"):
        OfaMobilenetV3(resolutions=(128, 128))
    with pytest.raises(ArchitectureError, match="unknown resolution '225' at the end"):
        OfaMobilenetV3(resolutions=(224,)).parse(f"{TEXT}@225")
    with pytest.raises(ArchitectureError, match=r"lacks its resolution at the end \(@224; allowed: 224\)"):
        OfaMobilenetV3(resolutions=(224,)).parse(TEXT)
    with pytest.raises(ArchitectureError, match="depths of 2 to 4"):
        OfaMobilenetV3().from_arrays([3] * 20, [6] * 20, [2, 2, 2, 2, 5])
    with pytest.raises(ArchitectureError, match="got 20, 19 and"):
        OfaMobilenetV3().from_arrays([3] * 20, [6] * 19, [2] * 5)
