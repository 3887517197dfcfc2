"""What W&B's own files say of a run."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from raynas.tracking.wandb_files import records


@dataclass
class WandbRun:
    """A run as one .wandb file has it."""

    id: str = ""
    name: str = ""
    group: str = ""
    kind: str = ""
    tags: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    summary: dict[str, Any] = field(default_factory=dict)
    axes: dict[str, str] = field(default_factory=dict)
    """By metric (or glob), the metric on its x axis; empty for one that is an x axis itself."""
    began: int = 0
    ended: bool = False
    path: Path = Path()

    def table(self, key: str) -> dict[str, list[Any]]:
        """Return the columns of a table that was logged last under a key."""
        row = next(row for row in reversed(self.rows) if f"{key}/path" in row)
        stored = json.loads((self.path.parent / "files" / row[f"{key}/path"]).read_text())
        return {name: [cells[i] for cells in stored["data"]] for i, name in enumerate(stored["columns"])}


def read_run(path: Path) -> WandbRun:
    """Return a run of a .wandb file."""
    run = WandbRun(path=path)
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            run.id, run.name, run.group = record.run.run_id, record.run.display_name, record.run.run_group
            run.began = record.run.start_time.ToNanoseconds()
            run.kind, run.tags = record.run.job_type, list(record.run.tags)
            run.config.update({item.key: json.loads(item.value_json) for item in record.run.config.update})
        elif kind == "history":
            run.rows.append({_key(item): json.loads(item.value_json) for item in record.history.item})
        elif kind == "summary":
            run.summary.update({_key(item): json.loads(item.value_json) for item in record.summary.update})
        elif kind == "metric":
            run.axes[record.metric.name or record.metric.glob_name] = record.metric.step_metric
        elif kind == "exit":
            run.ended = True
    return run


def read_runs(folder: Path, killed: int = 0) -> list[WandbRun]:
    """Return the runs of a run folder, one a file, in the order in which they were begun.

    W&B writes the end of a file a little after the run's `finish` has returned; that is waited for, but not in
    the files of processes that were killed.
    """
    files = [path for path in (folder / "wandb").glob("*run-*/run-*.wandb") if not path.parent.is_symlink()]
    runs = [read_run(path) for path in files]
    for _ in range(300):
        if sum(not run.ended for run in runs) <= killed:
            break
        time.sleep(0.1)
        runs = [read_run(path) for path in files]
    return sorted(runs, key=lambda run: (run.began, run.path))


def _key(item: Any) -> str:
    return item.key or "/".join(item.nested_key)


def history(path: Path) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    """Return a run's display name, its config and its history rows."""
    run = read_run(path)
    return run.name, run.config, run.rows
