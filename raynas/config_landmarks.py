"""Checking whether landmarks find a quality, a recipe if they are trained, held-out images, and rounds to come in."""

from __future__ import annotations

from typing import Any

import pydantic

from raynas.config_errors import explain
from raynas.config_findings import Findings
from raynas.config_sections import (
    DEFAULT_RANKED,
    DEFAULT_ROOT_ROUNDS,
    DEFAULT_TRUTH_ARCHITECTURES,
    component_name,
    section,
)
from raynas.errors import RaynasError
from raynas.methods import REGULARIZERS
from raynas.methods.landmark import LandmarkRegularizer
from raynas.methods.landmark_choice import LandmarkChoice
from raynas.training.standalone import StandaloneRecipe
from raynas.truth import truth


def check_landmarks(findings: Findings, plain: dict[str, Any], space_name: str | None) -> None:
    """Check that landmarks find a quality, a recipe if they are trained, held-out images, and rounds to be added in."""
    key, options = "method.regularizer", findings.options.get("method.regularizer")
    name = component_name(section(plain, "method").get("regularizer"), None)
    truth_name = component_name(plain.get("truth"), None)
    try:
        part = None if options is None or name is None else REGULARIZERS.make(name, (), **options)
        table = None if truth_name is None or not isinstance(part, LandmarkRegularizer) else truth(truth_name)
    except RaynasError:  # told where the stack, or the truth, is checked
        return
    if not isinstance(part, LandmarkRegularizer) or not part.coefficient:
        return
    choice, train = part.choice, section(plain, "train")
    if train.get("heldout") == 0:
        findings.problems.append(
            "'train.heldout': landmarks are compared on held-out images, got 0; leave it out for half of the images"
        )
    rounds = train.get("root_rounds", DEFAULT_ROOT_ROUNDS)
    if isinstance(rounds, int):
        findings.attempt(key, lambda: choice.boundaries(rounds, part.warmup))
    training = section(plain, "truth.train")
    if choice.truth == "table" and choice.recipe is not None:
        findings.problems.append(
            f"'{key}.recipe': with truth=table nothing is trained for the landmarks; leave recipe out, or set "
            f"{key}.truth=train"
        )
    if choice.truth == "train":
        recipe = choice.recipe
        if recipe is not None:
            _check_recipe_of(findings, f"{key}.recipe", dict(recipe), space_name)
        elif not training and (table is None or "recipe" not in table.source):
            findings.problems.append(
                f"'{key}.recipe': landmarks are to be trained, and there is no truth whose recipe could be taken; give "
                f"{key}.recipe ({{}} for the defaults)"
            )
    elif table is not None and choice.metric not in table.columns:
        findings.problems.append(
            f"'{key}': landmarks are ordered by {choice.metric}, which {table.name} does not hold; take another truth, "
            f"or set {key}.truth=train and {key}.recipe"
        )
    elif training:
        _check_trained_for_landmarks(findings, plain, training, choice)


def _check_trained_for_landmarks(
    findings: Findings, plain: dict[str, Any], training: dict[str, Any], choice: LandmarkChoice
) -> None:
    """Check that a truth trained at the run's start has architectures for the landmarks beside those of the ranking."""
    trained = training.get("architectures", DEFAULT_TRUTH_ARCHITECTURES)
    ranked = section(plain, "score").get("architectures", DEFAULT_RANKED) if choice.iterations > 1 else 2
    if isinstance(trained, int) and isinstance(ranked, int) and trained < choice.total + ranked:
        findings.problems.append(
            f"'truth.train.architectures': {trained} are too few for {choice.total} landmarks and the {ranked} others "
            f"on which the ranking is measured; train at least {choice.total + ranked}, take fewer landmarks "
            "(method.regularizer.count), or set method.regularizer.truth=train"
        )


def _check_recipe_of(findings: Findings, key: str, recipe: dict[str, Any], space_name: str | None) -> None:
    """Check a stand-alone recipe that is a component's option; its network may be null."""
    given = {name: value for name, value in recipe.items() if name != "network" or value is not None}
    try:
        StandaloneRecipe.model_validate(given)
    except pydantic.ValidationError as error:
        findings.problems += explain(error, StandaloneRecipe, key)
    else:
        findings.recipe_network(key, given, space_name)
