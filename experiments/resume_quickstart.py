"""The quick start, killed by SIGKILL at three seeded moments and resumed: is it the unbroken run?

    python experiments/resume_quickstart.py        (a quarter of an hour on two cores)

A moment is a number of reports (lines of metrics.jsonl) and a part of a second after the last of them, both drawn.
Compared are metrics without times, ranking, pool, search, verification, partitions, summary, and the images of the
ledger. Numbers go to experiments/results/resume_quickstart.json.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measuring import environment
from tabular import ROOT

import raynas
from raynas.report.run import Run

RUNS = Path("runs/resumed")
CONFIG = ROOT / "experiments" / "quickstart.yaml"
SEED, MOMENTS = 0, 3
REPORTS = 26
"""So many has the quick start: six of the root, twenty of partitions."""
TABLES = ("ranking", "pool", "search", "verified")
FILES = ("partitions.json", "summary.json")


def moments() -> list[tuple[int, float]]:
    """Return after how many reports, and how many seconds after the last of them, the driver is killed."""
    rng = np.random.default_rng(SEED)
    counts = sorted(rng.choice(np.arange(1, REPORTS), MOMENTS, replace=False).tolist())
    return [(count, float(rng.uniform(0, 4))) for count in counts]


def killed(out: Path, reports: int, after: float) -> None:
    """Begin the quick start and kill its driver."""
    command = [sys.executable, "-m", "raynas", "run", str(CONFIG), "wandb.mode=disabled", f"out={out}"]
    process = subprocess.Popen([*command, "--quiet"], start_new_session=True)
    metrics = out / "metrics.jsonl"
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < reports:
        if process.poll() is not None:
            raise RuntimeError(f"it ended before it was to be killed, with {process.returncode}")
        time.sleep(0.05)
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def differences(one: Run, other: Run) -> list[str]:
    """Return what differs between two finished runs; nothing where they are the same."""
    found = [] if rows(one) == rows(other) else ["metrics.jsonl"]
    for name in TABLES:
        left, right = (pd.read_parquet(run.path / f"{name}.parquet") for run in (one, other))
        found += [] if left.equals(right) else [f"{name}.parquet"]
    for name in FILES:
        found += [] if (one.path / name).read_text() == (other.path / name).read_text() else [name]
    spent = [{key: value for key, value in run.ledger.items() if key.startswith("images")} for run in (one, other)]
    return found + ([] if spent[0] == spent[1] else ["images of ledger.json"])


def rows(run: Run) -> list[dict[str, Any]]:
    """Return a run's reports without times."""
    lines = (json.loads(line) for line in run.folder.metrics.read_text().splitlines())
    return [{key: value for key, value in line.items() if not key.startswith("seconds")} for line in lines]


def main() -> None:
    """Run it unbroken once, and broken at each moment, and write down what differs."""
    shutil.rmtree(RUNS, ignore_errors=True)
    RUNS.mkdir(parents=True)
    began = time.time()
    whole = raynas.run(CONFIG, out=str(RUNS / "unbroken"), **{"wandb.mode": "disabled"})
    seconds, found = time.time() - began, []
    for place, (reports, after) in enumerate(moments(), 1):
        out = RUNS / f"broken-{place}"
        killed(out, reports, after)
        kept = sum(1 for _ in (out / "checkpoints" / "records").glob("*/step-*.pkl"))
        began = time.time()
        again = raynas.resume(out)
        assert isinstance(again, Run)
        one = {"killed after reports": reports, "and seconds": round(after, 2), "rounds kept": kept}
        one |= {"seconds resumed": round(time.time() - began, 1), "differs": differences(whole, again)}
        print(one, flush=True)
        found.append(one)
    path = ROOT / "experiments" / "results" / "resume_quickstart.json"
    result = {"environment": environment(), "seconds unbroken": round(seconds, 1), "reports": len(rows(whole))}
    path.write_text(json.dumps({**result, "broken": found}, indent=2) + "\n")
    print(path)


if __name__ == "__main__":
    main()
