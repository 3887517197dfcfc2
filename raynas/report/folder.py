"""The run folder: where everything of a run lies, and what is written about its surroundings."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from raynas.config import Config
from raynas.errors import RunError

_PACKAGES = ("raynas", "torch", "ray", "optuna", "numpy", "scipy", "wandb", "pydantic", "scikit-learn", "pandas")


BEFORE = "metrics.before.jsonl"
"""What an earlier process reported of a run that goes on; deleted at the end."""


class RunFolder:
    """Paths of a run folder.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def config(self) -> Path:
        """The resolved configuration: every default filled in."""
        return self.path / "config.yaml"

    @property
    def env(self) -> Path:
        """Versions, git state, seed, machine, command."""
        return self.path / "env.json"

    @property
    def metrics(self) -> Path:
        """One JSON object a report."""
        return self.path / "metrics.jsonl"

    @property
    def ledger(self) -> Path:
        """The budget ledger."""
        return self.path / "ledger.json"

    @property
    def pool(self) -> Path:
        """The candidate pool at the end."""
        return self.path / "pool.parquet"

    @property
    def ranking(self) -> Path:
        """Score and truth of every architecture of every report."""
        return self.path / "ranking.parquet"

    @property
    def truth(self) -> Path:
        """The truth table, of a run that trained one."""
        return self.path / "truth.npz"

    @property
    def search(self) -> Path:
        """Every architecture the search scored, in order."""
        return self.path / "search.parquet"

    @property
    def searches(self) -> Path:
        """Later searches under the run's supernets, a folder each."""
        return self.path / "searches"

    @property
    def verified(self) -> Path:
        """Stand-alone trainings of the best, one row a seed."""
        return self.path / "verified.parquet"

    @property
    def partitions(self) -> Path:
        """The partitions, their sizes, rounds and fate."""
        return self.path / "partitions.json"

    @property
    def summary(self) -> Path:
        """What came out."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """The page."""
        return self.path / "report.html"

    @property
    def checkpoints(self) -> Path:
        """Supernets (``<label>.pt``) and the pool's own file."""
        return self.path / "checkpoints"

    def checkpoint(self, label: str) -> Path:
        """Return the checkpoint of a supernet."""
        return self.checkpoints / f"{file_name(label)}.pt"

    @property
    def records(self) -> Path:
        """What was done so far, for a run that goes on after it was killed; deleted at the end."""
        return self.checkpoints / "records"

    def record(self, label: str) -> Path:
        """Return the folder of a supernet's record."""
        return self.records / file_name(label)


def file_name(label: str) -> str:
    """Return a partition's label as a file name: ``3<-0=none`` becomes ``3-0=none``."""
    return "".join(c if c.isalnum() or c in "=-_." else ("" if c == "<" else "_") for c in label)


def write_whole(path: Path, text: str) -> None:
    """Write a file that appears whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    os.replace(temporary, path)


def write_figures(figures: Mapping[str, str], folder: Path) -> list[Path]:
    """Write figures into a folder as SVG files, and return them.

    Args:
        figures: SVG texts by name.
        folder: The folder; it is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in figures.items():
        paths.append(folder / f"{name}.svg")
        paths[-1].write_text(text)
    return paths


def refuse_existing(config: Config) -> None:
    """Refuse a configuration whose ``out`` exists; raises RunError."""
    if config.out is not None and Path(config.out).exists():
        raise RunError(f"{config.out} exists and is not overwritten; give another out=, or move it away")


def create_folder(config: Config, name: str) -> RunFolder:
    """Make the run's folder and write its configuration and environment.

    Args:
        config: The resolved configuration; its ``out`` is taken as it is, and must not exist.
        name: Without ``out``: the folder is ``runs/<name>``, numbered if that exists.

    Raises:
        RunError: ``out`` exists.
    """
    if config.out is not None:
        refuse_existing(config)
        path = Path(config.out)
        path.mkdir(parents=True)
    else:
        path = numbered(Path("runs"), name)
    folder = RunFolder(path)
    folder.checkpoints.mkdir()
    folder.config.write_text(yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    folder.env.write_text(json.dumps(environment(config.seed), indent=2) + "\n")
    return folder


def numbered(parent: Path, name: str) -> Path:
    """Make and return a new folder: ``name``, or ``name-2`` and so on where that exists."""
    parent.mkdir(parents=True, exist_ok=True)
    number = 1
    while True:
        path = parent / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:
            number += 1
        else:
            return path


def environment(seed: int) -> dict[str, Any]:
    """Return what else a run depends on: versions, git state, machine, command, seed."""
    return {
        "seed": seed,
        "command": " ".join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "versions": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "git": _git_state(),
    }


def _git_state() -> dict[str, Any] | None:
    """Return commit and cleanness of the checkout that raynas runs from, or None if it is installed."""

    def git(*words: str) -> str:
        where = Path(__file__).resolve().parents[2]
        done = subprocess.run(["git", "-C", str(where), *words], capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "clean": not git("status", "--porcelain")}
    except (OSError, subprocess.SubprocessError):
        return None
