"""What the benchmarks' numbers are made of; no test here looks at a clock."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from benchmarks.harness import Timings, measure, measure_whole
from benchmarks.machine import Usage

TIMINGS = Timings({"ours": np.array([1.0, 1.0, 4.0]), "bare": np.array([2.0, 1.0, 2.0])})


def test_ratio_of_sums_and_of_each_input() -> None:
    ratio = TIMINGS.ratio("ours", "bare")
    assert ratio.sum == pytest.approx(6 / 5)
    assert (ratio.low, ratio.median, ratio.high) == pytest.approx((0.75, 1.0, 1.5))


def test_ratio_of_a_contender_to_itself() -> None:
    ratio = TIMINGS.ratio("bare", "bare")
    assert (ratio.sum, ratio.low, ratio.median, ratio.high) == (1, 1, 1, 1)


def test_every_input_runs_through_all_contenders_in_changing_order() -> None:
    calls: list[tuple[str, int]] = []

    def contender(name: str) -> Callable[[int], Callable[[], None]]:
        return lambda given: lambda: calls.append((name, given))

    timings = measure({name: contender(name) for name in "abc"}, range(20), warm_up=2)
    warm, counted = calls[:6], calls[6:]
    assert warm == [(name, given) for given in (0, 1) for name in "abc"]
    orders = [tuple(name for name, given in counted if given == place) for place in range(20)]
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert [given for _, given in counted] == sorted(given for _, given in counted)
    assert len(set(orders)) > 3
    assert {len(seconds) for seconds in timings.seconds.values()} == {20}


def test_preparation_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def takes(seconds: float) -> None:
        clock[0] += seconds

    def prepare(given: float) -> Callable[[], None]:
        takes(100.0)
        return lambda: takes(given)

    timings = measure({"one": prepare}, [1.0, 2.0])
    assert timings.seconds["one"].tolist() == [1.0, 2.0]


def test_a_long_call_against_a_sample_of_its_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def takes(seconds: float) -> Callable[[], None]:
        def call() -> None:
            clock[0] += seconds

        return call

    found = measure_whole(takes(30.0), takes, 20, [1.0, 2.0, 3.0, 6.0])
    assert found.sample.tolist() == [1.0, 2.0, 3.0, 6.0]
    assert found.ratio == pytest.approx(30 / (3.0 * 20))


def test_what_others_used() -> None:
    before = Usage(total=1000, busy=500, own=100)
    assert Usage(total=1200, busy=600, own=150).others_since(before) == pytest.approx(0.25)
    assert Usage(total=1200, busy=500, own=101).others_since(before) == 0  # the kernel's counters are rounded
    assert before.others_since(before) is None
