"""`depth_npz:PATH`: photographs with depth in one numpy file (docs/data.md tells its fields), made for NYU Depth v2."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from raynas.data import options
from raynas.data.augmentation import Augmentation
from raynas.data.base import DATA, ImageData
from raynas.data.depth_parts import depth_data, fit_depth, hold_out
from raynas.data.npz import read_fields
from raynas.data.source import ArraySource, BlobSource, Fit
from raynas.errors import DataError

FIELDS = ("jpeg", "offsets", "depth_code", "is_test")


@DATA.register("depth_npz")
def depth_npz(
    *,
    path: options.Path,
    codes_per_metre: Annotated[float, Field(gt=0, description="depth in metres is depth_code divided by this")] = 25.51,
    rows: Annotated[tuple[int, int], Field(description="first and last row used (cuts off a border)")] = (12, 117),
    columns: Annotated[tuple[int, int], Field(description="first and last column used")] = (11, 150),
    size: options.Size = None,
    crop: options.Crop = 0,
    flip: options.Flip = False,
    train_images: options.Count = None,
    valid_images: options.HeldOut = None,
    test_images: options.Count = None,
    seed: options.Seed = 0,
) -> ImageData:
    """Photographs and depths of a numpy file (depth_npz:PATH); valid is held out of its training images."""
    fields = read_fields(path)
    problems = [f"field {name} is missing" for name in FIELDS if name not in fields]
    if not problems:
        problems = _problems(fields, rows, columns)
    if problems:
        raise DataError(problems, path)
    codes, is_test = fields["depth_code"], fields["is_test"].astype(bool)
    counts = (train_images, valid_images, test_images)
    parts = hold_out(np.flatnonzero(~is_test), np.flatnonzero(is_test), counts, seed, path)
    inside = (slice(rows[0], rows[1] + 1), slice(columns[0], columns[1] + 1))
    blob = BlobSource(fields["jpeg"], fields["offsets"].astype(np.int64), "jpeg")
    try:
        whole = [Fit(3).pixels(blob, index, shape=(3, *codes.shape[1:])) for index in range(len(codes))]
        cut = ArraySource(torch.stack(whole).permute(0, 2, 3, 1).numpy()[:, *inside], "jpeg")
        fit = Fit(3, size)
        pixels = torch.stack([fit.pixels(cut, index) for index in range(len(codes))])
    except DataError as error:
        raise DataError(error.problems, path) from error
    depths = torch.stack([fit_depth(_metres(code[inside], codes_per_metre), fit) for code in codes])
    return depth_data(f"depth_npz:{path}", pixels, depths, parts, Augmentation(crop, flip))


def _metres(code: np.ndarray, codes_per_metre: float) -> np.ndarray:
    """Return (H, W) float32 metres; code 0 is no depth."""
    return np.where(code == 0, np.nan, code / codes_per_metre).astype(np.float32)


def _problems(fields: dict[str, np.ndarray], rows: tuple[int, int], columns: tuple[int, int]) -> list[str]:
    codes, offsets, is_test, blob = (fields[name] for name in ("depth_code", "offsets", "is_test", "jpeg"))
    problems = []
    if codes.ndim != 3 or codes.dtype.kind != "u":
        return [f"depth_code is {codes.dtype} {codes.shape}, not unsigned integers (N, H, W)"]
    if blob.dtype != np.uint8 or blob.ndim != 1:
        problems.append(f"jpeg is {blob.dtype} {blob.shape}, not uint8 (bytes,)")
    if offsets.shape != (len(codes) + 1,) or offsets.dtype.kind not in "iu":
        problems.append(f"offsets is {offsets.dtype} {offsets.shape}, not integers ({len(codes) + 1},)")
    if is_test.shape != (len(codes),) or not np.isin(is_test, (0, 1)).all():
        problems.append(f"is_test is {is_test.dtype} {is_test.shape}, not ({len(codes)},) of 0 and 1")
    for key, (first, last), side in (("rows", rows, codes.shape[1]), ("columns", columns, codes.shape[2])):
        if not 0 <= first <= last < side:
            problems.append(f"{key}=[{first}, {last}] do not lie inside 0 to {side - 1}")
    return problems
