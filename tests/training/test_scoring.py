"""Scores: the protocol is kept, duplicates cost once, and nothing changes the supernet."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

import raynas
from raynas.training.scoring import Score, ScoreProtocol, score_architectures

SPACE = raynas.space("nasbench201", connected=True)
DATA = raynas.data("digits")


def net(track: bool = False) -> torch.nn.Module:
    return raynas.supernet(SPACE, input_shape=(1, 8, 8), channels=2, cells=1, track=track)


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


def test_duplicates_are_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    from raynas.training import scoring

    def count(supernet: object, split: object, architecture: object, *settings: object) -> Score:
        calls.append(str(architecture))
        return Score(float(len(calls)), 0.0)

    monkeypatch.setattr(scoring, "evaluate", count)
    a, b = (SPACE.sample(np.random.default_rng(i)) for i in range(2))
    scores = score_architectures(net(), DATA, [a, b, a, a], ScoreProtocol(images=64))
    assert [score.loss for score in scores] == [1, 2, 1, 1]
    assert calls == [str(a), str(b)]
