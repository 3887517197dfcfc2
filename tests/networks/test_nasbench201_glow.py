"""NAS-Bench-201's supernet with blocks: against the plain supernet, and its gradients against torch written out."""

from __future__ import annotations

import copy
import re
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

import raynas
from raynas.networks import Supernet, supernet
from raynas.networks.batchnorm import batch_norms
from raynas.networks.derive import derive
from raynas.networks.gate_router import BASELINE_RATE, Draw, GlowSettings
from raynas.networks.glow import glow_supernet
from raynas.networks.inherit import inherit
from raynas.networks.nasbench201_glow import CONVOLUTIONS, GlowCell, Nasbench201Glow, _graph
from raynas.networks.program import Gates
from raynas.spaces import Architecture, Space
from raynas.spaces.nasbench201 import EDGES, OPERATIONS, live_edges, node_values, term_of
from raynas.testing.networks import NetworkContract
from raynas.training.weights import Weights

SPACE = raynas.space("nasbench201", connected=True)
ALL_CONVOLUTIONS = SPACE.parse(
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_1x1~2|"
)
REPEATING = SPACE.parse("|nor_conv_3x3~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|")
"""Whose nodes 1 and 2 are equal in the same block."""
ALIKE = [
    "|none~0|+|nor_conv_3x3~0|none~1|+|nor_conv_3x3~0|none~1|skip_connect~2|",
    "|skip_connect~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|avg_pool_3x3~1|nor_conv_1x1~2|",
    "|nor_conv_1x1~0|+|skip_connect~0|nor_conv_1x1~1|+|nor_conv_1x1~0|nor_conv_1x1~1|nor_conv_1x1~2|",
]
"""Cells whose edges compute the same where they use the same block."""


def spread(net: Nasbench201Glow) -> None:
    """Let the GATE tell edges and architectures apart, as it does not before it is trained."""
    if net.gate is not None:
        rng = np.random.default_rng(0)
        with torch.no_grad():
            logits = net.gate([_graph(net.space.root.sample(rng).options) for _ in range(20)])
            net.gate.head.bias -= logits.mean((0, 1))
            for tensor in (net.gate.head.weight, net.gate.head.bias):
                tensor *= 1.5 / logits.std((0, 1))[(..., *[None] * (tensor.ndim - 1))]


def network(level: int | None = None, *, seed: int = 0, space: Space = SPACE, **options: Any) -> Nasbench201Glow:
    """Return a small network in double precision, in training mode."""
    keys = {"blocks": 3, **{key: options.pop(key) for key in list(options) if key in GlowSettings.__annotations__}}
    given = {"channels": 2, "cells": 1, **options}
    net = glow_supernet(space, GlowSettings(**keys), input_shape=(1, 8, 8), classes=10, seed=seed, **given)
    assert isinstance(net, Nasbench201Glow)
    net.set_level(level or net.settings.blocks)
    spread(net)
    return net.double().train()


def images(count: int = 6, seed: int = 1) -> Tensor:
    return torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def drawn(count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return [*map(SPACE.parse, ALIKE), ALL_CONVOLUTIONS, *(SPACE.sample(rng) for _ in range(count))]


def gradients(net: Supernet, loss: Tensor) -> dict[str, Tensor]:
    """Return the gradients of the parameters that get one."""
    net.zero_grad(set_to_none=True)
    loss.backward()
    return {name: p.grad for name, p in net.named_parameters() if p.grad is not None}


class Contract(NetworkContract):
    """The contract, over the supernet with three blocks."""

    input_shape = (3, 8, 8)
    network = {"channels": 4, "cells": 1}
    draws = 3
    spare = ("router.",)
    gate: ClassVar[str]
    level = 3

    test_cost_is_that_of_the_derived_network = None  # type: ignore[assignment]  # is about the plain supernet

    def make_space(self) -> Space:
        return raynas.space("nasbench201")

    def make_network(self, space: Space | None = None, *, seed: int = 0, **options: Any) -> Supernet:
        net = glow_supernet(
            self.make_space() if space is None else space,
            GlowSettings(3, gate=self.gate),
            input_shape=self.input_shape,
            classes=self.classes,
            seed=seed,
            **{**self.network, **options},
        )
        net.set_level(self.level)
        assert isinstance(net, Nasbench201Glow)
        spread(net)
        return net

    @pytest.mark.parametrize("norm", [{}, {"affine": True, "track": True}], ids=["plain norm", "affine, tracked"])
    def test_path_equals_derived_network(self, norm: dict[str, Any]) -> None:
        """The scored path and the derived network with copied weights give the same output.

        After a pass of training that is tracked they do not: edges that share a block share its running averages.
        """
        net = self.make_network(**norm)
        shake(net)
        for architecture in self.architectures(net.space):
            alone, x = derive(net, architecture), self.images()
            torch.testing.assert_close(alone.eval()(x), net.eval()(x, architecture), atol=1e-5, rtol=1e-5)
            if not norm and not net.train().counts_its_calls():
                torch.testing.assert_close(alone.train()(x), net(x, architecture), atol=1e-5, rtol=1e-5)


class TestFixedRoutes(Contract):
    gate = "fixed"


class TestOneBlock(Contract):
    gate = "node"
    level = 1


class Drawn(Contract):
    """Where each pass of training draws its blocks, what the contract does in training is done with equal draws."""

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
        for operation in OPERATIONS:
            part = root.space.subspace({"3<-2": [operation]})
            child = self.make_network(part, seed=2).eval()
            inherit(child, root.state_dict())
            for architecture in (part.sample(np.random.default_rng(seed)) for seed in range(3)):
                assert torch.equal(child(self.images(), architecture), root(self.images(), architecture))


class TestGate(Drawn):
    gate = "node"

    def test_active_decisions_matter_and_no_others(self) -> None:
        """The GATE sees what is on edges that lead nowhere, too: they matter by what it makes of them only."""
        net = self.make_network().eval()
        for architecture in self.architectures(net.space):
            neighbours = net.space.neighbours(architecture)
            same = [net.space.shared_form(other) == net.space.shared_form(architecture) for other in neighbours]
            for other, alike in zip(neighbours, same, strict=True):
                routes = net.routes([architecture, other])
                if alike and routes[0] == routes[1]:
                    assert torch.equal(net(self.images(), other), net(self.images(), architecture))


class TestRandomRoutes(Drawn):
    gate = "random"

    test_active_decisions_matter_and_no_others = None  # type: ignore[assignment]  # every architecture has its draw


def shake(net: Supernet) -> None:
    """Give every scale, shift and running average a value of its own."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in (tensor for norm in batch_norms(net) for tensor in norm.state_dict().values()):
            tensor.add_(0.3 * torch.rand(tensor.shape, generator=generator))


def test_a_block_an_edge_is_the_plain_supernet() -> None:
    """Initial weights, outputs, gradients and equal functions."""
    net = network(gate="positions", blocks=6, channels=3)
    plain = supernet(SPACE, input_shape=(1, 8, 8), channels=3, cells=1).double().train()
    pairs = zip(net.parameters(), plain.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    for architecture in drawn(20):
        ours, theirs = (one(images(), architecture) for one in (net, plain))
        assert torch.equal(ours, theirs)
        found = gradients(net, ours.square().sum())
        expected = gradients(plain, theirs.square().sum())
        assert [name.replace("edges", "banks") for name in expected] == list(found)
        assert all(map(torch.equal, found.values(), expected.values()))
    assert net.shared_forms(drawn(50)) == plain.shared_forms(drawn(50))


def test_one_block_shares_everything() -> None:
    """It is the plain supernet with the same weights on all edges, and their gradients are summed."""
    net = network(1, affine=True)
    plain = supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, affine=True).double().train()
    own = net.state_dict()
    plain.load_state_dict({name: own[re.sub(r"edges\.\d", "banks.0", name)] for name in plain.state_dict()})
    for architecture in drawn(20):
        ours, theirs = (one(images(), architecture) for one in (net, plain))
        torch.testing.assert_close(ours, theirs)
        found, summed = gradients(net, ours.square().sum()), dict[str, Tensor]()
        for name, gradient in gradients(plain, theirs.square().sum()).items():
            shared = re.sub(r"edges\.\d", "banks.0", name)
            summed[shared] = summed.get(shared, torch.zeros_like(gradient)) + gradient
        assert found.keys() == summed.keys()
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, summed[name], atol=1e-8, rtol=1e-6)


def test_blocks_out_of_reach_have_no_gradient() -> None:
    net = network(2)
    for architecture in drawn(30):
        found = gradients(net, net(images(), architecture).square().sum())
        assert not [name for name in found if ".banks.2." in name]
    assert [name for name in found if ".banks." in name]


def written_out(net: Nasbench201Glow, x: Tensor, architecture: Architecture, on_edge: Any) -> Tensor:
    """Run the network module by module; `on_edge(cell, edge, source)` gives the output of a live convolution's edge."""
    options = architecture.options
    x = net.stem(x)
    for block in net.blocks:
        if not isinstance(block, GlowCell):
            x = block.by_modules(x)
            continue
        nodes: list[Any] = [x, 0, 0, 0]
        for edge, ((target, source), live) in enumerate(zip(EDGES, live_edges(options), strict=True)):
            if live and options[edge] in CONVOLUTIONS:
                nodes[target] = nodes[target] + on_edge(block, edge, nodes[source])
            elif live and options[edge] == "avg_pool_3x3":
                nodes[target] = nodes[target] + functional.avg_pool2d(nodes[source], 3, 1, 1, count_include_pad=False)
            elif live:
                nodes[target] = nodes[target] + nodes[source]
        x = nodes[3]
    return net.classifier(net.head(x))


def same_draw(net: Nasbench201Glow, architecture: Architecture) -> tuple[Tensor, Tensor]:
    """Return the logits (E, L) and the noise of the draw that comes next."""
    router = net.router
    generator = router._generator("draw", router.label, int(router.draws))
    assert net.gate is not None
    logits = net.gate([_graph(architecture.options)], generator)[0, :, : net.level]
    uniform = torch.rand(logits.shape, generator=generator, dtype=torch.float64)
    return logits, -(-uniform.log()).log()


@pytest.mark.parametrize("norm", [{}, {"affine": True, "track": True}], ids=["plain norm", "affine, tracked"])
def test_all_is_the_straight_through_sum(norm: dict[str, bool]) -> None:
    """Outputs and all gradients equal those of sum_i gate_i Block_i(x), the zeros of what was not drawn too."""
    net = network(cells=2, estimator="all", **norm)
    shake(net)
    for architecture in drawn(12):
        if not set(architecture.options) & set(CONVOLUTIONS):
            continue
        reference = copy.deepcopy(net)
        logits, noise = same_draw(reference, architecture)
        soft = torch.softmax((logits + noise) / 5.0, 1)
        hard = functional.one_hot((logits + noise).argmax(1), 3)
        gate = hard - soft.detach() + soft

        def mixed(cell: GlowCell, edge: int, x: Tensor, gate: Tensor = gate, a: Architecture = architecture) -> Tensor:
            return sum(gate[edge, i] * cell.choice(i)(x, a.options[edge]) for i in range(3))  # type: ignore[return-value]

        expected = written_out(reference, images(), architecture, mixed)
        output = net(images(), architecture)
        torch.testing.assert_close(output, expected)
        found, others = gradients(net, output.pow(2).sum()), gradients(reference, expected.pow(2).sum())
        assert found.keys() == others.keys()
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, others[name], atol=1e-9, rtol=1e-6, msg=name)
    net = network(estimator="all")
    logits, noise = same_draw(net, ALL_CONVOLUTIONS)
    found = gradients(net, net(images(), ALL_CONVOLUTIONS).pow(2).sum())
    for number in set(range(3)) - set((logits + noise).argmax(1).tolist()):
        assert not any(gradient.any() for name, gradient in found.items() if f".banks.{number}." in name)


@pytest.mark.parametrize("norm", [{}, {"affine": True, "track": True}], ids=["plain norm", "affine, tracked"])
def test_chosen_is_what_it_says(norm: dict[str, bool]) -> None:
    """The gradients of weights are those of the drawn path; those of the GATE follow the definition, step by step."""
    net = network(cells=2, **norm)
    shake(net)
    baseline = torch.zeros(6, 5, dtype=torch.float64)
    seen = 0
    for architecture in drawn(25):
        options = architecture.options
        edges = [e for e, live in enumerate(live_edges(options)) if live and options[e] in CONVOLUTIONS]
        if not edges:
            continue
        reference = copy.deepcopy(net)
        logits, noise = same_draw(reference, architecture)
        route = tuple((logits + noise).argmax(1).tolist())
        ones = torch.ones(6, dtype=torch.float64, requires_grad=True)

        def scaled(cell: GlowCell, edge: int, x: Tensor, c: Any = (ones, route, options)) -> Tensor:
            return c[0][edge] * cell.choice(c[1][edge])(x, c[2][edge])

        expected = written_out(reference, images(), architecture, scaled)
        output = net(images(), architecture)
        torch.testing.assert_close(output, expected)
        found = gradients(net, output.pow(2).sum())
        reference.zero_grad(set_to_none=True)
        expected.pow(2).sum().backward(retain_graph=True)
        credit = ones.grad.clone()  # type: ignore[union-attr]
        seen += alike(options, route)
        wanted = torch.zeros_like(logits)
        drawn_by = torch.softmax(logits.detach(), 1)
        for e in edges:
            c, o = route[e], OPERATIONS.index(options[e])
            surprise = credit[e] - baseline[e, o]
            wanted[e] = surprise * (functional.one_hot(torch.tensor(c), 3) - drawn_by[e]) / 5.0
            baseline[e, o] += BASELINE_RATE * surprise
        logits.backward(wanted)
        others = {name: p.grad for name, p in reference.named_parameters() if p.grad is not None}
        assert found.keys() == others.keys()
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, others[name], atol=1e-9, rtol=1e-6, msg=name)
        torch.testing.assert_close(net.router.baseline, baseline)
    assert seen


def test_both_estimators_have_the_same_mean() -> None:
    """`chosen`, averaged over draws, is sum_i s_i p_i (1[i=j] - p_j) / T for any baseline: `all` with p for y."""
    net = network()
    logits = torch.tensor([[0.0, 1.0, -2.0]] * 6, dtype=torch.float64)
    credit = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    probabilities = torch.softmax(logits[4], 0)
    leaf = logits[4].clone().requires_grad_()
    (expected,) = torch.autograd.grad(credit @ torch.softmax(leaf, 0) / 5.0, leaf)
    for baseline in (0.0, 7.0):
        mean = torch.zeros(3, dtype=torch.float64)
        for c in range(3):
            net.router.baseline.fill_(baseline)
            leaf = logits.clone().requires_grad_()
            graph = _graph(ALL_CONVOLUTIONS.options)
            gates = net.router._chosen(leaf, torch.full((6,), c), graph, [4])
            (gates[4] * credit[c]).backward()
            assert leaf.grad is not None
            assert not leaf.grad[:4].any()
            mean += probabilities[c] * leaf.grad[4]
        torch.testing.assert_close(mean, expected)


@pytest.mark.parametrize("norm", [{}, {"affine": True, "track": True}], ids=["plain norm", "affine, tracked"])
@pytest.mark.parametrize("gate", ["node", "random", "fixed"])
def test_one_node_equals_edge_by_edge(gate: str, norm: dict[str, bool]) -> None:
    """The program and its by-product, the gates' gradients, against single operations."""
    net = network(gate=gate, cells=2, **norm)
    shake(net)
    seen = 0
    for architecture in drawn(40):
        slow = copy.deepcopy(net)
        setattr(slow, "in_one_node", lambda *_: None)  # noqa: B010 - mypy forbids methods to be set
        outputs = [one(images(), architecture) for one in (net, slow)]
        torch.testing.assert_close(*outputs)
        found, expected = (gradients(one, out.pow(2).sum()) for one, out in zip((net, slow), outputs, strict=True))
        assert found.keys() == expected.keys() or not net.gate
        for name, gradient in found.items():
            torch.testing.assert_close(gradient, expected[name], atol=1e-8, rtol=1e-6, msg=name)
        seen += gate == "node" and alike(architecture.options, same_route(net, architecture))
    assert seen or gate != "node"


def alike(options: tuple[str, ...], route: tuple[int, ...]) -> bool:
    """Say whether several live edges of a cell compute the same convolution of the same value."""
    nodes = node_values(options, route)
    terms = [
        term_of(option, route[edge], nodes[EDGES[edge][1]])
        for edge, option in enumerate(options)
        if option in CONVOLUTIONS and live_edges(options)[edge]
    ]
    return len(set(terms)) < len(terms)


def credits(net: Nasbench201Glow, architecture: Architecture, route: tuple[int, ...], *, by_edges: bool) -> Tensor:
    """Return the gradients (E,) of an architecture's gates, by single operations or not."""
    ones = torch.ones(len(EDGES), dtype=torch.float64, requires_grad=True)
    options, x = architecture.options, images()
    if by_edges:
        out: Tensor | None = net._by_edges(x, options, Draw(route, ones))
    else:
        out = net.in_one_node(x, options, route, Gates(ones, net._gate_places(options)))
    assert out is not None
    (found,) = torch.autograd.grad(functional.cross_entropy(out, torch.arange(len(x))), ones)
    return found


@pytest.mark.parametrize("route", [(0,) * 6, (0, 0, 0, 1, 0, 1)])
def test_edges_that_compute_the_same_are_credited_apart(route: tuple[int, ...]) -> None:
    """With equal nodes, and with equal edges to nodes that differ; the two backends agree."""
    net = network(cells=2)
    assert alike(REPEATING.options, route)
    found, expected = (credits(net, REPEATING, route, by_edges=by_edges) for by_edges in (False, True))
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-6)
    assert expected[0] != 0
    assert (expected[0] == expected[1]) == (route == (0,) * 6)


@pytest.mark.parametrize("options", [{}, {"score": "sample"}, {"estimator": "all"}, {"gate": "random"}])
def test_as_scored_a_pass_of_training_draws_nothing(options: dict[str, Any]) -> None:
    """It has the scored blocks, whose weights it gives gradients, and leaves the router as it was."""
    net = network(**options)
    before = copy.deepcopy(net.router.state_dict())
    for architecture in drawn(8):
        with net.as_scored():
            outputs = [net(images(), architecture) for _ in range(2)]
            assert not net.counts_its_calls()
        assert torch.equal(*outputs)
        torch.testing.assert_close(outputs[0], net.eval()(images(), architecture))
        net.train()
        found = gradients(net, outputs[0].pow(2).sum())
        lively = zip(architecture.options, live_edges(architecture.options), net.routes([architecture])[0], strict=True)
        banks = {block for option, live, block in lively if live and option in CONVOLUTIONS}
        assert {int(name.split(".banks.")[1][0]) for name in found if ".banks." in name} == banks
        assert not [name for name in found if name.startswith("router.")]
    after = net.router.state_dict()
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())
    assert net.draws_routes
    net(images(), ALL_CONVOLUTIONS)
    assert int(net.router.draws) == 1


@pytest.mark.parametrize("norm", [{}, {"affine": True, "track": True}], ids=["plain norm", "affine, tracked"])
@pytest.mark.parametrize("gate", ["positions", "fixed"])
def test_where_nothing_is_drawn_as_scored_changes_nothing(gate: str, norm: dict[str, bool]) -> None:
    net, other = (network(gate=gate, **norm) for _ in range(2))
    for architecture in drawn(8):
        with net.as_scored():
            ours = net(images(), architecture)
        theirs = other(images(), architecture)
        assert torch.equal(ours, theirs)
        found, expected = gradients(net, ours.pow(2).sum()), gradients(other, theirs.pow(2).sum())
        assert found.keys() == expected.keys()
        assert all(map(torch.equal, found.values(), expected.values()))
    assert all(map(torch.equal, net.state_dict().values(), other.state_dict().values()))


def same_route(net: Nasbench201Glow, architecture: Architecture) -> tuple[int, ...]:
    """Return the route of the draw that was last."""
    before = copy.deepcopy(net.router)
    before.draws -= 1
    learns = [
        e for e, o in enumerate(architecture.options) if o in CONVOLUTIONS and live_edges(architecture.options)[e]
    ]
    return before.draw(_graph(architecture.options), net.level, learns).route


@pytest.mark.parametrize("estimator", ["chosen", "all"])
@pytest.mark.parametrize("level", [1, 2, 3])
def test_the_gate_learns_from_the_second_level_on(estimator: Any, level: int) -> None:
    net = network(level, estimator=estimator)
    found = gradients(net, net(images(), ALL_CONVOLUTIONS).pow(2).sum())
    of_gate = {name: gradient for name, gradient in found.items() if name.startswith("router.gate.")}
    assert net.gate is not None
    if level == 1:
        assert not of_gate
        return
    assert len(of_gate) == len(list(net.gate.parameters()))
    idle = {name for name, gradient in of_gate.items() if not gradient.any()}
    # Only the input keeps itself, and three edges are the longest way: what others are told in the first two of the
    # five layers has left the cell at the end.
    kinds = ("weight", "bias")
    assert idle == {f"router.gate.embedder.flows.{layer}.attention.{kind}" for layer in (0, 1) for kind in kinds}
    rows = of_gate["router.gate.head.weight"].abs().sum(1)
    assert rows[:level].all()
    assert not rows[level:].any()


def test_as_released_a_single_block_gives_the_gate_zeros() -> None:
    net = network(1, estimator="all", released=True)
    found = gradients(net, net(images(), ALL_CONVOLUTIONS).pow(2).sum())
    of_gate = [gradient for name, gradient in found.items() if name.startswith("router.gate.")]
    assert of_gate
    assert not any(gradient.any() for gradient in of_gate)
    assert not net.undecayed()
    ours = network()
    assert {id(p) for p in ours.undecayed()} == {id(p) for name, p in ours.named_parameters() if ".gate." in name}


def test_scoring_several_at_once_as_on_a_gpu() -> None:
    net, chosen = network(affine=True).eval(), drawn(12)
    together = net.together(images(), chosen)
    apart = torch.stack([net(images(), architecture) for architecture in chosen])
    torch.testing.assert_close(together, apart)


def test_equal_functions_are_equal_routes_too() -> None:
    """What the space calls equal need not be here; what the supernet calls equal is, to the last bit."""
    net = network(space=raynas.space("nasbench201")).eval()
    everything = list(net.space.enumerate())[::7]
    forms = net.shared_forms(everything)
    by_space = {form: net.space.shared_form(a) for form, a in zip(forms, everything, strict=True)}
    assert len(set(forms)) > len(set(by_space.values()))
    net.set_level(1)
    assert len(set(net.shared_forms(everything))) < len(set(forms))
    assert net.shared_forms(everything[:1])[0] == ()


def test_relaxation_is_refused() -> None:
    with pytest.raises(NotImplementedError, match="cannot be relaxed"):
        network().forward_mixture(images(), None)  # type: ignore[arg-type]


def test_bfloat16_changes_no_route() -> None:
    net = network(channels=8).float().eval()
    chosen, x = drawn(20), images().float()
    routes = net.routes(chosen)
    copied = network(channels=8).float().eval()
    with torch.autocast("cpu", torch.bfloat16), torch.inference_mode():
        assert copied.routes(chosen) == routes
        assert copied(x, chosen[3]).dtype == torch.bfloat16


def test_weights_of_another_process_are_scored_alike() -> None:
    """Level, GATE and seed are in the state, and a state that is attached is noticed."""
    for options in ({}, {"score": "sample"}, {"gate": "fixed"}, {"gate": "random"}):
        here, there = network(2, seed=1, **options).eval(), network(3, seed=2, **options).eval()
        here.float(), there.float()
        chosen = drawn(30)
        before = there.routes(chosen)
        Weights.of(here.state_dict()).attach(there)
        assert there.level == 2
        assert there.routes(chosen) == here.routes(chosen) != before
