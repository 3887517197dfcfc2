"""The budget ledger's arithmetic."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raynas.training.ledger import Ledger, Span


def test_overhead_is_what_no_work_covers() -> None:
    ledger = Ledger(slots=2, began=100.0)
    ledger.add([Span("startup", 100, 104), Span("train", 104, 106), Span("score", 105, 108)], trained=640, scored=64)
    ledger.add([Span("train", 109, 110)], trained=320)
    summary = ledger.summary(until=110.0)
    assert summary["wall_seconds"] == 10
    assert summary["overhead_percent"] == pytest.approx(10.0)  # 108 to 109
    assert summary["busy_percent"] == pytest.approx(100 * 6 / (2 * 10))
    assert summary["process_seconds"] == {"score": 3, "startup": 4, "train": 3}
    assert (summary["images_trained"], summary["images_scored"]) == (960, 64)


def test_other_phases_are_not_work() -> None:
    ledger = Ledger(began=0.0)
    ledger.add([Span("report", 0, 5), Span("train", 5, 10)])
    assert ledger.summary(until=10.0)["overhead_percent"] == pytest.approx(50.0)


def test_gap_until_the_first_work() -> None:
    ledger = Ledger(began=0.0)
    ledger.add([Span("startup", 7, 9), Span("train", 9, 10), Span("train", 1, 2)])
    ledger.close_gap("startup", 4.0)
    assert ledger.spans[-1] == Span("startup", 4.0, 7)


def test_saved_as_json(tmp_path: Path) -> None:
    ledger = Ledger()
    with ledger.span("train"):
        pass
    ledger.save(tmp_path / "ledger.json")
    assert json.loads((tmp_path / "ledger.json").read_text())["process_seconds"].keys() == {"train"}
