"""What a scheduler that makes partitions while they train cannot go together with."""

from __future__ import annotations

from typing import Any

import pytest

from raynas.config import validate
from raynas.errors import ConfigError

BASE: dict[str, Any] = {
    "space": {"name": "nasbench201", "connected": True},
    "data": "digits",
    "train": {"partition_rounds": 100},
    "search": {"verify": {"top": 0}},
}


def config(scheduler: str, **partition: Any) -> dict[str, Any]:
    return {**BASE, "scheduler": {"name": scheduler}, "method": {"partition": partition}}


@pytest.mark.parametrize("scheduler", ["evolution", "pbt", "pb2"])
def test_partitions_that_overlap_are_not_split_again(scheduler: str) -> None:
    with pytest.raises(ConfigError, match=f"{scheduler} makes partitions that overlap.* got 2 levels"):
        validate(config(scheduler, name="given", decisions=[["3<-0"], ["3<-1"]]))


def test_a_child_has_no_yardstick() -> None:
    with pytest.raises(ConfigError, match="evolution makes partitions that the root has no yardstick for"):
        validate(config("evolution", name="given", decisions=["3<-0"], calibration="shift"))
    validate(config("pbt", name="given", decisions=["3<-0"], calibration="shift"))  # a copy has its original's


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "median", "greedy"])
def test_others_split_as_often_as_they_like(scheduler: str) -> None:
    validate(config(scheduler, name="given", decisions=[["3<-0"], ["3<-1"]]))


def test_parts_by_what_is_counted_can_be_split_by_decisions() -> None:
    validate(config("evolution", name="nonlinear"))
