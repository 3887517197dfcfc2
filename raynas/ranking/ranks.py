"""Ranks and discordant pairs, exactly as scipy.stats counts them; numpy alone, for importing that takes a second.

A run's driver and each of its trials measure rankings, so each of their processes would pay it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


def ranks(values: Floats, ties: Literal["mean", "first"] = "mean") -> Floats:
    """Return ranks over the last axis, 1 for the smallest: (..., n) -> (..., n); a row with a NaN has NaN throughout.

    Args:
        values: What is ranked.
        ties: Equal values share the mean of their places, or the first of them.
    """
    order = np.argsort(values, axis=-1, kind="stable")
    begins = _begins(np.take_along_axis(values, order, -1))
    place = np.arange(values.shape[-1])
    first = np.maximum.accumulate(np.where(begins, place, 0), axis=-1)
    shared = first.astype(np.float64)
    if ties == "mean":
        ends = np.roll(begins, -1, axis=-1)  # the first element begins a group, so the last one ends its own
        last = np.minimum.accumulate(np.where(ends, place, place.size)[..., ::-1], axis=-1)[..., ::-1]
        shared = (first + last) / 2
    found = np.empty(values.shape)
    np.put_along_axis(found, order, shared + 1, -1)
    found[np.isnan(values).any(-1)] = np.nan
    return found


def tau_b(a: Floats, b: Floats) -> float:
    """Return Kendall's tau-b of two (n,) vectors without NaN; NaN where all pairs of one side are tied."""
    by_b = np.argsort(b)
    a, new_b = a[by_b], _begins(b[by_b])
    by_a = np.argsort(a, kind="stable")
    a, b_rank = a[by_a], (np.cumsum(new_b) - 1)[by_a]
    new_a = _begins(a)
    tied_a, tied_b, tied_both = _pairs(new_a), _pairs(new_b), _pairs(new_a | _begins(b_rank))
    every = len(a) * (len(a) - 1) // 2
    if every in (tied_a, tied_b):
        return float("nan")
    difference = every - tied_a - tied_b + tied_both - 2 * inversions(b_rank)
    return float(np.clip(difference / np.sqrt(every - tied_a) / np.sqrt(every - tied_b), -1, 1))


def inversions(numbers: Integers) -> int:
    """Return how many pairs of (n,) numbers stand in the wrong order, the larger one first.

    A merge sort that merges all blocks of a width at once: of a right half, an element that comes to stand at place p
    of the two merged halves as its own half's number q has p - q of the left half before it, and the rest jumped over.
    """
    size = 1 << max(0, len(numbers) - 1).bit_length()
    most = numbers.max(initial=0)
    blocks = np.full(size, most, np.min_scalar_type(most))  # numpy sorts small integers several times faster
    blocks[: len(numbers)] = numbers
    found, width = 0, 1
    while width < size:
        pairs = blocks.reshape(-1, 2 * width)
        order = np.argsort(pairs, axis=-1, kind="stable")
        places = int((np.arange(2 * width) * (order >= width)).sum())
        found += len(pairs) * (width * width + width * (width - 1) // 2) - places
        blocks = np.take_along_axis(pairs, order, -1)
        width *= 2
    return found


def _begins(ordered: NDArray[np.generic]) -> NDArray[np.bool_]:
    """Return where a group of equal neighbours begins, over the last axis: (..., n) -> (..., n)."""
    begins = np.ones(ordered.shape, np.bool_)
    begins[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    return begins


def _pairs(begins: NDArray[np.bool_]) -> int:
    """Return how many pairs lie within the same group of a vector in which groups begin at these places."""
    sizes = np.diff(np.flatnonzero(np.append(begins, True)))
    return int((sizes * (sizes - 1) // 2).sum())
