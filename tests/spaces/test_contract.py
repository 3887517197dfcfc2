"""What every space must do, run over every registered one."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from raynas.errors import ArchitectureError, UnknownNameError
from raynas.spaces import SPACES, Space, space

VARIANTS = [(name, {}) for name in SPACES] + [("nasbench201", {"connected": True})]


@pytest.fixture(params=VARIANTS, ids=str)
def any_space(request: pytest.FixtureRequest) -> Space:
    name, options = request.param
    return space(name, **options)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_samples_are_members_and_round_trip(any_space: Space, rng: np.random.Generator) -> None:
    for _ in range(200):
        architecture = any_space.sample(rng)
        assert architecture in any_space
        assert any_space.parse(str(architecture)) == architecture
        assert any_space.make(architecture.options) == architecture


def test_same_seed_same_samples(any_space: Space) -> None:
    a, b = (np.random.default_rng(3) for _ in range(2))
    assert [any_space.sample(a) for _ in range(20)] == [any_space.sample(b) for _ in range(20)]


def test_draws_and_mutations_are_uniform(any_space: Space, rng: np.random.Generator) -> None:
    names = [decision.name for decision in any_space.decisions]
    small = any_space.subspace({d.name: d.options[:2] for d in any_space.decisions[:3]})
    small = small.subspace({d.name: d.options[-1:] for d in any_space.decisions[3:]})
    members = list(small.enumerate())
    draws = [small.sample(rng) for _ in range(400 * len(members))]
    counts = [draws.count(architecture) for architecture in members]
    assert stats.chisquare(counts).pvalue > 1e-3, names
    parent = members[-1]
    children = [small.mutate(parent, rng) for _ in range(600)]
    counts = [children.count(architecture) for architecture in small.neighbours(parent)]
    assert sum(counts) == 600
    assert stats.chisquare(counts).pvalue > 1e-3


def test_mutation_changes_exactly_one_decision(any_space: Space, rng: np.random.Generator) -> None:
    for _ in range(100):
        parent = any_space.sample(rng)
        child = any_space.mutate(parent, rng)
        assert child in any_space
        assert any_space.distance(parent, child) == 1
        assert child in any_space.neighbours(parent)


def test_crossover_takes_every_option_from_a_parent(any_space: Space, rng: np.random.Generator) -> None:
    for _ in range(100):
        a, b = any_space.sample(rng), any_space.sample(rng)
        child = any_space.crossover(a, b, rng)
        assert child in any_space
        assert all(
            option in pair for option, pair in zip(child.options, zip(a.options, b.options, strict=True), strict=True)
        )


def test_distance_is_a_metric(any_space: Space, rng: np.random.Generator) -> None:
    a, b, c = (any_space.sample(rng) for _ in range(3))
    assert any_space.distance(a, a) == 0
    assert any_space.distance(a, b) == any_space.distance(b, a)
    assert any_space.distance(a, c) <= any_space.distance(a, b) + any_space.distance(b, c)


def test_enumeration_is_complete_and_distinct(any_space: Space) -> None:
    everything = list(any_space.enumerate())
    assert len(everything) == len(set(everything)) == any_space.size
    assert all(architecture in any_space for architecture in everything[::97])


def test_canonical_is_idempotent(any_space: Space, rng: np.random.Generator) -> None:
    for _ in range(100):
        canonical = any_space.canonical(any_space.sample(rng))
        assert any_space.canonical(canonical) == canonical


def test_partitions_are_disjoint_and_cover(any_space: Space) -> None:
    names = [decision.name for decision in any_space.decisions]
    for split in ([names[0]], [names[0], names[-1]]):
        parts = any_space.partition(split)
        assert sum(part.size for part in parts) == any_space.size
        assert len({part.label for part in parts}) == len(parts)
        for architecture in itertools.islice(any_space.enumerate(), 0, None, 61):
            assert sum(architecture in part for part in parts) == 1


def test_subspace_of_a_subspace_and_its_root(any_space: Space) -> None:
    first, second = any_space.decisions[:2]
    part = any_space.subspace({first.name: first.options[:2]}).subspace({second.name: second.options[:1]})
    assert part.decision(first.name).options == first.options[:2]
    assert part.decision(second.name).options == second.options[:1]
    assert part.root.size == any_space.size
    assert any_space.root.label == "root"
    assert first.name in part.label


def test_subspace_of_one_architecture(any_space: Space, rng: np.random.Generator) -> None:
    architecture = any_space.sample(rng)
    alone = any_space.partition([any_space.decisions[0].name])[0].only(architecture)
    assert list(alone.enumerate()) == [architecture]
    assert alone.sample(rng) == architecture


def test_bad_names_are_explained(any_space: Space) -> None:
    decision = any_space.decisions[0]
    with pytest.raises(UnknownNameError, match="has no decision 'nowhere'"):
        any_space.subspace({"nowhere": ["x"]})
    with pytest.raises(UnknownNameError, match="has no option 'nothing'"):
        any_space.subspace({decision.name: ["nothing"]})
    with pytest.raises(UnknownNameError, match="without any option"):
        any_space.subspace({decision.name: []})
    with pytest.raises(ArchitectureError, match="decisions, got 1 options"):
        any_space.make([decision.options[0]])
    with pytest.raises(ArchitectureError):
        any_space.parse("not an architecture")


def test_unknown_space_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench201'"):
        space("nasbench21")
