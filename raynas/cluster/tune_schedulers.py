"""Ray Tune's own schedulers on partitions: each as it is, kept to the budget and told what it cannot know.

None of them waits for turns: a report's entries go to the pool at once, and who is stopped or copied depends on the
order in which reports come. The same seed does not give the same run.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from ray import tune
from ray.train._internal.session import _TrainingResult
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    ASHAScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.schedulers.pb2 import PB2

from raynas.cluster.births import held, keep_state
from raynas.cluster.hooks import Hooks
from raynas.cluster.trainable import PAYLOAD, Carried
from raynas.errors import RunError
from raynas.report.folder import RunFolder
from raynas.search import Birth
from raynas.search.tune_rules import AshaRule, HyperbandRule, MedianRule, Pb2Rule, PbtRule, PopulationRule, TuneRule
from raynas.training.worker import RoundReport

TIME = "training_iteration"
"""Rounds of the schedule that are over: those of a copy's original among them."""
DIVERGED = -1e9
"""The standing of a partition whose own is not a number, which the schedulers could not sort."""


class OnPartitions(TrialScheduler):
    """What each of Tune's schedulers lacks, as a base in front of it.

    It keeps the budget: no round begins that cannot be paid for, so that every round that is trained is reported. A
    `Stopper` of Tune's would break off trials in the middle of a round, or of the save after it.
    """

    def watched_by(self, rule: TuneRule, hooks: Hooks, folder: RunFolder | None) -> None:
        """Say whose budget is spent, who is told, and where the states of replaced partitions are kept."""
        self._rule, self._hooks, self._folder = rule, hooks, folder
        self._rounds: dict[str, int] = {}
        self._ended: set[str] = set()

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Take a trial in; one whose process died while it was handed over is held back (see `TurnScheduler`)."""
        super().on_trial_add(tune_controller, trial)
        controller = tune_controller._tune_controller
        if trial in controller._resetting_trials:
            controller._resetting_trials.discard(trial)
            controller._set_trial_status(trial, Trial.PAUSED)
            self._go_on_with(trial)

    def _go_on_with(self, trial: Any) -> None:
        """Let a paused trial be chosen again; as they are, most choose any."""

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Pass the report on; stop a trial that has reached its end, or whose next round cannot be paid for."""
        label, report = trial.config["partition"], result[PAYLOAD]
        self._take_in(label, report)
        owed = sum(other is not trial and self._is_owed(other) for other in tune_controller.get_trials())
        over = report.metrics["finished"] or result[TIME] >= self._rule.longest() or self._left <= owed
        if over or label in self._ended:
            self._ended.add(label)
            return str(TrialScheduler.STOP)
        if math.isnan(result["standing"]):
            result = {**result, "standing": DIVERGED}
        return str(super().on_trial_result(tune_controller, trial, result))

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return what the scheduler chooses, as long as another round can be paid for; at the end, end all.

        A partition that never trained comes first: without a report of its own it could not be searched.
        """
        trials = tune_controller.get_trials()
        new = next((trial for trial in trials if trial.status == Trial.PAUSED and self._is_owed(trial)), None)
        if new is not None:
            return new
        chosen = super().choose_trial_to_run(tune_controller) if self._left > 0 else None
        if chosen is None and not any(map(self._is_owed, trials)):
            for trial in trials:
                if trial.status == Trial.PAUSED:
                    self._ended.add(trial.config["partition"])
                    tune_controller.stop_trial(trial)
        affordable = self._left > sum(map(self._is_owed, trials))
        return chosen if affordable or chosen is None or chosen.status == Trial.PENDING else None

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Note who was stopped before its end."""
        self._note_stopped(trial)
        super().on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Note who was stopped before its end; HyperBand calls this for every failure, too."""
        self._note_stopped(trial)
        super().on_trial_remove(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Give up a trial that failed for good; one that is started again is marked ERROR at this time."""
        if trial.status != Trial.ERROR:
            self._rule.drop(trial.config["partition"])
            self._hooks.on_give_up(trial.config["partition"])
        super().on_trial_error(tune_controller, trial)

    @property
    def _left(self) -> int:
        return self._rule.budget - self._rule.spent

    def _is_owed(self, trial: Any) -> bool:
        """Say whether a round of a trial is trained or surely will be, so that what is left has to pay for it."""
        new = trial.config["partition"] not in self._rounds
        return trial.status in (Trial.RUNNING, Trial.PENDING) or (trial.status == Trial.PAUSED and new)

    def _take_in(self, label: str, report: RoundReport) -> None:
        """Pay for a round and let what it proposes into the pool; of one done again, nothing."""
        number = report.metrics["round"]
        if number > self._rounds.get(label, 0):
            self._rounds[label] = number
            self._rule.spent += 1
            self._hooks.on_complete({label: report.entries})

    def _note_stopped(self, trial: Any) -> None:
        if trial.status != Trial.ERROR and trial.config["partition"] not in self._ended:
            self._rule.drop(trial.config["partition"])


class InTurn(OnPartitions):
    """What schedulers lack that never pause: with fewer slots than partitions the first would take the whole budget.

    A trial that may go on makes way for those with no more rounds than it has; so all reach a rung before any goes far
    beyond it.
    """

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Do as the scheduler decides, or pause in its place."""
        action = super().on_trial_result(tune_controller, trial, result)
        if action != TrialScheduler.CONTINUE:
            return action
        mine = self._rounds_of(trial)
        waiting = (other for other in tune_controller.get_trials() if other is not trial and _waits(other))
        return str(TrialScheduler.PAUSE) if any(self._rounds_of(other) <= mine for other in waiting) else action

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return the one with the fewest rounds, where one that is paused is to be chosen."""
        chosen = super().choose_trial_to_run(tune_controller)
        if chosen is None or chosen.status == Trial.PENDING:
            return chosen
        paused = (trial for trial in tune_controller.get_trials() if trial.status == Trial.PAUSED)
        return min(paused, key=self._rounds_of)

    def _rounds_of(self, trial: Any) -> int:
        return self._rounds.get(trial.config["partition"], 0)


class Asha(InTurn, ASHAScheduler):
    """ASHA on partitions."""


class HyperBand(OnPartitions, HyperBandScheduler):
    """HyperBand on partitions."""

    def _go_on_with(self, trial: Any) -> None:
        self._trial_info[trial][0].trials_to_unpause.add(trial)


class Median(InTurn, MedianStoppingRule):
    """The median rule on partitions."""


class Copies(OnPartitions):
    """What PBT and PB2 lack on partitions: a trial that exploits another becomes a partition, with a label of its own.

    It is a child of the one it copies, and has all of its space.
    """

    def watched_by(self, rule: TuneRule, hooks: Hooks, folder: RunFolder | None) -> None:
        """See `OnPartitions.watched_by`."""
        super().watched_by(rule, hooks, folder)
        self._copied: Counter[str] = Counter()

    def _get_new_config(self, trial: Any, trial_to_clone: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        config, operations = super()._get_new_config(trial, trial_to_clone)  # type: ignore[misc]
        assert isinstance(self._rule, PopulationRule)
        donor = trial_to_clone.config["partition"]
        original = donor.partition("~")[0]
        self._copied[original] += 1
        birth = Birth(f"{original}~{self._copied[original] + 1}", donor, trial.config["partition"])
        rounds = self._trial_state[trial_to_clone].last_result[TIME]  # type: ignore[attr-defined]
        job = self._hooks.on_birth(birth, rounds)
        factor = min(max(config["lr_factor"], self._rule.low), self._rule.high)
        return {**config, "partition": birth.child, "lr_factor": factor, "job": Carried(job)}, operations

    def _exploit(self, tune_controller: Any, trial: Any, trial_to_clone: Any) -> None:
        replaced = trial.config["partition"]
        keep_state(self._folder, replaced)
        super()._exploit(tune_controller, trial, trial_to_clone)  # type: ignore[misc]
        child = trial.config["partition"]
        # the donor goes on, and Tune deletes what the copy begins from, and may have to begin from again
        latest = trial.latest_checkpoint_result
        state = _TrainingResult(held(self._folder, child, latest).checkpoint, latest.metrics)
        trial.run_metadata.checkpoint_manager._latest_checkpoint_result = state
        self._rule.alive = tuple(child if label == replaced else label for label in self._rule.alive)


class Pbt(Copies, PopulationBasedTraining):
    """Population Based Training on partitions."""


class BanditPbt(Copies, PB2):
    """PB2 on partitions."""


def tune_scheduler(rule: TuneRule, hooks: Hooks, folder: RunFolder | None) -> OnPartitions:
    """Return the scheduler of Ray Tune that a rule stands for.

    Args:
        rule: Its options and the budget; `alive` says at the end who was not stopped.
        hooks: Told of what comes and who is born; there are no turns.
        folder: Where the states of replaced partitions are kept; None keeps none.

    Raises:
        RunError: The rule stands for none.
    """
    scheduler = _made(rule)
    scheduler.watched_by(rule, hooks, folder)
    return scheduler


def _made(rule: TuneRule) -> OnPartitions:
    aim: dict[str, Any] = {"metric": "standing", "mode": "max", "time_attr": TIME}
    if isinstance(rule, AshaRule):
        return Asha(**aim, max_t=rule.longest(), grace_period=rule.grace, reduction_factor=rule.reduction)
    if isinstance(rule, HyperbandRule):
        return HyperBand(**aim, max_t=rule.longest(), reduction_factor=rule.reduction)
    if isinstance(rule, MedianRule):
        return Median(**aim, grace_period=rule.grace, min_samples_required=rule.least)
    if isinstance(rule, PbtRule):
        return Pbt(
            **aim,
            perturbation_interval=rule.every,
            quantile_fraction=rule.quantile,
            resample_probability=rule.resample,
            hyperparam_mutations={"lr_factor": tune.loguniform(rule.low, rule.high)},
            log_config=False,
        )
    if isinstance(rule, Pb2Rule):
        return BanditPbt(
            **aim,
            perturbation_interval=rule.every,
            quantile_fraction=rule.quantile,
            hyperparam_bounds={"lr_factor": [rule.low, rule.high]},
            log_config=False,
        )
    raise RunError(f"no scheduler of Ray Tune is known for {type(rule).__name__}")


def _waits(trial: Any) -> bool:
    return trial.status in (Trial.PENDING, Trial.PAUSED)
