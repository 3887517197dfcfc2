"""Weights & Biases: one run a trial, written by the driver. The only module that imports wandb.

Ray's own callback starts two actors a trial and costs seconds each; runs inside the driver cost milliseconds. Without a
key the runs are offline and no network is waited for; ``WANDB_MODE`` is respected.
"""

from __future__ import annotations

import math
import netrc
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from raynas.tracking.base import Row

_LOGIN_SECONDS = 10
"""How long an online run may wait for its server before it goes on offline."""


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
    """One W&B run for each trial, begun at its first report.

    Args:
        folder: The run folder; files go to its ``wandb/``.
        group: Groups the trials of this run.
        config: The run's configuration, logged with every trial.
        mode: online, offline or disabled.
        project: The W&B project.
        entity: The W&B user or team.
    """

    def __init__(
        self, folder: Path, group: str, config: Mapping[str, Any], *, mode: str, project: str, entity: str | None
    ) -> None:
        self._folder, self._group, self._config = folder, group, dict(config)
        self._mode, self._project, self._entity = mode, project, entity
        self._runs: dict[str, Any] = {}
        self._complained = False

    def log(self, row: Row) -> None:
        """Log the report's numbers to the trial's run, at step ``round``."""
        if self._mode == "disabled":
            return
        numbers = {key: value for key, value in row.items() if isinstance(value, int | float) and math.isfinite(value)}
        with self._never_in_the_way():
            self._run(str(row["trial"])).log(numbers, step=int(row["round"]))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Close every run; the run's summary goes to that of the root."""
        for label, run in self._runs.items():
            with self._never_in_the_way():
                if label == "root":
                    run.summary.update(dict(summary))
                run.finish()
        self._runs = {}

    @contextmanager
    def _never_in_the_way(self) -> Iterator[None]:
        """Let no trouble of W&B end a search: it is told once, and metrics.jsonl has everything."""
        try:
            yield
        except Exception as error:
            if not self._complained:
                print(
                    f"W&B: {type(error).__name__}: {error}; the run goes on, metrics.jsonl is complete", file=sys.stderr
                )
            self._complained = True

    def _run(self, label: str) -> Any:
        if label not in self._runs:
            self._runs[label] = self._begin(label)
        return self._runs[label]

    def _begin(self, label: str) -> Any:
        """Begin a trial's run; where the server cannot be reached, offline, and all later ones too."""
        import wandb

        try:
            run = self._init(label)
        except wandb.errors.CommError as error:
            if self._mode != "online":
                raise
            print(f"W&B: no server ({str(error).splitlines()[0]}); going on offline", file=sys.stderr)
            self._mode = "offline"
            run = self._init(label)
        run.define_metric("images_trained")
        run.define_metric("*", step_metric="images_trained")
        return run

    def _init(self, label: str) -> Any:
        import wandb

        return wandb.init(
            project=self._project,
            entity=self._entity,
            group=self._group,
            name=f"{self._group}/{label}",
            tags=["root" if label == "root" else "partition"],
            config={**self._config, "trial": label},
            dir=str(self._folder),
            mode=self._mode,  # type: ignore[arg-type]
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                x_disable_stats=True,
                init_timeout=_LOGIN_SECONDS,
            ),
        )
