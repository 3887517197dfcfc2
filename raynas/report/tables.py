"""What a run keeps beside metrics.jsonl: ranking, pool and search tables, partitions, verification, the summary."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from raynas.report.folder import RunFolder
from raynas.search.found import Found, best_found
from raynas.spaces import Space
from raynas.tracking.jsonl import finite
from raynas.training.job import SupernetJob
from raynas.training.standalone import StandaloneResult
from raynas.training.worker import RoundReport
from raynas.truth import TruthTable

_RANKING_KEYS = (
    "round",
    "n_architectures",
    "kendall_tau_inherited",
    "kendall_tau",
    "kendall_tau_ci_low",
    "kendall_tau_ci_high",
    "kendall_tau_ceiling",
    "spearman",
    "p_at_top5",
)


@dataclass(frozen=True)
class Verified:
    """An architecture that the search found, and its stand-alone trainings, one a seed."""

    found: Found
    seeds: tuple[int, ...]
    results: tuple[StandaloneResult, ...]

    def mean(self, metric: str) -> float:
        """Return the mean of a metric over the seeds."""
        return float(np.mean([getattr(result, metric) for result in self.results]))

    def std(self, metric: str) -> float:
        """Return the standard deviation over the seeds (n - 1; NaN for one seed)."""
        values = [getattr(result, metric) for result in self.results]
        return float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


class RunTables:
    """Collects a run's tables and writes them at its end.

    Args:
        folder: The run folder.
        truth: The truth table; None without truth.
        metric: The truth's metric that counts as quality; None without truth.
    """

    def __init__(self, folder: RunFolder, truth: TruthTable | None, metric: str | None) -> None:
        self.folder = folder
        self.truth = None if truth is None or metric is None else (truth, metric)
        self.summary: dict[str, Any] = {}
        self._ranking: dict[tuple[str, int], dict[str, Any]] = {}
        self._reports: dict[str, dict[str, Any]] = {}

    def add_ranking(self, report: RoundReport, job: SupernetJob) -> None:
        """Keep score and truth of every architecture of a report's ranking set."""
        label = report.metrics["trial"]
        self._reports[label] = report.metrics
        self._ranking[label, report.metrics["round"]] = {
            "trial": label,
            "round": report.metrics["round"],
            "architecture": [a.text for a in job.ranking.architectures],
            "score": [score.value(job.protocol.metric) for score in report.scores],
            "loss": [score.loss for score in report.scores],
            "accuracy": [score.accuracy for score in report.scores],
            "truth": np.array(job.ranking.truth, np.float64),
        }

    def write(
        self,
        partitions: Mapping[str, Space],
        survivors: Sequence[str],
        found: Sequence[Found],
        verified: Sequence[Verified],
        pool: Sequence[Mapping[str, Any]],
        staleness: float,
    ) -> None:
        """Write all tables and the summary.

        Args:
            partitions: All partitions' spaces, by label; none where the space was not split.
            survivors: Those that were searched.
            found: What the search scored.
            verified: What was trained stand-alone.
            pool: The candidate pool's rows.
            staleness: The mean age of its scores, in images.
        """
        import pandas as pd

        ranking = pd.concat(map(pd.DataFrame, self._ranking.values()), ignore_index=True)
        ranking.sort_values(["trial", "round"], kind="stable", ignore_index=True).to_parquet(self.folder.ranking)
        pd.DataFrame([dict(row) for row in pool]).to_parquet(self.folder.pool)
        pd.DataFrame([{**asdict(f), "architecture": f.architecture.text} for f in found]).to_parquet(self.folder.search)
        rows = [
            {"architecture": v.found.architecture.text, "seed": seed, **asdict(result)}
            for v in verified
            for seed, result in zip(v.seeds, v.results, strict=True)
        ]
        pd.DataFrame(rows).to_parquet(self.folder.verified)
        _write_json(self.folder.partitions, self._partitions(partitions, survivors))
        self.summary = finite(
            {
                **self._summary(survivors, verified, found),
                "pool": {"entries": len(pool), "staleness_images": staleness},
            }
        )
        _write_json(self.folder.summary, self.summary)

    def _partitions(self, partitions: Mapping[str, Space], survivors: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {
                "label": label,
                "size": part.size,
                "options": {decision.name: list(decision.options) for decision in part.decisions},
                "rounds": self._reports.get(label, {}).get("round", 0),
                "images_trained": self._reports.get(label, {}).get("images_trained", 0),
                "images_scored": self._reports.get(label, {}).get("images_scored", 0),
                "standing": self._reports.get(label, {}).get("standing"),
                "survived": label in survivors,
            }
            for label, part in partitions.items()
        ]

    def _summary(
        self, survivors: Sequence[str], verified: Sequence[Verified], found: Sequence[Found]
    ) -> dict[str, Any]:
        rows = [self._verified_row(v) for v in verified]
        best = max(rows, key=lambda row: float(row["valid_accuracy"]), default=None)
        if best is None and found:
            best = self._found_row(best_found(found, 1)[0])
        return {
            "best": best,
            "verified": rows,
            "evaluations": len(found),
            "survivors": list(survivors),
            "ranking": {
                label: {key: report[key] for key in _RANKING_KEYS}
                for label, report in sorted(self._reports.items(), key=lambda item: (item[0] != "root", item[0]))
            },
            "truth": self._truth_row(),
        }

    def _truth_row(self) -> dict[str, Any] | None:
        if self.truth is None:
            return None
        table, metric = self.truth
        ceiling = table.ceiling_of(metric)
        return {
            "name": table.name,
            "metric": metric,
            "architectures": int(np.isfinite(table.values(metric)).sum()),
            "ceiling_single_seed": ceiling.single,
            "ceiling": ceiling.mean,
        }

    def _found_row(self, found: Found) -> dict[str, Any]:
        row = {"architecture": found.architecture.text, "score": found.score, "scorer": found.scorer}
        if self.truth is None:
            return {**row, "true_rank": None, "true_accuracy": None}
        table, metric = self.truth
        known = table.knows(found.architecture, metric)
        return {
            **row,
            "true_rank": table.rank_of(found.architecture, metric) if known else None,
            "true_accuracy": table.query(found.architecture, metric) if known else None,
        }

    def _verified_row(self, verified: Verified) -> dict[str, Any]:
        return {
            **self._found_row(verified.found),
            "valid_accuracy": verified.mean("valid_accuracy"),
            "test_accuracy": verified.mean("test_accuracy"),
            "test_accuracy_std": verified.std("test_accuracy"),
            "seeds": len(verified.results),
            "place": self._place(verified),
        }

    def _place(self, verified: Verified) -> int | None:
        """Return the place that an architecture's own training would have in the truth."""
        if self.truth is None:
            return None
        table, metric = self.truth
        return 1 + int((table.values(metric) > verified.mean(metric)).sum())


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(finite(value), indent=2, allow_nan=False) + "\n")
