"""The Tune searcher of a sweep: the controls, then the settings there are, or those that Optuna finds."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from itertools import accumulate, cycle, takewhile
from pathlib import Path
from typing import Any

import optuna
from optuna.storages.journal import JournalFileBackend
from ray.tune.search import Searcher
from ray.tune.search.optuna import OptunaSearch

from raynas.cluster.bohb_search import OVER, STEP, BohbSearch
from raynas.cluster.setting_trial import NAME, PAYLOAD
from raynas.cluster.sweep_journal import SweepJournal
from raynas.errors import RunError
from raynas.report.setting_report import SettingReport
from raynas.settings import Choices, Range, Setting, setting_of
from raynas.settings.ranges import label_of
from raynas.streams import stream_seed

STUDY = "study.log"
"""Optuna's own journal of the study, in the sweep's folder: ``optuna.storages.JournalStorage`` reads it."""


class SettingSearcher(Searcher):
    """Names the settings that are tried, in an order of its own.

    A search that learns is told of results in lots: all of a lot are asked for before any is told, and they are told in
    the order in which they were asked for. So what it finds does not hang on which trial was faster.

    Args:
        controls: What comes first, whatever is searched.
        known: The settings there are; None where `inner` finds them.
        ranges: What each key may be.
        inner: Finds settings.
        lots: How many it is asked for at a time, in turn, and from the beginning again.
        total: How many it is asked for in all.
        objectives: What it is told, by name.
        journal: What was decided before, and where decisions are noted.
    """

    def __init__(
        self,
        controls: Sequence[Setting],
        known: Sequence[Setting] | None,
        ranges: Mapping[str, Range],
        inner: Searcher | None,
        *,
        lots: Sequence[int],
        total: int,
        objectives: Sequence[str],
        journal: SweepJournal,
    ) -> None:
        super().__init__(metric=objectives[0], mode="max")
        self._ready = [*controls, *(known or ())]
        self._ranges, self._inner, self._total = dict(ranges), inner, total
        self._ends = set(takewhile(lambda end: end < total, accumulate(cycle(lots))))  # of lots, in settings found
        self._objectives, self._journal = tuple(objectives), journal
        self._names: dict[str, str] = {}  # Tune's ids of trials to settings' names
        self._latest: dict[str, dict[str, float]] = {}
        self._found: list[tuple[str, dict[str, Any]]] = []
        self._running: set[str] = set()  # of the present lot, who has not ended
        self._ended: dict[str, dict[str, float] | None] = {}  # and what is to be told of who has
        self._given = 0  # of those found
        self._remember()

    def _remember(self) -> None:
        """Bring the inner search to where it was: ask and tell in the order that the journal has."""
        if self._inner is None:
            return
        for event in self._journal.events:
            if "suggested" in event:
                self._ask_inner()
                if self._found[-1] != (event["suggested"], event["sampled"]):
                    raise RunError(
                        f"the search does not find again what it found before it was killed ({event['suggested']}: "
                        f"{event['sampled']} then, {self._found[-1][1]} now): with other versions than it began with a "
                        "tpe sweep cannot go on"
                    )
            elif "completed" in event:
                self._tell_inner(event["completed"], event["told"])

    def _ask_inner(self) -> None:
        assert self._inner is not None
        number = len(self._found)
        name = setting_of(number, {}).name
        sampled = self._inner.suggest(name)
        if not isinstance(sampled, dict):
            raise RuntimeError(f"the search gave no setting, but {sampled!r}")
        self._found.append((name, dict(sampled)))

    def _tell_inner(self, name: str, told: dict[str, float] | None) -> None:
        assert self._inner is not None
        self._inner.on_trial_complete(name, result=told, error=told is None)

    def suggest(self, trial_id: str) -> Any:
        """Return the next setting; None where results of a lot are waited for, and `FINISHED` where there is none."""
        if self._ready:
            setting = self._ready.pop(0)
            return {NAME: setting.name, **({} if setting.control else self._sampled(setting.values))}
        if self._inner is None or self._given >= self._total:
            return str(Searcher.FINISHED)
        if self._given in self._ends and (self._running or self._ended):
            return None
        if self._given == len(self._found):
            self._ask_inner()
            self._journal.suggested(*self._found[-1])
        name, sampled = self._found[self._given]
        self._given += 1
        self._names[trial_id] = name
        self._running.add(name)
        return {NAME: name, **sampled}

    def _sampled(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return values as a sampler writes them: choices by their labels."""
        labels = {}
        for key, value in values.items():
            one = self._ranges[key]
            labels[key] = label_of(value) if isinstance(one, Choices) else value
        return labels

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Note a report: of a trial that is stopped while it waits, Tune hands over none."""
        if trial_id in self._names:
            self._latest[trial_id] = self._told(result)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Take in the end of a trial, with its last report; when a lot is complete, tell of it in order."""
        name = self._names.get(trial_id)
        if name not in self._running:
            return
        self._running.discard(name)
        last = self._latest.pop(trial_id, None)
        told = last if result is None else self._told(result)
        self._ended[name] = None if error else told
        if self._running or (self._given not in self._ends and self._given < self._total):
            return
        for one in sorted(self._ended):
            if self._journal.completed(one, self._ended[one]):
                self._tell_inner(one, self._ended[one])
        self._ended = {}

    def _told(self, result: Mapping[str, Any]) -> dict[str, float]:
        """Return what the search is told of a report: the objectives, the step, and whether it was the last."""
        report: SettingReport | None = result.get(PAYLOAD)
        place = {} if report is None else {STEP: report.step, OVER: report.finished}
        return {**{key: float(result[key]) for key in self._objectives}, **place}

    def set_search_properties(self, metric: str | None, mode: str | None, config: dict[str, Any], **spec: Any) -> bool:
        """Say that there is nothing to set: the objectives are known."""
        del metric, mode, config, spec
        return True

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: the journal has it all."""
        Path(checkpoint_path).touch()

    def restore(self, checkpoint_path: str) -> None:
        """Never asked for: a sweep is played again from its journal."""
        raise NotImplementedError(checkpoint_path)


def inner_search(
    name: str, ranges: Mapping[str, Range], objectives: Sequence[str], *, seed: int, startup: int, folder: Path
) -> Searcher:
    """Return the searcher that finds settings, with an Optuna study that survives.

    Args:
        name: ``tpe``: Ray's `OptunaSearch`; ``bohb``: `BohbSearch`.
        ranges: What each key may be.
        objectives: The measure that is raised, then costs that are lowered.
        seed: Of its draws.
        startup: Random settings at first.
        folder: The sweep's folder, where the study is kept; one that is there is written anew, from the journal.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    (folder / STUDY).unlink(missing_ok=True)
    storage = optuna.storages.JournalStorage(JournalFileBackend(str(folder / STUDY)))
    drawn = stream_seed(seed, "sweep") % 2**32
    if name == "bohb":
        return BohbSearch(ranges, objectives[0], seed=drawn, startup=startup, storage=storage)
    many = len(objectives) > 1
    return OptunaSearch(
        space={key: one.distribution() for key, one in ranges.items()},
        metric=list(objectives) if many else objectives[0],
        mode=["max", *("min" for _ in objectives[1:])] if many else "max",
        sampler=optuna.samplers.TPESampler(seed=drawn, n_startup_trials=startup),
        storage=storage,
        study_name="sweep",
    )
