"""The Tune schedulers of a sweep: who is stopped early. Ray's own, and successive halving over known settings.

Controls are never stopped: what is compared with them needs them to the end. Stops are noted in the sweep's journal;
a sweep that is played again stops the same trials at the same steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ray import tune
from ray.tune.experiment import Trial
from ray.tune.schedulers import (
    ASHAScheduler,
    FIFOScheduler,
    HyperBandScheduler,
    MedianStoppingRule,
    PopulationBasedTraining,
    TrialScheduler,
)
from ray.tune.schedulers.pb2 import PB2

from raynas.cluster.setting_trial import NAME, PAYLOAD
from raynas.cluster.sweep_journal import SweepJournal
from raynas.cluster.sweep_plan import SweepPlan
from raynas.settings import Choices, HalvingRule, Range

TIME = "training_iteration"
_NEVER = 10**6
"""A step that no trial reaches: trials come to their ends by themselves, which need not be the same."""


class OnSettings(TrialScheduler):
    """What each scheduler lacks, as a base in front of it: controls go on, and stops are remembered."""

    remembers = True
    """Whether a stop of before is carried out as it was; not where trials wait for each other, and decide it again."""

    def watched_by(self, controls: frozenset[str], journal: SweepJournal) -> None:
        """Say who is never stopped, and where stops are noted."""
        self._controls, self._journal = controls, journal

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Take a trial in, but for controls."""
        if trial.config[NAME] not in self._controls:
            super().on_trial_add(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Pass a report on, and note a stop."""
        name, report = str(trial.config[NAME]), result[PAYLOAD]
        if name in self._controls:
            return str(TrialScheduler.CONTINUE)
        decision = str(super().on_trial_result(tune_controller, trial, result))
        if self.remembers and report.step <= self._journal.decided_at(name):
            if self._journal.stopped_at(name) == report.step:
                return str(TrialScheduler.STOP)
            self._pardon(trial)
            return str(TrialScheduler.CONTINUE)
        if decision == TrialScheduler.STOP:
            self._journal.stopped(name, report.step)
        else:
            self._journal.went_on(name, report.step)
        return decision

    def _pardon(self, trial: Trial) -> None:
        """Forget that a trial was stopped: reports came in another order before, and it was not."""

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Pass the end of a trial on, but for controls."""
        if trial.config[NAME] not in self._controls:
            super().on_trial_complete(tune_controller, trial, result)

    def on_trial_remove(self, tune_controller: Any, trial: Trial) -> None:
        """Pass the loss of a trial on, but for controls."""
        if trial.config[NAME] not in self._controls:
            super().on_trial_remove(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Pass a failure on, but for controls."""
        if trial.config[NAME] not in self._controls:
            super().on_trial_error(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Return a control that waits, or what the scheduler chooses."""
        for trial in tune_controller.get_trials():
            if trial.config[NAME] in self._controls and trial.status in (Trial.PENDING, Trial.PAUSED):
                return trial
        return super().choose_trial_to_run(tune_controller)


class Everyone(OnSettings, FIFOScheduler):
    """Stops nobody."""


class Asha(OnSettings, ASHAScheduler):
    """Ray Tune's ASHA."""


class Median(OnSettings, MedianStoppingRule):
    """Ray Tune's median rule."""

    def _pardon(self, trial: Trial) -> None:
        self._stopped_trials.discard(trial)


class Hyperband(OnSettings, HyperBandScheduler):
    """Ray Tune's HyperBand, whose brackets hold exactly whom they are to hold.

    Ray's halves a bracket as soon as those who are there have reported, and fills it up again when some are over. A
    search names settings a few at a time; so of those each would be alone for a while, and the best.

    Args:
        total: How many settings come, without the controls.
        aim: As for Ray's.
    """

    remembers = False

    def __init__(self, total: int, **aim: Any) -> None:
        super().__init__(**aim)
        self._total = total

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Put a trial into the bracket that is being filled, or into the next."""
        bracket: Any = self._state["bracket"]
        if bracket is not None and len(bracket._all_trials) >= bracket._n0:
            self._state["bracket"] = None
        super().on_trial_add(tune_controller, trial)

    def _process_bracket(self, tune_controller: Any, bracket: Any) -> str:
        if len(bracket._all_trials) < bracket._n0 and len(self._trial_info) < self._total:
            return str(TrialScheduler.PAUSE)
        return str(super()._process_bracket(tune_controller, bracket))


class Halving(OnSettings, FIFOScheduler):
    """Successive halving as `HalvingRule` decides it: who reaches a rung waits there for all others.

    Args:
        rule: Decides.
    """

    remembers = False

    def __init__(self, rule: HalvingRule) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._rule = rule
        self._measure = ""
        self._waiting: set[str] = set()

    def on_trial_result(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> str:
        """Let a trial that reaches a rung wait there; when the last has, stop the weak and let the others go on."""
        name, report = str(trial.config[NAME]), result[PAYLOAD]
        if name in self._controls or not self._rule.tell(name, report.step, result[self._measure]):
            return str(TrialScheduler.CONTINUE)
        self._waiting.add(name)
        stopped = self._carry_out(tune_controller, trial)
        if name in stopped:
            self._journal.stopped(name, report.step)
            return str(TrialScheduler.STOP)
        return str(TrialScheduler.PAUSE if name in self._waiting else TrialScheduler.CONTINUE)

    def told_by(self, metric: str) -> None:
        """Say which key of a report counts."""
        self._measure = metric

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """Return a trial that has not begun, or one that may go on."""
        trials = tune_controller.get_trials()
        able = [trial for trial in trials if trial.status in (Trial.PAUSED, Trial.PENDING)]
        going_on = [trial for trial in able if trial.config[NAME] not in self._waiting]
        return min(going_on, key=lambda trial: trial.status != Trial.PAUSED, default=None)

    def on_trial_complete(self, tune_controller: Any, trial: Trial, result: dict[str, Any]) -> None:
        """Wait no longer for a trial that came to its end before others did to theirs."""
        self._rule.drop(trial.config[NAME])
        self._carry_out(tune_controller, None)

    def on_trial_error(self, tune_controller: Any, trial: Trial) -> None:
        """Wait no longer for a trial that failed for good; one that is started again is marked ERROR at this time."""
        if trial.status != Trial.ERROR:
            self._rule.drop(trial.config[NAME])
            self._carry_out(tune_controller, None)

    def _carry_out(self, tune_controller: Any, last: Trial | None) -> list[str]:
        """Stop those whom the rule stops, but for the trial that Tune is asking about, and return their names."""
        stopped = self._rule.decide()
        if stopped is None:
            return []
        self._waiting = set()
        for trial in tune_controller.get_trials():
            name = trial.config[NAME]
            if name in stopped and trial is not last and not trial.is_finished():
                self._journal.stopped(name, int(trial.last_result[TIME]))
                tune_controller.stop_trial(trial)
        return stopped


class Copying(OnSettings):
    """What Tune's two schedulers have in common that let weak trials go on as copies of strong ones.

    The copy has other values of what is swept, within its range: these are real parts of a running training.
    """

    remembers = False

    def bounded_by(self, ranges: Mapping[str, Range]) -> None:
        """Say within which ranges values stay."""
        self._ranges = dict(ranges)

    def _get_new_config(self, trial: Trial, trial_to_clone: Trial) -> tuple[dict[str, Any], dict[str, Any]]:
        config, operations = super()._get_new_config(trial, trial_to_clone)  # type: ignore[misc]
        values = {}
        for key, one in self._ranges.items():
            low, high = one.examples[0], one.examples[-1]
            values[key] = one.value_of(min(max(config[key], low), high))
        return {**config, **values, NAME: trial.config[NAME]}, operations


class Pbt(Copying, PopulationBasedTraining):
    """Ray Tune's Population Based Training."""


class BanditPbt(Copying, PB2):
    """Ray Tune's PB2."""


def _domain(one: Range) -> Any:
    """Return a range as Tune draws from it."""
    if isinstance(one, Choices):
        return list(one.options)
    if one.whole:
        return (
            tune.lograndint(int(one.low), int(one.high) + 1)
            if one.log
            else tune.randint(int(one.low), int(one.high) + 1)
        )
    return tune.loguniform(one.low, one.high) if one.log else tune.uniform(one.low, one.high)


def sweep_scheduler(plan: SweepPlan, journal: SweepJournal) -> OnSettings:
    """Return the scheduler that a sweep asks for."""
    stop, metric = plan.sweep.stop, plan.sweep.metric
    aim: dict[str, Any] = {"time_attr": TIME, "metric": metric, "mode": "max"}
    scheduler: OnSettings
    if stop is None:
        scheduler = Everyone()  # type: ignore[no-untyped-call]
    elif stop.name == "halving":
        names = [setting.name for setting in plan.known or ()]
        halving = Halving(HalvingRule(names, plan.steps, grace=stop.grace, reduction=stop.reduction))
        halving.told_by(metric)
        scheduler = halving
    elif stop.name == "asha":
        scheduler = Asha(**aim, max_t=_NEVER, grace_period=stop.grace, reduction_factor=stop.reduction)
    elif stop.name == "hyperband":
        total = plan.trials - len(plan.controls)
        ends = {"max_t": plan.steps, "stop_last_trials": False}
        scheduler = Hyperband(total, **aim, **ends, reduction_factor=stop.reduction)
    elif stop.name == "pbt":
        scheduler = Pbt(
            **aim,
            perturbation_interval=stop.every,
            quantile_fraction=stop.quantile,
            hyperparam_mutations={key: _domain(one) for key, one in plan.sweep.ranges.items()},
            log_config=False,
        )
    elif stop.name == "pb2":
        scheduler = BanditPbt(
            **aim,
            perturbation_interval=stop.every,
            quantile_fraction=stop.quantile,
            hyperparam_bounds={key: list(one.examples) for key, one in plan.sweep.ranges.items()},
            log_config=False,
        )
    else:
        scheduler = Median(**aim, grace_period=stop.grace, min_samples_required=stop.least)
    if isinstance(scheduler, Copying):
        scheduler.bounded_by(plan.sweep.ranges)
    scheduler.watched_by(frozenset(setting.name for setting in plan.controls), journal)
    return scheduler
