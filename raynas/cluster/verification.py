"""What a search found, trained stand-alone to be sure, as Ray tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from raynas.cluster.resources import Resources
from raynas.cluster.standalone_tasks import train_all
from raynas.config import VerifySettings
from raynas.report.tables import Verified
from raynas.report.text import training_progress
from raynas.search import Found, best_found
from raynas.spaces import Space
from raynas.tracking.lines import Lines
from raynas.training.ledger import Ledger
from raynas.training.standalone import StandaloneRecipe, StandaloneResult
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
    kept: Path | None = None,
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
        kept: The file where trainings are kept as they end; those that it holds are not done again.
    """
    best = best_found(found, settings.top, space.shared_form)  # what is written otherwise is not trained again
    if not best:
        return []
    seeds = tuple(range(FIRST_SEED, FIRST_SEED + settings.seeds))
    recipe: StandaloneRecipe | None = settings.recipe
    if recipe is None:
        assert truth is not None  # without truth a configuration without a recipe is refused
        recipe = StandaloneRecipe.model_validate(truth.source["recipe"])
    lines = None if kept is None else Lines(kept)
    results: dict[str, list[StandaloneResult]] = {}
    for row in lines.before if lines is not None else ():
        results[row["architecture"]] = [StandaloneResult(**one) for one in row["results"]]
        ledger.add([], standalone=sum(result.images_trained for result in results[row["architecture"]]))
    missing = [f.architecture for f in best if f.architecture.text not in results]
    with training_progress(console) as progress:
        task = progress.add_task(f"{'verify':<9}", total=len(missing))
        for architecture, its, span in train_all(space, missing, stored, recipe, seeds, resources=resources):
            ledger.add([span], standalone=sum(result.images_trained for result in its))
            results[architecture.text] = its
            if lines is not None:
                lines.append({"architecture": architecture.text, "results": [asdict(one) for one in its]})
            progress.advance(task)
    if lines is not None:
        lines.close()
    return [Verified(f, seeds, tuple(results[f.architecture.text])) for f in best]
