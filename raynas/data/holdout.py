"""Training images set aside, class by class."""

from __future__ import annotations

import numpy as np
import torch

from raynas.data.split import Split


def hold_out(split: Split, count: int, rng: np.random.Generator) -> tuple[Split, Split]:
    """Return what is left of a split, in order, and `count` of its images that are set aside, in random order.

    Where the targets are classes, every class gives its share, and any first images of those set aside are balanced
    too, give or take one a class.

    Raises:
        ValueError: Fewer than two images would be left.
    """
    if not 0 < count <= len(split) - 2:
        raise ValueError(f"cannot hold out {count} of {len(split)} images")
    order = rng.permutation(len(split))
    targets = split.targets
    if targets.ndim == 1 and not targets.is_floating_point():
        classes = targets.cpu().numpy()[order]
        turn = np.empty(len(order), np.int64)
        for each in np.unique(classes):
            members = np.flatnonzero(classes == each)
            turn[members] = np.arange(len(members))
        order = order[np.argsort(turn, kind="stable")]
    aside = order[:count]
    kept = np.setdiff1d(np.arange(len(split)), aside)
    return split.select(torch.as_tensor(kept)), split.select(torch.as_tensor(aside))
