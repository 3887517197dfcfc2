"""The DARTS network with blocks: against the plain one, its GATE and gradients against definitions written out."""

from __future__ import annotations

import copy
import io
import itertools
import re
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import raynas
from raynas.data import TensorSplit
from raynas.errors import ConfigError
from raynas.methods import SAMPLERS, Stack
from raynas.methods.close import CloseCurriculum, GlowSharing
from raynas.networks import Supernet, supernet
from raynas.networks.darts_glow import (
    EDGES,
    PLACES,
    DartsGlow,
    GlowCell,
    darts_gate,
    darts_graph,
    edge_places,
    has_weights,
    learning_edges,
)
from raynas.networks.derive import derive
from raynas.networks.gate import Gate
from raynas.networks.gate_router import BASELINE_RATE, GlowSettings
from raynas.networks.glow import glow_supernet
from raynas.networks.inherit import inherit
from raynas.spaces import Architecture, Space
from raynas.spaces.darts import CELLS, NODES, OPERATIONS, cells
from raynas.testing.networks import NetworkContract
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

SPACE = raynas.space("darts")
SMALL = {"channels": 2, "cells": 3, "stem_multiplier": 1}
MIXED = SPACE.parse(
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 1), "
    "('max_pool_3x3', 1), ('dil_conv_5x5', 2), ('dil_conv_5x5', 0), ('sep_conv_3x3', 4)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('skip_connect', 0), ('skip_connect', 1), ('skip_connect', 0), ('skip_connect', 2), ('sep_conv_5x5', 1), "
    "('sep_conv_5x5', 3), ('avg_pool_3x3', 0), ('sep_conv_5x5', 2)], reduce_concat=[2, 3, 4, 5])"
)


def spread(net: DartsGlow) -> None:
    """Let the GATE tell edges and architectures apart, as it does not before it is trained."""
    if net.gate is not None:
        with torch.no_grad():
            for flow in net.gate.embedder.flows:
                flow.weight *= 10.0
            net.gate.head.weight *= 5.0
            net.gate.head.bias.zero_()


def network(level: int | None = None, *, seed: int = 0, space: Space = SPACE, **options: Any) -> DartsGlow:
    """Return a small network in double precision, in training mode."""
    keys = {"blocks": 3, **{key: options.pop(key) for key in list(options) if key in GlowSettings.__annotations__}}
    given = {"input_shape": (1, 8, 8), "classes": 10, **SMALL, **options}
    net = glow_supernet(space, GlowSettings(**keys), seed=seed, **given)
    assert isinstance(net, DartsGlow)
    net.set_level(level or net.settings.blocks)
    spread(net)
    return net.double().train()


def images(count: int = 4, seed: int = 1) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [MIXED, *(SPACE.sample(rng) for _ in range(count))]


def gradients(net: Supernet, loss: Tensor) -> dict[str, Tensor]:
    """Return the gradients of the parameters that get one."""
    net.zero_grad(set_to_none=True)
    loss.backward()
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


class Contract(NetworkContract):
    """The contract, over the supernet with three blocks; it leaves out what is about the plain supernet only."""

    input_shape = (3, 8, 8)
    network: ClassVar[dict[str, Any]] = {"channels": 4, "cells": 3, "stem_multiplier": 1}
    draws = 2
    spare = ("router.",)
    gate: ClassVar[str]

    test_cost_is_that_of_the_derived_network = None  # type: ignore[assignment]
    test_derived_network_is_plain = None  # type: ignore[assignment]
    test_fresh_layers_start_as_torch_starts_them = None  # type: ignore[assignment]

    def make_space(self) -> Space:
        return SPACE

    def make_network(self, space: Space | None = None, *, seed: int = 0, **options: Any) -> Supernet:
        given = {"input_shape": self.input_shape, "classes": self.classes, **self.network, **options}
        net = glow_supernet(space or SPACE, GlowSettings(3, gate=self.gate), seed=seed, **given)
        assert isinstance(net, DartsGlow)
        spread(net)
        return net

    @pytest.mark.parametrize("norm", [{}, {"affine": True, "track": True}], ids=["plain norm", "affine, tracked"])
    def test_path_equals_derived_network(self, norm: dict[str, Any]) -> None:
        """The scored path and the derived network with copied weights give the same output.

        After a pass of training that is tracked they do not: edges that share a block share its running averages.
        """
        net = self.make_network(**norm)
        for architecture in [*self.architectures(net.space), MIXED]:
            alone, x = derive(net, architecture), self.images()
            torch.testing.assert_close(alone.eval()(x), net.eval()(x, architecture), atol=1e-5, rtol=1e-5)
            if not norm and not net.train().counts_its_calls():
                torch.testing.assert_close(alone.train()(x), net(x, architecture), atol=1e-5, rtol=1e-5)


class TestFixedRoutes(Contract):
    gate = "fixed"


class TestGate(Contract):
    """Where each pass of training draws its blocks, what the contract does in training is done with equal draws."""

    gate = "node"

    def test_what_gets_no_gradient_does_not_matter(self) -> None:
        net = self.make_network(affine=True)
        for architecture in self.architectures(net.space)[-2:]:
            again = copy.deepcopy(net)
            net.zero_grad(set_to_none=True)
            output = net(self.images(), architecture)
            output.square().mean().backward()
            for ours, theirs in zip(net.parameters(), again.parameters(), strict=True):
                if ours.grad is None:
                    theirs.data.fill_(float("nan"))
            torch.testing.assert_close(again(self.images(), architecture), output)

    def test_sub_supernets_inherit_the_roots_function(self) -> None:
        root = self.make_network(seed=1).eval()
        for operation in OPERATIONS[:3]:
            part = root.space.subspace({"reduce.node5.op2": [operation]})
            child = self.make_network(part, seed=2).eval()
            inherit(child, root.state_dict())
            for architecture in (part.sample(np.random.default_rng(seed)) for seed in range(2)):
                assert torch.equal(child(self.images(), architecture), root(self.images(), architecture))


# ---- against the plain supernet


def own_name(plain_name: str, block_of: Any) -> str:
    """Return the name, in the network with blocks, of what is named so in the plain one.

    Args:
        plain_name: The name.
        block_of: The block of an edge, by its place (0 to 13).
    """
    found = re.match(r"cells\.(\d+)\.edges\.node(\d)_from(\d)\.(.*)", plain_name)
    if found is None:
        return plain_name
    cell, node, source, rest = int(found[1]), int(found[2]), int(found[3]), found[4]
    banks = "halving" if cell in (1, 2) and source < 2 else "banks"  # of three cells the last two are reductions
    return f"cells.{cell}.{banks}.{block_of(PLACES[node, source])}.{rest}"


def plain_like(net: DartsGlow, block_of: Any, **options: Any) -> Supernet:
    """Return the plain supernet whose edges have copies of the weights of their blocks."""
    plain = supernet(SPACE, input_shape=(1, 8, 8), classes=10, **{**SMALL, **options}).double().train()
    own = net.state_dict()
    plain.load_state_dict({name: own[own_name(name, block_of)] for name in plain.state_dict()})
    return plain


def test_a_block_an_edge_is_the_plain_supernet() -> None:
    """Outputs and gradients to the last bit."""
    net = network(gate="positions", blocks=14, affine=True)
    plain = plain_like(net, lambda place: place, affine=True)
    for architecture in drawn(6):
        ours, theirs = (one(images(), architecture) for one in (net, plain))
        assert torch.equal(ours, theirs)
        found, expected = (gradients(one, out.square().sum()) for one, out in ((net, ours), (plain, theirs)))
        assert found.keys() == {own_name(name, lambda place: place) for name in expected}
        for name, gradient in expected.items():
            assert torch.equal(found[own_name(name, lambda place: place)], gradient)


def test_a_block_an_edge_trains_as_the_plain_supernet() -> None:
    ours, plain = make_trainer({"blocks": 14, "gate": "positions"}, None), make_trainer(None, None)
    own = ours.supernet.state_dict()
    plain.supernet.load_state_dict({name: own[own_name(name, lambda p: p)] for name in plain.supernet.state_dict()})
    assert ours.train(3).loss == plain.train(3).loss
    for name, tensor in plain.supernet.state_dict().items():
        # the norm of all gradients is summed in another order
        torch.testing.assert_close(ours.supernet.state_dict()[own_name(name, lambda p: p)], tensor)


@pytest.mark.parametrize("gate", ["node", "random", "positions"])
def test_one_block_shares_everything(gate: str) -> None:
    """It is the plain supernet with the same weights on all edges of a stride, and their gradients are summed."""
    net = network(1, gate=gate, affine=True)
    plain = plain_like(net, lambda _: 0, affine=True)
    for architecture in drawn(4):
        ours, theirs = (one(images(), architecture) for one in (net, plain))
        assert torch.equal(ours, theirs)
        found, summed = gradients(net, ours.square().sum()), dict[str, Tensor]()
        for name, gradient in gradients(plain, theirs.square().sum()).items():
            shared = own_name(name, lambda _: 0)
            summed[shared] = summed.get(shared, torch.zeros_like(gradient)) + gradient
        assert found.keys() == summed.keys()
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, summed[name], atol=1e-8, rtol=1e-6)


def test_blocks_and_strides_of_a_path() -> None:
    """Each edge uses the block of the router's choice, of the stride of its source, in all cells of its kind."""
    net = network(gate="fixed", cells=6).eval()  # reductions are cells 2 and 4
    (route,) = net.routes([MIXED])
    assert len(set(route)) == 3
    found = gradients(net, net(images(), MIXED).square().sum())
    used = {match[0] for name in found if (match := re.match(r"cells\.\d\.(banks|halving)\.\d\.candidates\.\w+", name))}
    expected = set()
    for cell in range(6):
        kind = int(cell in (2, 4))
        for place, (name, source) in enumerate(edge for pair in cells(MIXED.options)[kind] for edge in pair):
            halves = kind == 1 and source < 2
            if "conv" in name or (name == "skip_connect" and halves):
                banks = "halving" if halves else "banks"
                expected.add(f"cells.{cell}.{banks}.{route[EDGES * kind + place]}.candidates.{name}")
    assert used == expected


def test_blocks_out_of_reach_have_no_gradient() -> None:
    net = network(2)
    for architecture in drawn(8):
        found = gradients(net, net(images(), architecture).square().sum())
        assert not [name for name in found if re.search(r"(banks|halving)\.2\.", name)]
    assert [name for name in found if ".banks." in name]


def test_a_derived_network_has_weights_of_its_own_in_every_layer() -> None:
    """Alone, edges that shared a block are layers of their own, as many as those of a network that never shared."""
    net = network(1).eval()
    alone, fresh = derive(net, MIXED), derive(SPACE, MIXED, input_shape=(1, 8, 8), classes=10, **SMALL)
    convolutions = [
        [tuple(m.weight.shape) for m in one.modules() if isinstance(m, torch.nn.Conv2d)] for one in (alone, fresh)
    ]
    assert sorted(convolutions[0]) == sorted(convolutions[1])


def test_what_cannot_be_had_is_refused() -> None:
    assert not GlowSharing(blocks=14, gate="positions").objections(Stack(SPACE))
    assert "has no 'longest'" in GlowSharing(gate="longest").objections(Stack(SPACE))[0]
    with pytest.raises(ConfigError, match="'positions' takes at most 14, one an edge, got 15"):
        network(blocks=15, gate="positions")


# ---- the GATE


def node_vectors(gate: Gate, architecture: Architecture, kind: str) -> list[Tensor]:
    """Return the vectors of a cell's six nodes from the definition, one by one."""
    embedder, number = gate.embedder, CELLS.index(kind)
    nodes = [embedder.widen(embedder.inputs[number, i]) for i in range(2)]
    nodes += [embedder.widen(embedder.others[number, 0])] * 4
    for layer, flow in enumerate(embedder.flows):
        sent = [(node.relu() if layer else node) @ flow.weight for node in nodes]
        nodes = sent[:2]
        for pair in cells(architecture.options)[number]:
            arriving = [
                torch.sigmoid(flow.attention(embedder.operations[OPERATIONS.index(operation)])) * sent[source]
                for operation, source in pair
            ]
            nodes.append((arriving[0] + arriving[1]) / 2)
    return nodes


def test_the_gate_is_that_of_the_definition() -> None:
    torch.manual_seed(0)
    gate = darts_gate(5).double()
    with torch.no_grad():
        gate.embedder.others.normal_()
        for flow in gate.embedder.flows:
            flow.weight *= 5.0
        chosen = drawn(4)
        found = gate([darts_graph(architecture.options) for architecture in chosen])
        assert found.shape == (5, 16, 5)
        for logits, architecture in zip(found, chosen, strict=True):
            row = 0
            for kind, nodes in zip(CELLS, cells(architecture.options), strict=True):
                vectors = node_vectors(gate, architecture, kind)
                for target, pair in zip(NODES, nodes, strict=True):
                    for _, source in pair:
                        x = torch.cat([vectors[source], vectors[target]])
                        for layer in gate.layers:
                            x = layer(x).relu()
                        torch.testing.assert_close(logits[row], gate.head(x))
                        row += 1
            assert row == 16
        assert found.std(0).max() > 1e-3


def test_the_sizes_are_the_released_ones() -> None:
    gate = darts_gate(5)
    assert [tuple(flow.weight.shape) for flow in gate.embedder.flows] == [(32, 64), (64, 64), (64, 64), (64, 64)]
    assert [(layer.in_features, layer.out_features) for layer in (*gate.layers, gate.head)] == [
        (128, 200),
        (200, 200),
        (200, 200),
        (200, 5),
    ]
    assert [tuple(p.shape) for p in (gate.embedder.inputs, gate.embedder.others, gate.embedder.operations)] == [
        (2, 2, 32),
        (2, 1, 32),
        (7, 32),
    ]
    assert gate.embedder.others.requires_grad
    assert not gate.embedder.others.any()


def test_a_kind_of_cell_is_routed_by_itself() -> None:
    """What a cell's edges use depends neither on the other kind of cell nor on the place in the network."""
    net, rng = network().eval(), np.random.default_rng(0)
    architectures = [SPACE.sample(rng) for _ in range(8)]
    routes = net.routes(architectures)
    assert len({route[:EDGES] for route in routes}) > 1
    assert len({route[EDGES:] for route in routes}) > 1
    crossed = [SPACE.make([*a.options[:12], *b.options[12:]]) for a, b in itertools.pairwise(architectures)]
    for (first, second), found in zip(itertools.pairwise(routes), net.routes(crossed), strict=True):
        assert found == first[:EDGES] + second[EDGES:]


def test_places_of_edges() -> None:
    assert [PLACES[node, source] for node in NODES for source in range(node)] == list(range(14))
    found = edge_places(MIXED.options)
    assert found[:8] == (0, 1, 2, 3, 6, 7, 9, 13)
    assert found[8:] == (14, 15, 16, 18, 20, 22, 23, 25)


def test_which_edges_learn() -> None:
    """Convolutions, and skips that halve the size; an output without weights is the same for all blocks."""
    assert learning_edges(MIXED.options) == (0, 1, 2, 5, 6, 7, 8, 9, 10, 12, 13, 15)
    net = network(2, affine=True)
    for stride in (1, 2):
        cell = net.cells[1]
        assert isinstance(cell, GlowCell)
        banks = cell.banks if stride == 1 else cell.halving
        for operation in OPERATIONS:
            weights = list(banks[0].candidates[operation].parameters())  # type: ignore[union-attr, index]
            assert bool(weights) == has_weights(operation, stride)


@pytest.mark.parametrize("options", [{}, {"estimator": "all"}, {"gate": "random"}, {"gate": "fixed"}])
def test_as_scored_a_pass_of_training_draws_nothing(options: dict[str, Any]) -> None:
    """It has the scored blocks, whose weights it gives gradients, and leaves the router as it was."""
    net = network(**options)
    before = copy.deepcopy(net.router.state_dict())
    for architecture in drawn(2):
        with net.as_scored():
            outputs = [net(images(), architecture) for _ in range(2)]
            assert not net.counts_its_calls()
        assert torch.equal(*outputs)
        assert torch.equal(outputs[0], net.eval()(images(), architecture))
        (route,) = net.train().routes([architecture])
        found = gradients(net, outputs[0].pow(2).sum())
        banks = {int(match[1]) for name in found if (match := re.search(r"\.(?:banks|halving)\.(\d)\.", name))}
        assert banks == {route[edge] for edge in learning_edges(architecture.options)}
        assert not [name for name in found if name.startswith("router.")]
    after = net.router.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    net(images(), MIXED)
    assert int(net.router.draws) == (net.settings.gate in ("node", "random"))


# ---- estimators


def written_out(net: DartsGlow, x: Tensor, architecture: Architecture, on_edge: Any) -> Tensor:
    """Run the network node by node; `on_edge(cell, number, operation, source, x)` gives the output of an edge."""
    earlier = previous = net.stem(x)
    for cell in net.cells:
        assert isinstance(cell, GlowCell)
        number = EDGES * CELLS.index(cell.kind)
        states = [cell.earlier(earlier), cell.previous(previous)]
        for pair in cells(architecture.options)[CELLS.index(cell.kind)]:
            total: Any = 0
            for operation, source in pair:
                total = total + on_edge(cell, number, operation, source, states[source])
                number += 1
            states.append(total)
        earlier, previous = previous, torch.cat(states[2:], 1)
    return net.head(previous)


def run_block(cell: GlowCell, number: int, operation: str, source: int, x: Tensor) -> Tensor:
    banks = cell.halving if cell.kind == "reduce" and source < 2 else cell.banks
    return banks[number](x, operation)


def same_draw(net: DartsGlow, architecture: Architecture) -> tuple[Tensor, Tensor]:
    """Return the logits (E, L) and the noise of the draw that comes next."""
    router = net.router
    generator = router._generator("draw", router.label, int(router.draws))
    assert net.gate is not None
    logits = net.gate([darts_graph(architecture.options)], generator)[0, :, : net.level]
    uniform = torch.rand(logits.shape, generator=generator, dtype=torch.float64)
    return logits, -(-uniform.log()).log()


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        torch.testing.assert_close(gradient, expected[name], atol=1e-9, rtol=1e-6, msg=name)


def test_all_is_the_straight_through_sum() -> None:
    """Outputs and all gradients equal those of sum_i gate_i Block_i(x), the zeros of what was not drawn too."""
    net = network(estimator="all", affine=True)
    for architecture in drawn(3):
        reference = copy.deepcopy(net)
        logits, noise = same_draw(reference, architecture)
        soft = torch.softmax((logits + noise) / 5.0, 1)
        hard = functional.one_hot((logits + noise).argmax(1), 3)
        gate = hard - soft.detach() + soft

        def mixed(cell: GlowCell, number: int, operation: str, source: int, x: Tensor, g: Tensor = gate) -> Tensor:
            if not has_weights(operation, 2 if cell.kind == "reduce" and source < 2 else 1):
                return run_block(cell, 0, operation, source, x)
            return sum(g[number, i] * run_block(cell, i, operation, source, x) for i in range(3))  # type: ignore[return-value]

        expected = written_out(reference, images(), architecture, mixed)
        output = net(images(), architecture)
        torch.testing.assert_close(output, expected)
        assert_same(gradients(net, output.pow(2).sum()), gradients(reference, expected.pow(2).sum()))


def test_chosen_is_what_it_says() -> None:
    """The gradients of weights are those of the drawn path; those of the GATE follow the definition, step by step."""
    net = network(affine=True)
    baseline = torch.zeros(16, 8, dtype=torch.float64)
    for architecture in drawn(5):
        edges = learning_edges(architecture.options)
        operations = [
            1 + OPERATIONS.index(edge[0]) for nodes in cells(architecture.options) for p in nodes for edge in p
        ]
        reference = copy.deepcopy(net)
        logits, noise = same_draw(reference, architecture)
        route = tuple((logits + noise).argmax(1).tolist())
        ones = torch.ones(16, dtype=torch.float64, requires_grad=True)

        def scaled(
            cell: GlowCell, number: int, operation: str, source: int, x: Tensor, c: Any = (ones, route)
        ) -> Tensor:
            return c[0][number] * run_block(cell, c[1][number], operation, source, x)

        expected = written_out(reference, images(), architecture, scaled)
        output = net(images(), architecture)
        torch.testing.assert_close(output, expected)
        found = gradients(net, output.pow(2).sum())
        reference.zero_grad(set_to_none=True)
        expected.pow(2).sum().backward(retain_graph=True)
        assert ones.grad is not None
        wanted = torch.zeros_like(logits)
        drawn_by = torch.softmax(logits.detach(), 1)
        for e in edges:
            chosen, operation = route[e], operations[e]
            surprise = ones.grad[e] - baseline[e, operation]
            wanted[e] = surprise * (functional.one_hot(torch.tensor(chosen), 3) - drawn_by[e]) / 5.0
            baseline[e, operation] += BASELINE_RATE * surprise
        logits.backward(wanted)
        assert_same(found, {name: p.grad for name, p in reference.named_parameters() if p.grad is not None})
        torch.testing.assert_close(net.router.baseline, baseline)


# ---- training by the curriculum


def make_trainer(sharing: dict[str, Any] | None, curriculum: dict[str, Any] | None, seed: int = 0) -> Trainer:
    split = raynas.data("digits").train.first(32)
    assert isinstance(split, TensorSplit)
    shape: dict[str, Any] = {"input_shape": (1, 8, 8), "classes": 10, **SMALL}
    net = (
        supernet(SPACE, seed=seed, **shape)
        if sharing is None
        else GlowSharing(**sharing).supernet(SPACE, seed=seed, **shape)
    )
    return Trainer(
        net,
        split,
        SAMPLERS.make("uniform", SPACE),
        OptimizerSettings(batch_size=8, lr=0.05, lr_min=0.01),
        total_steps=10,
        seed=seed,
        name="root",
        curriculum=None if curriculum is None else CloseCurriculum(**curriculum),
    )


@pytest.mark.parametrize("official", [False, True])
def test_broken_around_a_change_of_level_and_continued_is_unbroken(official: bool) -> None:
    """Levels rise before the third and the fifth step; weights and the GATE's rows are inherited once."""

    def make(seed: int = 0) -> Trainer:
        curriculum = {"levels": (0.0, 0.2, 0.4), "restarts": (0.4,), "official": official}
        return make_trainer({"blocks": 3, "official": official}, curriculum, seed)

    whole = make()
    losses = [whole.train(1).loss for _ in range(6)]
    assert isinstance(whole.supernet, DartsGlow)
    assert whole.supernet.level == 3
    for stop, level in ((2, 1), (4, 2)):
        first, second = make(), make(seed=5)
        first.train(stop)
        stored = io.BytesIO()
        torch.save(first.state_dict(), stored)
        stored.seek(0)
        second.load_state_dict(torch.load(stored, weights_only=True))
        assert isinstance(second.supernet, DartsGlow)
        assert second.supernet.level == level
        assert [second.train(1).loss for _ in range(6 - stop)] == losses[stop:]
        for mine, other in zip(second.supernet.parameters(), whole.supernet.parameters(), strict=True):
            assert torch.equal(mine, other)


def test_a_new_block_begins_with_the_one_before_in_both_strides() -> None:
    one = make_trainer({"blocks": 2}, {"levels": (0.0, 0.2), "wit_noise": 0.25})
    net, initial = one.supernet, make_trainer({"blocks": 2}, None).supernet
    assert isinstance(net, DartsGlow)
    assert isinstance(initial, DartsGlow)
    one.train(2)
    first = [bank.state_dict() for bank in copy.deepcopy(net).bank(0)]
    one.curriculum.before_step(one.view, np.random.default_rng(0))  # type: ignore[union-attr]
    assert net.level == 2
    for old, own, now in zip(first, initial.bank(1), net.bank(1), strict=True):
        mine, start = now.state_dict(), own.state_dict()
        assert mine.keys() == old.keys()
        for name, tensor in mine.items():
            torch.testing.assert_close(tensor, 0.25 * start[name] + old[name])
    for cell, bank in zip(net.cells, net.bank(1), strict=True):
        assert isinstance(cell, GlowCell)
        assert len(list(bank.children())) == (2 if cell.kind == "reduce" else 1)


def test_diagnostics() -> None:
    """How blocks are assigned, whatever assigns them: per edge certain where it goes by the edge's place."""
    for gate in ("fixed", "positions"):
        net = network(gate=gate)
        operations, probabilities = net.routing(np.random.default_rng(0), 5)
        assert operations.shape == (5, 16)
        rng = np.random.default_rng(0)
        routes = net.routes([SPACE.sample(rng) for _ in range(5)])
        assert torch.equal(probabilities.argmax(2), torch.tensor(routes))
        assert net.diagnostics()["gate_entropy"] == 0
    assert network().diagnostics()["gate_entropy"] < 1.09  # ln 3 is 1.0986
