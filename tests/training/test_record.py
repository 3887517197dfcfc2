"""The record of a training: what is kept, what is read, and what a death between two writes leaves."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from raynas.errors import RunError
from raynas.training.record import Record


def state(number: int) -> dict[str, torch.Tensor]:
    return {"weight": torch.full((2,), float(number))}


def kept(folder: Path, *numbers: int) -> Record:
    record = Record(folder / "record")
    for number in numbers:
        record.keep(number, {"round": number}, state(number))
    return record


def test_nothing_is_kept_at_first(tmp_path: Path) -> None:
    record = Record(tmp_path / "record")
    assert (record.done, record.steps(), record.step(1)) == (0, [], None)
    with pytest.raises(RunError):
        record.state()


def test_steps_are_kept_and_the_last_state_alone(tmp_path: Path) -> None:
    record = kept(tmp_path, 1, 2, 3)
    assert record.done == 3
    assert record.steps() == [{"round": 1}, {"round": 2}, {"round": 3}]
    assert record.step(2) == {"round": 2}
    assert record.state()["weight"].tolist() == [3.0, 3.0]
    assert [path.name for path in record.folder.glob("state-*")] == ["state-3.pt"]


def test_a_step_without_a_state_does_not_count(tmp_path: Path) -> None:
    record = kept(tmp_path, 1, 2)
    (record.folder / "step-3.pkl").write_bytes(b"cut off")
    assert (record.done, record.steps(), record.step(3)) == (2, [{"round": 1}, {"round": 2}], None)


def test_a_copy_of_one_that_is_ahead_leaves_steps_out(tmp_path: Path) -> None:
    record = kept(tmp_path, 1, 4, 5)
    assert record.steps() == [{"round": 1}, {"round": 4}, {"round": 5}]
    assert record.step(2) is None


def test_a_copy_of_one_that_is_behind_forgets_what_came_after(tmp_path: Path) -> None:
    record = kept(tmp_path, 1, 2, 3, 4, 2, 6)
    assert record.steps() == [{"round": 1}, {"round": 2}, {"round": 6}]


def test_a_linked_state_stays_when_the_record_goes_on(tmp_path: Path) -> None:
    record = kept(tmp_path, 1)
    record.link_state(tmp_path / "held.pt")
    record.keep(2, {"round": 2}, state(2))
    assert torch.load(tmp_path / "held.pt")["weight"].tolist() == [1.0, 1.0]
