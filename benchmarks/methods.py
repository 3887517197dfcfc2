"""What methods add to a training step on NAS-Bench-201 and NAS-Bench-Macro, beside the vanilla supernet's plain step.

    python benchmarks/methods.py [--quick] [--out FILE]

- GreedyNAS passes images forward only; what one costs beside one trained is what `train.scoring_cost` should be.
- Landmark regularization passes two landmarks forward and backward, on as many held-out images as a batch has.
- CLOSE has blocks of weights; a step runs the blocks that its GATE chose, or all of them, as released.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import typer

import raynas
from benchmarks.harness import Contender, Timings, measure
from benchmarks.report import KeepMemory, Out, Quick, Report, Threads
from benchmarks.step import ENDLESS, GivenPath
from benchmarks.table import METHOD_SIZES
from benchmarks.workload import CLASSES, Images, cifar10, paths, space
from raynas.data import Split
from raynas.methods import REGULARIZERS, SHARINGS, Landmark
from raynas.networks import Supernet
from raynas.spaces import Architecture, Space
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

Group = tuple[Architecture, ...]
"""One input: paths that are trained one after another, scored in one call, or compared."""

BATCH = 64
MACRO_SIZE = "NAS-Bench-Macro, C=8, 16x16"
"""NAS-Bench-Macro as `experiments/tables/nasbench_macro.yaml` trains it at reduced scale."""
MOST_BLOCKS = 5
"""Of CLOSE's published settings."""
LANDMARKS = {"loss": "mae_softplus", "schedule": "constant", "warmup": 0.0}
"""A form that passes every pair backward; the usual hinge leaves out those that are in the right order already."""


@dataclass(frozen=True)
class Size:
    """The size of what is trained.

    Args:
        name: For the report.
        images: What it is trained on.
        network: Options of the space's network.
        space: The architectures.
    """

    name: str
    images: Images
    network: dict[str, Any]
    space: Space = field(default_factory=space)

    def plain(self) -> Supernet:
        """Return the vanilla supernet."""
        return self._made_by(functools.partial(raynas.supernet, self.space))

    def glow(self, blocks: int, estimator: str) -> Supernet:
        """Return CLOSE's supernet, all blocks in reach."""
        sharing = SHARINGS.make("glow", blocks=blocks, estimator=estimator)
        return self._made_by(functools.partial(sharing.supernet, self.space))

    def _made_by(self, make: Callable[..., Supernet]) -> Supernet:
        network = make(input_shape=self.images.input_shape, classes=CLASSES, seed=0, **self.network)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    def groups(self, count: int, size: int) -> list[Group]:
        """Return so many groups of paths drawn uniformly."""
        drawn = paths(count * size, self.space)
        return [tuple(drawn[start : start + size]) for start in range(0, len(drawn), size)]

    def trainer(self, network: Supernet, heldout: Split | None = None) -> tuple[Trainer, GivenPath]:
        """Return what trains a network, and the sampler that is told the path."""
        sampler, split = GivenPath(network.space), self.images.dataset().train
        settings = OptimizerSettings(batch_size=BATCH, lr=0.025)
        trainer = Trainer(
            network, split, sampler, settings, total_steps=ENDLESS, seed=0, name="benchmark", heldout=heldout
        )
        return trainer, sampler


def per(timings: Timings, units: Mapping[str, float]) -> Timings:
    """Return the seconds of each contender for one of its units: an image, a path."""
    return Timings({name: seconds / units[name] for name, seconds in timings.seconds.items()}, timings.others)


def steps(size: Size, network: Supernet) -> Contender[Group]:
    """Return the contender that takes a training step on each path of a group."""
    trainer, sampler = size.trainer(network)

    def train(group: Group) -> None:
        for path in group:
            sampler.path = path
            trainer.train(1)

    return lambda group: functools.partial(train, group)


def scoring(report: Report, size: Size, count: int, images: int) -> None:
    """An image that GreedyNAS scores, ten paths a call as in its rounds, against one that is trained on."""
    trainer, _ = size.trainer(size.plain(), heldout=size.images.dataset().train)
    timings = measure(
        {
            "trained": steps(size, size.plain()),
            "scored": lambda group: functools.partial(trainer.view.score, group, images),
        },
        size.groups(count, 10),
    )
    units = {"trained": 10 * BATCH, "scored": 10 * images}
    ratio = {f"image scored / image trained, {size.name}": ("scored", "trained")}
    report.compare(f"GreedyNAS, {size.name}: an image, 10 paths on {images} scored", per(timings, units), ratio)


def landmarks(report: Report, size: Size, count: int) -> None:
    """The term of a pair of landmarks, both ways, against a plain step on the same paths."""
    network = size.plain().train()
    trainer, _ = size.trainer(network, heldout=size.images.dataset().train)
    regularizer = REGULARIZERS.make("landmark", (), **LANDMARKS)
    regularizer.start(network, 0)
    rng, batch = np.random.default_rng(0), trainer.view.heldout_batch("landmarks")

    def prepare(pair: Group) -> Callable[[], object]:
        regularizer.landmarks_changed([Landmark(path, float(place)) for place, path in enumerate(pair)])
        network.zero_grad()
        task = trainer.view.loss(pair[0], *batch)
        task.backward()  # type: ignore[no-untyped-call]  # its gradients are there when the term adds its own
        return functools.partial(regularizer.add_gradients, trainer.view, rng)

    timings = measure({"steps": steps(size, size.plain()), "pair": prepare}, size.groups(count, 2), warm_up=3)
    ratio = {f"landmark pair / step, {size.name}": ("pair", "steps")}
    report.compare(f"landmarks, {size.name}", per(timings, {"steps": 2, "pair": 1}), ratio)


def close(report: Report, size: Size, count: int, blocks: Sequence[int]) -> None:
    """A step of CLOSE against a plain one: with the chosen blocks run alone, and with all of the most."""
    contenders = {
        "plain": steps(size, size.plain()),
        **{f"{number} blocks": steps(size, size.glow(number, "chosen")) for number in blocks},
        "all run": steps(size, size.glow(MOST_BLOCKS, "all")),
    }
    ratios = {f"CLOSE with {number} blocks / step, {size.name}": (f"{number} blocks", "plain") for number in blocks}
    ratios[f"CLOSE with {MOST_BLOCKS} blocks, all run / step, {size.name}"] = ("all run", "plain")
    report.compare(f"CLOSE, {size.name}", measure(contenders, size.groups(count, 1), warm_up=3), ratios)


def main(quick: Quick = False, out: Out = None, threads: Threads = 2, keeps_memory: KeepMemory = True) -> None:
    """Time what methods do beside a plain training step."""
    report = Report("methods", quick=quick, threads=threads, keeps_memory=keeps_memory)
    images = cifar10(BATCH if quick else 1000)
    report.note(f"{images.origin}; batch {BATCH}, {threads} threads")
    published, reduced = METHOD_SIZES
    small = images.shrunk(2)
    macro = Size(MACRO_SIZE, small, {"channels": 8, "head": 128}, raynas.space("nasbench_macro"))
    scoring(report, macro, 1 if quick else 10, len(images.labels))
    for size in (
        Size(published, images, {"channels": 16, "cells": 5}),
        Size(reduced, small, {"channels": 8, "cells": 1}),
    ):
        scoring(report, size, 1 if quick else 10, len(images.labels))
        landmarks(report, size, 2 if quick else 30)
        close(report, size, 4 if quick else 60, range(1, MOST_BLOCKS + 1))
    report.close(out)


if __name__ == "__main__":
    typer.run(main)
