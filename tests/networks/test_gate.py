"""The GATE against its formulas written out, and what the router draws, remembers and gives the same again."""

from __future__ import annotations

import collections
import io
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import raynas
from raynas.networks.gate import Gate, Graph, GraphEmbedder
from raynas.networks.gate_router import REMEMBERED, GlowSettings, Router, all_blocks, gated
from raynas.networks.nasbench201_glow import _graph, nasbench201_gate
from raynas.spaces.nasbench201 import EDGES, OPERATIONS

SPACE = raynas.space("nasbench201")


def graphs(count: int, seed: int = 0) -> list[Graph]:
    rng = np.random.default_rng(seed)
    return [_graph(SPACE.sample(rng).options) for _ in range(count)]


def gate(blocks: int = 4) -> Gate:
    torch.manual_seed(0)
    return nasbench201_gate(blocks)


def router(blocks: int = 4, seed: int = 0, **options: Any) -> Router:
    """Return a router whose logits are far apart."""
    settings = GlowSettings(blocks, **options)
    torch.manual_seed(0)
    own = nasbench201_gate(blocks) if settings.gate == "node" else None
    made = Router(settings, edges=6, operations=4, gate=own, seed=seed, label="root")
    if own is not None:
        with torch.no_grad():
            logits = own(graphs(30))
            own.head.bias -= logits.mean((0, 1))
            own.head.weight *= 1.5 / logits.std((0, 1))[:, None]
            own.head.bias *= 1.5 / logits.std((0, 1))
    return made


EVERY = range(6)


def test_nasbench201_is_embedded_as_written() -> None:
    """Node by node and edge by edge: CLOSE's released encoder (`DenseGraphSimpleOpEdgeFlow`) and MLP."""
    ours = gate().double()
    embedder = ours.embedder
    for graph in graphs(10):
        h = [embedder.widen(start) for start in (embedder.inputs[0, 0], *torch.zeros(3, 48, dtype=torch.float64))]
        for number, flow in enumerate(embedder.flows):
            sent: list[Tensor] = [(torch.relu(x) if number else x) @ flow.weight for x in h]
            h = [sent[0], *[torch.zeros_like(sent[0])] * 3]
            for (target, source), operation in zip(EDGES, graph.name, strict=True):
                if operation != "none":
                    vector = embedder.operations[OPERATIONS.index(operation) - 1]
                    h[target] = h[target] + torch.sigmoid(flow.attention(vector)) * sent[source]
        logits = []
        for target, source in EDGES:
            x = torch.cat([h[source], h[target]])
            for layer in ours.layers:
                x = torch.relu(layer(x))
            logits.append(ours.head(x))
        torch.testing.assert_close(ours([graph])[0], torch.stack(logits))


def test_sizes_are_the_released_ones() -> None:
    ours = gate(5)
    assert tuple(ours.embedder.widen.weight.shape) == (96, 48)
    assert [tuple(flow.weight.shape) for flow in ours.embedder.flows] == [(96, 128), *[(128, 128)] * 4]
    assert [tuple(layer.weight.shape) for layer in ours.layers] == [(200, 256), (200, 200), (200, 200)]
    assert tuple(ours.head.weight.shape) == (5, 200)
    for flow in ours.embedder.flows:
        assert 0.9 / math.sqrt(128) < float(flow.weight.detach().abs().max()) <= 1 / math.sqrt(128)


def test_two_slots_are_averaged_and_several_cells_begin_apart() -> None:
    """What DARTS cells need: two inputs a node, two inputs a cell that keep themselves, beginnings that learn."""
    torch.manual_seed(0)
    embedder = GraphEmbedder(
        cells=2,
        nodes=4,
        inputs=2,
        operations=3,
        node_size=5,
        operation_size=6,
        hidden=5,
        layers=(7,),
        others_learn=True,
    ).double()
    with torch.no_grad():
        embedder.others.normal_()
    relations = torch.zeros(1, 2, 2, 4, 4, dtype=torch.int64)
    relations[0, 1, 0, 2, 0], relations[0, 1, 1, 2, 1], relations[0, 1, 0, 3, 2] = 1, 3, 2
    found = embedder(relations)[0]
    (flow,) = embedder.flows
    for cell in range(2):
        starts = [*embedder.inputs[cell], embedder.others[cell, 0], embedder.others[cell, 0]]
        sent = [embedder.widen(start) @ flow.weight for start in starts]
        weight = [torch.sigmoid(flow.attention(vector)) for vector in embedder.operations]
        zero = torch.zeros_like(sent[0])
        second = (weight[0] * sent[0] + weight[2] * sent[1]) / 2 if cell else zero
        third = weight[1] * sent[2] / 2 if cell else zero
        torch.testing.assert_close(found[cell], torch.stack([sent[0], sent[1], second, third]))
    assert embedder.others.requires_grad


def test_dropout_is_what_the_generator_says() -> None:
    ours, (graph,) = gate().double(), graphs(1)
    plain = ours([graph])
    once, again, other = (ours([graph], torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
    assert not torch.equal(once, plain)
    drops = torch.cat(ours._drops(torch.Size((50, 6)), torch.Generator().manual_seed(0), plain), -1)
    assert set(drops.unique().tolist()) == {0.0, 1 / 0.9}
    assert abs(float((drops == 0).double().mean()) - 0.1) < 0.01
    before = torch.random.get_rng_state()
    ours([graph], torch.Generator().manual_seed(3))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("estimator", ["chosen", "all"])
def test_what_is_drawn_is_distributed_as_the_softmax(estimator: Any) -> None:
    ours, (graph,) = router(estimator=estimator), graphs(1, seed=3)
    assert ours.gate is not None
    ours.gate.dropout = 0.0
    level, draws = 3, 3000
    expected = torch.softmax(ours.gate([graph])[0, :, :level], 1)
    counts = torch.zeros(6, level)
    with torch.no_grad():
        for _ in range(draws):
            counts[torch.arange(6), list(ours.draw(graph, level, EVERY).route)] += 1
    error = (expected * (1 - expected) / draws).sqrt()
    assert ((counts / draws - expected).abs() < 4 * error + 1e-4).all()
    assert float(expected.detach().std()) > 0.1  # far from uniform, so that this says something


def test_gates_are_ones_or_one_hot() -> None:
    chosen, every = (router(estimator=estimator).draw(graphs(1)[0], 3, EVERY) for estimator in ("chosen", "all"))
    assert chosen.route == every.route  # the same draw
    assert chosen.gates is not None
    assert every.gates is not None
    assert torch.equal(chosen.gates, torch.ones(6))
    torch.testing.assert_close(every.gates, torch.nn.functional.one_hot(torch.tensor(every.route), 3).float())


@pytest.mark.parametrize("kind", ["node", "random"])
def test_draws_go_on_where_the_state_was_taken(kind: str) -> None:
    whole, second = router(gate=kind), router(gate=kind)
    listed = graphs(20)
    first = [whole.draw(graph, 4, EVERY).route for graph in listed]
    assert len(set(first)) > 10
    stored = io.BytesIO()
    torch.save(whole.state_dict(), stored)
    stored.seek(0)
    second.load_state_dict(torch.load(stored, weights_only=True))
    rest = [whole.draw(graph, 4, EVERY).route for graph in listed]
    assert [second.draw(graph, 4, EVERY).route for graph in listed] == rest != first


@pytest.mark.parametrize("kind", ["node", "random"])
def test_nothing_is_drawn_where_nothing_depends_on_it(kind: str) -> None:
    ours, (graph,) = router(gate=kind), graphs(1)
    assert ours.draw(graph, 1, EVERY) == ((0,) * 6, None)
    assert ours.draw(graph, 4, []) == ((0,) * 6, None)
    assert int(ours.draws) == 0


def test_random_routes_are_uniform_and_an_architecture_keeps_its_own() -> None:
    ours, (graph, other) = router(gate="random"), graphs(2)
    counts = collections.Counter(block for _ in range(1000) for block in ours.draw(graph, 4, EVERY).route)
    assert all(abs(counts[block] / 6000 - 0.25) < 0.03 for block in range(4))
    routes = ours.routes([graph, other], 4)
    assert routes == [*ours.routes([graph], 4), *ours.routes([other], 4)]
    assert routes[0] != routes[1]


def test_a_fixed_route_moves_with_the_level_to_the_new_block_only() -> None:
    """And over many seeds it is uniform at every level."""
    counts = {level: collections.Counter[int]() for level in range(1, 5)}
    for seed in range(300):
        ours = router(gate="fixed", seed=seed)
        before = (0,) * 6
        for level in range(1, 5):
            (route,) = ours.routes(graphs(1), level)
            assert all(now in (was, level - 1) for was, now in zip(before, route, strict=True))
            assert ours.draw(graphs(1)[0], level, EVERY) == (route, None)
            counts[level].update(route)
            before = route
    for level, found in counts.items():
        assert all(abs(found[block] / 1800 - 1 / level) < 0.05 for block in range(level))


def test_positions() -> None:
    ours = router(6, gate="positions")
    assert ours.routes(graphs(1), 6) == [(0, 1, 2, 3, 4, 5)]
    assert ours.routes(graphs(1), 4) == [(0, 1, 2, 3, 0, 1)]


@pytest.mark.parametrize("score", ["argmax", "sample"])
def test_a_scored_route_does_not_depend_on_company(score: Any) -> None:
    listed = graphs(80)
    together = router(score=score).routes(listed, 4)
    assert together == router(score=score).routes(listed[::-1], 4)[::-1]
    assert together == [router(score=score).routes([graph], 4)[0] for graph in listed]
    assert len(set(together)) > 20
    other = router(score=score, seed=1).routes(listed, 4)
    assert (other == together) == (score == "argmax")


def test_the_largest_logits_are_scored_and_samples_are_a_draw_each() -> None:
    ours, listed = router(), graphs(40)
    assert ours.gate is not None
    assert ours.routes(listed, 3) == [tuple(row) for row in ours.gate(listed)[..., :3].argmax(2).tolist()]
    sampled, probabilities = torch.zeros(3), torch.zeros(3)
    for seed in range(20):
        one = router(score="sample", seed=seed)
        sampled += torch.bincount(torch.tensor(one.routes(listed, 3)).flatten(), minlength=3)
        probabilities += one.probabilities(listed, 3).sum((0, 1))
    torch.testing.assert_close(sampled / sampled.sum(), probabilities / probabilities.sum(), atol=0.03, rtol=0)


@pytest.mark.parametrize("change", ["fused step", "plain step", "in place", "loaded", "attached", "level", "between"])
def test_routes_are_forgotten_when_they_may_be_others(change: str) -> None:
    """Whatever changes the GATE; that of a fused optimizer's step leaves no trace but in the values."""
    ours, listed = router(), graphs(40)
    gate = ours.gate
    assert gate is not None
    level = 3
    optimizer = torch.optim.SGD(gate.parameters(), lr=0.5, fused=change in ("fused step", "between"))
    if change in ("fused step", "plain step", "between"):
        gate(listed)[..., 0].sum().backward()
    before = ours.routes(listed, level)
    if change.endswith("step"):
        optimizer.step()
    elif change == "between":  # nothing has a gradient any more when it is asked again
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    elif change == "in place":
        with torch.no_grad():
            gate.head.bias[1] += 5
    elif change == "loaded":
        gate.load_state_dict(
            {name: -tensor for name, tensor in gate.state_dict().items() if name != "head_learns"}
            | {"head_learns": gate.head_learns}
        )
    elif change == "attached":
        state = {name: -tensor if tensor.is_floating_point() else tensor for name, tensor in gate.state_dict().items()}
        gate.load_state_dict(state, assign=True)
    else:
        level = 4
    after = ours.routes(listed, level)
    assert after != before
    assert gate is not None
    assert after == [tuple(row) for row in gate(listed)[..., :level].argmax(2).tolist()]


def test_at_most_so_many_routes_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    assert SPACE.size <= REMEMBERED
    monkeypatch.setattr("raynas.networks.gate_router.REMEMBERED", 10)
    ours = router()
    for start in range(0, 60, 20):
        assert len(ours.routes(graphs(60)[start : start + 20], 3)) == 20
        assert len(ours._known) <= 40


def test_probabilities() -> None:
    listed = graphs(5)
    for kind in ("node", "random", "fixed", "positions"):
        found = router(6, gate=kind).probabilities(listed, 3)
        assert found.shape == (5, 6, 3)
        torch.testing.assert_close(found.sum(2), torch.ones(5, 6))


def test_the_gradients_of_the_logits_are_noted() -> None:
    ours, (graph,) = router(), graphs(1)
    assert ours.gradient_norm() == 0.0
    assert ours.gate is not None
    ours.gate.dropout = 0.0
    squares = []
    for factor in (1.0, 3.0):
        ours.baseline.zero_()
        draw = ours.draw(graph, 3, EVERY)
        assert draw.gates is not None
        (draw.gates.sum() * factor).backward()
        z = ours.gate([graph])[0, :, :3].detach()
        choice = torch.tensor(draw.route)
        of_logits = factor * (torch.nn.functional.one_hot(choice, 3) - torch.softmax(z, 1)) / 5
        squares.append(float(of_logits.square().sum()))
    assert ours.gradient_norm() == pytest.approx(math.sqrt(sum(squares) / 2), rel=1e-5)
    assert ours.gradient_norm() == 0.0


def test_gated_is_a_factor_of_one() -> None:
    x = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found, expected = [], []
    for how, into in ((gated, found), (torch.mul, expected)):
        output, gate = x.clone().requires_grad_(), torch.ones((), dtype=torch.float64, requires_grad=True)
        how(output, gate).pow(3).sum().backward()
        into += [output.grad, gate.grad]
    torch.testing.assert_close(found, expected)


def test_all_blocks_is_the_sum_of_gates_and_outputs() -> None:
    weights = [torch.tensor(float(i + 1), requires_grad=True) for i in range(3)]
    x, gates = torch.arange(4.0, requires_grad=True), torch.tensor([0.0, 1.0, 0.0], requires_grad=True)
    got = []
    for sum_up in (False, True):
        output = (
            sum(gates[i] * weights[i] * x**i for i in range(3))
            if sum_up
            else all_blocks(lambda i: weights[i] * x**i, lambda i: [weights[i]], gates, 1)
        )
        assert isinstance(output, Tensor)
        got.append([output.detach(), *torch.autograd.grad(output.pow(2).sum(), [*weights, x, gates])])
    torch.testing.assert_close(*got)
