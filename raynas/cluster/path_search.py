"""The path search on Ray: a searcher asks; the supernets that survived, or the only one, score in parallel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING

from torch import Tensor

from raynas.cluster.plan import Plan
from raynas.cluster.resources import Resources
from raynas.cluster.scoring_service import ScoringService
from raynas.methods import Line
from raynas.search import SEARCHERS, PoolEntry
from raynas.search.found import Found
from raynas.streams import stream
from raynas.training.ledger import Ledger
from raynas.training.weights import Version

if TYPE_CHECKING:
    from ray import ObjectRef

    from raynas.data import ImageData

LEAST_SHARE = 4
"""An actor that would score fewer architectures than this costs more to start than it saves."""


def search_paths(
    plan: Plan,
    supernets: Mapping[Version, Mapping[str, Tensor]],
    data: ObjectRef[ImageData],
    pool: Sequence[PoolEntry],
    ledger: Ledger,
    lines: Mapping[str, Line],
) -> list[Found]:
    """Search the union of the supernets' spaces, each architecture scored by the supernet that owns it.

    Args:
        plan: The run's plan.
        supernets: The weights of the supernets that are searched.
        data: A reference to the images in the object store.
        pool: The candidate pool, best first: the search starts from it.
        ledger: Where time and images are booked.
        lines: By label, what makes a supernet's scores comparable with the others'; nothing where one is missing.

    Returns:
        Everything that was scored, in the order in which it was asked for.
    """
    versions = {version.label: version for version in supernets}
    settings = plan.config.search
    with ledger.span("startup"):
        service = ScoringService(
            {label: plan.supernets[label] for label in versions},
            plan.data,
            data,
            slots=max(1, min(ledger.slots, settings.budget // LEAST_SHARE)),
            resources=Resources.of(plan.config.ray),
            ledger=ledger,
        )
        for version, state in supernets.items():
            service.publish(version, state)
        service.wait()
    labels = tuple(versions)
    searcher = SEARCHERS.make(
        settings.name,
        plan.space,
        stream(plan.config.seed, "search"),
        list(dict.fromkeys(entry.architecture for entry in pool)),
        lambda architecture: plan.owner(architecture, labels) is not None,
        **settings.options,
    )
    found: list[Found] = []
    with closing(service):
        while len(found) < settings.budget:
            asked = searcher.ask()[: settings.budget - len(found)]
            if not asked:
                break
            owners = [str(plan.owner(architecture, labels)) for architecture in asked]
            scores = service.score_all([(versions[owner], a) for owner, a in zip(owners, asked, strict=True)])
            values = [
                lines.get(owner, Line())(score.value(plan.config.score.metric))
                for owner, score in zip(owners, scores, strict=True)
            ]
            searcher.tell(asked, values)
            for architecture, value, score, owner in zip(asked, values, scores, owners, strict=True):
                found.append(Found(len(found) + 1, architecture, value, score.loss, score.accuracy, owner))
    return found
