"""NAS-Bench-Macro against the benchmark's file and counts."""

from __future__ import annotations

import numpy as np
import pytest

from raynas.errors import ArchitectureError
from raynas.spaces import space
from raynas.spaces.mobile_blocks import mobile_block
from raynas.spaces.nasbench_macro import OPERATIONS, STAGE_CHANNELS, STAGES, STEM_CHANNELS
from tests.conftest import shared_file

SPACE = space("nasbench_macro")


def parameters(options: tuple[str, ...]) -> int:
    """Count the parameters of the benchmark's network on CIFAR-10 by hand."""
    total, width = 3 * 32 * 9 + 2 * 32, STEM_CHANNELS
    place = iter(options)
    for channels, depth in zip(STAGE_CHANNELS, STAGES, strict=True):
        for layer in range(depth):
            block = mobile_block(next(place))
            if block is not None:
                inner = width * block.expansion
                total += width * inner + inner * block.kernel**2 + inner * channels + 2 * (2 * inner + channels)
            elif layer == 0:
                total += width * channels + 2 * channels
            width = channels
    return total + 256 * 1280 + 2 * 1280 + 1280 * 10 + 10


def test_counts() -> None:
    everything = list(SPACE.enumerate())
    assert len(everything) == SPACE.size == 6_561
    assert len(SPACE.classes()) == 3_969
    assert {str(SPACE.canonical(a)) for a in everything} == set(SPACE.classes())


def test_notation_is_the_files() -> None:
    with np.load(shared_file("nasbench_macro/nasbench_macro.npz"), allow_pickle=False) as stored:
        assert tuple(stored["op_names"]) == OPERATIONS
        for text, ops, count in zip(stored["arch"], stored["ops"], stored["params"], strict=True):
            architecture = SPACE.parse(str(text))
            assert architecture.options == tuple(OPERATIONS[op] for op in ops)
            assert str(architecture) == text
            assert parameters(architecture.options) == count


def test_networks_of_one_class_share_their_result_in_the_file() -> None:
    results: dict[str, set[tuple[float, ...]]] = {}
    with np.load(shared_file("nasbench_macro/nasbench_macro.npz"), allow_pickle=False) as stored:
        for text, accuracies in zip(stored["arch"], stored["test_acc"], strict=True):
            results.setdefault(SPACE.canonical(SPACE.parse(str(text))).text, set()).add(tuple(accuracies.tolist()))
    assert all(len(accuracies) == 1 for accuracies in results.values())


def test_identity_layers_move_to_the_end_of_their_stage() -> None:
    assert str(SPACE.canonical(SPACE.parse("01002102"))) == "01020120"
    assert str(SPACE.canonical(SPACE.parse("22212202"))) == "22212220"


@pytest.mark.parametrize(
    ("text", "words"),
    [("2221223a", "'3' in layer 7"), ("222", "has 3 digits.*8 layers"), ("²2212202", "'²' in layer 1")],
)
def test_malformed_notation_names_the_place(text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        SPACE.parse(text)
