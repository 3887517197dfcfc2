"""The shipped truth: what it holds, and that its recipe still gives its numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import raynas
from raynas.cluster.truth_build import PLANS, processor
from raynas.networks.cost import cost
from raynas.spaces.nasbench201 import live_edges
from raynas.training.standalone import StandaloneRecipe, train_standalone
from raynas.truth import PER_SEED, shipped_path

TABLE = raynas.truth("digits201")
SPACE = raynas.space("nasbench201", connected=True)


def test_it_holds_what_it_should() -> None:
    assert len(TABLE) >= 1_024
    assert all(TABLE.columns[metric].shape == (len(TABLE), 4) for metric in PER_SEED)
    assert all(SPACE.canonical(a) == a and any(live_edges(a.options)) for a in TABLE.architectures)
    assert len(set(TABLE.texts)) == len(TABLE)
    assert shipped_path("digits201").stat().st_size < 1_000_000
    assert {"recipe", "versions", "date", "command", "data", "seeds"} <= TABLE.source.keys()
    assert all(np.isfinite(column).all() for column in TABLE.columns.values())


def test_it_is_the_draw_of_its_plan() -> None:
    plan = PLANS["digits201"]()
    assert tuple(architecture.text for architecture in plan.draw()) == TABLE.texts
    assert StandaloneRecipe.model_validate(TABLE.source["recipe"]) == plan.recipe


def test_architectures_really_differ() -> None:
    assert TABLE.ceiling.n_seeds == 4
    assert TABLE.ceiling.mean >= 0.75
    values = TABLE.values()
    assert values.max() - np.median(values) > 2 * np.median(TABLE.columns["test_accuracy"].std(1, ddof=1)) / np.sqrt(4)


def test_costs_are_those_of_the_network() -> None:
    recipe = StandaloneRecipe.model_validate(TABLE.source["recipe"])
    for row in (0, 400, 1_000):
        found = cost(SPACE, TABLE.architectures[row], input_shape=(1, 8, 8), classes=10, **recipe.network)
        assert TABLE.columns["params_m"][row] == pytest.approx(found.params_m)
        assert TABLE.columns["flops_m"][row] == pytest.approx(found.flops_m)


@pytest.mark.parametrize("row", [int(np.argmax(TABLE.values())), int(np.argsort(TABLE.values())[len(TABLE) // 4])])
def test_retraining_finds_the_stored_numbers(row: int) -> None:
    """Exactly, with torch and processor of the build; within the seeds' spread with others.

    Other instruction sets sum in another order, and training amplifies that to about what another seed does.
    """
    recipe = StandaloneRecipe.model_validate(TABLE.source["recipe"])
    data, architecture = raynas.data("digits"), TABLE.architectures[row]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        results = [train_standalone(SPACE, architecture, data, recipe, seed) for seed in TABLE.source["seeds"]]
    finally:
        torch.set_num_threads(threads)
    same_place = (TABLE.source["versions"]["torch"], TABLE.source["processor"]) == (torch.__version__, processor())
    for metric in PER_SEED:
        stored, found = TABLE.columns[metric][row], np.array([getattr(result, metric) for result in results])
        if same_place:
            np.testing.assert_allclose(found, stored, rtol=1e-4)
        else:
            spread = max(float(np.std(stored, ddof=1)), 0.02 * float(np.mean(stored)))
            assert abs(found.mean() - stored.mean()) < 3 * spread * np.sqrt(2 / len(found)), metric
