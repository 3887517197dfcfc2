"""What the driver wants to be told while Tune runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from raynas.search import Turn
from raynas.training.worker import RoundReport


@dataclass(frozen=True)
class Hooks:
    """Callbacks into the driver's process.

    Tune pickles its scheduler and callbacks into the experiment folder; the driver's console, files and W&B runs
    cannot and should not go with them. So a pickled copy is one that tells nobody, while copies inside the process are
    the same object.

    Args:
        on_turn: Called with each turn before it begins.
        on_complete: Called when every partition of a turn has reported, before the rule decides.
        on_report: Called with every report, in the order in which they come.
    """

    on_turn: Callable[[Turn], object]
    on_complete: Callable[[], object]
    on_report: Callable[[RoundReport], object]

    def __copy__(self) -> Hooks:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> Hooks:
        return self

    def __reduce__(self) -> tuple[Callable[[], Hooks], tuple[()]]:
        return _silent, ()


def _silent() -> Hooks:
    return Hooks(lambda turn: None, lambda: None, lambda report: None)
