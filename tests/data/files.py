"""Small files of images for the tests of data sets."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image


def random_images(count: int, side: tuple[int, int] = (8, 8), seed: int = 0) -> np.ndarray:
    """Return (N, H, W, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (count, *side, 3), dtype=np.uint8)


def encoded(image: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind)
    return buffer.getvalue()


def image_folder(root: Path, counts: dict[str, int], side: tuple[int, int] = (8, 8)) -> Path:
    """Write so many images a class to each part's folder; every fourth is a JPEG."""
    for seed, (part, count) in enumerate(counts.items()):
        for label, name in enumerate(("ant", "bee", "cat")):
            (root / part / name).mkdir(parents=True)
            for row, image in enumerate(random_images(count, side, 10 * seed + label)):
                Image.fromarray(image).save(root / part / name / f"{row:03}.{'jpg' if row % 4 == 3 else 'png'}")
    return root
