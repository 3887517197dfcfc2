"""Runs and sweeps whose driver is killed: what goes on gives what the unbroken one gives."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import raynas
from raynas.report.folder import RunFolder
from tests.cluster.killing import killed, reports, without_times
from tests.cluster.test_run import TINY

pytestmark = pytest.mark.ray

SMALL: dict[str, Any] = {
    **TINY,
    "train": {**TINY["train"], "root_rounds": 2, "partition_rounds": 14},
    "wandb": {"mode": "disabled"},
}
TIMES = ("wall_seconds", "process_seconds", "overhead_percent", "busy_percent")


def same(one: Path, other: Path) -> None:
    """Check that two finished runs have the same metrics, rankings, pool, search, verification and summary."""
    assert without_times(one / "metrics.jsonl") == without_times(other / "metrics.jsonl")
    for name in ("ranking", "pool", "search", "verified"):
        pd.testing.assert_frame_equal(*(pd.read_parquet(path / f"{name}.parquet") for path in (one, other)))
    for name in ("summary.json", "partitions.json"):
        assert json.loads((one / name).read_text()) == json.loads((other / name).read_text())
    spent, again = (json.loads((path / "ledger.json").read_text()) for path in (one, other))
    assert {key: spent[key] for key in spent if key not in TIMES} == {
        key: again[key] for key in again if key not in TIMES
    }


@pytest.fixture(scope="module")
def unbroken(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "unbroken"
    return raynas.run({**SMALL, "out": str(out)}).path


@pytest.mark.parametrize("lines", [1, 9])
def test_a_killed_run_goes_on_to_the_same_result(unbroken: Path, tmp_path: Path, lines: int) -> None:
    """Killed while the root trains, and while partitions do."""
    out = tmp_path / "broken"
    killed("run", {**SMALL, "out": str(out)}, lambda: reports(out / "metrics.jsonl") >= lines)
    folder = RunFolder(out)
    assert not folder.summary.exists()
    trained = {path.parent.name for path in folder.records.glob("*/state-*.pt")}
    assert "root" in trained
    done = raynas.resume(out)
    same(unbroken, done.path)
    assert not folder.records.exists()
    assert len(json.loads(folder.env.read_text())["resumed"]) == 1
    assert raynas.resume(out).path == out  # over: nothing is done


def test_killed_in_the_search(unbroken: Path, tmp_path: Path) -> None:
    out = tmp_path / "broken"
    killed("run", {**SMALL, "out": str(out)}, lambda: reports(out / "checkpoints/records/search.jsonl") >= 2)
    kept = reports(out / "checkpoints/records/search.jsonl")
    assert kept >= 2
    same(unbroken, raynas.resume(out).path)


def test_a_root_whose_process_dies_goes_on(unbroken: Path, tmp_path: Path) -> None:
    """Its actor is started again, and the call that was lost is sent again."""
    out, killed_one = tmp_path / "shot", threading.Event()

    def shoot() -> None:
        while not list(RunFolder(out).record("root").glob("state-1.pt")):
            time.sleep(0.01)
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if (process / "cmdline").read_bytes().startswith(b"ray::RestartedSupernet"):
                    os.kill(int(process.name), signal.SIGKILL)
                    killed_one.set()

    shooter = threading.Thread(target=shoot, daemon=True)
    shooter.start()
    run = raynas.run({**SMALL, "out": str(out)})
    shooter.join(10)
    assert killed_one.is_set()
    same(unbroken, run.path)
