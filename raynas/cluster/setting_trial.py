"""The Tune trial of a sweep: one setting, trained with every seed, a step at a time."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

import ray
from ray import tune

from raynas.cluster import PROCESS_BEGAN
from raynas.cluster.local_run import LocalRun
from raynas.cluster.plan import draft_plan, with_truth
from raynas.cluster.sweep_plan import alike, setting_config
from raynas.config import Config
from raynas.data import ImageData
from raynas.report.setting_report import SettingReport
from raynas.settings.setting import column_names, values_of
from raynas.training.checkpoint import load_state
from raynas.training.ledger import Span
from raynas.training.process import prepare_process
from raynas.training.record import Record

NAME = "setting"
"""Key of a trial's config that holds the setting's name; the others are the swept keys, with labels for choices."""
PAYLOAD = "payload"
"""Key of a result that carries the `SettingReport`."""
STEP, STATE = "step.json", "state.pt"
VALUES, LAST = "values", "last"
"""Keys of a state that hold what was set, where it may change in the course of a training, and the last objectives."""
WORST = -1.0
"""What schedulers and searchers are told of a measure that is not a number; none is lower."""


@dataclass(frozen=True)
class SweepShared:
    """What all trials of a sweep have in common.

    Args:
        base: The sweep's configuration.
        data: The images.
        controls: By a control's name, its values.
        warm: By seed, the state of the supernet from which all go on; empty where each begins anew.
        records: The folder of the trials' records.
        objectives: What is told to schedulers and searchers.
        threads: Torch threads a trial.
        copies: Whether a trial may go on as a copy of another.
    """

    base: Config
    data: ImageData
    controls: Mapping[str, Mapping[str, Any]]
    warm: Mapping[int, Mapping[str, Any]]
    records: Path
    objectives: tuple[str, ...]
    threads: int
    copies: bool


_process_started_work = False


def _node() -> str:
    """Return Ray's id of the node that this process is on."""
    return str(ray.get_runtime_context().get_node_id())


class SettingTrial(tune.Trainable):
    """Trains one setting with every seed in turn; the state of the trial lies in its record, not with Tune.

    What Tune keeps is which step a trial was at. Where steps after it are kept, they are reported again and not made
    again. With schedulers that let a trial go on as a copy of another, with other values, Tune keeps the whole state;
    such a trial goes on where its record ends, and tells what it did before at its next step, or at its last.
    """

    def setup(self, config: dict[str, Any], **shared: Any) -> None:
        """Take in what is shared; `shared` are the fields of `SweepShared`, from the object store."""
        global _process_started_work
        self._shared = SweepShared(**shared)
        prepare_process(self._shared.threads)
        self._begin(config)
        self._startup = [] if _process_started_work else [Span("startup", PROCESS_BEGAN, time.time(), _node())]
        _process_started_work = True

    def _begin(self, config: dict[str, Any]) -> None:
        shared, self._name = self._shared, str(config[NAME])
        sweep = shared.base.sweep
        assert sweep is not None
        control = shared.controls.get(self._name)
        sampled = {key: config[key] for key in sweep.keys} if control is None else {}
        self.values = dict(control) if control is not None else values_of(sweep.ranges, sampled)
        self._seeds = sweep.seeds
        self._record = Record(shared.records / self._name)
        self._at = 0
        self._runs: dict[int, LocalRun] | None = None
        self._last: dict[int, dict[str, Any]] = {}
        self._before: tuple[SettingReport, ...] = ()
        kept = [replace(report, again=True) for report in self._record.steps()]
        self._spent = Counter(kept[-1].spent if kept else {})
        if shared.copies and kept:
            self._at = kept[-1].step - kept[-1].finished  # a last step is told again, as there is none after it
            self._before = tuple(report for report in kept if report.step <= self._at)

    def step(self) -> dict[str, Any]:
        """Make a step with every seed, or report one that is kept."""
        start = time.time()
        self._at += 1
        before, self._before = self._before, ()
        kept: SettingReport | None = self._record.step(self._at)
        if kept is not None and (kept.finished or not self._shared.copies):
            return self._result(replace(kept, again=True, before=before))
        runs = self._loaded()
        rows = [self._step(seed, run) for seed, run in runs.items() if not run.finished]
        finished = all(run.finished for run in runs.values())
        rankings = {seed: run.ranking() for seed, run in runs.items()} if finished else None
        spans = [*self._startup, Span("train", start, time.time(), _node())]
        self._startup = []
        report = SettingReport(
            self._name, self._at, rows, self._told(), spans, finished, False, dict(self._spent), rankings
        )
        states: dict[str, Any] = {str(seed): run.state_dict() for seed, run in runs.items()}
        states[LAST] = {str(seed): told for seed, told in self._last.items()}
        self._record.keep(self._at, report, {**states, VALUES: self.values} if self._shared.copies else states)
        return self._result(replace(report, before=before))

    def _step(self, seed: int, run: LocalRun) -> dict[str, Any]:
        """Make a step with one seed and return the metrics after it."""
        self._spent.subtract(run.images)
        metrics = run.step()
        self._spent.update(run.images)
        self._last[seed] = {name: metrics[name] for name in self._shared.objectives}
        changing = {column_names(self.values)[key]: value for key, value in self.values.items() if self._shared.copies}
        return {"trial": self._name, "partition": self._name, "seed": seed, **metrics, **changing}

    def _loaded(self) -> dict[int, LocalRun]:
        """Return the runs, made or read from the record where they are not in memory."""
        if self._runs is None:
            self._runs = {seed: self._made(seed) for seed in self._seeds}
            if self._record.done:
                self._restore(self._record.state())
        return self._runs

    def _made(self, seed: int) -> LocalRun:
        shared, config = self._shared, setting_config(self._shared.base, self.values, seed)
        plan = with_truth(draft_plan(config, shared.data))
        warm, sweep = shared.warm.get(seed), shared.base.sweep
        if warm is None or sweep is None or sweep.warm_start is None:
            return LocalRun(plan)
        return LocalRun(plan, warm, alike(setting_config(shared.base, sweep.warm_start.values, seed), config))

    def _restore(self, states: Mapping[str, Any]) -> None:
        assert self._runs is not None
        self._last = {int(seed): told for seed, told in states[LAST].items()}
        for seed, run in self._runs.items():
            run.load_state_dict(states[str(seed)])

    def _told(self) -> dict[str, float]:
        """Return the mean of each objective over all seeds; of one that is over, its last."""
        told = {}
        for name in self._shared.objectives:
            mean = fmean(float(last[name]) for last in self._last.values())
            told[name] = mean if math.isfinite(mean) else WORST  # no scheduler could sort it
        return told

    def _result(self, report: SettingReport) -> dict[str, Any]:
        return {**report.told, "done": report.finished, PAYLOAD: report}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Note the step; with the state where another trial may go on as a copy of this one."""
        (Path(checkpoint_dir) / STEP).write_text(json.dumps({NAME: self._name, "step": self._at}))
        if self._shared.copies and self._record.done:
            self._record.link_state(Path(checkpoint_dir) / STATE)

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from a step; the argument is the folder that `save_checkpoint` wrote to."""
        folder = Path(checkpoint)
        note = json.loads((folder / STEP).read_text())
        self._at = int(note["step"])
        if self._shared.copies and (folder / STATE).is_file():
            self._before = ()
            self._runs = {seed: self._made(seed) for seed in self._seeds}
            self._restore(load_state(folder / STATE))
            for run in self._runs.values():
                run.retune()  # the state may be another trial's, with other values

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Become another setting's trial."""
        self._begin(new_config)
        return True
