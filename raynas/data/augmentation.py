"""Random changes of training images, for a whole batch at once and on its device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class Augmentation:
    """Crop, flip and cutout, in this order; every image of a batch is drawn its own.

    Args:
        crop: Black pixels padded on every side (NaN around depths) before a window of the old size is cut out at
            random, as torchvision's RandomCrop does to raw pixels.
        flip: Mirror each image left to right with probability one half.
        cutout: Side of the square set to zero (the mean) around a random pixel, cut off at the border, as in DARTS
            (an odd side covers one pixel less); 0 for none. For classification only.
        area: Of streamed images, a random part of at least this share of the area (and of an aspect ratio from 3/4 to
            4/3) is resized to the wanted size, as torchvision's RandomResizedCrop does; None for the whole image. This
            is done while decoding (see `StreamSplit`), not by `apply`.
    """

    crop: int = 0
    flip: bool = False
    cutout: int = 0
    area: float | None = None

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self.crop > 0 or self.flip or self.cutout > 0 or self.area is not None

    def apply(self, images: Tensor, targets: Tensor, rng: np.random.Generator, black: Tensor) -> tuple[Tensor, Tensor]:
        """Return the changed images and targets; depths are cropped and flipped with their images.

        Args:
            images: (B, C, H, W) float.
            targets: (B,) int64, or (B, 1, H, W) float.
            rng: Draws the changes.
            black: (C, 1, 1), the value of a black pixel.
        """
        count, _, height, width = images.shape
        maps = targets.ndim == 4
        if maps and self.cutout:
            raise ValueError("cutout hides parts of an image whose depth would still be asked for; set it to 0")
        if self.crop or self.flip:
            corners = rng.integers(0, 2 * self.crop + 1, size=(count, 2))
            flips = rng.random(count) < 0.5 if self.flip else np.zeros(count, bool)
            images = _windows(images, corners, flips, self.crop, black)
            if maps:
                nothing = torch.full((1, 1, 1), torch.nan, device=targets.device)
                targets = _windows(targets, corners, flips, self.crop, nothing)
        if self.cutout:
            centres = np.stack([rng.integers(height, size=count), rng.integers(width, size=count)], axis=1)
            images = images * _outside(centres, self.cutout // 2, height, width, images.device)
        return images, targets


def _windows(images: Tensor, corners: np.ndarray, flips: np.ndarray, pad: int, fill: Tensor) -> Tensor:
    """Return from each padded image the window of the old size at its corner, mirrored where told.

    Args:
        images: (B, C, H, W).
        corners: (B, 2), top and left.
        flips: (B,) bool.
        pad: Pixels on every side.
        fill: (C, 1, 1), what is padded.
    """
    count, channels, height, width = images.shape
    mask = functional.pad(torch.ones(1, 1, height, width, dtype=torch.bool, device=images.device), (pad,) * 4)
    padded = torch.where(mask, functional.pad(images, (pad,) * 4), fill.to(images)) if pad else images
    columns = np.arange(width)[None].repeat(count, axis=0)
    columns[flips] = columns[flips, ::-1]
    rows = torch.as_tensor(corners[:, :1] + np.arange(height)[None], device=images.device)
    across = torch.as_tensor(corners[:, 1:] + columns, device=images.device)
    batch = torch.arange(count, device=images.device)
    channel = torch.arange(channels, device=images.device)
    return padded[
        batch[:, None, None, None], channel[None, :, None, None], rows[:, None, :, None], across[:, None, None, :]
    ]


def _outside(centres: np.ndarray, half: int, height: int, width: int, device: torch.device) -> Tensor:
    """Return (B, 1, H, W) bool: False in the square [centre - half, centre + half) of each image."""
    at = torch.as_tensor(centres, device=device)
    rows, columns = torch.arange(height, device=device), torch.arange(width, device=device)
    tall = (rows >= at[:, :1] - half) & (rows < at[:, :1] + half)
    wide = (columns >= at[:, 1:] - half) & (columns < at[:, 1:] + half)
    return ~(tall[:, None, :, None] & wide[:, None, None, :])
