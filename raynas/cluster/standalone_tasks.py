"""Stand-alone trainings as Ray tasks: one task trains all seeds of one architecture."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from raynas.cluster.resources import Resources
from raynas.data import ImageData
from raynas.spaces import Architecture, Space
from raynas.training.ledger import Span
from raynas.training.standalone import StandaloneRecipe, StandaloneResult

if TYPE_CHECKING:
    from ray import ObjectRef

Trained = tuple[Architecture, list[StandaloneResult], Span]


def train_seeds(
    space: Space,
    architecture: Architecture,
    data: ImageData,
    recipe: StandaloneRecipe,
    seeds: Sequence[int],
    resources: Resources,
) -> tuple[list[StandaloneResult], Span]:
    """Train one architecture with every seed, in this process; return the results and when it was."""
    from raynas.training.process import prepare_process
    from raynas.training.standalone import train_standalone

    prepare_process(resources.cpus)
    start = time.time()
    results = [train_standalone(space, architecture, data, recipe, seed, device=resources.device) for seed in seeds]
    return results, Span("standalone", start, time.time())


def train_all(
    space: Space,
    architectures: Sequence[Architecture],
    data: ImageData | ObjectRef[ImageData],
    recipe: StandaloneRecipe,
    seeds: Sequence[int],
    *,
    resources: Resources,
) -> Iterator[Trained]:
    """Yield each architecture with its results, one a seed, as they are done; a lost worker's task is run again.

    Args:
        space: The architectures' space.
        architectures: What to train.
        data: The images, or a reference to them in the object store, through which the tasks share them.
        recipe: The training recipe.
        seeds: One training each.
        resources: What a task reserves.
    """
    import ray

    task = ray.remote(**resources.options, max_retries=3)(train_seeds)
    shared = ray.put(data) if isinstance(data, ImageData) else data
    waiting = list(architectures)[::-1]
    running: dict[object, Architecture] = {}
    width = 2 * resources.slots()
    while waiting or running:
        while waiting and len(running) < width:
            architecture = waiting.pop()
            running[task.remote(space, architecture, shared, recipe, list(seeds), resources)] = architecture
        done, _ = ray.wait(list(running), num_returns=1)
        for reference in done:
            results, span = ray.get(reference)
            yield running.pop(reference), results, span
