"""Trials of a sweep that go on as copies of others, and after their process died: what they tell, and what it cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from ray import tune
from rich.console import Console

import raynas
from raynas.cluster.setting_trial import NAME, PAYLOAD, SettingTrial
from raynas.cluster.sweep import SweepLaunch
from raynas.cluster.sweep_plan import plan_sweep
from raynas.config import load_config
from raynas.report.folder import RunFolder
from raynas.report.setting_report import SettingReport
from raynas.report.sweep_tables import SweepTables
from raynas.settings import Setting
from tests.cluster.test_sweep import SMALL

pytestmark = pytest.mark.ray

KEY = "method.regularizer.coefficient"
ROUND = 192
"""Images that a step trains."""
CONFIG = load_config(
    {**SMALL, "wandb": {"mode": "disabled"}},
    sweep={"keys": {KEY: {"loguniform": [0.1, 100]}}, "search": "random", "trials": 2, "seeds": [0],
           "stop": {"name": "pbt"}},
)  # fmt: skip


def trial(records: Path, name: str, value: float) -> Any:
    sweep = CONFIG.sweep
    assert sweep is not None
    made = tune.with_parameters(
        SettingTrial,
        base=CONFIG,
        data=raynas.data("digits"),
        controls={},
        warm={},
        records=records,
        objectives=sweep.objectives,
        threads=1,
        copies=True,
    )
    return made(config={NAME: name, KEY: value})


def steps(one: Any, count: int) -> list[SettingReport]:
    return [one.train()[PAYLOAD] for _ in range(count)]


def copy(one: Any, of: Any, place: Path, value: float) -> None:
    """Do what Tune does when `one` exploits another: the same trial, other values, and that one's state."""
    of.save(str(place))
    assert one.reset({NAME: one.config[NAME], KEY: value})
    one.restore(str(place))


def told(tmp_path: Path, reports: list[SettingReport]) -> SweepTables:
    folder = RunFolder(tmp_path / "told")
    folder.path.mkdir()
    tables = SweepTables(folder, CONFIG)
    for report in reports:
        for one in (*report.before, report):
            tables.add(Setting(one.name, {KEY: 1.0}), one)
    tables.write()
    return tables


def images(report: SettingReport) -> int:
    return int(report.rows[0]["images_trained"])


def rounds(tables: SweepTables) -> list[int]:
    return [json.loads(line)["round"] for line in tables.folder.metrics.read_text().splitlines()]


def test_a_copy_of_one_ahead_goes_on_there_and_again_after_its_process_died(local_ray: None, tmp_path: Path) -> None:
    weak, strong = (trial(tmp_path / "records", name, 1.0) for name in ("t000", "t001"))
    first = steps(weak, 1)
    ahead = steps(strong, 3)
    copy(weak, strong, tmp_path / "copied", 5.0)
    (fourth,) = steps(weak, 1)
    assert (fourth.step, fourth.name, fourth.rows[0]["coefficient"]) == (4, "t000", 5.0)
    assert fourth.rows[0]["round"] == 4
    assert images(fourth) == images(ahead[-1]) + ROUND
    assert fourth.spent["images_trained"] == 2 * ROUND  # its own two steps, not the strong one's three
    again = trial(tmp_path / "records", "t000", 5.0)
    (fifth,) = steps(again, 1)
    assert [one.step for one in fifth.before] == [1, 4]
    its_own = 2 * ROUND + images(fifth) - images(fourth)  # the last round is short: landmarks took a part of the budget
    assert (fifth.step, fifth.finished, fifth.spent["images_trained"]) == (5, True, its_own)
    tables = told(tmp_path, [*first, fourth, fifth])
    assert rounds(tables) == [1, 4, 5]
    assert tables.images("images_trained") == its_own
    assert (again.values[KEY], tables.trials[0].state) == (5.0, "finished")


def test_a_copy_of_one_behind_makes_steps_another_time(local_ray: None, tmp_path: Path) -> None:
    weak, strong = (trial(tmp_path / "records", name, 1.0) for name in ("t000", "t001"))
    first = steps(weak, 3)
    behind = steps(strong, 1)
    copy(weak, strong, tmp_path / "copied", 5.0)
    (second,) = steps(weak, 1)
    assert (second.step, second.again) == (2, False)
    assert images(second) == images(behind[0]) + ROUND
    again = trial(tmp_path / "records", "t000", 5.0)
    last = steps(again, 3)
    assert [one.step for one in last[0].before] == [1, 2]
    tables = told(tmp_path, [*first, second, *last])
    assert rounds(tables) == [1, 2, 3, 4, 5]
    assert (tables.trials[0].changes, tables.trials[0].text) == (1, "coefficient=1 (the last of 2 values)")
    assert tables.images("images_trained") == images(first[-1]) + images(last[-1]) - images(
        behind[0]
    )  # what was given up has cost its images, too


def test_one_that_had_come_to_its_end_says_so_once(local_ray: None, tmp_path: Path) -> None:
    whole = steps(trial(tmp_path / "records", "t000", 1.0), 5)
    (last,) = steps(trial(tmp_path / "records", "t000", 1.0), 1)
    assert (last.step, last.finished, last.again) == (5, True, True)
    assert [one.step for one in last.before] == [1, 2, 3, 4]
    pd.testing.assert_frame_equal(pd.DataFrame(last.rows), pd.DataFrame(whole[-1].rows))
    assert last.rankings == whole[-1].rankings
    assert rounds(told(tmp_path, [last])) == [1, 2, 3, 4, 5]


def test_what_is_told_again_is_booked_once(local_ray: None, tmp_path: Path) -> None:
    """A process that dies between its report and Tune's note of it reports the step again."""
    folder = RunFolder(tmp_path / "told")
    folder.path.mkdir()
    launch = SweepLaunch(plan_sweep(CONFIG, raynas.data("digits")), folder, Console(quiet=True), 0.0)
    (report,) = steps(trial(tmp_path / "records", "t000", 1.0), 1)
    for one in (report, replace(report, again=True)):
        launch.report({NAME: "t000", KEY: 1.0}, one)
    assert launch.ledger.spans == report.spans
    launch.tables.close()
