"""Resizing: each axis by the filter that is right for it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from raynas.data.source import ArraySource, Fit
from tests.data.files import random_images

BILINEAR = Image.Resampling.BILINEAR


@pytest.mark.parametrize("tall", [False, True])
def test_one_axis_averages_areas_while_the_other_grows_bilinearly(tall: bool) -> None:
    wide = random_images(1, (6, 30))[0]
    averaged = wide.reshape(6, 10, 3, 3).mean(2).round().astype(np.uint8)
    expected = np.asarray(Image.fromarray(averaged).resize((10, 10), BILINEAR)).astype(int)
    image = np.ascontiguousarray(wide.swapaxes(0, 1)) if tall else wide
    out = Fit(3, 10).pixels(ArraySource(image[None], "a"), 0, (0, 0, *image.shape[1::-1]))
    rows = out.permute(2, 1, 0) if tall else out.permute(1, 2, 0)
    assert np.abs(rows.numpy().astype(int) - expected).max() <= 1  # the order of the axes is a matter of rounding


@pytest.mark.parametrize(("side", "resampling"), [(30, Image.Resampling.BOX), (6, BILINEAR)])
def test_equals_pillow_where_both_axes_agree(side: int, resampling: Image.Resampling) -> None:
    image = random_images(1, (side, side + 3))[0]
    box = (2, 1, side, side)
    out = Fit(3, 10).pixels(ArraySource(image[None], "a"), 0, box)
    expected = np.asarray(Image.fromarray(image).resize((10, 10), resampling, box=box))
    assert np.array_equal(out.permute(1, 2, 0).numpy(), expected)
