"""BOHB for sweeps: a model of the settings that were trained longest, and early stopping by rungs.

Falkner et al., "BOHB: Robust and Efficient Hyperparameter Optimization at Scale" (ICML 2018): HyperBand or its
asynchronous kin stops the weak (``sweep.stop``), and new settings are drawn where a kernel density of the good ones is
high over that of the bad, with all keys modelled together. As Optuna's multivariate TPE has it, a trial that was
stopped counts as pruned, and of pruned ones those that came further, then those that were better, are the better ones.
Where we differ: one density over all budgets in that order, where the paper has one for the largest budget that has
enough trials; the released package (hpbandster), which Ray's TuneBOHB needs, is not maintained any more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import optuna
from ray.tune.search import Searcher

from raynas.settings import Range

STEP, OVER = "step", "over"
"""What a search is told beside the objectives: after how many steps, and whether the training had come to its end."""


class BohbSearch(Searcher):
    """Asks Optuna's multivariate TPE, and tells it of stopped trials as pruned ones.

    Args:
        ranges: What each key may be.
        metric: What is raised.
        seed: Of its draws.
        startup: Random settings at first.
        storage: Where the study is kept.
    """

    def __init__(
        self,
        ranges: Mapping[str, Range],
        metric: str,
        *,
        seed: int,
        startup: int,
        storage: optuna.storages.BaseStorage,
    ) -> None:
        super().__init__(metric=metric, mode="max")
        self._objective = metric
        self._distributions = {key: one.distribution() for key, one in ranges.items()}
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=startup, multivariate=True)
        self._study = optuna.create_study(direction="maximize", sampler=sampler, storage=storage, study_name="sweep")
        self._trials: dict[str, optuna.Trial] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        """Return the values of a new setting."""
        trial = self._trials[trial_id] = self._study.ask(self._distributions)
        return dict(trial.params)

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """Tell what came out: of a trial that was stopped, its measure at the step where it was."""
        trial = self._trials.pop(trial_id)
        if error or result is None:
            self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        elif result[OVER]:
            self._study.tell(trial, float(result[self._objective]))
        else:
            trial.report(float(result[self._objective]), int(result[STEP]))
            self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: the sweep's journal has it all."""

    def restore(self, checkpoint_path: str) -> None:
        """Never asked for: a sweep is played again from its journal."""
        raise NotImplementedError(checkpoint_path)
