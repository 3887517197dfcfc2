"""Whole runs with every kind of part at once."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import raynas
from raynas.training.scoring import ScoreProtocol, score_architectures
from tests.cluster.test_run import TINY

pytestmark = pytest.mark.ray


def test_a_stack_of_all_parts_runs_and_comes_back(local_ray: None, tmp_path: Path) -> None:
    method = {
        "sampler": {"name": "greedy", "m": 4, "k": 2, "images": 40},
        "sharing": {"name": "glow", "blocks": 2},
        "curriculum": {"name": "close", "levels": [0, 0.5], "restarts": [0.5]},
        "regularizer": {"name": "landmark", "count": 6, "warmup": 0.0},
        "partition": {"decisions": ["3<-0"], "calibration": "shift"},
    }
    done = raynas.run(
        {
            **{key: TINY[key] for key in ("space", "network", "data", "score")},
            "truth": "digits201",
            "method": method,
            "scheduler": "uniform",
            "train": {**TINY["train"], "root_rounds": 2, "partition_rounds": 5},
            "search": {"name": "random", "budget": 8, "pool": {"candidates": 4}, "verify": {"top": 0}},
            "wandb": {"mode": "disabled"},
            "out": str(tmp_path / "stack"),
        }
    )
    root = done.metrics[done.metrics["trial"] == "root"].iloc[-1]
    assert root["level"] == 2
    assert root["landmark_count"] == 6
    assert root["budget"] > root["images_trained"] > 0
    whole = done.ranking[done.ranking["trial"] == "run"]
    asked = done.ranking[(done.ranking["trial"] == "root") & (done.ranking["round"] == 2)]
    assert set(whole["architecture"]) == set(asked["architecture"])

    label = done.partitions[0]["label"]
    found = done.ranking[(done.ranking["trial"] == label) & (done.ranking["round"] == 1)].iloc[0]
    network = done.supernet(label)  # with blocks, their level and the GATE
    protocol = ScoreProtocol(images=TINY["score"]["images"])
    (again,) = score_architectures(network, raynas.data("digits"), [done.space.parse(found["architecture"])], protocol)
    assert again.loss == pytest.approx(found["loss"], rel=1e-4)

    owner, best = done.supernet(), done.space.parse(str(done.best))  # the supernet that scored the best
    assert best in owner.space
    images, _ = raynas.data("digits").valid.take(torch.arange(16))
    with owner.train().as_scored():  # by the batch's statistics, and through the blocks that scores take
        expected = owner(images, best)
    torch.testing.assert_close(raynas.derive(owner, best).train()(images), expected, atol=1e-5, rtol=1e-4)
