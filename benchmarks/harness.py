"""Contenders side by side: every input runs through all of them in one process, in an order drawn anew for each.

What the machine does meanwhile then hits all contenders alike, and ratios mean something where milliseconds do not.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from benchmarks.machine import Usage

Input = TypeVar("Input")

Contender = Callable[[Input], Callable[[], object]]
"""Prepares an input, which is not timed, and returns the call that is."""


@dataclass(frozen=True)
class Ratio:
    """The times of one contender over those of another, on the same inputs.

    Args:
        sum: Of all times, one contender's over the other's: what a long run would feel.
        median: Of the ratios input by input.
        low: First quartile of these.
        high: Third quartile.
    """

    sum: float
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Timings:
    """What a comparison measured.

    Args:
        seconds: Of every contender, (inputs,), in the same order of inputs.
        others: The share of the machine that other processes used meanwhile; None where that cannot be known.
    """

    seconds: Mapping[str, np.ndarray]
    others: float | None = None

    def first(self, inputs: int) -> Timings:
        """Return the times of the first inputs."""
        return Timings({name: seconds[:inputs] for name, seconds in self.seconds.items()}, self.others)

    def ratio(self, left: str, right: str) -> Ratio:
        """Return how the times of one contender compare with those of another."""
        over, under = self.seconds[left], self.seconds[right]
        low, median, high = np.quantile(over / under, [0.25, 0.5, 0.75])
        return Ratio(float(over.sum() / under.sum()), float(median), float(low), float(high))


def measure(
    contenders: Mapping[str, Contender[Input]], inputs: Sequence[Input], *, warm_up: int = 1, seed: int = 0
) -> Timings:
    """Time every contender on every input.

    Args:
        contenders: By name.
        inputs: What they are given.
        warm_up: So many of the first inputs are run through before, without being timed.
        seed: Of the orders.
    """
    rng = np.random.default_rng(seed)
    names = list(contenders)
    for given in inputs[:warm_up]:
        for name in names:
            contenders[name](given)()
    seconds: dict[str, list[float]] = {name: [] for name in names}
    before = Usage.now()
    for given in inputs:
        for place in rng.permutation(len(names)):
            seconds[names[place]].append(timed(contenders[names[place]](given)))
    return Timings({name: np.array(listed) for name, listed in seconds.items()}, Usage.now().others_since(before))


def timed(call: Callable[[], object]) -> float:
    """Return the seconds that a call takes, without the garbage of what ran before it."""
    gc.collect()
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Extrapolated:
    """One long call against what its inputs would take one by one, known from a sample of them.

    Args:
        ratio: Seconds of the call over the mean of the sample times the number of inputs.
        seconds: Of the call.
        sample: Seconds of each input in the sample, (inputs,).
        others: As in `Timings`.
    """

    ratio: float
    seconds: float
    sample: np.ndarray
    others: float | None


def measure_whole(
    whole: Callable[[], object], one: Contender[Input], inputs: int, sample: Sequence[Input]
) -> Extrapolated:
    """Time one long call, and a sample of its inputs one by one: half of them before it, half after.

    Args:
        whole: The call.
        one: What one input takes otherwise.
        inputs: How many inputs the call has.
        sample: Some of them, drawn at random.
    """
    one(sample[0])()
    before, half = Usage.now(), len(sample) // 2
    first = [timed(one(given)) for given in sample[:half]]
    seconds = timed(whole)
    times = np.array(first + [timed(one(given)) for given in sample[half:]])
    return Extrapolated(seconds / (times.mean() * inputs), seconds, times, Usage.now().others_since(before))
