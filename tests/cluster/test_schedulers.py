"""The turn scheduler with a stand-in for Tune's controller: slots, pauses, failures."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from raynas.cluster.hooks import Hooks
from raynas.cluster.schedulers import TurnScheduler
from raynas.cluster.trainable import PAYLOAD
from raynas.search import SCHEDULERS, Turn
from raynas.training.worker import RoundReport

QUALITY = {"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.4}


def quality(label: str) -> float:
    """Return what a partition is worth; a child (``b'``) is a little better than its parent (``b``)."""
    return QUALITY[label.rstrip("'")] + 0.01 * label.count("'")


def saved_as(label: str, number: int) -> SimpleNamespace:
    """Return the stand-in for a checkpoint of a partition after a round."""
    return SimpleNamespace(checkpoint=(label, number), metrics={"round": number})


def report_of(label: str, number: int = 1, finished: bool = False) -> RoundReport:
    measures = {"standing": quality(label), "standing_error": 0.0, "pool_gain": 0.0, "best_candidate": ""}
    metrics = {**measures, "finished": finished, "round": number}
    return RoundReport(metrics, [], [], [], 0, 0)


@dataclass(eq=False)
class FakeTrial:
    config: dict[str, Any]
    status: str = Trial.PENDING
    rounds: int = 0
    busy: bool = False
    is_saving: bool = False
    pauses: int = 0
    trial_id: str = ""
    begins: list[tuple[str, tuple[str, int]]] = field(default_factory=list)
    run_metadata: Any = field(
        default_factory=lambda: SimpleNamespace(checkpoint_manager=SimpleNamespace(_latest_checkpoint_result=None))
    )

    @property
    def latest_checkpoint_result(self) -> Any:
        return self.run_metadata.checkpoint_manager._latest_checkpoint_result

    def begin(self) -> None:
        """Start, as what the latest checkpoint says."""
        label, latest = self.config["partition"], self.latest_checkpoint_result
        if latest is not None and latest.checkpoint[0] != label:
            self.begins.append((label, latest.checkpoint))
        self.rounds = latest.checkpoint[1] if latest is not None and latest.checkpoint[0] == label else 0
        self.status, self.busy = Trial.RUNNING, True

    def save(self) -> None:
        saved = saved_as(self.config["partition"], self.rounds)
        self.run_metadata.checkpoint_manager._latest_checkpoint_result = saved

    def set_config(self, config: dict[str, Any]) -> None:
        self.config = config

    def set_experiment_tag(self, tag: str) -> None:
        assert tag

    def is_finished(self) -> bool:
        return self.status in (Trial.TERMINATED, Trial.ERROR)


@dataclass
class Wrapped:
    """What Tune hands to some of a scheduler's methods in place of its controller."""

    _tune_controller: FakeController


@dataclass
class FakeController:
    """Runs trials in so many slots, one round at a time, in an order that a test can choose."""

    scheduler: TurnScheduler
    slots: int
    fails: tuple[str, ...] = ()
    retries: list[str] = field(default_factory=list)
    die_waiting: list[str] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    trials: list[FakeTrial] = field(default_factory=lambda: [FakeTrial({"partition": label}) for label in QUALITY])
    saves: list[str] = field(default_factory=list)
    unsaved: list[str] = field(default_factory=list)
    _cached_trial_decisions: dict[str, str] = field(default_factory=dict)
    _resetting_trials: set[FakeTrial] = field(default_factory=set)

    def get_trials(self) -> list[FakeTrial]:
        return self.trials

    def _schedule_trial_save(self, trial: FakeTrial) -> None:
        """Save at once, and do what waited for it."""
        self.saves.append(trial.config["partition"])
        self._execute_action(trial, self._cached_trial_decisions.pop(trial.trial_id))

    def stop_trial(self, trial: FakeTrial) -> None:
        trial.status, trial.busy = Trial.TERMINATED, False

    def _execute_action(self, trial: FakeTrial, action: str) -> None:
        if action == TrialScheduler.CONTINUE:
            trial.busy = True
        elif action == TrialScheduler.PAUSE:
            trial.status, trial.busy = Trial.PAUSED, False
            trial.pauses += 1
        elif action == TrialScheduler.STOP:
            self.stop_trial(trial)
        else:
            trial.busy = False

    def retry(self, trial: FakeTrial) -> None:
        """Do what Tune does with a trial that failed and may be started again."""
        label = trial.config["partition"]
        if label in self.retries:
            self.retries.remove(label)
        trial.status, trial.busy = Trial.ERROR, False
        self.scheduler.on_trial_error(self, trial)  # type: ignore[arg-type]
        trial.status = Trial.PENDING
        self.scheduler.on_trial_add(Wrapped(self), trial)  # type: ignore[arg-type]
        if trial.status == Trial.PENDING:  # Tune starts what is pending without asking the scheduler
            trial.begin()

    def _set_trial_status(self, trial: FakeTrial, status: str) -> None:
        trial.status = status

    def run(self, last_first: bool) -> None:
        for _ in range(200):
            while True:
                chosen: Any = self.scheduler.choose_trial_to_run(self)  # Tune asks whether there is a slot or not
                if chosen is None or sum(trial.status == Trial.RUNNING for trial in self.trials) >= self.slots:
                    break
                assert chosen.status in (Trial.PENDING, Trial.PAUSED)
                chosen.begin()
            busy = [trial for trial in self.trials if trial.busy]
            if not busy:
                assert all(trial.is_finished() for trial in self.trials), [trial.status for trial in self.trials]
                return
            trial = busy[-1 if last_first else 0]
            label = trial.config["partition"]
            if label in self.fails:
                self.scheduler.on_trial_error(self, trial)  # type: ignore[arg-type]
                trial.status, trial.busy = Trial.ERROR, False
                continue
            if label in self.retries:
                self.retry(trial)
                continue
            trial.rounds += 1
            report = report_of(label, trial.rounds, trial.rounds == self.ends.get(label))
            action = self.scheduler.on_trial_result(self, trial, {PAYLOAD: report})  # type: ignore[arg-type]
            if label in self.unsaved and action != TrialScheduler.STOP:
                self.unsaved.remove(label)
                self.retry(trial)
                continue
            trial.save()
            self._execute_action(trial, action)
            if label in self.die_waiting and trial.status == Trial.RUNNING and not trial.busy:
                self.die_waiting.remove(label)
                self.retry(trial)
        raise AssertionError("the trials never came to an end")


def play(
    name: str,
    budget: int,
    slots: int,
    last_first: bool = False,
    *,
    fails: tuple[str, ...] = (),
    every: int = 1,
    retries: tuple[str, ...] = (),
    die_waiting: tuple[str, ...] = (),
    unsaved: tuple[str, ...] = (),
    ends: dict[str, int] | None = None,
) -> tuple[dict[str, int], list[Turn], int, FakeController]:
    turns: list[Turn] = []
    completed: list[Any] = []
    options = {"every": every, "keep": 0.5, "survivors": 1} if name == "greedy" else {}
    rule = SCHEDULERS.make(name, tuple(QUALITY), budget, **options)
    hooks = Hooks(turns.append, completed.append, lambda label: None, lambda report: None)
    controller = FakeController(TurnScheduler(rule, hooks), slots, fails, list(retries), list(die_waiting), ends or {})
    controller.unsaved = list(unsaved)
    controller.run(last_first)
    rounds = {trial.config["partition"]: trial.rounds for trial in controller.trials}
    return rounds, turns, len(completed), controller


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("last_first", [False, True])
def test_same_decisions_whatever_the_slots_and_the_order_of_reports(slots: int, last_first: bool) -> None:
    rounds, turns, completed, controller = play("greedy", 9, slots, last_first)
    assert rounds == {"a": 1, "b": 5, "c": 1, "d": 2}
    assert [turn.train for turn in turns] == [("a", "b", "c", "d"), ("b", "d"), ("b",), ("b",), ("b",)]
    assert completed == len(turns)
    assert all(trial.status == Trial.TERMINATED for trial in controller.trials)


def test_with_slots_for_all_nobody_is_paused() -> None:
    _, _, _, controller = play("uniform", 12, 4)
    assert {trial.rounds for trial in controller.trials} == {3}
    assert {trial.pauses for trial in controller.trials} == {0}


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_a_failed_trial_is_given_up_and_holds_nobody_up(slots: int) -> None:
    rounds, turns, _, controller = play("greedy", 12, slots, fails=("b",), every=2)
    assert rounds["b"] == 0
    assert [turn.train for turn in turns][:3] == [("a", "b", "c", "d"), ("a", "c", "d"), ("c", "d")]
    assert rounds["d"] >= rounds["c"] > rounds["a"] > 0
    assert {trial.status for trial in controller.trials} == {Trial.ERROR, Trial.TERMINATED}


@pytest.mark.parametrize("slots", [1, 2, 3, 4])
@pytest.mark.parametrize("label", list(QUALITY))
@pytest.mark.parametrize("when", ["retries", "die_waiting"])
def test_a_trial_that_tune_starts_again_changes_no_decision(slots: int, label: str, when: str) -> None:
    expected, turns, _, _ = play("greedy", 9, slots)
    rounds, seen, _, _ = play("greedy", 9, slots, **{when: (label,)})  # type: ignore[arg-type]
    assert rounds == expected
    assert seen == turns


@pytest.mark.parametrize("slots", [1, 2, 3, 4])
@pytest.mark.parametrize("last_first", [False, True])
def test_a_round_that_was_reported_and_not_saved_is_done_again_and_counts_once(slots: int, last_first: bool) -> None:
    expected, turns, _, _ = play("greedy", 9, slots, last_first)
    rounds, seen, _, controller = play("greedy", 9, slots, last_first, unsaved=("b",))
    assert controller.unsaved == []
    assert rounds == expected
    assert seen == turns


def test_what_is_decided_during_a_save_waits_for_it() -> None:
    rule = SCHEDULERS.make("greedy", ("a", "b"), 6, every=1, keep=0.5, survivors=1)
    scheduler = TurnScheduler(rule, Hooks(*([lambda *_: None] * 4)))
    controller = FakeController(
        scheduler, 2, trials=[FakeTrial({"partition": label}, trial_id=label) for label in "ab"]
    )
    a, b = controller.trials
    a.status = b.status = Trial.RUNNING
    for trial in (a, b):
        report = report_of(trial.config["partition"])
        a.is_saving = True
        action = scheduler.on_trial_result(controller, trial, {PAYLOAD: report})  # type: ignore[arg-type]
    assert action == TrialScheduler.CONTINUE
    assert a.status == Trial.RUNNING
    assert controller._cached_trial_decisions == {"a": TrialScheduler.STOP}


def test_as_many_are_chosen_as_processes_may_become_free() -> None:
    scheduler = TurnScheduler(SCHEDULERS.make("uniform", tuple(QUALITY), 8), Hooks(*([lambda *_: None] * 4)))
    controller = FakeController(scheduler, 2)
    a, b, c, d = controller.trials
    a.status = b.status = Trial.RUNNING
    c.status = d.status = Trial.PAUSED
    chosen: list[Any] = []
    for _ in range(3):
        chosen.append(scheduler.choose_trial_to_run(controller))
        chosen[-1].status = Trial.PENDING
    assert chosen == [c, d, c]


def test_a_trial_that_waits_and_is_rejected_is_saved_before_it_ends() -> None:
    rule = SCHEDULERS.make("greedy", ("a", "b"), 6, every=1, keep=0.5, survivors=1)
    scheduler = TurnScheduler(rule, Hooks(*([lambda *_: None] * 4)))
    controller = FakeController(scheduler, 2, trials=[FakeTrial({"partition": label}) for label in "ab"])
    for trial in controller.trials:
        trial.status = Trial.RUNNING
        report = report_of(trial.config["partition"])
        scheduler.on_trial_result(controller, trial, {PAYLOAD: report})  # type: ignore[arg-type]
    assert controller.saves == ["a"]
    assert controller.trials[0].status == Trial.TERMINATED


class DiesWhileSaved(FakeController):
    """Loses the process of the first trial that is saved once more before it ends."""

    def _schedule_trial_save(self, trial: FakeTrial) -> None:
        if self.saves:
            super()._schedule_trial_save(trial)
            return
        self.saves.append(trial.config["partition"])
        self._cached_trial_decisions.pop(trial.trial_id)  # as Tune does before it starts a trial again
        self.retry(trial)


@pytest.mark.parametrize("slots", [2, 4])
def test_a_given_up_trial_that_dies_while_it_is_saved_trains_no_more(slots: int) -> None:
    rounds = []
    for kind in (FakeController, DiesWhileSaved):
        rule = SCHEDULERS.make("greedy", tuple(QUALITY), 9, every=1, keep=0.5, survivors=1)
        hooks = Hooks(lambda turn: None, lambda *_: 0, lambda label: None, lambda report: None)
        controller = kind(TurnScheduler(rule, hooks), slots)
        controller.run(False)
        assert controller.saves
        rounds.append({trial.config["partition"]: trial.rounds for trial in controller.trials})
    assert rounds[0] == rounds[1]


@pytest.mark.parametrize("slots", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["uniform", "greedy"])
def test_a_trial_whose_sampler_has_finished_ends_and_is_not_given_up(slots: int, kind: str) -> None:
    rounds, turns, _, controller = play(kind, 12, slots, every=2, ends={"a": 1, "d": 2})
    assert (rounds["a"], rounds["d"]) == (1, 2)
    assert [turn.train for turn in turns][:3] == [
        tuple("abcd"),
        tuple("bcd"),
        tuple("bc") if kind == "uniform" else ("b",),
    ]
    assert {"a", "d"} <= set(controller.scheduler._rule.alive)
    assert all(trial.status == Trial.TERMINATED for trial in controller.trials)


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_when_all_have_finished_it_ends(slots: int) -> None:
    rounds, turns, completed, controller = play("uniform", 40, slots, ends=dict.fromkeys(QUALITY, 2))
    assert rounds == dict.fromkeys(QUALITY, 2)
    assert len(turns) == completed == 2
    assert all(trial.status == Trial.TERMINATED for trial in controller.trials)


@pytest.mark.parametrize("slots", [2, 4])
def test_a_finished_trial_that_dies_while_it_is_saved_trains_no_more(slots: int) -> None:
    rounds = []
    for kind in (FakeController, DiesWhileSaved):
        rule = SCHEDULERS.make("uniform", tuple(QUALITY), 16)
        controller = kind(TurnScheduler(rule, Hooks(*([lambda *_: None] * 4))), slots, ends={"a": 1, "b": 2})
        controller.run(False)
        rounds.append({trial.config["partition"]: trial.rounds for trial in controller.trials})
    assert rounds == [{"a": 1, "b": 2, "c": 4, "d": 4}] * 2


def test_when_all_fail_it_ends() -> None:
    _, turns, _, controller = play("uniform", 12, 2, fails=tuple(QUALITY))
    assert len(turns) == 1
    assert {trial.status for trial in controller.trials} == {Trial.ERROR}


def test_a_pickled_scheduler_leaves_the_drivers_hooks_behind() -> None:
    told: list[Turn] = []
    rule = SCHEDULERS.make("uniform", ("a", "b"), 4)
    scheduler = TurnScheduler(rule, Hooks(told.append, lambda entries: None, lambda label: None, lambda report: None))
    assert len(told) == 1
    copy = pickle.loads(pickle.dumps(scheduler))
    copy._hooks.on_turn(Turn(()))
    assert len(told) == 1
    assert copy.debug_string() == "turn 1: 0 of 2 partitions reported"
