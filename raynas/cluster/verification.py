"""What a search found, trained stand-alone to be sure, as Ray tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from raynas.cluster.resources import Resources
from raynas.cluster.standalone_tasks import train_all
from raynas.config import VerifySettings
from raynas.report.tables import Verified
from raynas.report.text import training_progress
from raynas.search import Found, best_found
from raynas.spaces import Space
from raynas.training.ledger import Ledger
from raynas.training.standalone import StandaloneRecipe
from raynas.truth import TruthTable

if TYPE_CHECKING:
    from ray import ObjectRef

    from raynas.data import ImageData

FIRST_SEED = 1_000
"""Verification has seeds of its own: with those of a truth table it would only repeat the table's trainings."""


def verify(
    space: Space,
    settings: VerifySettings,
    found: Sequence[Found],
    *,
    truth: TruthTable | None,
    stored: ObjectRef[ImageData],
    resources: Resources,
    ledger: Ledger,
    console: Console,
) -> list[Verified]:
    """Train the best architectures of a search stand-alone, each with several seeds; return them, best score first.

    Args:
        space: The whole space.
        settings: How many, with how many seeds, by which recipe.
        found: What the search scored.
        truth: The truth whose recipe is taken where the settings name none.
        stored: A reference to the images in the object store.
        resources: What a training reserves.
        ledger: Where time and images are booked.
        console: Where progress is shown.
    """
    best = best_found(found, settings.top, space.shared_form)  # what is written otherwise is not trained again
    if not best:
        return []
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + settings.seeds))
    recipe: StandaloneRecipe | None = settings.recipe
    if recipe is None:
        assert truth is not None  # without truth a configuration without a recipe is refused
        recipe = StandaloneRecipe.model_validate(truth.source["recipe"])
    results = {}
    trained = train_all(space, [f.architecture for f in best], stored, recipe, seeds, resources=resources)
    with training_progress(console) as progress:
        task = progress.add_task(f"{'verify':<9}", total=len(best))
        for architecture, its, span in trained:
            ledger.add([span], standalone=sum(result.images_trained for result in its))
            results[architecture.text] = its
            progress.advance(task)
    return [Verified(f, seeds, tuple(results[f.architecture.text])) for f in best]
