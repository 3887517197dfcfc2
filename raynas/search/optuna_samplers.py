"""What raynas needs of Optuna. Imported when a searcher begins, not before: Optuna takes long to import."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIIISampler, QMCSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

__all__ = [
    "GPSampler",
    "KnownCmaEs",
    "KnownQmc",
    "NSGAIIISampler",
    "TPESampler",
    "TrialState",
    "distributions",
    "new_study",
    "quiet",
]


def distributions(parameters: Mapping[str, tuple[str, ...] | None]) -> dict[str, BaseDistribution]:
    """Return the distribution of each parameter: a category, or a number in [0, 1] where there are no options."""
    return {
        name: FloatDistribution(0.0, 1.0) if options is None else CategoricalDistribution(options)
        for name, options in parameters.items()
    }


@contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna's information and warnings (what is experimental, what is slow) from the user."""
    optuna.logging.set_verbosity(max(optuna.logging.get_verbosity(), optuna.logging.WARNING))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def new_study(sampler: BaseSampler, objectives: int) -> optuna.Study:
    """Return an empty study, held in memory, of so many objectives that are all maximized."""
    return optuna.create_study(sampler=sampler, directions=["maximize"] * objectives)


class KnownCmaEs(CmaEsSampler):
    """CMA-ES that knows the parameters from the first trial on; Optuna's draws until one is complete.

    Args:
        known: The parameters' distributions.
        options: As for `CmaEsSampler`.
    """

    def __init__(self, known: dict[str, BaseDistribution], **options: Any) -> None:
        super().__init__(n_startup_trials=0, warn_independent_sampling=False, **options)
        self._known = known

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return all parameters."""
        return self._known


class KnownQmc(QMCSampler):
    """A quasi-random sequence that knows the parameters from the first trial on; Optuna's draws until one is complete.

    Args:
        known: The parameters' distributions.
        options: As for `QMCSampler`.
    """

    def __init__(self, known: dict[str, BaseDistribution], **options: Any) -> None:
        super().__init__(warn_independent_sampling=False, warn_asynchronous_seeding=False, **options)
        self._known = known

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return all parameters."""
        return self._known
