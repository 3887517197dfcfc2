"""The path search on Ray: a searcher asks; the supernets that survived, or the only one, score in parallel."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from raynas.cluster.kept_scores import KeptScores
from raynas.cluster.resources import Resources
from raynas.cluster.scoring_service import ScoringService
from raynas.config import Config, SearchSettings
from raynas.data import ImageData
from raynas.errors import ConfigError
from raynas.methods import Line
from raynas.search import SCORE, SEARCHERS, Constraints, Cost, Found, Outcome, Searcher, explore
from raynas.search.constraints import DRAWS, feasible_architectures
from raynas.spaces import Architecture, Space
from raynas.streams import stream
from raynas.training.costs import MEASURED, run_cost
from raynas.training.job import SupernetJob
from raynas.training.ledger import Ledger
from raynas.training.weights import Version
from raynas.truth import truth

if TYPE_CHECKING:
    from ray import ObjectRef

LEAST_SHARE = 4
"""An actor that would score fewer architectures than this costs more to start than it saves."""

_MEASURED_DRAWS = 30
"""Architectures drawn to see whether limits can be satisfied, where each takes a measurement."""


@dataclass(frozen=True)
class Supernets:
    """What is searched: supernets with their weights, which together hold the space or what is left of it.

    Architectures that are equal under shared weights have the same score: once one was scored, the others may not be
    proposed any more. (That no function is proposed twice is the searchers' business; these are more.)

    Args:
        jobs: By label.
        states: The weights of each, by its version: its ``state_dict()``.
        owner: Says which of the labels scores an architecture; None for one that no supernet holds.
        lines: By label, what makes a supernet's scores comparable with the others'; nothing where one is missing.
    """

    jobs: Mapping[str, SupernetJob]
    states: Mapping[Version, Mapping[str, Tensor]]
    owner: Callable[[Architecture], str | None]
    lines: Mapping[str, Line]
    _scored: dict[tuple[str, Hashable], Architecture] = field(default_factory=dict)
    _forms: dict[str, Callable[[Architecture], Hashable]] = field(default_factory=dict)

    def may_be_proposed(self, architecture: Architecture) -> bool:
        """Say whether a supernet holds it, and has scored no other that is equal under its weights."""
        label = self.owner(architecture)
        if label is None:
            return False
        return self._scored.get((label, self._form(label, architecture)), architecture) == architecture

    def scored(self, label: str, architecture: Architecture) -> None:
        """Note what a supernet has scored."""
        self._scored.setdefault((label, self._form(label, architecture)), architecture)

    def _form(self, label: str, architecture: Architecture) -> Hashable:
        if label not in self._forms:
            job = self.jobs[label]
            self._forms[label] = functools.partial(job.parts().sharing.shared_form, job.space)
        return self._forms[label](architecture)


def search_costs(config: Config, settings: SearchSettings, whole: Space, data: ImageData) -> dict[str, Cost]:
    """Return what gives each cost that a search names among its objectives or constraints."""
    names = dict.fromkeys([*(name for name in settings.objectives if name != SCORE), *settings.constraints])
    source = settings.latency or (None if config.truth is None else config.truth.name)
    table = None if source is None else truth(source)
    shape = {"input_shape": data.input_shape, "classes": data.classes}
    return {name: run_cost(name, whole, config.network, shape, table) for name in names}


def check_constraints(config: Config, settings: SearchSettings, whole: Space, data: ImageData) -> None:
    """Refuse constraints that no architecture satisfies, as far as can be found.

    Raises:
        ConfigError: With what architectures have.
    """
    if settings.constraints:
        constraints = Constraints(settings.constraints, search_costs(config, settings, whole, data))
        feasible_architectures(whole, constraints, np.random.default_rng(0), _draws(settings))


def make_searcher(
    settings: SearchSettings,
    whole: Space,
    costs: Mapping[str, Cost],
    supernets: Supernets,
    initial: Sequence[Architecture],
    seed: int,
    clock: Callable[[], float] = time.monotonic,
) -> Searcher:
    """Return the searcher of the settings, kept to what satisfies the constraints and is owned by a supernet.

    Where it takes a measurement to know a cost, none is made after ``settings.seconds``: what was not measured by then
    is not proposed.

    Args:
        settings: The search's settings.
        whole: The whole space.
        costs: See `search_costs`.
        supernets: What is searched.
        initial: Architectures to begin with, best first.
        seed: The run's seed.
        clock: Tells the time in seconds.

    Raises:
        ConfigError: Nothing that the supernets hold satisfies the constraints.
    """
    constraints = Constraints(settings.constraints, costs)
    limited = MEASURED in settings.constraints and settings.seconds is not None
    ends = clock() + (settings.seconds or 0.0)

    def feasible(architecture: Architecture) -> bool:
        late = limited and clock() > ends
        return not late and supernets.may_be_proposed(architecture) and constraints(architecture)

    start = list(dict.fromkeys(initial))
    if settings.constraints and not any(map(feasible, start)):
        start.append(_feasible_start(supernets, constraints, stream(seed, "search", "start"), _draws(settings)))
    return SEARCHERS.make(settings.name, whole, stream(seed, "search"), start, feasible, **settings.options)


def _feasible_start(
    supernets: Supernets, constraints: Constraints, rng: np.random.Generator, draws: int
) -> Architecture:
    """Return an architecture that obeys the constraints, sought in one supernet's space after another.

    Raises:
        ConfigError: None was found; it says what each has.
    """
    problems = []
    for label in dict.fromkeys(version.label for version in supernets.states):
        space = supernets.jobs[label].space
        try:
            held = [a for a in feasible_architectures(space, constraints, rng, draws) if supernets.owner(a) is not None]
        except ConfigError as error:
            problems += [f"{label}: {problem}" for problem in error.problems]
            continue
        if held:
            return held[0]
    raise ConfigError(problems, "the constraints of the search, among what the trained supernets hold")


def _draws(settings: SearchSettings) -> int:
    return _MEASURED_DRAWS if MEASURED in settings.constraints else DRAWS


def search_paths(
    config: Config,
    settings: SearchSettings,
    supernets: Supernets,
    searcher: Searcher,
    costs: Mapping[str, Cost],
    *,
    data: ImageData,
    stored: ObjectRef[ImageData],
    ledger: Ledger,
    kept: Path | None = None,
) -> list[Found]:
    """Search the union of the supernets' spaces, each architecture scored by the supernet that owns it.

    Args:
        config: The run's configuration.
        settings: The search's.
        supernets: What is searched.
        searcher: What asks; see `make_searcher`.
        costs: See `search_costs`.
        data: The images.
        stored: A reference to them in the object store.
        ledger: Where time and images are booked.
        kept: The file where scores are kept as they are measured; those that it holds are not measured again.

    Returns:
        Everything that was scored, in the order in which it was asked for.
    """
    known = KeptScores(kept, ledger)
    versions = {version.label: version for version in supernets.states}
    with ledger.span("startup"):
        service = ScoringService(
            {label: supernets.jobs[label] for label in versions},
            data,
            stored,
            slots=max(1, min(ledger.slots, settings.budget // LEAST_SHARE)),
            resources=Resources.of(config.ray),
            ledger=ledger,
        )
        for version, state in supernets.states.items():
            service.publish(version, state)
        service.wait()

    def evaluate(asked: Sequence[Architecture], fidelity: float) -> list[Outcome]:
        owners = [str(supernets.owner(architecture)) for architecture in asked]
        owned = list(zip(owners, asked, strict=True))
        missing = [(o, a) for o, a in owned if (versions[o], a, fidelity) not in known]
        scored = ledger.images_scored
        measured = service.score_all([(versions[owner], a) for owner, a in missing], fidelity) if missing else []
        known.keep([(versions[o], a) for o, a in missing], fidelity, measured, ledger.images_scored - scored)
        outcomes = []
        for owner, architecture in owned:
            score = known.get(versions[owner], architecture, fidelity)
            value = supernets.lines.get(owner, Line())(score.value(config.score.metric))
            outcomes.append(Outcome(value, score.loss, score.accuracy, owner))
        for owner, architecture in zip(owners, asked, strict=True):
            supernets.scored(owner, architecture)
        return outcomes

    with closing(service), closing(known):
        return explore(
            searcher,
            evaluate,
            budget=settings.budget,
            seconds=settings.seconds,
            objectives=settings.objectives,
            costs=costs,
        )
