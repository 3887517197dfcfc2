"""Scores: the protocol is kept, duplicates cost once, and nothing changes the supernet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn import functional

import raynas
from raynas.methods import SAMPLERS
from raynas.networks import Supernet
from raynas.spaces import Space
from raynas.training.scoring import Score, ScoreProtocol, evaluate, score_architectures
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

SPACE = raynas.space("nasbench201", connected=True)
DATA = raynas.data("digits")


def net(track: bool = False, affine: bool = False) -> Supernet:
    return raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, track=track, affine=affine)


def test_scores_are_loss_and_accuracy_of_the_batches() -> None:
    supernet = net()
    architecture = SPACE.sample(np.random.default_rng(0))
    protocol = ScoreProtocol(images=100, batch_size=64)
    [score] = score_architectures(supernet, DATA, [architecture], protocol)
    with torch.no_grad():
        logits = torch.cat([supernet.train()(DATA.valid.images[a:b], architecture) for a, b in ((0, 50), (50, 100))])
    labels = DATA.valid.targets[:100]
    assert score.loss == pytest.approx(functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert score.accuracy == pytest.approx(100 * (logits.argmax(1) == labels).float().mean().item())
    assert score.value("loss") == -score.loss
    assert score.value("accuracy") == score.accuracy


@pytest.mark.parametrize("policy", ["batch", "recalibrate", "running"])
def test_scoring_changes_nothing_and_repeats_itself(policy: str) -> None:
    supernet = net(track=True).train()
    rng = np.random.default_rng(0)
    architectures = [SPACE.sample(rng) for _ in range(4)]
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    protocol = ScoreProtocol(images=64, batch_norm=policy, recalibrate_images=64)
    once = score_architectures(supernet, DATA, architectures, protocol)
    again = score_architectures(supernet, DATA, architectures[::-1], protocol)[::-1]
    assert once == again
    assert supernet.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())
    assert all(p.grad is None for p in supernet.parameters())


def test_forms_are_scored_once() -> None:
    """Three of these cells are one function, so that two networks are run for each of the two batches."""
    supernet = net()
    same = [
        "|skip_connect~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
        "|none~0|+|nor_conv_1x1~0|none~1|+|nor_conv_3x3~0|none~1|none~2|",
    ]
    other = "|none~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
    architectures = [SPACE.parse(text) for text in (same[0], other, *same[1:], other)]
    calls: list[torch.nn.Module] = []
    supernet.classifier.register_forward_pre_hook(lambda module, _: calls.append(module))
    scores = score_architectures(supernet, DATA, architectures, ScoreProtocol(images=64, batch_size=32))
    assert len(calls) == 2 * 2
    assert scores[0] == scores[2] == scores[3]
    assert scores[1] == scores[4] != scores[0]


def subspaces() -> list[tuple[str, dict[str, object], Space]]:
    """Whole small subspaces of several spaces, in each of which architectures begin alike."""
    cells = raynas.space("nasbench201").subspace({name: ["none"] for name in ("1<-0", "2<-0", "2<-1", "3<-1")})
    macro = raynas.space("nasbench_macro")
    layers = macro.subspace({decision.name: decision.options[1:2] for decision in macro.decisions[3:]})
    return [
        ("nasbench201", {"channels": 2, "cells": 1}, cells),
        ("nasbench_macro", {"channels": 4, "head": 8}, layers),
    ]


@pytest.mark.parametrize("policy", ["batch", "recalibrate", "running"])
@pytest.mark.parametrize(("name", "options", "space"), subspaces(), ids=[name for name, *_ in subspaces()])
def test_whole_subspaces_equal_one_by_one(name: str, options: dict[str, object], space: Space, policy: str) -> None:
    supernet = raynas.supernet(space, input_shape=(1, 8, 8), track=True, affine=True, **options)
    protocol = ScoreProtocol(images=48, batch_size=24, batch_norm=policy, recalibrate_images=16)
    everything = list(space.enumerate())
    together = score_architectures(supernet, DATA, everything, protocol)
    alone = [score_architectures(supernet, DATA, [architecture], protocol)[0] for architecture in everything]
    assert together == alone  # to the last bit
    shuffled = [everything[place] for place in np.random.default_rng(0).permutation(len(everything))[:10]]
    assert score_architectures(supernet, DATA, shuffled, protocol) == [alone[everything.index(a)] for a in shuffled]
    if policy == "batch":
        for architecture, score in list(zip(everything, together, strict=True))[::5]:
            with torch.no_grad():
                outputs = [supernet.train()(x, architecture) for x, _ in DATA.valid.first(48).slices(24)]
            labels = DATA.valid.first(48).targets
            assert score.loss == pytest.approx(functional.cross_entropy(torch.cat(outputs), labels).item(), rel=1e-6)


def test_evaluation_of_one_adds_up_batch_by_batch() -> None:
    """In float64 over float32 sums of batches, as it always was: rows of shipped truth are retrained exactly."""
    supernet = net(track=True).eval()
    architecture = SPACE.sample(np.random.default_rng(3))
    loss, right = 0.0, 0
    with torch.inference_mode():
        found = evaluate(supernet, DATA.valid, architecture, 100)
        for x, y in DATA.valid.slices(100):
            logits = supernet(x, architecture)
            loss += functional.cross_entropy(logits, y, reduction="sum").item()
            right += int((logits.argmax(1) == y).sum())
    assert found == Score(loss / len(DATA.valid), 100.0 * right / len(DATA.valid))


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("policy", ["batch", "recalibrate", "running"])
def test_bfloat16_ranks_as_float32_does(policy: str, affine: bool) -> None:
    supernet = net(track=True, affine=affine)
    settings = OptimizerSettings(batch_size=64, lr=0.05)
    Trainer(supernet, DATA.train, SAMPLERS.make("uniform", SPACE), settings, total_steps=150, seed=0, name="x").train(
        150
    )
    rng = np.random.default_rng(0)
    architectures = [SPACE.sample(rng) for _ in range(30)]
    losses = {}
    for precision in ("float32", "bfloat16"):
        protocol = ScoreProtocol(images=128, batch_norm=policy, recalibrate_images=64, precision=precision)
        losses[precision] = [score.loss for score in score_architectures(supernet, DATA, architectures, protocol)]
    assert losses["float32"] != losses["bfloat16"]
    assert stats.kendalltau(losses["float32"], losses["bfloat16"]).statistic > 0.9
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
