"""`SearchResult`: what a path search found, in numbers, tables and a figure; read from its folder."""

from __future__ import annotations

import json
import math
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raynas.errors import ArchitectureError, RunError
from raynas.search.explore import SCORE
from raynas.search.pareto import on_front
from raynas.truth import TruthTable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

SUMMARY, SEARCHED, VERIFIED = "summary.json", "search.parquet", "verified.parquet"
"""Files of a search's folder."""


class SearchResult:
    """What a search found.

    Args:
        path: Where it is kept: its summary, every architecture it scored, and what was trained stand-alone.
        truth: The truth that the run measures rankings by, and its metric; None where there is none. It plays no part
            in what was found.
    """

    def __init__(self, path: Path, truth: tuple[TruthTable, str] | None = None) -> None:
        self.path = path
        self._truth = truth

    @cached_property
    def summary(self) -> dict[str, Any]:
        """How it was set (``searcher``, ``budget``, ``objectives``, ``constraints``, ``seed``), and what it spent."""
        found: dict[str, Any] = json.loads(self._existing(SUMMARY).read_text())
        return found

    @property
    def objectives(self) -> list[str]:
        """The score, then the costs that were minimised."""
        return list(self.summary["objectives"])

    @property
    def best(self) -> str | None:
        """The best architecture: of those trained stand-alone by validation accuracy, else by score; None for none."""
        if len(self.verified):
            means = self.verified.groupby("architecture")["valid_accuracy"].mean()
            return str(means.idxmax())
        top = self.top(1)
        return None if not len(top) else str(top["architecture"].iloc[0])

    @cached_property
    def verified(self) -> pd.DataFrame:
        """Stand-alone trainings of the best, one row an architecture and seed."""
        return self._table(VERIFIED)

    def top(self, k: int) -> pd.DataFrame:
        """Return the k best by score of those fully evaluated, best first: the rows of `dataframe`."""
        rows = self.dataframe()
        rows = rows[(rows["fidelity"] == 1.0) & np.isfinite(rows["score"].astype(float))]
        return rows.sort_values(["score", "architecture"], ascending=[False, True], ignore_index=True).head(k)

    def pareto(self) -> pd.DataFrame:
        """Return what nothing else found beats in all objectives, best score first; with one objective, the best."""
        rows = self.top(len(self._searched))
        return rows[on_front(self._values(rows))].reset_index(drop=True) if len(rows) else rows

    def dataframe(self) -> pd.DataFrame:
        """Return every evaluation, in order: architecture, score, fidelity, spent (full evaluations), costs.

        With a truth also ``truth`` (percent; NaN where it is not known) and ``regret``: what the truth of the best by
        score so far is short of the best there is in the table, limits or not (NaN where its truth is not known).
        """
        rows = self._searched.copy()
        if self._truth is None or not len(rows):
            return rows
        table, metric = self._truth
        values = table.values(metric)
        rows["truth"] = [_known(table, text, metric) for text in rows["architecture"]]
        rows["regret"] = float(np.nanmax(values)) - np.array(_incumbents(rows))
        return rows

    def plot(self) -> Figure:
        """Return a figure: the score so far over the budget, or with several objectives what was found and its front.

        In a notebook it shows itself; ``result.plot().savefig("search.svg")`` writes it.
        """
        from raynas.report.figures import front_figure, search_figure

        if len(self.objectives) > 1:
            return front_figure(self.top(len(self._searched)), self.pareto(), self.objectives[1])
        return search_figure(self._searched)

    def _values(self, rows: pd.DataFrame) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return (A, K) objectives of rows, higher is better."""
        columns = [rows[name] if name == SCORE else -rows[name] for name in self.objectives]
        return np.column_stack([column.to_numpy(np.float64) for column in columns])

    @cached_property
    def _searched(self) -> pd.DataFrame:
        return self._table(SEARCHED)

    def _table(self, name: str) -> pd.DataFrame:
        import pandas as pd

        return pd.read_parquet(self._existing(name))

    def _existing(self, name: str) -> Path:
        path = self.path / name
        if not path.exists():
            raise RunError(f"{self.path} has no {name}: the search did not come that far")
        return path

    def __repr__(self) -> str:
        top, count = self.top(1), len(self._searched)
        if not len(top):
            return f"<search {self.path}: {self.summary['searcher']}, {count} scored, nothing found>"
        parts = [f"{self.summary['searcher']}, {count} scored", f"best score {top['score'].iloc[0]:.3f}"]
        if len(self.verified):
            mine = self.verified[self.verified["architecture"] == self.best]
            parts.append(f"stand-alone test accuracy {mine['test_accuracy'].mean():.2f} %")
        if len(self.objectives) > 1:
            parts.append(f"{len(self.pareto())} on the front")
        return f"<search {self.path}: {', '.join(parts)}, {self.best}>"


def _incumbents(rows: pd.DataFrame) -> list[float]:
    """Return, after each evaluation, the truth of the best by score so far: of equal ones the first by its string."""
    best, truths, held = (math.inf, ""), [], math.nan
    columns = (rows[name].tolist() for name in ("architecture", "score", "fidelity", "truth"))
    for text, score, fidelity, truth in zip(*columns, strict=True):
        key = (math.nan if score is None else -score, text)
        if fidelity == 1.0 and math.isfinite(key[0]) and key < best:
            best, held = key, truth
        truths.append(held)
    return truths


def _known(table: TruthTable, text: str, metric: str) -> float:
    try:
        architecture = table.space.parse(text)
    except ArchitectureError:
        return float("nan")
    return table.query(architecture, metric) if table.knows(architecture, metric) else float("nan")
