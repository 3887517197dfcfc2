"""The options of Ray Tune's schedulers: how long their schedules are, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from raynas.errors import ConfigError
from raynas.search import SCHEDULERS
from raynas.search.tune_rules import HyperbandRule

FIVE = tuple("abcde")


@pytest.mark.parametrize(
    ("name", "partitions", "budget", "options", "longest"),
    [
        ("asha", 9, 9 + 2 * 3 + 6 * 1, {}, 9),  # nine to the first rung, three to the second, one to the third
        ("asha", 5, 10 + 2 * 2, {"grace": 2, "reduction": 3.0}, 4),
        ("hyperband", 5, 11, {}, 3),  # two train 3 rounds, of three that train 1 one goes on
        ("hyperband", 8, 8 * 4, {"reduction": 2}, 4),
        ("median", 5, 20, {"most": 1.5}, 6),
        ("pbt", 5, 23, {}, 4),
        ("pb2", 5, 23, {"every": 1}, 4),
    ],
)
def test_the_longest_schedule(name: str, partitions: int, budget: int, options: dict[str, Any], longest: int) -> None:
    labels = tuple(f"p{i}" for i in range(partitions))
    assert SCHEDULERS.make(name, labels, budget, **options).longest() == longest


def test_the_work_of_brackets() -> None:
    rule = HyperbandRule(FIVE, 11)
    assert rule._work(3) == 2 * 3 + 3 * 1 + 1 * 2
    assert rule._work(1) == 5


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("asha", {"grace": 2}, "ever be stopped: grace is 2, and 10 rounds"),
        ("hyperband", {}, "ever be stopped: with reduction 3"),
        ("median", {"grace": 4}, "ever be stopped: grace is 4, and none gets more than 4"),
        ("median", {"least": 5}, "ever be stopped: least is 5, and each has 4 others"),
        ("pbt", {"every": 2}, "ever be replaced: every is 2, and each gets 2 rounds"),
        ("pb2", {"every": 1, "low": 2.0, "high": 2.0}, "low must be less than high"),
    ],
)
def test_what_could_never_do_anything_is_refused(name: str, options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        SCHEDULERS.make(name, FIVE, 10, **options)
