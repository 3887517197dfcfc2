"""What W&B is told, read back from its files: names, tags, configuration, rows, tables; all once, after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from raynas.tracking.wandb import WandbTracker
from raynas.tracking.wandb_files import last_step
from raynas.tracking.wandb_ids import RunIds
from tests.cluster.wandb_files import read_runs

RANKING = {"architecture": ["x", "y", "z"], "score": [1.0, 2.0, 3.0], "truth": [0.5, 0.25, float("nan")]}

KILLED = """
import os, sys
from pathlib import Path
from raynas.tracking.wandb import WandbTracker
tracker = WandbTracker(Path(sys.argv[1]), "g", {}, mode="offline", project="p", entity=None)
for trial in ("root", "a"):
    for round in (1, 2):
        tracker.log({"trial": trial, "round": round, "images_trained": 64 * round, "loss": 1.0 / round})
tracker._aside.close(60)
os.kill(os.getpid(), 9)
"""


def row(trial: str, number: int) -> dict[str, Any]:
    return {"trial": trial, "round": number, "images_trained": 64 * number, "loss": 1.0 / number, "note": "text"}


def tracker(folder: Path, **keys: Any) -> WandbTracker:
    return WandbTracker(folder, "g", {"seed": 7}, mode="offline", project="p", entity=None, **keys)


def test_ids_are_of_the_folder_and_the_trial(tmp_path: Path) -> None:
    here, again, other = RunIds(tmp_path / "a"), RunIds(tmp_path / "a"), RunIds(tmp_path / "b")
    ids = [here.id_of("root"), here.id_of("3<-0=none"), other.id_of("root")]
    assert len(set(ids)) == 3
    assert [again.id_of("root"), again.id_of("3<-0=none")] == ids[:2]
    assert all(one.isalnum() for one in ids)


def test_a_trial_is_a_run_that_says_what_it_is(tmp_path: Path) -> None:
    told = tracker(tmp_path, tags=["night"])
    label = "coefficient=10 schedule=cosine_increase"
    told.begin(label, {"coefficient": 10}, ["coefficient=10"])
    for number in (1, 2):
        told.log(row("root", number))
        told.log(row(label, number))
    told.log_ranking("root", 2, RANKING)
    told.finish({"best": "x"})
    runs = {run.config["trial"]: run for run in read_runs(tmp_path)}
    assert list(runs) == ["root", label]
    root, own = runs.values()
    assert (root.name, root.group, root.kind, root.tags) == ("g/root", "g", "trial", ["root", "night"])
    assert (own.name, own.tags) == (f"g/{label}", ["coefficient=10", "night"])
    assert own.config.items() >= {"seed": 7, "coefficient": 10}.items()
    assert "coefficient" not in root.config
    assert root.axes == {"round": "", "images_trained": "", "*": "images_trained"}
    for run in (root, own):
        kept = [(r["_step"], r["round"], r["images_trained"], r["loss"]) for r in run.rows]
        assert kept == [(1, 1, 64, 1.0), (2, 2, 128, 0.5)]
    assert root.table("ranking") == {**RANKING, "truth": [0.5, 0.25, None]}
    assert (root.path.parent / "files" / root.rows[-1]["ranking_scatter/path"]).stat().st_size > 1000
    assert root.summary["best"] == "x"
    assert "best" not in own.summary


def test_a_sweep_has_a_run_of_its_summary(tmp_path: Path) -> None:
    told = tracker(tmp_path)
    settings = {"setting": ["a=1", "a=2"], "tau": [0.5, 0.75]}
    told.summarise("all settings", {"settings": 2}, settings, {"best": "a=2"})
    told.finish({})
    (run,) = read_runs(tmp_path)
    assert (run.name, run.kind, run.tags) == ("g/all settings", "summary", ["summary"])
    assert run.config.items() >= {"seed": 7, "settings": 2}.items()
    assert run.table("settings") == settings
    assert run.summary["best"] == "a=2"


def test_what_was_logged_is_not_logged_again(tmp_path: Path) -> None:
    told = tracker(tmp_path)
    for number in (1, 2, 3, 3, 2):
        told.log(row("a", number))
    told.finish({})
    (run,) = read_runs(tmp_path)
    assert [one["_step"] for one in run.rows] == [1, 2, 3]


def test_what_a_killed_process_lost_is_logged_again_once(tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env=kept, timeout=90, check=False)
    assert done.returncode == -signal.SIGKILL
    earlier = [row(trial, number) for trial in ("root", "a") for number in (1, 2)]
    second = tracker(tmp_path, earlier=earlier)
    second.log(row("a", 2))
    second.log(row("a", 3))
    second.log_ranking("root", 2, RANKING)
    second.finish({})
    runs = [run for run in read_runs(tmp_path, killed=2) if run.rows]
    ids = RunIds(tmp_path)
    third = tracker(tmp_path, earlier=[*earlier, row("a", 3)])  # now everything is in the files, and nothing is lacking
    third.log(row("a", 4))
    third.finish({})
    for label, last in (("root", 2), ("a", 4)):
        mine = [run for run in read_runs(tmp_path, killed=2) if run.rows and run.id == ids.id_of(label)]
        assert [r["_step"] for run in mine for r in run.rows] == list(range(1, last + 1))
        assert last_step(tmp_path, ids.id_of(label)) == last
    assert len(runs) == 2


def test_disabled_does_nothing(tmp_path: Path) -> None:
    told = WandbTracker(tmp_path, "g", {}, mode="disabled", project="p", entity=None)
    told.log(row("root", 1))
    told.log_ranking("root", 1, RANKING)
    told.finish({})
    assert list(tmp_path.iterdir()) == []
