"""What a sweep keeps: metrics by trial, seed and round; each setting, and how far it came; the final rankings."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import fmean, stdev
from typing import Any

from raynas.config import Config
from raynas.config_sweep import LIVE
from raynas.report.folder import RunFolder
from raynas.report.setting_report import SettingReport
from raynas.settings import Setting
from raynas.settings.setting import column_names
from raynas.tracking.jsonl import JsonlTracker, finite

SETTINGS = "settings.json"
"""What was tried: a row a setting, with its values, state and steps."""
WARM = "warm"


@dataclass
class Trial:
    """A setting as far as it was tried.

    Args:
        setting: What is set.
        text: The same in short.
        steps: Steps that every seed has made.
        state: ``running``, ``finished`` (all its rounds), ``stopped`` (early) or ``failed``.
        error: Why it failed.
        rows: The metrics after the last step, a row a seed.
        spent: The images that it took, trained and scored, with all seeds.
        rankings: By seed, the final ranking.
        changes: How often its values were changed while it trained.
    """

    setting: Setting
    text: str
    steps: int = 0
    state: str = "running"
    error: str = ""
    rows: Sequence[Mapping[str, Any]] = ()
    spent: Mapping[str, int] = field(default_factory=dict)
    rankings: Mapping[int, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    changes: int = 0

    def plain(self) -> dict[str, Any]:
        """Return it as plain values, without the rows."""
        return {
            "trial": self.setting.name,
            "setting": self.text,
            "control": self.setting.control,
            "values": dict(self.setting.values),
            "state": self.state,
            "steps": self.steps,
            "changes": self.changes,
            "error": self.error,
        }


class SweepTables:
    """Collects a sweep's tables; metrics.jsonl and settings.json are there while it runs.

    Args:
        folder: The sweep's folder. Its metrics.jsonl is begun anew: a sweep that goes on reports everything again.
        config: The sweep's configuration.
    """

    def __init__(self, folder: RunFolder, config: Config) -> None:
        assert config.sweep is not None
        self.folder, self._names = folder, column_names(config.sweep.keys)
        self._objectives = config.sweep.objectives
        self._live = config.sweep.stop is not None and config.sweep.stop.name in LIVE
        folder.metrics.unlink(missing_ok=True)
        self._file = JsonlTracker(folder.metrics)
        self._rows: list[Mapping[str, Any]] = []
        self._warm: list[Mapping[str, Any]] = []
        self._trials: dict[str, Trial] = {}

    @property
    def trials(self) -> list[Trial]:
        """All trials, in the order of their names; controls first."""
        return sorted(self._trials.values(), key=lambda trial: (not trial.setting.control, trial.setting.name))

    def add_warm(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Take in the metrics of the supernets from which all trials go on."""
        self._warm = list(rows)
        self._log(rows)

    def add(self, setting: Setting, report: SettingReport) -> bool:
        """Take in a step of a trial; say whether it was new.

        A trial that goes on as a copy of one that is behind makes steps another time: those of before do not count.
        """
        trial = self._trials.setdefault(setting.name, Trial(setting, setting.text(self._names)))
        if report.step <= trial.steps:
            if report.again:
                return False
            first = min((row["round"] for row in report.rows), default=math.inf)
            self._rows = [row for row in self._rows if row["trial"] != setting.name or row["round"] < first]
        if self._live and not setting.control:
            trial.changes = self._changes([*(row for row in self._rows if row["trial"] == setting.name), *report.rows])
        changed = f" (the last of {trial.changes + 1} values)" if trial.changes else ""
        trial.setting, trial.text = setting, setting.text(self._names) + changed
        trial.steps, trial.rows, trial.rankings = report.step, report.rows, report.rankings or {}
        trial.spent = report.spent
        trial.state = "finished" if report.finished else "running"
        self._log(report.rows)
        self._write_settings()
        return True

    def _changes(self, rows: Sequence[Mapping[str, Any]]) -> int:
        """Return how often values were changed that a trial reports with each round."""
        values = [[row.get(name) for name in self._names.values()] for row in rows if row["seed"] == rows[0]["seed"]]
        return sum(one != other for one, other in pairwise(values))

    def end(self, name: str) -> Trial:
        """Note that a trial is over, and return it: one that has not come to its end was stopped."""
        trial = self._trials[name]
        if trial.state == "running":
            trial.state = "stopped"
        self._write_settings()
        return trial

    def fail(self, setting: Setting, error: str) -> None:
        """Note that a trial failed for good."""
        trial = self._trials.setdefault(setting.name, Trial(setting, setting.text(self._names)))
        trial.state, trial.error = "failed", error
        self._write_settings()

    def progress(self, total: int) -> str:
        """Return how many of the trials are over."""
        return f"{sum(trial.state != 'running' for trial in self._trials.values())}/{total}"

    def images(self, key: str) -> int:
        """Return the images that all trainings took together; what trials went on from is counted once."""
        before: dict[int, int] = {}
        for row in self._warm:
            before[row["seed"]] = max(before.get(row["seed"], 0), int(row[key]))
        return sum(trial.spent.get(key, 0) for trial in self._trials.values()) + sum(before.values())

    def write(self) -> None:
        """Write what is known only at the end: sorted metrics, rankings and the summary."""
        import pandas as pd

        ordered = sorted(self._rows, key=lambda row: (row["trial"] != WARM, row["trial"], row["round"], row["seed"]))
        temporary = self.folder.metrics.with_suffix(".part")
        temporary.write_text("".join(json.dumps(finite(dict(row)), allow_nan=False) + "\n" for row in ordered))
        self.close()
        os.replace(temporary, self.folder.metrics)
        rankings = [
            pd.DataFrame({"trial": trial.setting.name, "seed": seed, **ranking})
            for trial in self.trials
            for seed, ranking in trial.rankings.items()
        ]
        columns = ["trial", "seed", "architecture", "score", "truth", "scorer"]
        whole = pd.concat(rankings, ignore_index=True) if rankings else pd.DataFrame(columns=columns)
        whole.to_parquet(self.folder.ranking)
        states = [trial.state for trial in self._trials.values()]
        summary = {
            "trials": len(states),
            **{state: states.count(state) for state in ("finished", "stopped", "failed")},
            "objectives": list(self._objectives),
            "images_trained": self.images("images_trained"),
            "images_scored": self.images("images_scored"),
        }
        self.folder.summary.write_text(json.dumps(summary, indent=2) + "\n")

    def close(self) -> None:
        """Close the file."""
        self._file.finish({})

    def _log(self, rows: Sequence[Mapping[str, Any]]) -> None:
        for row in rows:
            self._rows.append(row)
            self._file.log(row)

    def _write_settings(self) -> None:
        path = self.folder.path / SETTINGS
        temporary = path.with_suffix(".part")
        temporary.write_text(json.dumps([trial.plain() for trial in self.trials], indent=1) + "\n")
        os.replace(temporary, path)


def trial_rows(rows: Sequence[Mapping[str, Any]], metric: str) -> list[dict[str, Any]]:
    """Return a row a trial and round: means over seeds, and the measure's deviation and every seed's own.

    Args:
        rows: A row a trial, round and seed.
        metric: The measure that the sweep is about.
    """
    grouped: dict[tuple[str, int], dict[int, Mapping[str, Any]]] = {}
    for row in rows:
        if row["trial"] != WARM:
            grouped.setdefault((row["trial"], int(row["round"])), {})[row["seed"]] = row
    found = []
    for (trial, number), by_seed in grouped.items():
        mine = list(by_seed.values())
        told: dict[str, Any] = {"trial": trial, "round": number}
        for key in mine[0]:
            numbers = [float(row[key]) for row in mine if _is_number(row.get(key))]
            if key not in (*told, "seed", "over") and len(numbers) == len(mine):
                told[key] = fmean(numbers)
        numbers = [float(row[metric]) for row in mine if row[metric] is not None]
        told[f"{metric}_std"] = stdev(numbers) if len(numbers) > 1 else math.nan
        told |= {f"seed_{row['seed']}/{metric}": row[metric] for row in mine}
        found.append(told)
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
