"""`OptunaSearcher`: what the path searchers through Optuna's samplers share: a study that is asked and told."""

from __future__ import annotations

import math
import pickle
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from raynas.search.optuna_coding import Categories, Coding
from raynas.search.searcher import Searcher
from raynas.spaces import Architecture

if TYPE_CHECKING:
    import optuna
    from optuna.distributions import BaseDistribution

_NEIGHBOURS = 10
"""Tries for a new neighbour of a proposal that is not new."""


class OptunaSearcher(Searcher):
    """Asks an Optuna study for architectures, and tells it their values.

    A proposal that was evaluated before is told its value again, at no cost, and the sampler is asked anew. Where the
    encoding itself was told before, the trial fails instead, so that no copies of one architecture crowd out what the
    sampler learns from; it does so when the ask ends, as TPE avoids what has no outcome yet. A proposal that breaks the
    validity rule or is infeasible is a pruned trial: to TPE worse than all others, to the other samplers nothing. After
    `attempts` such proposals in a row the study is handed a new neighbour of one of them, which keeps more of what was
    learned than a random draw; that is the last resort. Initial architectures are handed over first. A value that is
    not finite is a failed trial.

    A sampler of several objectives has to know how many they are: its study begins with the first values told, and
    what it is asked before is drawn at random, as these samplers begin anyway.

    Args:
        args: As for `Searcher`.
        batch: Architectures an ask.
    """

    coding: type[Coding] = Categories
    """How architectures are written for the sampler."""
    attempts = 5
    """Proposals of the sampler for each wanted architecture, at most."""

    def __init__(self, *args: Any, batch: int) -> None:
        super().__init__(*args)
        self.batch = batch
        self._coding = self.coding(self.space)
        self._study: optuna.Study | None = None
        self._known: dict[str, BaseDistribution] = {}  # the parameters, once there is a study
        self._asked: list[int] = []  # the trials of what was asked for last
        self._rejected: list[int] = []  # trials of this ask that are to fail
        self._values: dict[str, tuple[float, ...]] = {}  # what the study was told, by canonical form
        self._written: set[str] = set()  # encodings that the study was told, as texts

    @abstractmethod
    def _sampler(self, known: dict[str, BaseDistribution], seed: int, objectives: int) -> optuna.samplers.BaseSampler:
        """Return the sampler of parameters with these distributions."""

    def ask(self) -> list[Architecture]:
        """Return the initial architectures, then what the sampler proposes."""
        batch = self._next_initial(self.batch)
        if self._study is None and self.multi_objective:
            return batch + self._draw(self.batch - len(batch))
        study = self._study or self._begin(1)
        self._asked = [self._hand_over(study, architecture) for architecture in batch]
        while len(batch) < self.batch:
            proposed = self._propose(study)
            if proposed is None:
                break
            batch.append(proposed[0])
            self._asked.append(proposed[1])
        for trial in self._rejected:
            self._drop(study, trial, "FAIL")
        self._rejected = []
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Return the searcher's state and its study, with the sampler and all trials, as bytes."""
        study = None if self._study is None else pickle.dumps(self._study)
        return {**super().state_dict(), "study": study, "values": dict(self._values), "written": sorted(self._written)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        super().load_state_dict(state)
        self._values, self._written = dict(state["values"]), set(state["written"])
        self._study = None
        if state["study"] is not None:
            from raynas.search.optuna_samplers import distributions

            self._study, self._known = pickle.loads(state["study"]), distributions(self._coding.parameters)

    def _told(self, evaluated: Sequence[tuple[Architecture, tuple[float, ...]]]) -> None:
        """Tell the study; begin it first where the number of objectives was not known before."""
        study = self._study
        if study is None:
            study = self._begin(len(evaluated[0][1]) if self.multi_objective else 1)
            self._asked = [self._hand_over(study, architecture) for architecture, _ in evaluated]
        for (architecture, vector), trial in zip(evaluated, self._asked, strict=False):  # a budget may have ended
            values = vector if self.multi_objective else vector[:1]
            if all(map(math.isfinite, values)):
                self._values[self.space.canonical(architecture).text] = values
                self._written.add(architecture.text)
                study.tell(trial, values)
            else:
                self._drop(study, trial, "FAIL")

    def _begin(self, objectives: int) -> optuna.Study:
        from raynas.search.optuna_samplers import distributions, new_study, quiet

        with quiet():
            self._known = distributions(self._coding.parameters)
            sampler = self._sampler(self._known, int(self.rng.integers(2**31)), objectives)
            self._study = new_study(sampler, objectives)
        return self._study

    def _propose(self, study: optuna.Study) -> tuple[Architecture, int] | None:
        """Return a new architecture and its trial; None where neither the sampler nor chance finds one."""
        known: list[Architecture] = []
        for _ in range(self.attempts):
            trial = self._next_trial(study)
            options = self._coding.read(trial.params)
            if not self.space.is_valid(options):
                self._drop(study, trial.number, "PRUNED")
                continue
            architecture = self.space.make(options)
            if self._accept(architecture):
                return architecture, trial.number
            self._reject(study, architecture, trial.number)
            known.append(architecture)
        found = self._collect(lambda: self._neighbour(self._one_of(known)), 1, _NEIGHBOURS) if known else []
        found = found or self._draw(1)
        return (found[0], self._hand_over(study, found[0])) if found else None

    def _reject(self, study: optuna.Study, architecture: Architecture, trial: int) -> None:
        """Tell what is to be told of a valid proposal that is infeasible or not new."""
        form = self.space.canonical(architecture).text
        if form not in self._seen:
            self._drop(study, trial, "PRUNED")
        elif form in self._values and not (self._coding.one_each and architecture.text in self._written):
            self._written.add(architecture.text)
            study.tell(trial, self._values[form])
        else:
            self._rejected.append(trial)

    def _hand_over(self, study: optuna.Study, architecture: Architecture) -> int:
        """Return the trial of an architecture that the sampler did not propose."""
        study.enqueue_trial(self._coding.write(architecture, self.rng))
        return self._next_trial(study).number

    def _next_trial(self, study: optuna.Study) -> optuna.Trial:
        from raynas.search.optuna_samplers import quiet

        with quiet():
            return study.ask(self._known)

    def _drop(self, study: optuna.Study, trial: int, state: str) -> None:
        from raynas.search.optuna_samplers import TrialState

        study.tell(trial, state=TrialState[state])
