"""Where the path search begins and what it may propose, without Ray."""

from __future__ import annotations

from typing import Any

import pytest

import raynas
from raynas.cluster.path_search import Supernets, make_searcher
from raynas.config import SearchSettings
from raynas.errors import ConfigError
from raynas.methods import MethodPlan
from raynas.search import Searcher
from raynas.spaces import Architecture, Space
from raynas.training.costs import MEASURED
from raynas.training.weights import Version

WHOLE = raynas.space("nasbench201")
LIGHT = WHOLE.subspace({"2<-0": ["none", "skip_connect"], "3<-0": ["none"]})
HEAVY = WHOLE.subspace({"2<-0": ["nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"]})


class Job:
    """What the path search needs of a supernet's job."""

    def __init__(self, space: Space) -> None:
        self.space = space

    def parts(self) -> Any:
        return MethodPlan(("uniform", {}), ("positions", {}), None, None).make(self.space, ())


def supernets(*kept: str) -> Supernets:
    jobs: Any = {"root": Job(WHOLE), "light": Job(LIGHT), "heavy": Job(HEAVY)}

    def owner(architecture: Architecture) -> str | None:
        return next((label for label in kept if architecture in jobs[label].space), None)

    return Supernets(jobs, {Version(label, 1): {} for label in kept}, owner, {})


def convolutions(architecture: Architecture) -> float:
    return float(sum(option == "nor_conv_3x3" for option in architecture.options))


def searcher(kept: str, limits: tuple[float | None, float | None], seed: int = 0, **more: Any) -> Searcher:
    settings = SearchSettings(name="random", constraints={"convs": limits}, **more)
    return make_searcher(settings, WHOLE, {"convs": convolutions}, supernets(kept), [], seed)


def test_a_feasible_start_is_sought_in_what_the_supernets_hold() -> None:
    asked = searcher("light", (4, None)).ask()  # one in 5,000 architectures, of which one in 40 is in this part
    assert asked
    assert all(convolutions(a) == 4 and a in LIGHT for a in asked)


def test_limits_that_only_lost_supernets_could_satisfy_are_refused() -> None:
    assert searcher("heavy", (5, None)).ask()
    with pytest.raises(ConfigError, match=r"trained supernets hold.*(\n.*)*light: nothing was found.*convs at least 5"):
        searcher("light", (5, None))


def test_looking_for_a_start_does_not_move_the_stream_of_the_search() -> None:
    settings = SearchSettings(name="random", constraints={"convs": (3, None)})
    known = WHOLE.make(["nor_conv_3x3"] * 6)
    given = make_searcher(settings, WHOLE, {"convs": convolutions}, supernets("heavy"), [known], 0)
    sought = make_searcher(settings, WHOLE, {"convs": convolutions}, supernets("heavy"), [], 0)
    assert given.rng.bit_generator.state == sought.rng.bit_generator.state


def test_nothing_is_measured_when_the_time_is_over() -> None:
    measured, now = list[Architecture](), [0.0]

    def slow(architecture: Architecture) -> float:
        measured.append(architecture)
        now[0] += 0.5
        return 1.0 if len(measured) == 1 else 9.0

    settings = SearchSettings(name="random", seconds=25, constraints={MEASURED: (None, 2.0)})
    found = make_searcher(settings, WHOLE, {MEASURED: slow}, supernets("root"), [], 0, lambda: now[0])
    assert len(measured) <= 30
    assert found.ask() == [measured[0]]
    assert len(measured) == 51  # 25 s, of which the last half begins at their end
