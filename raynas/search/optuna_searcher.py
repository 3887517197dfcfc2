"""Path searchers by Optuna's samplers: TPE, CMA-ES, Gaussian process, NSGA-III, and a quasi-random sequence.

What they share is in `raynas.search.optuna_base`. Settings that are no option here are Optuna's defaults. Papers: TPE,
Bergstra et al. (NeurIPS 2011), of several objectives Ozaki et al. (GECCO 2020); CMA-ES, Hansen and Ostermeier (2001);
NSGA-III, Deb and Jain (2014); the sequence is Sobol's (1967), scrambled.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from raynas.search.optuna_base import OptunaSearcher
from raynas.search.optuna_coding import Largest, Shares
from raynas.search.searcher import SEARCHERS

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.samplers import BaseSampler

_Known = dict[str, "BaseDistribution"]


@SEARCHERS.register("tpe")
class TpeSearcher(OptunaSearcher):
    """Tree-structured Parzen estimator: densities of good and of bad architectures (Optuna's TPESampler).

    With one objective the density is of all decisions together, with several one of each decision. What of a batch has
    no value yet counts as bad, so that a batch spreads.

    Args:
        args: As for `Searcher`.
        batch: Architectures an ask: the fewer, the more each is based on.
        startup: Evaluations before the densities are used; until then draws are random.
        candidates: Draws from the good density, of which the best by the ratio is proposed.
    """

    multi_objective = True

    def __init__(
        self,
        *args: Any,
        batch: Annotated[int, Field(ge=1)] = 10,
        startup: Annotated[int, Field(ge=1)] = 20,
        candidates: Annotated[int, Field(ge=1)] = 24,
    ) -> None:
        super().__init__(*args, batch=batch)
        self.startup, self.candidates = startup, candidates

    def _sampler(self, known: _Known, seed: int, objectives: int) -> BaseSampler:
        from raynas.search.optuna_samplers import TPESampler

        return TPESampler(n_startup_trials=self.startup, n_ei_candidates=self.candidates, constant_liar=True, seed=seed)


@SEARCHERS.register("cmaes")
class CmaEsSearcher(OptunaSearcher):
    """CMA-ES over one number in [0, 1] for each option of each decision; the largest wins (Optuna's CmaEsSampler).

    The sampler has no categories: left with them it would draw at random. One number a decision would give the options
    an order that they do not have; a number an option makes all equally near, and the mean of the distribution says how
    much each is liked.

    Args:
        args: As for `Searcher`.
        population: Architectures a generation, which is an ask.
        separable: Learn a variance for each number, but no covariances.
    """

    coding = Largest

    def __init__(self, *args: Any, population: Annotated[int, Field(ge=4)] = 20, separable: bool = False) -> None:
        super().__init__(*args, batch=population)
        self.separable = separable

    def _sampler(self, known: _Known, seed: int, objectives: int) -> BaseSampler:
        from raynas.search.optuna_samplers import KnownCmaEs

        return KnownCmaEs(known, popsize=self.batch, use_separable_cma=self.separable, seed=seed)


@SEARCHERS.register("gp")
class GpSearcher(OptunaSearcher):
    """Gaussian process with expected improvement (Optuna's GPSampler); a good part of a second a proposal.

    For where an evaluation costs much more than that. It looks at the score only, and is asked twice at most for each
    architecture, as an ask is what costs.

    Args:
        args: As for `Searcher`.
        batch: Architectures an ask: the fewer, the more each is based on.
        startup: Evaluations before the process is fitted; until then draws are random.
    """

    attempts = 2

    def __init__(
        self, *args: Any, batch: Annotated[int, Field(ge=1)] = 10, startup: Annotated[int, Field(ge=1)] = 20
    ) -> None:
        super().__init__(*args, batch=batch)
        self.startup = startup

    def _sampler(self, known: _Known, seed: int, objectives: int) -> BaseSampler:
        from raynas.search.optuna_samplers import GPSampler

        return GPSampler(n_startup_trials=self.startup, warn_independent_sampling=False, seed=seed)


@SEARCHERS.register("nsga3")
class Nsga3Searcher(OptunaSearcher):
    """NSGA-III: evolution towards reference points spread over all trade-offs (Optuna's NSGAIIISampler).

    There are as many reference points as the population has room for, as in the paper (Optuna's default is a few).

    Args:
        args: As for `Searcher`.
        population: Architectures a generation, which is an ask.
        crossover_probability: The chance of a child to have two parents.
        mutate_probability: The chance of each decision to be drawn anew; None for one decision a child on average.
    """

    multi_objective = True

    def __init__(
        self,
        *args: Any,
        population: Annotated[int, Field(ge=2)] = 50,
        crossover_probability: Annotated[float, Field(ge=0, le=1)] = 0.9,
        mutate_probability: Annotated[float | None, Field(gt=0, le=1)] = None,
    ) -> None:
        super().__init__(*args, batch=population)
        self.crossover_probability, self.mutate_probability = crossover_probability, mutate_probability

    def _sampler(self, known: _Known, seed: int, objectives: int) -> BaseSampler:
        from raynas.search.optuna_samplers import NSGAIIISampler

        return NSGAIIISampler(
            population_size=self.batch,
            crossover_prob=self.crossover_probability,
            mutation_prob=self.mutate_probability,
            dividing_parameter=divisions(objectives, self.batch),
            seed=seed,
        )


@SEARCHERS.register("qmc")
class QmcSearcher(OptunaSearcher):
    """A scrambled Sobol sequence over the decisions (Optuna's QMCSampler): more even than random; it learns nothing.

    Each decision is a number in [0, 1], cut in equal shares.

    Args:
        args: As for `Searcher`.
        batch: Architectures an ask.
    """

    coding = Shares

    def __init__(self, *args: Any, batch: Annotated[int, Field(ge=1)] = 50) -> None:
        super().__init__(*args, batch=batch)

    def _sampler(self, known: _Known, seed: int, objectives: int) -> BaseSampler:
        from raynas.search.optuna_samplers import KnownQmc

        return KnownQmc(known, qmc_type="sobol", scramble=True, seed=seed)


def divisions(objectives: int, population: int) -> int:
    """Return into how many parts each objective is cut, so that there are at most `population` reference points.

    (Das and Dennis: p parts of K objectives give C(K + p - 1, p) points.) At least one part.
    """
    parts = 1
    while objectives > 1 and math.comb(objectives + parts, parts + 1) <= population:
        parts += 1
    return parts
