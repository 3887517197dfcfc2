"""Tasks: cross entropy and top-1, and the depth loss against one image at a time written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

import raynas
from raynas.data import Augmentation, ImageData, TensorSplit
from raynas.methods import SAMPLERS
from raynas.networks import Supernet
from raynas.training.scoring import evaluate
from raynas.training.settings import OptimizerSettings
from raynas.training.task import task
from raynas.training.trainer import Trainer


def test_classification() -> None:
    logits, labels = torch.randn(10, 4), torch.arange(10) % 4
    found = task("classification").sums(logits, labels)
    assert found.loss == pytest.approx(functional.cross_entropy(logits, labels, reduction="sum").item())
    assert found.quality == 100 * int((logits.argmax(1) == labels).sum())
    assert found.images == 10
    assert torch.equal(task("classification").loss(logits, labels), functional.cross_entropy(logits, labels))


def pairs(count: int = 5, height: int = 19, width: int = 22) -> tuple[torch.Tensor, torch.Tensor]:
    """Outputs and depths with holes of every kind; the fourth image has a single valid pixel."""
    rng = torch.Generator().manual_seed(0)
    outputs = torch.randn(count, 1, height, width, generator=rng, dtype=torch.float64)
    depths = torch.rand(count, 1, height, width, generator=rng, dtype=torch.float64) * 9 + 1
    depths[torch.rand(depths.shape, generator=rng) < 0.3] = torch.nan
    depths[0, 0, :3] = 0.0
    depths[1, 0, :, 5] = torch.inf
    depths[3] = torch.nan
    depths[3, 0, 4, 4] = 2.0
    return outputs, depths


def slow_loss(output: np.ndarray, depth: np.ndarray) -> float:
    """One image, pixel by pixel. Arguments are (H, W)."""
    height, width = depth.shape
    valid = [(i, j) for i in range(height) for j in range(width) if math.isfinite(depth[i, j]) and depth[i, j] > 0]

    def normalised(values: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
        ordered = sorted(values.values())
        median = ordered[(len(ordered) - 1) // 2]
        deviation = max(sum(abs(v - median) for v in values.values()) / len(values), 1e-6)
        return {at: (v - median) / deviation for at, v in values.items()}

    p, t = normalised({at: output[at] for at in valid}), normalised({at: 1 / depth[at] for at in valid})
    residual = {at: p[at] - t[at] for at in valid}
    smallest = sorted(abs(r) for r in residual.values())[: int(0.8 * len(valid))]
    loss = sum(smallest) / (2 * len(valid))
    for stride in (1, 2, 4, 8):
        seen = {(i, j) for i, j in valid if i % stride == 0 and j % stride == 0}
        total = 0.0
        for i, j in seen:
            for other in ((i + stride, j), (i, j + stride)):
                if other in seen:
                    total += abs(residual[other] - residual[i, j])
        loss += 0.5 * total / max(len(seen), 1)
    return loss


def slow_delta1(output: np.ndarray, depth: np.ndarray) -> float:
    valid = np.isfinite(depth) & (depth > 0)
    x, y = output[valid], 1 / depth[valid]
    (scale, shift), *_ = np.linalg.lstsq(np.stack([x, np.ones_like(x)], axis=1), y, rcond=None)
    disparity = scale * x + shift
    right = [d > 0 and max((1 / d) / (1 / w), (1 / w) / (1 / d)) < 1.25 for d, w in zip(disparity, y, strict=True)]
    return 100 * float(np.mean(right))


def test_depth_equals_one_image_at_a_time() -> None:
    outputs, depths = pairs()
    expected = [slow_loss(o, d) for o, d in zip(outputs[:, 0].numpy(), depths[:, 0].numpy(), strict=True)]
    assert task("depth").loss(outputs, depths).item() == pytest.approx(np.mean(expected), rel=1e-9)
    found = task("depth").sums(outputs, depths)
    assert found.loss == pytest.approx(sum(expected), rel=1e-9)
    quality = [slow_delta1(o, d) for o, d in zip(outputs[:, 0].numpy(), depths[:, 0].numpy(), strict=True)]
    assert found.quality == pytest.approx(sum(quality), rel=1e-9)
    assert found.images == 5


def test_depth_is_blind_to_scale_and_shift() -> None:
    outputs, depths = pairs()
    plain, moved = (task("depth").sums(o, depths) for o in (outputs, 3.7 * outputs - 12))
    assert moved.loss.item() == pytest.approx(plain.loss.item(), rel=1e-9)
    assert moved.quality.item() == pytest.approx(plain.quality.item())
    perfect = task("depth").sums(0.2 / depths.nan_to_num(1, 1).clamp(min=0.1) + 5, depths)
    assert perfect.loss == pytest.approx(0, abs=1e-9)
    assert perfect.quality == pytest.approx(500)
    # distances of 1000 times the unit only scale disparities
    assert task("depth").sums(outputs, 1000 * depths).quality == pytest.approx(plain.quality)


def test_values_of_invalid_pixels_do_not_matter() -> None:
    outputs, depths = pairs()
    other = torch.where(depths.isfinite() & (depths > 0), outputs, 99.0)
    assert task("depth").sums(outputs, depths) == task("depth").sums(other, depths)
    outputs.requires_grad_()
    task("depth").loss(outputs, depths).backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert (outputs.grad[~(depths.isfinite() & (depths > 0))] == 0).all()


def test_images_without_depth_and_flat_outputs() -> None:
    outputs, depths = pairs()
    alone = task("depth").loss(outputs[:1], depths[:1]).item()
    depths[1:] = torch.nan
    outputs.requires_grad_()
    loss = task("depth").loss(outputs, depths)
    assert loss.item() == pytest.approx(alone)
    loss.backward()
    assert outputs.grad is not None
    assert outputs.grad.isfinite().all()
    assert task("depth").sums(outputs, depths).images == 1
    nothing = task("depth").loss(outputs, torch.full_like(depths, torch.nan))
    assert nothing.item() == 0
    flat = task("depth").sums(torch.zeros(1, 1, 19, 22), torch.full((1, 1, 19, 22), 2.0))
    assert (flat.loss, flat.quality) == (0, 100)


def test_wrong_outputs_are_refused() -> None:
    _, depths = pairs()
    with pytest.raises(ValueError, match="outputs are"):
        task("depth").loss(torch.zeros(5, 1, 4, 4), depths)


def test_training_and_scoring_follow_the_task() -> None:
    """A single convolution learns depths that are a function of colour."""
    space = raynas.space("nasbench201", connected=True)

    class Colour(Supernet):
        def __init__(self) -> None:
            super().__init__(space, (3, 12, 12), 1)
            torch.manual_seed(0)
            self.mix = torch.nn.Conv2d(3, 1, 1)

        def forward_path(self, images: torch.Tensor, architecture: object) -> torch.Tensor:
            return self.mix(images)

    pixels = torch.randint(0, 256, (64, 3, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    depths = 1 / (0.1 + pixels[:, :1].float() / 255)
    split = TensorSplit(pixels, depths, (128.0,) * 3, (74.0,) * 3)
    data = ImageData("colour", split, split, split, 1, "depth", Augmentation(crop=2, flip=True))
    net = Colour()
    trainer = Trainer(
        net,
        data.train,
        SAMPLERS.make("uniform", space),
        OptimizerSettings(batch_size=16, lr=0.1),
        total_steps=60,
        seed=0,
        name="root",
        task=data.task,
        augmentation=data.augmentation,
    )
    architecture = space.sample(np.random.default_rng(0))
    before = evaluate(net, data.valid, architecture, 32, data.task)
    trainer.train(60)
    after = evaluate(net, data.valid, architecture, 32, data.task)
    assert after.loss < 0.1 * before.loss
    assert after.accuracy > 95
