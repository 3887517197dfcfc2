"""`depth_folder:PATH`: image files in ``PATH/images`` and depth files of the same names in ``PATH/depths``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from PIL import Image
from pydantic import Field

from raynas.data import options
from raynas.data.augmentation import Augmentation
from raynas.data.base import DATA, ImageData
from raynas.data.depth_parts import depth_data, fit_depth, hold_out
from raynas.data.imagefolder import SUFFIXES
from raynas.data.source import Fit, file_source
from raynas.errors import DataError

DEPTH_SUFFIXES = (".png", ".npy")


@DATA.register("depth_folder")
def depth_folder(
    *,
    path: options.Path,
    scale: Annotated[float, Field(gt=0, description="metres a unit of the depth files (0.001 for millimetres)")] = 1.0,
    size: options.Size = None,
    crop: options.Crop = 0,
    flip: options.Flip = False,
    train_images: options.Count = None,
    valid_images: options.HeldOut = None,
    test_images: options.HeldOut = None,
    seed: options.Seed = 0,
) -> ImageData:
    """PATH/images/*.jpg or .png with PATH/depths/*.png (8, 16 bit) or .npy; valid and test are held out by seed."""
    pairs = _pairs(Path(path), path)
    fit = Fit(3, size)
    source = file_source([image for image, _ in pairs])
    pixels: list[torch.Tensor] = []
    depths: list[torch.Tensor] = []
    problems: list[str] = []
    for index, (image, file) in enumerate(pairs):
        try:
            with source.open(index) as opened:
                width, height = opened.size
            depth = _read_depth(file, scale)
            if depth.shape != (height, width):
                raise DataError([f"{file} is {depth.shape}, its image {image} is {(height, width)} (H, W)"], path)
            pixels.append(fit.pixels(source, index, shape=pixels[0].shape if pixels else ()))
            depths.append(fit_depth(depth, fit))
        except DataError as error:
            problems += error.problems
        except (OSError, ValueError, SyntaxError) as error:
            problems.append(f"{image} and {file} cannot be read: {error}")
    if problems:
        raise DataError(problems, path)
    parts = hold_out(np.arange(len(pairs)), None, (train_images, valid_images, test_images), seed, path)
    return depth_data(f"depth_folder:{path}", torch.stack(pixels), torch.stack(depths), parts, Augmentation(crop, flip))


def _pairs(root: Path, origin: str) -> list[tuple[Path, Path]]:
    """Return images with their depth files, by name.

    Raises:
        DataError: A folder is missing, or a file has no counterpart.
    """
    missing = [f"there is no folder {root / name}" for name in ("images", "depths") if not (root / name).is_dir()]
    if missing:
        raise DataError(missing, origin)
    images, depths = (
        {file.stem: file for file in sorted((root / name).iterdir()) if file.suffix.lower() in suffixes}
        for name, suffixes in (("images", SUFFIXES), ("depths", DEPTH_SUFFIXES))
    )
    problems = [f"{file} has no depth in {root / 'depths'}" for stem, file in images.items() if stem not in depths]
    problems += [f"{file} has no image in {root / 'images'}" for stem, file in depths.items() if stem not in images]
    if not images:
        problems.append(f"{root / 'images'} holds no images (allowed: {', '.join(SUFFIXES)})")
    if problems:
        raise DataError(problems, origin)
    return [(images[stem], depths[stem]) for stem in images]


def _read_depth(file: Path, scale: float) -> np.ndarray:
    """Return (H, W) float32 metres, NaN where the file holds zero, less, or no number."""
    if file.suffix == ".npy":
        values = np.load(file, allow_pickle=False)
    else:
        with Image.open(file) as image:
            values = np.asarray(image)
    if values.ndim != 2 or values.dtype.kind not in "uif":
        raise DataError([f"{file} is {values.dtype} {values.shape}, not numbers (H, W)"], str(file))
    metres = values.astype(np.float64) * scale
    return np.where(np.isfinite(metres) & (metres > 0), metres, np.nan).astype(np.float32)
