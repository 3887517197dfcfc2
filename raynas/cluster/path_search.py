"""The path search on Ray: a searcher asks; the supernets that survived, or the only one, score in parallel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raynas.cluster.plan import Plan
from raynas.cluster.scoring_actor import start_scorers
from raynas.search import SEARCHERS, PoolEntry
from raynas.search.found import Found
from raynas.spaces import Architecture
from raynas.streams import stream
from raynas.training.ledger import Ledger
from raynas.training.scoring import Score

LEAST_SHARE = 4
"""An actor that would score fewer architectures than this costs more to start than it saves."""


def search_paths(
    plan: Plan,
    states: Mapping[str, Mapping[str, Any]],
    data: object,
    pool: Sequence[PoolEntry],
    ledger: Ledger,
) -> list[Found]:
    """Search the union of the supernets' spaces, each architecture scored by the supernet that owns it.

    Args:
        plan: The run's plan.
        states: The workers' states of the supernets that are searched, by label.
        data: A reference to the images in the object store.
        pool: The candidate pool, best first: the search starts from it.
        ledger: Where time and images are booked.

    Returns:
        Everything that was scored, in the order in which it was asked for.
    """
    import ray

    survivors = tuple(states)
    settings = plan.config.search
    with ledger.span("startup"):
        scorers = start_scorers(
            plan.supernets,
            states,
            data,
            slots=max(1, min(ledger.slots, settings.budget // LEAST_SHARE)),
            cpus=plan.config.ray.cpus_per_trial,
        )
    searcher = SEARCHERS.make(
        settings.name,
        plan.space,
        stream(plan.config.seed, "search"),
        [entry.architecture for entry in pool],
        lambda architecture: plan.owner(architecture, survivors) is not None,
        **settings.options,
    )
    found: list[Found] = []
    while len(found) < settings.budget:
        asked = searcher.ask()[: settings.budget - len(found)]
        if not asked:
            break
        scored = _score(plan, scorers, asked, ledger)
        values = [score.value(plan.config.score.metric) for score, _ in scored]
        searcher.tell(asked, values)
        for architecture, value, (score, label) in zip(asked, values, scored, strict=True):
            found.append(Found(len(found) + 1, architecture, value, score.loss, score.accuracy, label))
    for scorer in dict.fromkeys(actor for actors in scorers.values() for actor in actors):
        ray.kill(scorer)
    return found


def _score(
    plan: Plan, scorers: Mapping[str, Sequence[Any]], asked: Sequence[Architecture], ledger: Ledger
) -> list[tuple[Score, str]]:
    """Return each architecture's score and scorer, in order; all actors work at the same time."""
    import ray

    owners = [str(plan.owner(architecture, tuple(scorers))) for architecture in asked]
    waiting = []
    for label, actors in scorers.items():
        mine = [a for a, owner in zip(asked, owners, strict=True) if owner == label]
        for i, actor in enumerate(actors):
            share = mine[i :: len(actors)]
            if share:
                waiting.append((share, actor.score.remote(label, share)))
    scores: dict[str, Score] = {}
    for share, reference in waiting:
        results, images, span = ray.get(reference)
        ledger.add([span], scored=images)
        scores.update({a.text: score for a, score in zip(share, results, strict=True)})
    return [(scores[a.text], owner) for a, owner in zip(asked, owners, strict=True)]
