"""The path search on Ray: a searcher asks, the supernets that survived score in parallel."""

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


def search_paths(
    plan: Plan,
    states: Mapping[str, Mapping[str, Any]],
    data: object,
    pool: Sequence[PoolEntry],
    ledger: Ledger,
) -> list[Found]:
    """Search the union of the surviving partitions, each architecture scored by the supernet that owns it.

    Args:
        plan: The run's plan.
        states: The surviving workers' states, by label.
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
        scorers = start_scorers(plan.jobs, states, data, slots=ledger.slots, cpus=plan.config.ray.cpus_per_trial)
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
    for scorer in dict.fromkeys(scorers.values()):
        ray.kill(scorer)
    return found


def _score(
    plan: Plan, scorers: Mapping[str, Any], asked: Sequence[Architecture], ledger: Ledger
) -> list[tuple[Score, str]]:
    """Return each architecture's score and scorer, in order; the supernets work at the same time."""
    import ray

    owners = [str(plan.owner(architecture, tuple(scorers))) for architecture in asked]
    shares = {label: [a for a, owner in zip(asked, owners, strict=True) if owner == label] for label in scorers}
    waiting = {label: scorers[label].score.remote(label, share) for label, share in shares.items() if share}
    scores: dict[str, Score] = {}
    for label, reference in waiting.items():
        results, images, span = ray.get(reference)
        ledger.add([span], scored=images)
        scores.update({a.text: score for a, score in zip(shares[label], results, strict=True)})
    return [(scores[a.text], owner) for a, owner in zip(asked, owners, strict=True)]
