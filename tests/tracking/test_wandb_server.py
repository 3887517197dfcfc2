"""A server that hangs or is not there costs seconds, and what it was not given stays in the files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raynas.tracking.wandb_files import last_step
from raynas.tracking.wandb_ids import RunIds
from tests.cluster.wandb_files import read_runs
from tests.tracking.wandb_server import mute, serving

MEASURED = """
import json, os, sys, time, urllib.request
from pathlib import Path
from raynas.tracking import wandb_runs
from raynas.tracking.wandb import WandbTracker

folder, begin, upload, hang, earlier = sys.argv[1:]
wandb_runs._ANSWER_SECONDS, wandb_runs._UPLOAD_SECONDS = float(begin), float(upload)
trials = ["root", "a", "b", "c"]
row = lambda trial, round: {"trial": trial, "round": round, "images_trained": 64 * round, "kendall_tau": 0.5}
past = [row(trial, round) for trial in trials for round in range(1, int(earlier) + 1)]
tracker = WandbTracker(
    Path(folder), "g", {}, mode="online", project="p", entity="e" if hang else None, earlier=past
)
times = [time.perf_counter()]
for trial in trials:
    for round in (1, 2, 3):
        tracker.log(row(trial, int(earlier) + round))
times.append(time.perf_counter())
if hang:
    tracker._aside.close(60)
    urllib.request.urlopen(os.environ["WANDB_BASE_URL"] + hang, data=b"").read()
    times.append(time.perf_counter())
if not int(earlier):
    tracker.log_ranking("root", 3, {"architecture": ["x", "y"], "score": [1.0, 2.0], "truth": [0.5, 0.25]})
tracker.finish({})
times.append(time.perf_counter())
print(json.dumps([later - sooner for sooner, later in zip(times, times[1:])]))
"""


def go(folder: Path, url: str, begin: float, upload: float, hang: str = "", earlier: int = 0) -> str:
    """Log three reports of four trials in a process of its own; return what it said to the user."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    environment = {**kept, "WANDB_BASE_URL": url, "WANDB_API_KEY": "a" * 40, "HOME": str(folder)}
    command = [sys.executable, "-c", MEASURED, str(folder), str(begin), str(upload), hang, str(earlier)]
    # the process, its exit included, must end by itself: a hang is what this is about
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=90)
    print(done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stderr


def rounds(rows: list[dict[str, Any]]) -> list[int]:
    return [row["round"] for row in rows]


@pytest.mark.parametrize(("answers", "begin"), [(True, 4), (False, 1)])
def test_without_a_server_runs_are_offline_and_whole(answers: bool, begin: float, tmp_path: Path) -> None:
    with mute(answers) as url:
        told = go(tmp_path, url, begin, 5)
    assert told.count("going on offline") == 1
    assert told.count(f"wandb sync --include-online {tmp_path / 'wandb'}") == 1
    runs = read_runs(tmp_path)
    assert [run.config["trial"] for run in runs] == ["root", "a", "b", "c"]
    assert all(rounds(run.rows) == [1, 2, 3] and run.path.parent.name.startswith("offline-run-") for run in runs)
    assert runs[0].table("ranking")["architecture"] == ["x", "y"]


def test_a_server_that_goes_silent_ends_no_run_late(tmp_path: Path) -> None:
    with serving() as (url, server):
        told = go(tmp_path, url, 4, 2, hang="/hang")
        assert server.silent.is_set()
    assert told.count("going on offline") == 1
    assert told.count(f"wandb sync --include-online {tmp_path / 'wandb'}") == 1
    *online, offline = read_runs(tmp_path)
    assert [(run.config["trial"], rounds(run.rows)) for run in online] == [
        (t, [1, 2, 3]) for t in ("root", "a", "b", "c")
    ]
    assert offline.id == online[0].id
    assert [row["_step"] for row in offline.rows] == [4]
    assert offline.table("ranking")["score"] == [1.0, 2.0]


def test_a_server_that_answers_gets_everything_once(tmp_path: Path) -> None:
    with serving() as (url, server):
        told = go(tmp_path, url, 20, 20, earlier=2)
    assert "W&B" not in told
    assert sorted(rounds(server.streamed)) == sorted([1, 2, 3, 4, 5] * 4)


def test_a_server_that_knows_the_run_gets_only_what_it_lacks(tmp_path: Path) -> None:
    with serving(steps=1) as (url, server):
        go(tmp_path, url, 20, 20, earlier=2)
    assert sorted(rounds(server.streamed)) == sorted([2, 3, 4, 5] * 4)
    assert last_step(tmp_path, RunIds(tmp_path).id_of("a")) == 5
    assert json.loads((tmp_path / "wandb" / "ids.json").read_text()).keys() == {"token"}
