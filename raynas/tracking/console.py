"""The console: a header, one line a report, a summary. Nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console

from raynas.tracking.base import Row


class ConsoleTracker:
    """Prints one line a report.

    Args:
        console: Where to.
        rounds: The most rounds of a trial, by its name.
        label_width: Columns for the trial's label.
    """

    def __init__(self, console: Console, rounds: Callable[[str], int], label_width: int) -> None:
        self._console, self._rounds, self._width = console, rounds, label_width

    def log(self, row: Row) -> None:
        """Print the report."""
        total = self._rounds(str(row["trial"]))
        self._width = max(self._width, len(str(row["trial"])))  # a partition that is born later may have a longer name
        seconds = row["seconds_train"] + row["seconds_score"]
        self._console.print(
            f"{row['trial']:<{self._width}}  round {row['round']:>2}/{total:<2}  loss {row['loss']:.3f} | "
            f"{_ranking(row)} | pool overlap {row['pool_overlap']:.2f} | {seconds:.1f}s",
            highlight=False,
            soft_wrap=True,
        )

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Print nothing: the summary has a place of its own."""
        del summary


def _ranking(row: Row) -> str:
    """Return what the report says of the supernet's ranking."""
    n = row["n_architectures"]
    if n < 2:
        return "no tau (n=1)" if n else "no truth"
    low, high, top = row["kendall_tau_ci_low"], row["kendall_tau_ci_high"], row["p_at_top5"]
    interval = "-" if math.isnan(low) else f"\\[{low:.2f}, {high:.2f}]"
    return (
        f"tau [bold]{row['kendall_tau']:.2f}[/] {interval} n={n} | P@top5% {'-' if math.isnan(top) else f'{top:.2f}'}"
    )
