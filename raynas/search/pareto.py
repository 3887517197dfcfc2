"""Pareto fronts: non-dominated sorting, crowding distance, hypervolume. Higher is better in every column.

Deb et al., "A fast and elitist multiobjective genetic algorithm: NSGA-II" (2002), sections III.A and III.B; the
hypervolume is sliced objective by objective (Knowles 2002), which is exact and quick for the few objectives here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Matrix = NDArray[np.float64]


def _dominated(values: Matrix) -> NDArray[np.bool_]:
    """Return (N, N): whether the row's point dominates the column's: nowhere worse, somewhere better."""
    no_worse = (values[:, None] >= values[None]).all(2)
    better = (values[:, None] > values[None]).any(2)
    return np.asarray(no_worse & better)


def _cleaned(values: ArrayLike) -> Matrix:
    """Return (N, K) with minus infinity for what is not a number, so that it dominates nothing."""
    matrix = np.asarray(values, np.float64)
    matrix = matrix if matrix.ndim == 2 else matrix.reshape(len(matrix), 1)
    return np.where(np.isnan(matrix), -np.inf, matrix)


def fronts(values: ArrayLike) -> NDArray[np.int64]:
    """Return the front (N,) that each point of (N, K) is on: 0 for those that no other dominates, and so on."""
    matrix = _cleaned(values)
    dominates = _dominated(matrix)
    front = np.full(len(matrix), -1)
    left, level = dominates.sum(0), 0
    while (front < 0).any():
        now = (front < 0) & (left == 0)
        front[now] = level
        left = left - dominates[now].sum(0)
        level += 1
    return front


def on_front(values: ArrayLike) -> NDArray[np.bool_]:
    """Return which (N,) of the points (N, K) no other dominates; of points that are equal, all or none."""
    matrix = _cleaned(values)
    order = np.lexsort(matrix.T[::-1])[::-1]  # the best by the first column first, then by the second, and so on
    kept: list[int] = []
    for place in order:
        point, front = matrix[place], matrix[kept]
        if not len(kept) or not ((front >= point).all(1) & (front > point).any(1)).any():
            kept.append(int(place))
    mask = np.zeros(len(matrix), bool)
    mask[kept] = True
    return mask


def crowding(values: ArrayLike) -> NDArray[np.float64]:
    """Return the crowding distance (N,) of points (N, K) of one front: infinite at the ends of every objective."""
    matrix = _cleaned(values)
    distance = np.zeros(len(matrix))
    for column in matrix.T:
        order = np.argsort(column, kind="stable")
        ordered = column[order]
        distance[order[[0, -1]]] = np.inf
        if len(order) > 2 and np.isfinite(ordered[[0, -1]]).all() and (spread := ordered[-1] - ordered[0]) > 0:
            distance[order[1:-1]] += (ordered[2:] - ordered[:-2]) / spread
    return distance


def hypervolume(values: ArrayLike, reference: ArrayLike) -> float:
    """Return the volume that points dominate, above a reference point.

    Args:
        values: (N, K), higher is better.
        reference: (K,); points that are not better in every objective add nothing.
    """
    base = np.asarray(reference, np.float64)
    matrix = _cleaned(values) - base
    matrix = matrix[(matrix > 0).all(1)]
    return _volume(matrix[on_front(matrix)]) if len(matrix) else 0.0


def _volume(points: Matrix) -> float:
    if points.shape[1] == 1:
        return float(points.max())
    order = np.argsort(-points[:, -1], kind="stable")
    points = points[order]
    depths = points[:, -1] - np.append(points[1:, -1], 0.0)
    volume = 0.0
    for count, depth in enumerate(depths, 1):
        if depth > 0:
            slab = points[:count, :-1]
            volume += depth * _volume(slab[on_front(slab)])
    return volume
