"""The Tune scheduler over partitions: carries out what a `PartitionRule` decides, turn by turn.

A trial that has reported its round hands its slot to the next partition of the turn (it is paused, which saves it, and
Tune gives its process to the other trial); when no partition waits for a slot, it keeps its process and waits for the
end of the turn. The report that completes a turn lets the pool's proposals in and asks the rule; partitions given up
are stopped, and so are those whose sampler asks to, which stay in the run. Partitions that the rule makes take over the
trials of those given up for them (`Nursery`).
"""

from __future__ import annotations

import math
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from raynas.cluster.births import Nursery
from raynas.cluster.hooks import Hooks
from raynas.cluster.trainable import PAYLOAD
from raynas.report.folder import RunFolder
from raynas.search import PartitionRule, PoolEntry, Standing
from raynas.training.worker import RoundReport


class TurnScheduler(FIFOScheduler):
    """Runs partitions in complete turns.

    Args:
        rule: Decides who trains next.
        hooks: Told of every turn.
        folder: Where states are kept that children begin from, and those of partitions replaced; None keeps none.
    """

    def __init__(self, rule: PartitionRule, hooks: Hooks, folder: RunFolder | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rule, self._hooks = rule, hooks
        self._nursery = Nursery(folder)
        self._standings: dict[str, Standing] = {}
        self._rounds: dict[str, int] = {}
        self._entries: dict[str, list[PoolEntry]] = {}
        self._turn = rule.first()
        hooks.on_turn(self._turn)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return a partition of the turn that has not begun its round, the first that Tune was not told of before.

        Tune asks at every step of its loop, so this is where children take over the trials that have become ready.
        """
        for place in self._nursery.deliver(_by_label(tune_controller)):
            trial = _by_label(tune_controller)[place]
            if not trial.is_finished():
                tune_controller.stop_trial(trial)
            self._give_up(tune_controller, self._nursery.lose(place))
        return self._waiting(tune_controller)

    def _waiting(self, tune_controller: Any) -> Trial | None:
        """Return a partition of the turn that waits for a slot.

        Tune ends a process that becomes free unless a trial has been chosen that will take it over. So as many are
        chosen (they are PENDING then) as there are processes that may become free.
        """
        trials = _by_label(tune_controller)
        unbegun = [trials[label] for label in self._turn.train if label in trials and label not in self._standings]
        chosen = [trial for trial in unbegun if trial.status == Trial.PENDING]
        paused = [trial for trial in unbegun if trial.status == Trial.PAUSED]
        running = sum(trial.status == Trial.RUNNING for trial in trials.values())
        return next(iter([*paused, *chosen] if len(chosen) < running else [*chosen, *paused]), None)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Hold back a trial that Tune would start again at once, and should not.

        That is one that died after its report of this turn; one that has no round in this turn, such as one given up
        while it was saved once more, which is stopped at the end of the turn, unless a child waits for the state that
        was lost; and one whose process died while it was handed over. Of the last, Tune is told
        twice, and takes the second time for a failure for good unless the trial is PAUSED by then; and it would wait
        for the handing over for ever. `choose_trial_to_run` gives it another process.
        """
        label, controller = trial.config["partition"], tune_controller._tune_controller
        idle = self._turn.train and self._action(label) != TrialScheduler.CONTINUE and not self._nursery.awaits(label)
        if label in self._standings or idle or trial in controller._resetting_trials:
            controller._resetting_trials.discard(trial)
            controller._set_trial_status(trial, Trial.PAUSED)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Note the standing; pause or wait, or, at the end of the turn, do what the rule decides.

        A trial whose process died between a report and the save after it comes with the same round again: it goes on.
        """
        label = trial.config["partition"]
        if label not in self._turn.train:
            return self._action(label)
        report: RoundReport = result[PAYLOAD]
        if report.metrics["round"] <= self._rounds.get(label, 0):
            return str(TrialScheduler.CONTINUE)
        self._rounds[label] = report.metrics["round"]
        self._standings[label] = report.standing
        self._entries[label] = report.entries
        if report.metrics["finished"]:
            self._rule.finish(label)
        if len(self._standings) < len(self._turn.train):
            waiting = self._waiting(tune_controller) is not None
            return str(TrialScheduler.PAUSE if waiting else TrialScheduler.NOOP)
        self._complete(tune_controller, trial)
        return self._action(label)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Give up a trial that failed for good, and go on with the others.

        Tune calls this for every failure: a trial it is about to start again it has marked ERROR before the call, one
        that has failed too often it marks after.
        """
        label = trial.config["partition"]
        if trial.status != Trial.ERROR:
            lost = self._nursery.lose(label) if self._nursery.replaces(label) else label
            self._give_up(tune_controller, lost, trial)

    def _give_up(self, tune_controller: Any, label: str, failed: Trial | None = None) -> None:
        self._rule.drop(label)
        self._hooks.on_give_up(label)
        if label in self._turn.train:
            self._standings[label] = Standing(math.nan)
            if len(self._standings) == len(self._turn.train):
                self._complete(tune_controller, failed)

    def _complete(self, tune_controller: Any, last: Trial | None) -> None:
        """End the turn and carry out the next with all trials but the one that Tune is asking about."""
        self._hooks.on_complete(self._entries)
        self._turn = self._rule.next({label: self._standings[label] for label in self._turn.train})
        self._standings, self._entries = {}, {}
        for birth in self._turn.born:
            job = self._hooks.on_birth(birth, self._rule.rounds[birth.child])
            self._nursery.expect(birth, job, self._rounds[birth.parent])
        if self._turn.train:
            self._hooks.on_turn(self._turn)
        for trial in tune_controller.get_trials():
            if trial is not last and not trial.is_finished():
                self._carry_on(tune_controller, trial)

    def _carry_on(self, tune_controller: Any, trial: Trial) -> None:
        """Do with a trial that reported earlier in the turn what was decided at its end.

        Tune has no public way to go on with a trial that was answered NOOP. `_execute_action` is what its own answers
        go through; while the trial is being saved they wait in `_cached_trial_decisions`, or the save would be lost.
        One that ends while others go on is saved once more: by then a trial has been chosen for its process.
        """
        action = self._action(trial.config["partition"])
        if trial.status == Trial.RUNNING and (trial.is_saving or (action == TrialScheduler.STOP and self._turn.train)):
            tune_controller._cached_trial_decisions[trial.trial_id] = action
            if not trial.is_saving:
                tune_controller._schedule_trial_save(trial)
        elif trial.status == Trial.RUNNING:
            tune_controller._execute_action(trial, action)
        elif action == TrialScheduler.STOP:
            tune_controller.stop_trial(trial)

    def _action(self, label: str) -> str:
        if self._nursery.replaces(label):
            return str(TrialScheduler.PAUSE)
        if label not in self._rule.alive or label in self._turn.stop:
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.CONTINUE if label in self._turn.train else TrialScheduler.PAUSE)

    def debug_string(self) -> str:
        """Return one line on where the turn stands."""
        return f"turn {self._rule.turns + 1}: {len(self._standings)} of {len(self._turn.train)} partitions reported"


def _by_label(tune_controller: Any) -> dict[str, Any]:
    return {trial.config["partition"]: trial for trial in tune_controller.get_trials()}
