"""The NAS-Bench-201 supernet against its definition."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import raynas
from raynas.errors import ArchitectureError, ConfigError
from raynas.networks.batchnorm import batch_norms, scoring_statistics
from raynas.networks.inherit import inherit
from raynas.networks.nasbench201 import Cell
from raynas.spaces.nasbench201 import EDGES, live_edges

SPACE = raynas.space("nasbench201")
SMALL = {"input_shape": (1, 8, 8), "channels": 4, "cells": 1}


def reference_cell(cell: Cell, x: torch.Tensor, options: tuple[str, ...]) -> torch.Tensor:
    """Every edge, dead or alive, summed as the benchmark defines it."""
    nodes = [x]
    for target in range(1, 4):
        terms = [
            choice(nodes[source], option)
            for choice, option, (t, source) in zip(cell.edges, options, EDGES, strict=True)
            if t == target
        ]
        nodes.append(sum(terms[1:], terms[0]))
    return nodes[3]


def test_cell_is_the_sum_over_edges() -> None:
    net = raynas.supernet(SPACE, **SMALL)
    cell = next(block for block in net.blocks if isinstance(block, Cell))
    x = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    for _ in range(60):
        options = SPACE.sample(rng).options
        torch.testing.assert_close(cell(x, options), reference_cell(cell, x, options), atol=1e-5, rtol=1e-5)


def test_parameters_equal_the_benchmark(nasbench201_table: dict[str, np.ndarray]) -> None:
    for row in (0, 1, 77, 6111, 15_624):
        found = raynas.cost(SPACE, SPACE.parse(str(nasbench201_table["arch"][row])))
        assert round(found.params_m * 1e6) == nasbench201_table["params_cifar10"][row]


def test_multiply_adds_equal_the_benchmark_where_all_edges_live(nasbench201_table: dict[str, np.ndarray]) -> None:
    checked = 0
    for row in range(0, 15_625, 1_300):
        architecture = SPACE.parse(str(nasbench201_table["arch"][row]))
        edges = zip(live_edges(architecture.options), architecture.options, strict=True)
        if all(live or option == "none" for live, option in edges):
            found = raynas.cost(SPACE, architecture)
            assert found.flops_m == pytest.approx(nasbench201_table["macs_conv_cifar10_M"][row], rel=1e-9)
            checked += 1
    assert checked >= 5


def test_full_supernet_size_is_the_published_one() -> None:
    net = raynas.supernet(SPACE, affine=False)
    fixed = sum(p.numel() for p in net.parameters())
    published = 1_686_106  # few-shot NAS's one-shot network; its stem, reduction and last batch norms are affine
    norms = 2 * (16 + 32 + 32 + 64 + 64 + 64)
    assert fixed + norms == published


def test_only_live_edges_get_gradients() -> None:
    net = raynas.supernet(SPACE, **SMALL)
    architecture = SPACE.parse(
        "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|nor_conv_1x1~0|none~1|none~2|"
    )  # only 3<-0 reaches the output
    net(torch.randn(2, 1, 8, 8), architecture).sum().backward()
    touched = {name for name, p in net.named_parameters() if p.grad is not None and "edges" in name}
    assert touched
    assert all(".edges.3.candidates.nor_conv_1x1." in name for name in touched)


def test_disconnected_cell_gives_constant_logits() -> None:
    net = raynas.supernet(SPACE, **SMALL)
    nothing = SPACE.parse("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|")
    logits = net(torch.randn(4, 1, 8, 8), nothing)
    torch.testing.assert_close(logits, net.classifier.bias.expand(4, -1))


def test_one_and_many_architectures() -> None:
    net = raynas.supernet(SPACE, **SMALL)
    rng = np.random.default_rng(0)
    architectures = [SPACE.sample(rng) for _ in range(3)]
    x = torch.randn(5, 1, 8, 8)
    many = net(x, architectures)
    assert many.shape == (3, 5, 10)
    for architecture, logits in zip(architectures, many, strict=True):
        torch.testing.assert_close(net(x, architecture), logits)


def test_texts_are_parsed() -> None:
    net, x = raynas.supernet(SPACE, **SMALL), torch.randn(5, 1, 8, 8)
    drawn = [SPACE.sample(np.random.default_rng(seed)) for seed in range(2)]
    assert torch.equal(net(x, drawn[0].text), net(x, drawn[0]))
    assert torch.equal(net(x, [drawn[0].text, drawn[1]]), net(x, drawn))
    with pytest.raises(ArchitectureError, match="none"):
        net(x, "|none~0|...")
    part = SPACE.partition(["1<-0"])[0]
    with pytest.raises(ValueError, match="is not in this supernet's space"):
        raynas.supernet(part, **SMALL)(x, next(SPACE.partition(["1<-0"])[1].enumerate()).text)


def test_candidates_without_names_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"the choice 'kernel':\n.*a mapping, option to module, got a list"):
        raynas.Choice("kernel", [nn.Identity()])
    raynas.Choice("kernel", nn.ModuleDict({"a": nn.Identity()}))


def test_wrong_input_is_explained() -> None:
    part = SPACE.partition(["1<-0"])[0]
    net = raynas.supernet(part, **SMALL)
    inside, outside = next(part.enumerate()), next(SPACE.partition(["1<-0"])[1].enumerate())
    with pytest.raises(ValueError, match=r"images must be \(B, 1, 8, 8\), got \(2, 3, 8, 8\)"):
        net(torch.zeros(2, 3, 8, 8), inside)
    with pytest.raises(ValueError, match="is not in this supernet's space"):
        net(torch.zeros(2, 1, 8, 8), outside)


def test_seed_fixes_weights_and_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    a, b = (raynas.supernet(SPACE, seed=1, **SMALL) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters(), strict=True))


def test_sub_supernets_inherit_the_roots_function() -> None:
    root = raynas.supernet(SPACE, seed=1, **SMALL)
    x = torch.randn(4, 1, 8, 8)
    rng = np.random.default_rng(0)
    for part in SPACE.partition(["3<-0"]):
        child = raynas.supernet(part, seed=2, **SMALL)
        inherit(child, root.state_dict())
        for _ in range(5):
            architecture = part.sample(rng)
            torch.testing.assert_close(child(x, architecture), root(x, architecture))


def test_inheriting_from_a_stranger_is_refused() -> None:
    child = raynas.supernet(SPACE, **SMALL)
    stranger = raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=8, cells=1)
    with pytest.raises(ValueError, match="not a supernet of a subspace"):
        inherit(child, stranger.state_dict())


class TestBatchNorm:
    def net(self, track: bool) -> nn.Module:
        return raynas.supernet(SPACE, seed=0, track=track, affine=True, **SMALL)

    def test_training_and_evaluation_equal_torchs(self) -> None:
        ours, theirs = self.net(track=True), nn.BatchNorm2d(4)
        norm = batch_norms(ours)[0]
        x = torch.randn(6, 4, 5, 5)
        for _ in range(3):
            torch.testing.assert_close(norm.train()(x), theirs.train()(x))
        torch.testing.assert_close(norm.running_mean, theirs.running_mean)
        torch.testing.assert_close(norm.running_var, theirs.running_var)
        torch.testing.assert_close(norm.eval()(x), theirs.eval()(x))

    def test_batch_policy_uses_the_batch(self) -> None:
        net, x = self.net(track=True), torch.randn(8, 1, 8, 8)
        architecture = SPACE.sample(np.random.default_rng(0))
        with scoring_statistics(net, "batch"):
            scored = net(x, architecture)
        torch.testing.assert_close(scored, net.train()(x, architecture))

    def test_recalibration_takes_the_mean_of_batch_statistics(self) -> None:
        net = self.net(track=False)
        architecture = SPACE.parse("|skip_connect~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|")
        batches = [torch.randn(16, 1, 8, 8) for _ in range(3)]
        with scoring_statistics(net, "recalibrate", lambda: [net(x, architecture) for x in batches]):
            mean, var = batch_norms(net)[0]._override
        outputs = [net.stem[0](x) for x in batches]
        torch.testing.assert_close(mean, torch.stack([o.mean((0, 2, 3)) for o in outputs]).mean(0))
        torch.testing.assert_close(var, torch.stack([o.var((0, 2, 3)) for o in outputs]).mean(0))

    def test_recalibrated_scores_do_not_depend_on_the_batch(self) -> None:
        net, x = self.net(track=False), torch.randn(8, 1, 8, 8)
        architecture = SPACE.sample(np.random.default_rng(1))
        with scoring_statistics(net, "recalibrate", lambda: net(torch.randn(64, 1, 8, 8), architecture)):
            torch.testing.assert_close(net(x, architecture)[:4], net(x[:4], architecture))

    @pytest.mark.parametrize("policy", ["batch", "running", "recalibrate"])
    def test_no_policy_changes_the_network(self, policy: str) -> None:
        net = self.net(track=True).train()
        before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
        architecture = SPACE.sample(np.random.default_rng(2))
        x = torch.randn(8, 1, 8, 8)
        with scoring_statistics(net, policy, lambda: net(x, architecture)):
            net(x, architecture)
        assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
        assert net.training

    def test_running_needs_tracking(self) -> None:
        with pytest.raises(ValueError, match="track=True"), scoring_statistics(self.net(track=False), "running"):
            pass
