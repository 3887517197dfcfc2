"""The scale- and shift-invariant loss of monocular depth, and the accuracy that goes with it, by image.

The loss is MiDaS's trimmed one (Ranftl et al., "Towards Robust Monocular Depth Estimation", 2020; without the common
implementation's two shortcuts: medians are taken over valid pixels only, and trimming is done image by image).
"""

from __future__ import annotations

import torch
from torch import Tensor

KEPT = 0.8
"""The share of the smallest residuals that count; the rest may be errors of the ground truth."""
GRADIENT_WEIGHT = 0.5
STRIDES = (1, 2, 4, 8)
SMALLEST_DEVIATION = 1e-6


def scale_shift_invariant_loss(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return each image's loss (B,): trimmed absolute residuals plus half the differences of neighbours.

    Prediction and target are both shifted by their median and divided by their mean absolute deviation, so
    ``a * prediction + b`` with a > 0 has the same loss.

    Args:
        prediction: (B, H, W) disparity up to scale and shift.
        target: (B, H, W) disparity, finite everywhere.
        valid: (B, H, W) bool; other pixels do not count. An image without any has loss 0.
    """
    aligned, wanted = normalise_robustly(prediction, valid), normalise_robustly(target, valid)
    residual = (aligned - wanted).where(valid, 0.0)
    return _trimmed(residual, valid) + GRADIENT_WEIGHT * sum(
        (_neighbours(residual[:, ::s, ::s], valid[:, ::s, ::s]) for s in STRIDES), start=torch.zeros(())
    )


def normalise_robustly(values: Tensor, valid: Tensor) -> Tensor:
    """Return (values - median) / mean absolute deviation, both over the valid pixels of each image.

    Of an even number of values the median is the lower middle one, as torch.median has it.

    Args:
        values: (B, H, W).
        valid: (B, H, W) bool.
    """
    flat, mask = values.flatten(1), valid.flatten(1)
    count = mask.sum(1, keepdim=True).clamp(min=1)
    ordered = flat.masked_fill(~mask, torch.inf).sort(1).values
    median = ordered.gather(1, (count - 1) // 2)
    median = median.where(median.isfinite(), 0.0)  # of an image without valid pixels
    shifted = (flat - median).where(mask, 0.0)
    deviation = (shifted.abs().sum(1, keepdim=True) / count).clamp(min=SMALLEST_DEVIATION)
    return (shifted / deviation).view_as(values)


def delta1(prediction: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """Return each image's share (B,) of valid pixels with max(d / d*, d* / d) < 1.25.

    d is the prediction after the least-squares scale and shift, image by image, to the target's disparities; inverting
    both to depths leaves the ratio as it is. Predictions that end at or below zero are wrong.

    Args:
        prediction: (B, H, W) disparity up to scale and shift.
        target: (B, H, W) disparity, positive everywhere.
        valid: (B, H, W) bool; an image without any has 0.
    """
    mask = valid.flatten(1)
    count = mask.sum(1, keepdim=True).clamp(min=1)
    x, y = (values.flatten(1).double().where(mask, 0.0) for values in (prediction, target))
    x_mean, y_mean = x.sum(1, keepdim=True) / count, y.sum(1, keepdim=True) / count
    x, y = (x - x_mean).where(mask, 0.0), (y - y_mean).where(mask, 0.0)
    variance = (x * x).sum(1, keepdim=True)
    scale = (x * y).sum(1, keepdim=True) / variance.where(variance > 0, 1.0)  # a flat prediction becomes the mean
    d, wanted = scale * x + y_mean, y + y_mean
    right = mask & (d > 0) & (torch.maximum(d / wanted, wanted / d) < 1.25)
    return right.sum(1).double() / count[:, 0]


def _trimmed(residual: Tensor, valid: Tensor) -> Tensor:
    mask = valid.flatten(1)
    count = mask.sum(1)
    ordered = residual.abs().flatten(1).masked_fill(~mask, torch.inf).sort(1).values
    kept = torch.arange(ordered.shape[1], device=ordered.device) < (count * KEPT).long()[:, None]
    return ordered.where(kept, 0.0).sum(1) / (2 * count.clamp(min=1))


def _neighbours(residual: Tensor, valid: Tensor) -> Tensor:
    """Return the sum of absolute differences of neighbours that are both valid, divided by the valid pixels, (B,)."""
    across = (residual[:, :, 1:] - residual[:, :, :-1]).abs() * (valid[:, :, 1:] & valid[:, :, :-1])
    down = (residual[:, 1:] - residual[:, :-1]).abs() * (valid[:, 1:] & valid[:, :-1])
    return (across.sum((1, 2)) + down.sum((1, 2))) / valid.sum((1, 2)).clamp(min=1)
