"""What every sampler must do, over all that are registered: one registered later is here too."""

from __future__ import annotations

import io
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pydantic
import pytest
import torch

import raynas
from raynas.data import TensorSplit
from raynas.methods import SAMPLERS, Path, Sampler, Stack
from raynas.networks.mixture import Mixture
from raynas.search import Pool
from raynas.spaces import Architecture, Space
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

CELLS = raynas.space("nasbench201", connected=True)
ONE = CELLS.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|")
SPACES = {
    "whole": CELLS,
    "part": CELLS.subspace({"1<-0": ("nor_conv_1x1",), "3<-0": ("none", "nor_conv_3x3"), "3<-2": ("skip_connect",)}),
    "one": CELLS.only(ONE),
}
SMALL = {
    "m": 3, "k": 2, "images": 8, "epochs": 1, "seeds": 4, "generated": 2, "top": 3, "warmup": 0.2, "every": 0.2,
    "hidden": 4, "partial": 2,
}  # fmt: skip
"""Values for options of these names, whatever sampler has them, so that each does all it can in a few steps."""
MORE: list[tuple[str, dict[str, Any]]] = [
    ("uniform", {"over": "classes"}),
    ("fair", {"official": True}),
    ("sandwich", {"extremes": False, "distil": False, "random": 3}),
    ("balanced", {"by": "nonlinear", "groups": [[0, 1], [2], [3]]}),
    ("balanced", {"by": "3<-0"}),
]
BATCH, STEPS = 8, 4


def small_options(name: str) -> dict[str, Any]:
    """Return those of `SMALL` that the sampler takes."""
    model = SAMPLERS.options_model(name)
    taken: dict[str, Any] = {}
    for key in sorted(SMALL.keys() & model.model_fields.keys()):
        try:
            model.model_validate({key: SMALL[key]})
        except pydantic.ValidationError as error:
            if any(problem["loc"] == (key,) for problem in error.errors()):
                continue  # here the name means something else
        taken[key] = SMALL[key]
    return taken


VARIANTS = [*((name, small_options(name)) for name in SAMPLERS), *MORE]


@pytest.fixture(params=VARIANTS, ids=lambda variant: f"{variant[0]} {variant[1] or ''}".strip())
def variant(request: pytest.FixtureRequest) -> tuple[str, Mapping[str, Any]]:
    """A sampler's name and options; skipped where it says that it cannot work in this stack."""
    name, options = request.param
    required = [key for key, field in SAMPLERS.options_model(name).model_fields.items() if field.is_required()]
    if set(required) - set(options):
        pytest.skip(f"{name} cannot be made without {', '.join(required)}: give it a row in MORE")
    if objections := SAMPLERS.make(name, CELLS, **options).objections(Stack(CELLS, sampler=name)):
        pytest.skip(f"{name} objects to the stack: {'; '.join(objections)}")
    return name, options


class Watched:
    """A training of a sampler, of which every path is kept."""

    def __init__(self, variant: tuple[str, Mapping[str, Any]], space: Space = CELLS, seed: int = 0) -> None:
        self.sampler: Sampler = SAMPLERS.make(variant[0], space, **variant[1])
        digits = raynas.data("digits").train
        assert isinstance(digits, TensorSplit)
        held_out = self.sampler.heldout_images(48) + self.sampler.scored_images(48)
        assert 0 <= held_out < 48
        net = raynas.supernet(space, input_shape=(1, 8, 8), channels=2, cells=1, seed=0)
        self.trainer = Trainer(
            net,
            TensorSplit(digits.images[:40], digits.targets[:40]),
            self.sampler,
            OptimizerSettings(batch_size=BATCH),
            total_steps=10,
            seed=seed,
            name="root",
            heldout=TensorSplit(digits.images[40 : 40 + held_out], digits.targets[40 : 40 + held_out])
            if held_out
            else None,
        )
        self.steps: list[Sequence[Path]] = []
        its_own = self.sampler.next_step

        def next_step(view: Any, rng: np.random.Generator) -> Sequence[Path]:
            self.steps.append(list(its_own(view, rng)))
            return self.steps[-1]

        self.sampler.next_step = next_step  # type: ignore[method-assign]
        self.sampler.begin_round(Pool(8))

    def train(self, steps: int) -> list[list[Any]]:
        """Return the paths of so many steps as values that can be compared."""
        before = len(self.steps)
        self.trainer.train(steps)
        assert len(self.steps) == before + steps
        return [[told(path) for path in paths] for paths in self.steps[before:]]

    def candidates(self, count: int = 3) -> list[Architecture]:
        return self.sampler.candidates(np.random.default_rng(5), count)


def told(path: Path) -> Any:
    if isinstance(path, Architecture):
        return path.text
    return [weights.detach().tolist() for weights in path.weights]


@pytest.mark.parametrize("label", SPACES)
def test_paths_and_candidates_are_in_the_space(variant: tuple[str, Mapping[str, Any]], label: str) -> None:
    space = SPACES[label]
    watched = Watched(variant, space)
    for _ in range(2):  # rounds
        watched.train(STEPS)
        diagnostics = watched.sampler.diagnostics()
        assert all(isinstance(value, float) for value in diagnostics.values()), diagnostics
        for entry in watched.sampler.proposals():
            assert entry.architecture in space
        found = watched.candidates()
        assert 1 <= len(found) <= 3
        assert all(architecture in space for architecture in found)
        watched.sampler.begin_round(Pool(8))
    for paths in watched.steps:
        assert paths
        for path in paths:
            if isinstance(path, Mixture):
                edges = watched.trainer.supernet.mixed_edges
                assert [len(weights) for weights in path.weights] == [len(edge.options) for edge in edges]
            else:
                assert path in space


def test_paths_follow_from_the_stream_alone(variant: tuple[str, Mapping[str, Any]]) -> None:
    def global_generators() -> tuple[Any, ...]:
        return torch.get_rng_state().tolist(), repr(np.random.get_state()), random.getstate()

    before = global_generators()
    first = Watched(variant)
    paths, found = first.train(2 * STEPS), first.candidates()
    assert global_generators() == before
    torch.manual_seed(1)
    second = Watched(variant)
    assert second.train(2 * STEPS) == paths
    assert second.candidates() == found
    assert Watched(variant, seed=1).train(2 * STEPS) != paths


@pytest.mark.parametrize("steps", [1, STEPS + 1])
def test_a_saved_state_continues_exactly(variant: tuple[str, Mapping[str, Any]], steps: int) -> None:
    whole, broken, other = Watched(variant), Watched(variant), Watched(variant)
    whole.train(steps)
    broken.train(steps)
    file = io.BytesIO()
    torch.save(broken.trainer.state_dict(), file)
    file.seek(0)
    other.train(2)  # whatever it did before is overwritten
    other.trainer.load_state_dict(torch.load(file, weights_only=True))
    assert whole.train(STEPS) == other.train(STEPS)
    assert whole.candidates() == other.candidates()
    assert whole.sampler.proposals() == other.sampler.proposals()
    assert whole.sampler.diagnostics() == pytest.approx(other.sampler.diagnostics(), nan_ok=True)
    for ours, theirs in zip(whole.trainer.supernet.parameters(), other.trainer.supernet.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_state_is_not_shared(variant: tuple[str, Mapping[str, Any]]) -> None:
    """Whoever continues from a state in memory leaves alone who gave it."""
    first, second = Watched(variant), Watched(variant)
    first.train(STEPS)
    second.trainer.load_state_dict(first.trainer.state_dict())
    expected = second.train(STEPS)
    assert first.train(STEPS) == expected
    assert first.candidates() == second.candidates()
