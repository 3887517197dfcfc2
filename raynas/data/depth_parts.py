"""From pairs of image and depth to a data set for monocular depth."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from raynas.data.augmentation import Augmentation
from raynas.data.base import ImageData
from raynas.data.parts import fixed_order
from raynas.data.source import Fit
from raynas.data.split import TensorSplit
from raynas.errors import DataError
from raynas.streams import stream


def depth_data(
    name: str,
    pixels: Tensor,
    depths: Tensor,
    parts: dict[str, np.ndarray],
    augmentation: Augmentation,
) -> ImageData:
    """Return the data set, normalised by the channel statistics of its training images.

    Args:
        name: Its name.
        pixels: (N, 3, H, W) uint8.
        depths: (N, 1, H, W) float32 metres, NaN where invalid.
        parts: Indices of train, valid and test.
        augmentation: What is done to training images.
    """
    values = pixels[torch.as_tensor(parts["train"])].transpose(0, 1).flatten(1).double()
    mean, std = values.mean(1).tolist(), values.std(1).clamp(min=1.0).tolist()
    splits = {
        key: TensorSplit(pixels[torch.as_tensor(index)], depths[torch.as_tensor(index)], tuple(mean), tuple(std))
        for key, index in parts.items()
    }
    return ImageData(
        name,
        splits["train"],
        splits["valid"],
        splits["test"],
        classes=1,
        task="depth",
        augmentation=augmentation if augmentation.changes else None,
    )


def fit_depth(depth: np.ndarray, fit: Fit) -> Tensor:
    """Return a depth map fitted as its image is, (1, H, W) float32: nearest pixels, so that edges stay sharp.

    Args:
        depth: (H, W) float32, NaN where invalid.
        fit: How the image was made to fit.
    """
    if fit.size is not None:
        height, width = depth.shape
        scale = fit.size / min(height, width)
        width, height = max(fit.size, round(width * scale)), max(fit.size, round(height * scale))
        image = Image.fromarray(depth.astype(np.float32)).resize((width, height), Image.Resampling.NEAREST)
        left, top = (width - fit.size) // 2, (height - fit.size) // 2
        depth = np.asarray(image.crop((left, top, left + fit.size, top + fit.size)))
    return torch.from_numpy(depth.astype(np.float32)[None].copy())


def hold_out(
    train: np.ndarray,
    test: np.ndarray | None,
    counts: tuple[int | None, int | None, int | None],
    seed: int,
    origin: str,
) -> dict[str, np.ndarray]:
    """Return indices of train, valid and test: valid (and test, if there is none) drawn from train, then subsets.

    Each part is in a random order (see `fixed_order`).

    Args:
        train: Indices of the official training part.
        test: Those of the official test part; None to hold it out too.
        counts: Images of train, valid and test; None for all, or for a tenth of train where held out.
        seed: Of the draws.
        origin: The file or folder, for messages.

    Raises:
        DataError: Fewer images than asked for.
    """
    wanted = dict(zip(("train", "valid", "test"), counts, strict=True))
    parts = {} if test is None else {"test": test}
    problems = []
    for key in ("valid", "test"):
        if key in parts:
            continue
        count = wanted[key] or max(1, len(train) // 10)
        if count >= len(train):
            problems.append(f"{key}_images={count} cannot be held out of {len(train)} training images")
            continue
        order = stream(seed, "hold out", key).permutation(len(train))
        parts[key], train = np.sort(train[order[:count]]), np.sort(train[order[count:]])
    parts["train"] = train
    for key, index in parts.items():
        count = wanted[key] or len(index)
        if count > len(index):
            problems.append(f"{key}_images={count}, but {key} has {len(index)} images")
        elif count < len(index):
            parts[key] = np.sort(stream(seed, "subset", key).choice(index, count, replace=False))
    if problems:
        raise DataError(problems, origin)
    return {key: index[fixed_order(len(index), key, seed)] for key, index in parts.items()}
