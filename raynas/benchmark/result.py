"""What a benchmark gave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from raynas.benchmark.board import Board, Floats
from raynas.benchmark.curves import checked_evaluations, front_of, incumbent_curve, points, volumes
from raynas.benchmark.playing import Play
from raynas.benchmark.settings import PLACE
from raynas.errors import ConfigError
from raynas.ranking.intervals import mean_interval
from raynas.search.pareto import hypervolume

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class BenchmarkResult:
    """A searcher's searches on a truth table, one a seed.

    Args:
        searcher: Its name.
        options: The options given.
        board: What it played on: ``board.best`` is the best there is, ``board.table`` the truth.
        budget: Evaluations a search, in full ones.
        objectives: What it was told: the score, then costs.
        plays: Each seed's search.
    """

    searcher: str
    options: Mapping[str, Any]
    board: Board = field(repr=False)
    budget: int
    objectives: tuple[str, ...]
    plays: tuple[Play, ...] = field(repr=False)

    @cached_property
    def curve(self) -> Floats:
        """(seeds, budget) the incumbent's truth, in percent, when 1, 2, ... full evaluations were spent.

        The incumbent is the best by score of those fully evaluated; NaN before there is one.
        """
        return np.stack([incumbent_curve(play, self.board, self.budget) for play in self.plays])

    def regret(self, evaluations: Sequence[int] | None = None) -> pd.DataFrame:
        """Return mean regret and mean accuracy of the incumbent with 95 % t intervals over seeds.

        Args:
            evaluations: After how many full evaluations' worth of budget; 10, 30, 100, ... and all unless given.

        Returns:
            A row each: ``evaluations``, then ``regret``, ``regret_low``, ``regret_high`` (percentage points below the
            best there is) and ``accuracy``, ``accuracy_low``, ``accuracy_high`` (percent, by the metric ``report``).
            NaN where a seed has fully evaluated nothing yet; intervals are NaN of one seed.

        Raises:
            ConfigError: A number is not between 1 and the budget.
        """
        import pandas as pd

        counts = checked_evaluations(evaluations, self.budget)
        mean, low, high = mean_interval(self.curve[:, np.array(counts) - 1])
        best = self.board.best
        columns = {"regret": best - mean, "regret_low": best - high, "regret_high": best - low}
        columns |= {"accuracy": mean, "accuracy_low": low, "accuracy_high": high}
        return pd.DataFrame({"evaluations": counts, **columns})

    def hypervolume(
        self, evaluations: Sequence[int] | None, reference: Sequence[float], objectives: Sequence[str] | None = None
    ) -> pd.DataFrame:
        """Return the mean hypervolume of what was found, and its share of the true front's, with 95 % t intervals.

        The true front is by the score and costs of everything that the board holds.

        Args:
            evaluations: As for `regret`.
            reference: (K,) the least score and the most of each cost that count, each in its own unit.
            objectives: The score and the costs by which is judged: what the searcher was told unless given. (A searcher
                of the score alone is the control: a cost that is limited, however widely, is looked up.)

        Returns:
            A row each: ``evaluations``, ``hypervolume``, ``share``, both also with ``_low`` and ``_high``.

        Raises:
            ConfigError: A number is not between 1 and the budget, the reference has not a value an objective, nothing
                is better than it, or a cost was not looked at.
        """
        import pandas as pd

        counts = checked_evaluations(evaluations, self.budget)
        values, base = points(self.board, objectives or self.objectives, reference)
        whole = hypervolume(front_of(values), base)
        if whole <= 0:
            problem = f"'reference': nothing on the board is better in every objective, got {reference}"
            raise ConfigError([problem], PLACE)
        mean, low, high = mean_interval(volumes(self.plays, values, base, counts))
        columns = {"hypervolume": mean, "hypervolume_low": low, "hypervolume_high": high}
        shares = {name.replace("hypervolume", "share"): column / whole for name, column in columns.items()}
        return pd.DataFrame({"evaluations": counts, **columns, **shares})

    def front(self) -> Floats:
        """Return the true front (F, K) by what the searcher was told: the score, then costs in their own units."""
        values, _ = points(self.board, self.objectives, [0.0] * len(self.objectives))
        signs = np.array([1.0] + [-1.0] * (len(self.objectives) - 1))
        return np.asarray(front_of(values) * signs)

    def dataframe(self) -> pd.DataFrame:
        """Return every evaluation of every seed, a row each, in order.

        ``seed``, ``evaluation`` (from 1), ``architecture``, ``score``, ``fidelity``, ``spent``, ``truth`` (its own, by
        ``report``), ``regret`` (the incumbent's after it), and the costs that were looked at.
        """
        import pandas as pd

        return pd.concat([pd.DataFrame(self._rows(play)) for play in self.plays], ignore_index=True)

    def plot(self) -> Figure:
        """Return a figure of mean regret over evaluations, with the band of its interval."""
        from raynas.benchmark.plot import plot_regret

        return plot_regret([self])

    def _rows(self, play: Play) -> dict[str, Any]:
        truth = self.board.truth[play.entry]
        there = np.append(truth, np.nan)[play.incumbent]
        return {
            "seed": play.seed,
            "evaluation": np.arange(1, len(truth) + 1),
            "architecture": play.architectures,
            "score": play.score,
            "fidelity": play.fidelity,
            "spent": play.spent,
            "truth": truth,
            "regret": self.board.best - there,
            **{name: values[play.entry] for name, values in self.board.costs.items()},
        }

    def __repr__(self) -> str:
        mean, low, high = (float(value[0]) for value in mean_interval(self.curve[:, -1:]))
        best = self.board.best
        between = "" if len(self.plays) < 2 else f" [{best - high:.3f}, {best - low:.3f}]"
        seeds = f"{len(self.plays):,} seed{'s' if len(self.plays) > 1 else ''}"
        return (
            f"<benchmark {self.searcher} on {self.board.table.name}, {seeds} of {self.budget:,} evaluations: "
            f"regret {best - mean:.3f}{between}, {self.board.report} {mean:.2f} of at most {best:.2f}>"
        )
