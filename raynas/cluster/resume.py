"""`resume`: goes on with a run or sweep whose driver was killed.

Tune would begin every trial from zero, and forgets its schedulers and most of what they decided (`Tuner.restore`). So
nothing of Tune's is restored: the run is played again from its start, with what its records hold. A supernet reports
the rounds that it has trained instead of training them; pool, schedulers, searchers and trackers are told the same in
the same order, and so are where they were when the records end. At most the round that each supernet was in is lost.
The same seed gives what the unbroken run would have given, but for schedulers of Tune's own, whose decisions hang on
which trial is faster.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from raynas.cluster.launch import Launch
from raynas.cluster.lock import alone_in
from raynas.cluster.plan import checked, draft_plan
from raynas.cluster.session import ray_starting
from raynas.cluster.sweep import SweepLaunch
from raynas.cluster.sweep_plan import plan_sweep
from raynas.config import Config, load_config
from raynas.data import data
from raynas.report.folder import BEFORE, RunFolder, environment, write_whole
from raynas.report.run import Run, load
from raynas.report.sweep_result import SweepResult, load_sweep
from raynas.report.sweep_text import print_sweep
from raynas.report.text import print_line, print_summary
from raynas.tracking.jsonl import read_jsonl


def resume(path: str | Path, *, console: Console | None = None) -> Run | SweepResult:
    """Go on with a run or a sweep that was killed, in its folder; one that is over is returned as it is.

    Args:
        path: Its folder.
        console: Where progress is printed; nowhere if None.

    Raises:
        RunError: There is no such folder, or a process is still at work in it.
        ConfigError: What its configuration needs is not there any more.
    """
    began = time.time()
    found, console = load(path), console or Console(quiet=True)
    config = load_config(found.config.model_dump(mode="json"))
    if found.folder.summary.exists() and found.folder.report.exists():
        print_line(console, "over", f"{path} came to its end; there is nothing to go on with")
        return found if config.sweep is None else load_sweep(path)
    with alone_in(found.folder.path):
        _note(found.folder, config, console)
    if config.sweep is not None:
        return _resume_sweep(config, found.folder, console, began)
    draft = draft_plan(config)
    with ray_starting(config.ray, draft.data) as wait_for_ray:
        with console.status("starting Ray"):
            plan = checked(draft)
            wait_for_ray()
        with alone_in(found.folder.path):
            earlier = _set_aside(found.folder)
            (found.folder.checkpoints / "pool.pkl").unlink(missing_ok=True)  # it is filled again
            Launch(plan, found.folder, console, began, earlier).go()
    done = load(path)
    print_summary(console, done)
    return done


def _resume_sweep(config: Config, folder: RunFolder, console: Console, began: float) -> SweepResult:
    images = data(config.data.name, **config.data.options)
    with ray_starting(config.ray, images) as wait_for_ray:
        with console.status("looking at all settings"):
            plan = plan_sweep(config, images)
            wait_for_ray()
        with alone_in(folder.path):
            SweepLaunch(plan, folder, console, began, _set_aside(folder)).go()
    done = load_sweep(folder.path)
    print_sweep(console, done)
    return done


def _note(folder: RunFolder, config: Config, console: Console) -> None:
    """Write down that the run goes on, and say so where it does with other versions: then results may be others."""
    env = json.loads(folder.env.read_text()) if folder.env.is_file() else {}
    now = environment(config.seed)
    changed = [
        f"{name} {env['versions'].get(name)} then, {version} now"
        for name, version in now["versions"].items()
        if env.get("versions", {}).get(name, version) != version
    ]
    if changed:
        print_line(console, "versions", f"not those that the run began with: {'; '.join(changed)}")
    write_whole(folder.env, json.dumps({**env, "resumed": [*env.get("resumed", []), now]}, indent=2) + "\n")


def _set_aside(folder: RunFolder) -> list[dict[str, Any]]:
    """Put the reports of before aside, as all are reported again, and return them.

    Of a process that was killed while it reported again, those of the process before are the longer.
    """
    before = folder.path / BEFORE
    if folder.metrics.is_file():
        if len(read_jsonl(folder.metrics)) >= len(read_jsonl(before)):
            os.replace(folder.metrics, before)
        else:
            folder.metrics.unlink()
    return read_jsonl(before)
