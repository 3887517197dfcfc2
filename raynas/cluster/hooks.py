"""What the driver wants to be told while Tune runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from raynas.errors import RunError
from raynas.search import Birth, PoolEntry, Turn
from raynas.training.job import SupernetJob
from raynas.training.worker import RoundReport


def _no_birth(birth: Birth, rounds_before: int) -> SupernetJob:
    raise RunError(f"{birth.child} was born after {rounds_before} rounds where nobody makes its job")


@dataclass(frozen=True)
class Hooks:
    """Callbacks into the driver's process.

    Tune pickles its scheduler and callbacks into the experiment folder; the driver's console, files and W&B runs
    cannot and should not go with them. So a pickled copy is one that tells nobody, while copies inside the process are
    the same object.

    Args:
        on_turn: Called with each turn before it begins.
        on_complete: Called with each partition's pool entries when all of a turn have reported, before the decision.
        on_give_up: Called with the label of a partition whose trial failed for good.
        on_report: Called with every report, in the order in which they come; the one that completes a turn is known
            to the scheduler before it comes here.
        on_birth: Called with each partition that is born, before the turn in which it trains first, and with the rounds
            of its parent's schedule that are over; returns its job.
    """

    on_turn: Callable[[Turn], object]
    on_complete: Callable[[Mapping[str, Sequence[PoolEntry]]], object]
    on_give_up: Callable[[str], object]
    on_report: Callable[[RoundReport], object]
    on_birth: Callable[[Birth, int], SupernetJob] = _no_birth

    def __copy__(self) -> Hooks:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Hooks:
        return self

    def __reduce__(self) -> tuple[Callable[[], Hooks], tuple[()]]:
        return _silent, ()


def _silent() -> Hooks:
    return Hooks(lambda turn: None, lambda entries: None, lambda label: None, lambda report: None)
