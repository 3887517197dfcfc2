"""The design spaces' networks with weights in banks, against the plain ones and against themselves interrupted."""

from __future__ import annotations

import io
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import raynas
from raynas.data import TensorSplit
from raynas.errors import ConfigError
from raynas.methods import SAMPLERS, Curriculum, Sharing, Stack
from raynas.methods.close import CloseCurriculum, GlowSharing
from raynas.methods.sharing import PositionSharing
from raynas.networks import Supernet
from raynas.networks.gate_router import GlowSettings
from raynas.networks.glow import glow_supernet
from raynas.networks.inherit import inherit
from raynas.networks.nds_glow import NdsGlow
from raynas.spaces import Architecture, Space
from raynas.testing.networks import NetworkContract
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

RESNET = raynas.space("nds_resnet")
RESNEXT = raynas.space("nds_resnext_a")
SMALL = {"input_shape": (1, 8, 8), "classes": 10, "width": 0.25}


def of_depths(space: Space, *depths: str) -> Space:
    return space.subspace({f"stage{number}.depth": depths for number in (1, 2, 3)})


def build(space: Space, blocks: int, *, level: int | None = None, seed: int = 0, gate: str = "positions") -> NdsGlow:
    network = glow_supernet(space, GlowSettings(blocks, gate=gate), seed=seed, **SMALL)
    assert isinstance(network, NdsGlow)
    if level is not None:
        network.set_level(level)
    return network


def images() -> Tensor:
    return torch.randn(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class Glow(NetworkContract):
    input_shape = (3, 8, 8)
    network: ClassVar[dict[str, Any]] = {"width": 0.25}
    draws = 2

    def make_network(self, space: Space | None = None, *, seed: int = 0, **options: Any) -> Supernet:
        return glow_supernet(
            self.make_space() if space is None else space,
            GlowSettings(5, gate="positions"),  # positions 0, 4, 3 and 3, 3
            input_shape=self.input_shape,
            classes=self.classes,
            seed=seed,
            **{**self.network, **options},
        )

    # Running averages of a bank that runs twice in a path are not those of the two layers that the derived network has.
    @pytest.mark.parametrize("norm", [{}, {"affine": True}], ids=["plain norm", "affine"])
    def test_path_equals_derived_network(self, norm: dict[str, Any]) -> None:
        super().test_path_equals_derived_network(norm)


class TestResnetGlow(Glow):
    def make_space(self) -> Space:
        return of_depths(RESNET, "1", "2", "6")


class TestResnextAGlow(Glow):
    def make_space(self) -> Space:
        wide = {f"stage{number}.width": ["64", "256"] for number in (1, 2, 3)}  # narrower ones have but one bottleneck
        return of_depths(RESNEXT, "1", "4", "8").subspace(wide)


@pytest.mark.parametrize(("space", "positions"), [(RESNET, 23), (RESNEXT, 15)], ids=["resnet", "resnext_a"])
def test_with_a_bank_a_position_it_is_the_plain_network(space: Space, positions: int) -> None:
    """The same weights by the same names in the same order, and the same outputs to the last bit."""
    ours, plain = build(space, positions, seed=3), raynas.supernet(space, seed=3, **SMALL)
    for (name, weight), (its_name, other) in zip(ours.named_parameters(), plain.named_parameters(), strict=True):
        assert name == its_name
        assert torch.equal(weight, other)
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for architecture in (space.sample(rng) for _ in range(3)):
            assert torch.equal(ours(images(), architecture), plain(images(), architecture))


def test_with_a_bank_a_position_it_trains_as_the_plain_network() -> None:
    ours, plain = (trainer(sharing) for sharing in (GlowSharing(blocks=23), PositionSharing()))
    assert isinstance(ours.supernet, NdsGlow)
    assert ours.train(4) == plain.train(4)
    for mine, other in zip(ours.supernet.parameters(), plain.supernet.parameters(), strict=True):
        assert torch.equal(mine, other)


@pytest.mark.parametrize("groups", [1, 5, 9, 11, 17])
def test_a_bank_is_a_block_of_the_plain_network_at_all_its_positions(groups: int) -> None:
    """Against the plain network whose blocks at the positions of a group are copies of the group's bank."""
    ours, plain = build(RESNET, 17, level=groups, seed=1), raynas.supernet(RESNET, seed=2, **SMALL)
    mine, theirs = ours.state_dict(), plain.state_dict()
    lefts = [ours.map.groups[number][0] for number in ours.map.numbers]
    for name, tensor in theirs.items():
        part, _, rest = name.partition(".")
        if part == "stages":
            stage, place, layer = rest.split(".", 2)
            kept = 1 + lefts[int(place) - 1] if place != "0" else 0
            name = f"stages.{stage}.{kept}.{layer}"
        tensor.copy_(mine[name])
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for architecture in (RESNET.sample(rng) for _ in range(2)):
            assert torch.equal(ours(images(), architecture), plain(images(), architecture))


def test_banks_out_of_reach_get_no_gradient_and_stages_have_their_own() -> None:
    part = of_depths(RESNET, "1", "8")
    network = build(part, 9, level=3)
    network(images(), part.parse("ds=8,1,8 ws=16,16,16")).square().mean().backward()
    used = {
        name.split(".first")[0] for name, p in network.named_parameters() if p.grad is not None and ".first" in name
    }
    # [0, 5), [11, 23) and [5, 11): behind the first block, whose place is 0, positions 0 to 6 are in the banks at 0, 5
    assert used == {"stages.0.0", "stages.0.1", "stages.0.6", "stages.1.0", "stages.2.0", "stages.2.1", "stages.2.6"}


def test_a_subspace_has_the_banks_that_its_depth_needs_and_inherits_them() -> None:
    root = build(RESNET, 17, level=11, seed=1)
    part = RESNET.subspace({"stage1.depth": ["2", "4"], "stage2.depth": ["1"], "stage3.depth": ["8"]})
    child = build(part, 17, seed=2)
    assert [list(dict(stage.named_children())) for stage in child.stages] == [
        [str(place) for place in range(depth)] for depth in (4, 1, 8)
    ]
    inherit(child, root.state_dict())
    assert child.level == 11
    assert child.begun
    rng = np.random.default_rng(0)
    with torch.no_grad():
        for architecture in (part.sample(rng) for _ in range(3)):
            assert torch.equal(child(images(), architecture), root(images(), architecture))


def test_a_longest_first_map_is_another() -> None:
    maps = [build(of_depths(RESNEXT, "1"), 4, gate=gate).map.groups for gate in ("positions", "longest")]
    assert maps == [((0, 1), (7, 15), (3, 7), (1, 3)), ((0, 3), (7, 11), (11, 15), (3, 7))]


def test_what_cannot_be_had_is_refused() -> None:
    assert not GlowSharing(blocks=17).objections(Stack(RESNET))
    assert GlowSharing(blocks=16, gate="longest").objections(Stack(RESNEXT)) == [
        "'blocks': nds_resnext_a takes at most 15, one a position, got 16"
    ]
    for space, blocks in ((RESNET, 24), (RESNEXT, 16)):
        with pytest.raises(ConfigError, match=f"{space.name} takes at most {blocks - 1}, one a position, got {blocks}"):
            build(space, blocks)
    with pytest.raises(ConfigError, match="has no 'node' \\(allowed: positions, longest\\)"):
        build(RESNET, 9, gate="node")


# ---- training by the curriculum

NARROW = of_depths(RESNET, "2", "12").subspace({f"stage{number}.width": ["16", "32"] for number in (1, 2, 3)})
SETTINGS = OptimizerSettings(batch_size=8, lr=0.05, lr_min=0.01)
PUBLISHED = {"first": 9, "step": 2}


def trainer(sharing: Sharing, curriculum: Curriculum | None = None, seed: int = 0, space: Space = NARROW) -> Trainer:
    split = raynas.data("digits").train.first(40)
    assert isinstance(split, TensorSplit)
    network = sharing.supernet(space, seed=seed, **SMALL)
    sampler = SAMPLERS.make("uniform", space)
    return Trainer(network, split, sampler, SETTINGS, total_steps=10, seed=seed, name="root", curriculum=curriculum)


def glow_of(one: Trainer) -> NdsGlow:
    assert isinstance(one.supernet, NdsGlow)
    return one.supernet


def bank_state(network: NdsGlow, number: int) -> list[dict[str, Tensor]]:
    return [{name: tensor.clone() for name, tensor in block.state_dict().items()} for block in network.bank(number)]


def test_the_published_levels() -> None:
    one = trainer(GlowSharing(blocks=17), CloseCurriculum(**PUBLISHED))
    seen = []
    for _ in range(10):
        one.train(1)
        seen.append(glow_of(one).level)
    assert seen == [9, 9, 11, 11, 13, 13, 15, 15, 17, 17]
    assert glow_of(one).map.numbers[:11] == (0, 4, 3, 5, 6, 2, 8, 9, 7, 10, 11)


@pytest.mark.parametrize("wit", ["copy", "sum", "off"])
def test_a_new_bank_begins_with_the_one_that_was_split(wit: Any) -> None:
    """Group 9 is split off 8 and 10 off 7, both with their own initial weights beforehand."""
    curriculum = CloseCurriculum(**PUBLISHED, wit=wit, wit_noise=0.25, levels=(0.0, 0.2))
    one = trainer(GlowSharing(blocks=11), curriculum)
    initial = build(NARROW, 11)  # of the same seed
    one.train(2)
    before = {number: bank_state(glow_of(one), number) for number in (7, 8)}
    assert [glow_of(one).source(number) for number in (9, 10)] == [8, 7]
    one.curriculum.before_step(one.view, np.random.default_rng(0))  # type: ignore[union-attr]
    assert glow_of(one).level == 11
    for number, source in ((9, 8), (10, 7)):
        for own, theirs, now in zip(
            bank_state(initial, number), before[source], bank_state(glow_of(one), number), strict=True
        ):
            assert own.keys() == now.keys()
            for name, tensor in now.items():
                expected = {
                    "copy": 0.25 * own[name] + theirs[name],
                    "sum": own[name] + theirs[name],
                    "off": own[name],
                }[wit]
                torch.testing.assert_close(tensor, expected, atol=0, rtol=1e-6)


@pytest.mark.parametrize(("wit", "kept"), [("copy", True), ("off", True), ("sum", False)])
def test_the_first_banks_keep_their_own_initial_weights_but_as_released(wit: Any, kept: bool) -> None:
    """Nothing is trained yet that could be inherited; the released code chains up to four initial weights."""
    one, initial = trainer(GlowSharing(blocks=17), CloseCurriculum(**PUBLISHED, wit=wit)), build(NARROW, 17)
    one.curriculum.before_step(one.view, np.random.default_rng(0))  # type: ignore[union-attr]
    assert glow_of(one).level == 9
    same = [
        all(torch.equal(a[name], b[name]) for a, b in zip(*states, strict=True) for name in a)
        for states in ((bank_state(glow_of(one), number), bank_state(initial, number)) for number in range(9))
        if states[0][0]  # group 1 begins behind the deepest architecture
    ]
    assert same == [True, *[kept] * 7]
    if not kept:  # group 5 is split off 3, which is split off 0
        sums = [
            {name: sum(part[name] for part in parts) for name in parts[0]}
            for parts in zip(*(bank_state(initial, number) for number in (5, 3, 0)), strict=True)
        ]
        for now, expected in zip(bank_state(glow_of(one), 5), sums, strict=True):
            for name, tensor in now.items():
                torch.testing.assert_close(tensor, expected[name])


@pytest.mark.parametrize("wit_from", ["previous", "random"])
def test_stages_without_a_bank_are_passed_over(wit_from: Any) -> None:
    """In a subspace, what is inherited from, or begins, may be deeper than any of a stage's architectures."""
    part = NARROW.subspace({"stage1.depth": ["2"], "stage2.depth": ["12"], "stage3.depth": ["2"]})
    one = trainer(GlowSharing(blocks=17), CloseCurriculum(**PUBLISHED, wit="sum", wit_from=wit_from), space=part)
    one.train(10)
    assert glow_of(one).level == 17
    assert [len(list(stage.children())) for stage in glow_of(one).stages] == [2, 12, 2]


@pytest.mark.parametrize("stop", [3, 4, 5])
def test_broken_around_a_change_of_level_and_continued_is_unbroken(stop: int) -> None:
    """Weights are inherited once: before the step after the fourth."""

    def make(seed: int = 0) -> Trainer:
        return trainer(GlowSharing(blocks=11), CloseCurriculum(**PUBLISHED, levels=(0.0, 0.4), wit="sum"), seed)

    whole, first, second = make(), make(), make(seed=5)
    losses = [whole.train(stop).loss, whole.train(8 - stop).loss]
    assert first.train(stop).loss == losses[0]
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    second.train(1)  # whatever it did before is overwritten
    second.load_state_dict(torch.load(stored, weights_only=True))
    assert glow_of(second).level == (9 if stop <= 4 else 11)
    assert second.train(8 - stop).loss == losses[1]
    assert glow_of(second).level == 11
    for mine, other in zip(second.supernet.parameters(), whole.supernet.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_scores_are_those_of_each_alone_and_change_nothing() -> None:
    one = trainer(GlowSharing(blocks=17), CloseCurriculum(**PUBLISHED))
    one.train(3)
    network, rng = glow_of(one).eval(), np.random.default_rng(0)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    chosen: list[Architecture] = [NARROW.sample(rng) for _ in range(5)]
    with torch.inference_mode():
        for place, output in network.outputs(images(), chosen):
            assert torch.equal(output, network(images(), chosen[place]))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
