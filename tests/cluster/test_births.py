"""Partitions that take over the trials of others, with a stand-in for Tune's controller."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler

from raynas.cluster.hooks import Hooks
from raynas.cluster.schedulers import TurnScheduler
from raynas.cluster.trainable import PAYLOAD
from raynas.search import SCHEDULERS, Birth, PartitionRule, Turn
from tests.cluster.test_schedulers import QUALITY, FakeController, FakeTrial, report_of, saved_as

BUDGET = 20


def evolution(every: int = 1) -> PartitionRule:
    rule = SCHEDULERS.make("evolution", tuple(QUALITY), BUDGET, every=every, quantile=0.25, confidence=0.5)
    rule.breed = lambda parent, keep: f"{parent}'"
    return rule


class Story:
    """A run on so many slots, and all that is told of it."""

    def __init__(self, slots: int, last_first: bool = False, **troubles: Any) -> None:
        self.turns: list[Turn] = []
        self.born: list[tuple[Birth, int]] = []
        self.given_up: list[str] = []
        hooks = Hooks(self.turns.append, lambda *_: 0, self.given_up.append, lambda *_: None, self._bear)
        self.rule = evolution()
        self.controller = FakeController(TurnScheduler(self.rule, hooks), slots, **troubles)
        self.controller.run(last_first)

    def _bear(self, birth: Birth, rounds_before: int) -> Any:
        self.born.append((birth, rounds_before))
        return SimpleNamespace(label=birth.child)

    @property
    def rounds(self) -> dict[str, int]:
        return {trial.config["partition"]: trial.rounds for trial in self.controller.trials}

    @property
    def begins(self) -> list[tuple[str, tuple[str, int]]]:
        return sorted(begin for trial in self.controller.trials for begin in trial.begins)


def test_the_strong_take_the_places_of_the_weak() -> None:
    story = Story(2)
    assert [birth for birth, _ in story.born] == [
        Birth("b'", "b", "a"),
        Birth("b''", "b'", "c"),
        Birth("b'''", "b''", "d"),
        Birth("b''''", "b'''", "b"),
    ]
    assert [before for _, before in story.born] == [1, 2, 3, 4]
    assert story.rounds == {"b'": 4, "b''": 3, "b'''": 2, "b''''": 1}
    assert story.begins == [("b'", ("b", 1)), ("b''", ("b'", 1)), ("b'''", ("b''", 1)), ("b''''", ("b'''", 1))]
    assert all(trial.status == Trial.TERMINATED for trial in story.controller.trials)
    assert story.given_up == []
    jobs = {trial.config["partition"]: trial.config["job"].job.label for trial in story.controller.trials}
    assert all(label == job for label, job in jobs.items())


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("last_first", [False, True])
def test_same_births_whatever_the_slots_and_the_order_of_reports(slots: int, last_first: bool) -> None:
    expected, story = Story(2), Story(slots, last_first)
    assert story.turns == expected.turns
    assert (story.rounds, story.begins) == (expected.rounds, expected.begins)


@pytest.mark.parametrize("slots", [1, 2, 4])
@pytest.mark.parametrize("label", ["a", "b", "b'", "b''", "d"])
@pytest.mark.parametrize("when", ["retries", "die_waiting", "unsaved"])
@pytest.mark.parametrize("last_first", [False, True])
def test_a_process_that_dies_costs_a_round_and_changes_nothing(
    slots: int, label: str, when: str, last_first: bool
) -> None:
    expected, story = Story(2), Story(slots, last_first, **{when: [label]})
    assert story.turns == expected.turns
    assert story.rounds == expected.rounds
    assert set(story.begins) == set(expected.begins)  # a child that dies before it is saved begins there again
    assert story.given_up == []


def test_a_child_that_dies_before_it_is_saved_inherits_again() -> None:
    story = Story(4, unsaved=["b'"])
    assert story.begins.count(("b'", ("b", 1))) == 2


def running(every: int = 1, first: str = "abcd") -> tuple[TurnScheduler, FakeController]:
    """Return all running in slots of their own, and reported in this order; none is saved yet."""
    hooks = Hooks(
        *([lambda *_: None] * 4),
        lambda birth, before: SimpleNamespace(label=birth.child),  # type: ignore[arg-type,return-value]
    )
    scheduler = TurnScheduler(evolution(every), hooks)
    controller = FakeController(scheduler, 4)
    for trial in controller.trials:
        trial.begin()
    for trial in sorted(controller.trials, key=lambda trial: first.index(trial.config["partition"])):
        trial.rounds, trial.busy = 1, False
        action = scheduler.on_trial_result(controller, trial, {PAYLOAD: report_of(trial.config["partition"])})
        controller._execute_action(trial, action)
    return scheduler, controller


def inherited_by(trial: FakeTrial) -> Any:
    return trial.latest_checkpoint_result and trial.latest_checkpoint_result.checkpoint


def test_a_child_waits_for_the_state_of_its_parent_and_for_its_place() -> None:
    scheduler, controller = running()
    weak, strong, *_ = controller.trials
    assert weak.config == {"partition": "a"}
    for _ in range(2):
        assert scheduler.choose_trial_to_run(controller) is None
        assert (weak.config["partition"], weak.status) == ("a", Trial.PAUSED)
    strong.save()
    weak.status = Trial.RUNNING  # its own state is not saved yet
    assert scheduler.choose_trial_to_run(controller) is None
    strong.rounds = 2
    strong.save()  # the parent goes on
    weak.status = Trial.PAUSED
    assert scheduler.choose_trial_to_run(controller) is weak
    assert weak.config["partition"] == "b'"
    assert inherited_by(weak) == ("b", 1)  # as it was when the child was decided on


def test_the_last_to_report_can_be_replaced() -> None:
    scheduler, controller = running(first="bcda")
    weak, strong, *_ = controller.trials
    assert weak.status == Trial.PAUSED
    strong.save()
    assert scheduler.choose_trial_to_run(controller) is weak


def test_a_parent_that_is_lost_leaves_its_last_saved_state() -> None:
    scheduler, controller = running()
    weak, strong, *_ = controller.trials
    strong.run_metadata.checkpoint_manager._latest_checkpoint_result = saved_as("b", 0)
    assert scheduler.choose_trial_to_run(controller) is None
    scheduler.on_trial_error(controller, strong)  # type: ignore[arg-type]
    strong.status = Trial.ERROR
    assert scheduler.choose_trial_to_run(controller) is weak
    assert inherited_by(weak) == ("b", 0)


def test_without_anything_to_inherit_the_child_is_given_up() -> None:
    scheduler, controller = running()
    weak, strong, *_ = controller.trials
    scheduler.on_trial_error(controller, strong)  # type: ignore[arg-type]
    strong.status = Trial.ERROR
    assert scheduler.choose_trial_to_run(controller) is None
    assert weak.status == Trial.TERMINATED
    assert set(scheduler._rule.alive) == {"c", "d"}
    assert "2 of 4 partitions" in scheduler.debug_string()


def test_a_place_that_is_lost_takes_the_child_with_it() -> None:
    scheduler, controller = running()
    weak, strong, *_ = controller.trials
    strong.save()
    weak.status = Trial.RUNNING
    scheduler.on_trial_error(controller, weak)  # type: ignore[arg-type]
    weak.status = Trial.ERROR
    assert scheduler.choose_trial_to_run(controller) is None
    assert set(scheduler._rule.alive) == {"b", "c", "d"}
    assert "1 of 4 partitions" in scheduler.debug_string()


def test_a_parent_that_finished_and_died_before_it_was_saved_trains_the_round_again() -> None:
    scheduler, controller = running()
    strong = controller.trials[1]
    scheduler._turn = replace(scheduler._turn, train=("b'", "c", "d"), stop=("a", "b"))
    controller.retry(strong)
    assert strong.status == Trial.RUNNING
    strong.rounds = 1
    action = scheduler.on_trial_result(controller, strong, {PAYLOAD: report_of("b")})  # type: ignore[arg-type]
    assert action == TrialScheduler.STOP  # which Tune does when it is saved
    strong.save()
    scheduler.choose_trial_to_run(controller)
    controller.retry(strong)
    assert strong.status == Trial.PAUSED
