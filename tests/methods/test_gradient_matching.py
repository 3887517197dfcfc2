"""Gradient matching: the pure rules by brute force, distances against gradients taken directly."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import raynas
from raynas.errors import RunError
from raynas.methods import PARTITIONS, Stack
from raynas.methods.gradient_matching import (
    Cut,
    Distances,
    GradientMatching,
    best_cut,
    distance,
    option_distances,
    shared_parameters,
)
from raynas.networks import Supernet
from raynas.networks.supernet import Choice
from raynas.spaces import Architecture, Space

SPACE = raynas.space("nasbench201")
OPTIONS = SPACE.decisions[0].options


class FakeProbe:
    """A supernet with random images of two classes; counts what is passed through it."""

    def __init__(self, supernet: Supernet, batch: int = 6) -> None:
        self.supernet, self.batch = supernet.train(), batch
        self.trained = self.batches = 0
        self.paths: list[Architecture] = []

    def next_batch(self) -> tuple[Tensor, Tensor]:
        self.batches += 1
        generator = torch.Generator().manual_seed(self.batches)
        return torch.randn(self.batch, *self.supernet.input_shape, generator=generator), torch.arange(self.batch) % 2

    def loss(self, path: object, images: Tensor, targets: Tensor) -> Tensor:
        assert isinstance(path, Architecture)
        self.paths.append(path)
        return nn.functional.cross_entropy(self.supernet(images, path), targets)

    def count(self, *, trained: int = 0, scored: int = 0) -> None:
        assert not scored
        self.trained += trained


def nasbench201(space: Space = SPACE, seed: int = 0) -> Supernet:
    return raynas.supernet(space, input_shape=(1, 8, 8), channels=2, cells=1, seed=seed)


def random_distances(options: Sequence[str], seed: int) -> Distances:
    rng = np.random.default_rng(seed)
    return {frozenset(pair): float(rng.random()) for pair in itertools.combinations(options, 2)}


def all_partitions(options: Sequence[str], groups: int, least: int) -> dict[frozenset[frozenset[str]], float]:
    """Return every partition, by way of every assignment of options to groups, with 0."""
    found = {}
    for numbers in itertools.product(range(groups), repeat=len(options)):
        parted = [{o for o, n in zip(options, numbers, strict=True) if n == group} for group in range(groups)]
        if min(map(len, parted)) >= least:
            found[frozenset(map(frozenset, parted))] = 0.0
    return found


@pytest.mark.parametrize(
    ("count", "groups", "smallest", "partitions"),
    [(5, 2, 2, 10), (5, 2, 1, 15), (8, 2, 2, 119), (7, 3, 2, 105), (3, 2, 2, 3), (2, 2, 2, 1), (6, 3, 3, 15)],
)
def test_best_cut_is_the_best_of_all(count: int, groups: int, smallest: int, partitions: int) -> None:
    options = [f"o{number}" for number in range(count)]
    every = all_partitions(options, groups, min(smallest, count // groups))
    assert len(every) == partitions
    for seed in range(5):
        distances = random_distances(options, seed)
        for parted in every:
            every[parted] = math.fsum(
                distances[frozenset(pair)] for group in parted for pair in itertools.combinations(sorted(group), 2)
            )
        cut = best_cut(options, distances, groups, smallest)
        assert every[frozenset(map(frozenset, cut.groups))] == cut.within == min(every.values())
        across = sum(value for pair, value in distances.items() if not any(pair <= set(group) for group in cut.groups))
        assert cut.across == pytest.approx(across)
        assert cut.groups[0][0] == options[0]


def test_a_cut_does_not_depend_on_the_order_of_the_options() -> None:
    rng = np.random.default_rng(0)
    for seed in range(5):
        distances = random_distances(OPTIONS, seed)
        cut = best_cut(OPTIONS, distances)
        for _ in range(5):
            shuffled = [OPTIONS[i] for i in rng.permutation(len(OPTIONS))]
            other = best_cut(shuffled, distances)
            assert (other.within, other.across) == (cut.within, cut.across)
            assert set(map(frozenset, other.groups)) == set(map(frozenset, cut.groups))


def test_equal_options_are_parted_in_a_stable_way() -> None:
    nothing = dict.fromkeys(random_distances(OPTIONS, 0), 0.0)
    found = {frozenset(map(frozenset, best_cut(order, nothing).groups)) for order in itertools.permutations(OPTIONS)}
    assert len(found) == 1
    assert best_cut(OPTIONS, nothing).within == best_cut(OPTIONS, nothing).across == 0


def test_distance_is_one_minus_the_cosine() -> None:
    a, b = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([2.0, -1.0, 0.5])
    assert distance(a, b) == pytest.approx(1.0 - torch.cosine_similarity(a, b, dim=0).item())
    assert distance(a, a) == distance(a, 3 * a) == 0.0
    assert distance(a, -a) == 2.0
    nothing = torch.zeros(3)
    assert distance(nothing, a) == distance(a, nothing) == 1.0
    assert distance(nothing, nothing) == 0.0


def test_distances_are_those_of_gradients_taken_directly() -> None:
    """With the parameters listed by hand: cells and reductions, without the six edges' own 1<-0; no stem, no head."""
    probe, name = FakeProbe(nasbench201()), "1<-0"
    found = option_distances(probe, name, 3, np.random.default_rng(0))
    assert found is not None
    supernet, other = probe.supernet, FakeProbe(nasbench201())
    own = [key for key, _ in supernet.named_parameters() if ".edges.0." in key]
    assert len(own) == 2 * 3  # two convolutions in each of three cells
    names = [key for key, _ in supernet.named_parameters() if key.startswith("blocks.") and key not in own]
    assert {id(p) for p in shared_parameters(supernet, name)} == {id(supernet.get_parameter(key)) for key in names}

    rng, expected = np.random.default_rng(0), dict.fromkeys(found, 0.0)
    for _ in range(3):
        context = SPACE.sample(rng)
        while not any(SPACE.active(context.options)):
            context = SPACE.sample(rng)
        images, targets = other.next_batch()
        gradients = {}
        for option in OPTIONS:
            loss = other.loss(SPACE.make((option, *context.options[1:])), images, targets)
            parameters = [other.supernet.get_parameter(key) for key in names]
            raw = torch.autograd.grad(loss, parameters, allow_unused=True)
            flat = [torch.zeros_like(p) if g is None else g for g, p in zip(raw, parameters, strict=True)]
            gradients[option] = torch.cat([g.flatten() for g in flat]).double()
        for one, two in itertools.combinations(OPTIONS, 2):
            a, b = gradients[one], gradients[two]
            cosine = float((a @ b) / (a.norm() * b.norm())) if a.any() and b.any() else float(a.any() == b.any())
            expected[frozenset((one, two))] += (1 - cosine) / 3
    assert found == {pair: pytest.approx(value, abs=1e-5) for pair, value in expected.items()}
    assert max(found.values()) > 0.1


def test_what_is_equal_under_shared_weights_is_run_and_counted_once() -> None:
    probe = FakeProbe(nasbench201())
    option_distances(probe, "1<-0", 20, np.random.default_rng(0))
    assert probe.batches == 20
    assert probe.trained == len(probe.paths) * probe.batch < 20 * 5 * probe.batch
    assert all(parameter.grad is None for parameter in probe.supernet.parameters())


class Twins(nn.Module):
    """A model whose decision 'twin' has two identical options and a different one; stem and head stand around."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        same = nn.Conv2d(4, 4, 3, padding=1)
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        body = {"a": same, "b": copy.deepcopy(same), "c": nn.AvgPool2d(3, 1, 1)}
        self.body = nn.Sequential(
            Choice("twin", body), nn.Conv2d(4, 4, 1), nn.ReLU(), Choice("act", {"relu": nn.ReLU(), "tanh": nn.Tanh()})
        )
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 10))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.head(self.body(self.stem(x)))
        return out


def test_identical_options_have_no_distance() -> None:
    supernet = raynas.supernet(Twins(), input_shape=(1, 8, 8))
    probe = FakeProbe(supernet)
    assert len(shared_parameters(supernet, "twin")) == 2  # the 1x1 convolution
    found = option_distances(probe, "twin", 4, np.random.default_rng(0))
    assert found is not None
    assert found[frozenset("ab")] == 0.0
    assert found[frozenset("ac")] == found[frozenset("bc")] > 0
    assert best_cut(("a", "b", "c"), found).groups == (("a", "b"), ("c",))
    split = GradientMatching(levels=2, repeats=4).split(supernet.space, 0, np.random.default_rng(0), probe)
    assert split.why["decision"] in ("twin", "act")
    assert sum(part.size for part in split.parts) == supernet.space.size == 6


@pytest.mark.parametrize("choose", ["largest_cut", "smallest_within"])
def test_the_split_follows_the_rule(choose: str) -> None:
    partition = PARTITIONS.build("gradient_matching", repeats=2, choose=choose)
    split = partition.split(SPACE, 0, np.random.default_rng(0), FakeProbe(nasbench201()))
    cuts: dict[str, Cut] = {}
    rng, probe = np.random.default_rng(0), FakeProbe(nasbench201())
    for decision in SPACE.decisions:
        distances = option_distances(probe, decision.name, 2, rng)
        assert distances is not None
        cuts[decision.name] = best_cut(decision.options, distances)
    best = (
        max(cuts, key=lambda n: cuts[n].across) if choose == "largest_cut" else min(cuts, key=lambda n: cuts[n].within)
    )
    assert split.why["decision"] == best
    assert split.why["cuts"] == {name: cut.across for name, cut in cuts.items()}
    assert [list(part.decision(best).options) for part in split.parts] == list(map(list, cuts[best].groups))
    assert sorted(part.size for part in split.parts) == [2 * 3125, 3 * 3125]
    again = partition.split(SPACE, 0, np.random.default_rng(0), FakeProbe(nasbench201()))
    assert again.why == split.why


def test_each_part_chooses_among_what_it_has_not_split() -> None:
    partition = GradientMatching(levels=2, repeats=1)
    part = SPACE.subspace({"2<-1": ["none", "skip_connect"]})
    split = partition.split(part, 1, np.random.default_rng(1), FakeProbe(nasbench201(part)))
    assert set(split.why["cuts"]) == {decision.name for decision in SPACE.decisions} - {"2<-1"}
    halved = SPACE.subspace({decision.name: list(OPTIONS[:2]) for decision in SPACE.decisions})
    split = partition.split(halved, 1, np.random.default_rng(1), FakeProbe(nasbench201(halved)))
    assert split.parts == (halved,)
    assert partition.most(SPACE) == [2, 4]


def test_in_a_space_with_a_rule_every_option_of_a_context_is_valid() -> None:
    connected = raynas.space("nasbench201", connected=True)
    probe = FakeProbe(nasbench201(connected))
    assert option_distances(probe, "3<-0", 5, np.random.default_rng(0)) is not None
    assert all(path in connected for path in probe.paths)
    only = connected.subspace({"3<-1": ["none"], "3<-2": ["none"]})  # 3<-0=none would be no architecture
    assert option_distances(FakeProbe(nasbench201(only)), "3<-0", 1, np.random.default_rng(0)) is None


def test_what_it_cannot_split_it_says() -> None:
    partition = GradientMatching(levels=7)
    assert "has 6 decisions of 2 options or more; lower levels" in partition.objections(Stack(SPACE))[0]
    assert GradientMatching(levels=6).objections(Stack(SPACE)) == []
    assert GradientMatching().network_objections(nasbench201()) == []
    elastic = raynas.supernet(raynas.space("nds_resnet"), input_shape=(3, 8, 8))
    (problem,) = GradientMatching().network_objections(elastic)
    assert "has 0 decisions whose options are modules of their own" in problem
    with pytest.raises(RunError, match="give `split` the supernet's probe"):
        GradientMatching().split(SPACE, 0, np.random.default_rng(0))
