"""What a run keeps beside metrics.jsonl: ranking, pool and search tables, partitions, verification, the summary."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raynas.errors import ArchitectureError
from raynas.methods import Line
from raynas.ranking import rank
from raynas.report.folder import RunFolder
from raynas.search.found import Found, best_found
from raynas.spaces import Space
from raynas.tracking.jsonl import finite
from raynas.training.job import SupernetJob
from raynas.training.standalone import StandaloneResult
from raynas.training.worker import RoundReport
from raynas.truth import TruthTable

if TYPE_CHECKING:
    import pandas as pd

WHOLE_RUN = "run"
"""The name under which the ranking of all architectures stands, each scored by the sub-supernet that owns it."""

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


@dataclass(frozen=True)
class Tree:
    """The sub-supernets of a run.

    Args:
        partitions: All partitions' spaces, by label, level by level; none where the space was not split.
        parents: The label of each one's parent.
        survivors: Those that were searched.
        splits: By the label of what was split, what the choice rested on, where it rested on something.
        born: Those born while their level was trained, whose parents went on beside them.
    """

    partitions: Mapping[str, Space] = field(default_factory=dict)
    parents: Mapping[str, str] = field(default_factory=dict)
    survivors: Sequence[str] = ()
    splits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    born: Set[str] = frozenset()

    @property
    def split(self) -> list[str]:
        """The partitions that were split further, whose parts took their place."""
        split = {parent for label, parent in self.parents.items() if label not in self.born}
        return [label for label in self.partitions if label in split]


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
        self._jobs: dict[str, SupernetJob] = {}

    def add_ranking(self, report: RoundReport, job: SupernetJob) -> None:
        """Keep score and truth of every architecture of a report's ranking set."""
        label = report.metrics["trial"]
        self._reports[label], self._jobs[label] = report.metrics, job
        self._ranking[label, report.metrics["round"]] = {
            "trial": label,
            "round": report.metrics["round"],
            "architecture": [a.text for a in job.ranking.architectures],
            "score": [score.value(job.protocol.metric) for score in report.scores],
            "loss": [score.loss for score in report.scores],
            "accuracy": [score.accuracy for score in report.scores],
            "truth": np.array(job.ranking.truth, np.float64),
            "scorer": label,
        }

    def last_rankings(self) -> Iterator[tuple[str, int, dict[str, Any]]]:
        """Yield each trial's label, last round, and architectures, scores and truth after it, by column."""
        for label, report in self._reports.items():
            table = self._ranking[label, report["round"]]
            if table["architecture"]:
                columns = ("architecture", "score", "truth", "loss", "accuracy")
                yield label, report["round"], {column: table[column] for column in columns}

    def write(
        self,
        tree: Tree,
        found: Sequence[Found],
        verified: Sequence[Verified],
        pool: Sequence[Mapping[str, Any]],
        staleness: float,
    ) -> None:
        """Write all tables and the summary.

        Args:
            tree: The sub-supernets.
            found: What the search scored.
            verified: What was trained stand-alone.
            pool: The candidate pool's rows.
            staleness: The mean age of its scores, in images.
        """
        import pandas as pd

        merged = self._merged(tree)
        tables = [*self._ranking.values(), {key: values for key, values in merged.items() if key != "score_raw"}]
        ranking = pd.concat(map(pd.DataFrame, tables), ignore_index=True)
        ranking.sort_values(["trial", "round"], kind="stable", ignore_index=True).to_parquet(self.folder.ranking)
        pd.DataFrame([dict(row) for row in pool]).to_parquet(self.folder.pool)
        found_table(found).to_parquet(self.folder.search)
        verified_table(verified).to_parquet(self.folder.verified)
        _write_json(self.folder.partitions, self._partitions(tree))
        self.summary = finite(
            {
                **self._summary(tree, merged, verified, found),
                "pool": {"entries": len(pool), "staleness_images": staleness},
            }
        )
        _write_json(self.folder.summary, self.summary)

    def _merged(self, tree: Tree) -> dict[str, Any]:
        """Return the root's ranking set, scored by the sub-supernets that own its architectures, as a ranking table.

        An architecture's owner is the one that the search asks, if there is one: of the survivors that hold it, the
        youngest. Else it is the last sub-supernet on its way down the tree that has trained a round; what a scheduler
        gave up keeps its last scores. They are calibrated if the run's are; ``score_raw`` never is.
        """
        last = {label: self._ranking[label, report["round"]] for label, report in self._reports.items()}
        scores = {
            label: dict(zip(table["architecture"], range(len(table["truth"])), strict=True))
            for label, table in last.items()
        }
        youngest = list(reversed(list(tree.partitions)))
        order = [*(label for label in youngest if label in tree.survivors), *youngest, "root"]
        owners = [
            next(label for label in order if text in scores.get(label, ())) for text in last["root"]["architecture"]
        ]
        places = [scores[owner][text] for owner, text in zip(owners, last["root"]["architecture"], strict=True)]
        columns = {
            key: [last[owner][key][place] for owner, place in zip(owners, places, strict=True)]
            for key in ("score", "loss", "accuracy")
        }
        lines = {label: Line.of(report) for label, report in self._reports.items()}
        return {
            "trial": WHOLE_RUN,
            "round": 0,
            "architecture": last["root"]["architecture"],
            **columns,
            "score": [lines[owner](score) for owner, score in zip(owners, columns["score"], strict=True)],
            "score_raw": columns["score"],
            "truth": last["root"]["truth"],
            "scorer": owners,
        }

    def _merged_row(self, merged: Mapping[str, Any]) -> dict[str, Any]:
        """Return every ranking measure of the merged ranking, and those of uncalibrated scores if there are others."""
        job = self._jobs["root"]
        measures: dict[str, Any] = {"round": None, "kendall_tau_inherited": None, "kendall_tau_ceiling": None}
        measures |= rank(merged["score"], merged["truth"], seed=job.seed, ceiling=job.ranking.ceiling).to_dict()
        if any("calibration_slope" in report for report in self._reports.values()):
            raw = rank(merged["score_raw"], merged["truth"], seed=job.seed).to_dict()
            measures |= {f"{key}_raw": value for key, value in raw.items() if key != "n_architectures"}
        return measures

    def _partitions(self, tree: Tree) -> list[dict[str, Any]]:
        return [
            {
                "label": label,
                "parent": tree.parents[label],
                "size": _size(part),
                "options": {decision.name: list(decision.options) for decision in part.decisions},
                "counted": {key: list(values) for key, values in part.counted.items()},
                "rounds": self._reports.get(label, {}).get("round", 0),
                "images_trained": self._reports.get(label, {}).get("images_trained", 0),
                "images_scored": self._reports.get(label, {}).get("images_scored", 0),
                "standing": self._reports.get(label, {}).get("standing"),
                "survived": label in tree.survivors or label in tree.split,
            }
            for label, part in tree.partitions.items()
        ]

    def _summary(
        self, tree: Tree, merged: Mapping[str, Any], verified: Sequence[Verified], found: Sequence[Found]
    ) -> dict[str, Any]:
        rows = [self._verified_row(v) for v in verified]
        best = max(rows, key=lambda row: float(row["valid_accuracy"]), default=None)
        if best is None and found:
            best = self._found_row(best_found(found, 1)[0])
        return {
            "best": best,
            "verified": rows,
            "budget": self._spent(tree),
            "evaluations": len(found),
            "survivors": list(tree.survivors),
            "split": tree.split,
            "splits": {label: dict(why) for label, why in tree.splits.items()},
            "ranking": {
                **{
                    label: {key: report[key] for key in _RANKING_KEYS}
                    for label, report in sorted(self._reports.items(), key=lambda item: (item[0] != "root", item[0]))
                },
                WHOLE_RUN: self._merged_row(merged),
            },
            "truth": self._truth_row(),
        }

    def _spent(self, tree: Tree) -> float:
        """Return what training spent of the budget, in images: of every supernet, and for the choice of splits."""
        choosing = sum(float(why.get("images_trained", 0)) for why in tree.splits.values())
        return choosing + sum(float(report["budget"]) for report in self._reports.values())

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


def found_table(found: Sequence[Found]) -> pd.DataFrame:
    """Return a row an evaluation, in order; the columns are there even where nothing was evaluated."""
    import pandas as pd

    columns = ["architecture", *(one.name for one in fields(Found) if one.name not in ("architecture", "costs"))]
    return pd.DataFrame([f.row() for f in found], columns=None if found else columns)


def verified_table(verified: Sequence[Verified]) -> pd.DataFrame:
    """Return a row an architecture and seed of what was trained stand-alone."""
    import pandas as pd

    columns = ["architecture", "seed", *(one.name for one in fields(StandaloneResult))]
    rows = [
        {"architecture": v.found.architecture.text, "seed": seed, **asdict(result)}
        for v in verified
        for seed, result in zip(v.seeds, v.results, strict=True)
    ]
    return pd.DataFrame(rows, columns=columns)


def _size(part: Space) -> int | None:
    """Return the number of architectures of a part; None where it is too large to count."""
    try:
        return part.size
    except ArchitectureError:
        return None


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(finite(value), indent=2, allow_nan=False) + "\n")
