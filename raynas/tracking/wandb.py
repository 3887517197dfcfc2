"""Weights & Biases: one run a trial, written by the driver. Only this package imports wandb.

Ray's own callback starts two actors a trial and costs seconds each; runs inside the driver cost milliseconds. Without a
key the runs are offline and no network is waited for; ``WANDB_MODE`` is respected. Whatever W&B does is done in a
thread of its own: a search never waits for it, and its end waits for `FINISH_SECONDS` at most.
"""

from __future__ import annotations

import math
import netrc
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from raynas.tracking.aside import Aside
from raynas.tracking.base import Row
from raynas.tracking.wandb_media import Columns
from raynas.tracking.wandb_runs import TrialRun, WandbRuns, WandbSettings

FINISH_SECONDS = 15.0
"""How long the end of a run may wait for W&B, all in all: more than runs may take to begin and to upload the rest."""

SUMMARY = "summary"
"""The tag and the kind of a run that holds what came out of a sweep."""


def choose_mode(wanted: str) -> str:
    """Return online, offline or disabled.

    Args:
        wanted: ``auto``: what WANDB_MODE says, else online with a key and offline without; others stay as they are.
    """
    if wanted != "auto":
        return wanted
    return os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").removeprefix("https://").removeprefix("http://")
    try:
        return netrc.netrc().authenticators(host.split("/")[0].split(":")[0]) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class WandbTracker:
    """One W&B run for each trial, begun at its first report; the same one again where a killed run is taken up.

    Args:
        folder: The run folder; files go to its ``wandb/``.
        group: Groups the trials of this run.
        config: The run's configuration, logged with every trial.
        mode: online, offline or disabled.
        project: The W&B project.
        entity: The W&B user or team.
        tags: Tags of every trial, beside its own.
        earlier: Of a run that is taken up again, the reports of before. Of those, what W&B lost when the process was
            killed is logged again (offline that is most often everything).
    """

    def __init__(
        self,
        folder: Path,
        group: str,
        config: Mapping[str, Any],
        *,
        mode: str,
        project: str,
        entity: str | None,
        tags: Sequence[str] | None = None,
        earlier: Sequence[Row] = (),
    ) -> None:
        self._folder, self._group, self._config = folder, group, dict(config)
        self._tags, self._disabled, self._complained = tuple(tags or ()), mode == "disabled", False
        settings = WandbSettings(folder, mode, project, entity, group)
        self._runs = WandbRuns(settings, self._trial, [(r, numbers(r)) for r in earlier])
        self._trials: dict[str, TrialRun] = {}
        self._aside = Aside(self._complain)

    def begin(
        self, label: str, config: Mapping[str, Any], tags: Sequence[str] = (), *, name: str | None = None
    ) -> None:
        """Give a trial a configuration and tags of its own, before its first report.

        Args:
            label: The trial, as in its reports.
            config: Its configuration, on top of the run's.
            tags: Its tags, in place of ``root`` or ``partition``.
            name: How it is called after the group's name; its label if None.
        """
        whole = {**self._config, "trial": label, **config}
        self._trials[label] = TrialRun(label, name or label, whole, (*tags, *self._tags))

    def log(self, row: Row) -> None:
        """Log the report's numbers to the trial's run, at step ``round``."""
        self._do(self._runs.log, str(row["trial"]), int(row["round"]), numbers(row))

    def log_ranking(self, label: str, round: int, table: Columns) -> None:
        """Log what a trial's architectures scored after a round, as a table ``ranking`` and a picture.

        Args:
            label: The trial.
            round: The round, whose report has been logged.
            table: Columns of equal length; ``score`` and ``truth`` make the picture.
        """
        self._do(self._runs.log_ranking, label, round, {name: list(values) for name, values in table.items()})

    def summarise(self, name: str, config: Mapping[str, Any], table: Columns, summary: Mapping[str, Any]) -> None:
        """Log what came out of a sweep, in a run of its own.

        Args:
            name: How the run is called after the group's name.
            config: The sweep's configuration.
            table: A row a setting, by columns; it is logged as ``settings``.
            summary: What came out, such as the best setting.
        """
        whole, label = {**self._config, **config}, f"{SUMMARY}/{name}"
        self._trials[label] = TrialRun(label, name, whole, (SUMMARY, *self._tags), kind=SUMMARY)
        self._do(self._runs.summarise, label, {key: list(values) for key, values in table.items()}, dict(summary))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Close every run; the run's summary goes to that of the root."""
        self._do(self._runs.finish, dict(summary))
        done = self._aside.close(FINISH_SECONDS)
        if not done or self._runs.unsent:
            where = self._folder / "wandb"
            print(
                "W&B: the server did not answer; metrics.jsonl is complete, and what W&B lacks is sent with: "
                f"wandb sync --include-online {where}",
                file=sys.stderr,
            )

    def _do(self, call: Any, *arguments: Any) -> None:
        if not self._disabled:
            self._aside.do(partial(call, *arguments))

    def _trial(self, label: str) -> TrialRun:
        own = ("root" if label == "root" else "partition", *self._tags)
        return self._trials.get(label) or TrialRun(label, label, {**self._config, "trial": label}, own)

    def _complain(self, error: Exception) -> None:
        """Let no trouble of W&B end a search: it is told once, and metrics.jsonl has everything."""
        if not self._complained:
            print(f"W&B: {type(error).__name__}: {error}; the run goes on, metrics.jsonl is complete", file=sys.stderr)
        self._complained = True


def numbers(row: Row) -> dict[str, int | float]:
    """Return a report's finite numbers."""
    return {key: value for key, value in row.items() if isinstance(value, int | float) and math.isfinite(value)}
