"""The turn scheduler with a stand-in for Tune's controller: slots, pauses, failures."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from raynas.cluster.hooks import Hooks
from raynas.cluster.schedulers import TurnScheduler
from raynas.search import SCHEDULERS, Turn

QUALITY = {"a": 0.1, "b": 0.5, "c": 0.3, "d": 0.4}


@dataclass
class FakeTrial:
    config: dict[str, str]
    status: str = Trial.PENDING
    rounds: int = 0
    busy: bool = False

    def is_finished(self) -> bool:
        return self.status in (Trial.TERMINATED, Trial.ERROR)


@dataclass
class FakeController:
    """Runs trials in so many slots, one round at a time, in an order that a test can choose."""

    scheduler: TurnScheduler
    slots: int
    fails: tuple[str, ...] = ()
    trials: list[FakeTrial] = field(default_factory=lambda: [FakeTrial({"partition": label}) for label in QUALITY])
    log: list[str] = field(default_factory=list)

    def get_trials(self) -> list[FakeTrial]:
        return self.trials

    def stop_trial(self, trial: FakeTrial) -> None:
        trial.status, trial.busy = Trial.TERMINATED, False

    def _execute_action(self, trial: FakeTrial, action: str) -> None:
        if action == TrialScheduler.CONTINUE:
            trial.busy = True
        elif action == TrialScheduler.PAUSE:
            trial.status, trial.busy = Trial.PAUSED, False
        elif action == TrialScheduler.STOP:
            self.stop_trial(trial)
        else:
            trial.busy = False

    def run(self, last_first: bool) -> None:
        for _ in range(200):
            while sum(trial.status == Trial.RUNNING for trial in self.trials) < self.slots:
                chosen: Any = self.scheduler.choose_trial_to_run(self)
                if chosen is None:
                    break
                assert chosen.status in (Trial.PENDING, Trial.PAUSED)
                chosen.status, chosen.busy = Trial.RUNNING, True
            busy = [trial for trial in self.trials if trial.busy]
            if not busy:
                return
            trial = busy[-1 if last_first else 0]
            label = trial.config["partition"]
            if label in self.fails:
                trial.status, trial.busy = Trial.ERROR, False
                self.scheduler.on_trial_error(self, trial)  # type: ignore[arg-type]
                continue
            trial.rounds += 1
            self.log.append(label)
            action = self.scheduler.on_trial_result(self, trial, {"standing": QUALITY[label]})  # type: ignore[arg-type]
            self._execute_action(trial, action)
        raise AssertionError("the trials never came to an end")


def play(
    name: str, budget: int, slots: int, last_first: bool = False, fails: tuple[str, ...] = (), every: int = 1
) -> tuple[dict[str, int], list[Turn], int, FakeController]:
    turns: list[Turn] = []
    completed: list[int] = []
    options = {"every": every, "keep": 0.5, "survivors": 1} if name == "greedy" else {}
    rule = SCHEDULERS.make(name, tuple(QUALITY), budget, **options)
    hooks = Hooks(turns.append, lambda: completed.append(1), lambda report: None)
    controller = FakeController(TurnScheduler(rule, hooks), slots, fails)
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


@pytest.mark.parametrize("slots", [1, 2, 4])
def test_a_failed_trial_is_given_up_and_holds_nobody_up(slots: int) -> None:
    rounds, turns, _, controller = play("greedy", 12, slots, fails=("b",), every=2)
    assert rounds["b"] == 0
    assert [turn.train for turn in turns][:3] == [("a", "b", "c", "d"), ("a", "c", "d"), ("c", "d")]
    assert rounds["d"] >= rounds["c"] > rounds["a"] > 0
    assert {trial.status for trial in controller.trials} == {Trial.ERROR, Trial.TERMINATED}


def test_when_all_fail_it_ends() -> None:
    _, turns, _, controller = play("uniform", 12, 2, fails=tuple(QUALITY))
    assert len(turns) == 1
    assert {trial.status for trial in controller.trials} == {Trial.ERROR}


def test_a_pickled_scheduler_leaves_the_drivers_hooks_behind() -> None:
    told: list[Turn] = []
    rule = SCHEDULERS.make("uniform", ("a", "b"), 4)
    scheduler = TurnScheduler(rule, Hooks(told.append, lambda: None, lambda report: None))
    assert len(told) == 1
    copy = pickle.loads(pickle.dumps(scheduler))
    copy._hooks.on_turn(Turn(()))
    assert len(told) == 1
    assert copy.debug_string() == "turn 1: 0 of 2 partitions reported"
