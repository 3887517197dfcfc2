"""A training step on NAS-Bench-201: raynas against the network of the path alone.

    python benchmarks/step.py [--quick] [--out FILE]

A step is: choose the path, zero the gradients, forward, cross entropy, backward, clip at 5, SGD. What raynas does
besides (taking the batch, the learning rate's schedule) counts against it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import typer

from benchmarks.bare import FORMS, Alone, Form, training_step
from benchmarks.harness import Contender, Timings, measure
from benchmarks.report import KeepMemory, Out, Quick, Report, Threads
from benchmarks.workload import Images, cifar10, paths, shared_network
from raynas.methods import Sampler, TrainingView
from raynas.spaces import Architecture
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer

RATIOS = {
    "step fp32 / bare fp32": ("raynas", "bare"),
    "step fp32 / bare channels_last": ("raynas", "bare channels_last"),
    "step bf16 / bare fp32": ("raynas bf16", "bare"),
    "step bf16 / bare channels_last bf16": ("raynas bf16", "bare channels_last bf16"),
    "step bf16 / step fp32": ("raynas bf16", "raynas"),
    "bare channels_last / bare fp32": ("bare channels_last", "bare"),
}
SIZE_RATIOS = {"fp32": ("raynas", "bare"), "bf16": ("raynas bf16", "bare")}
ENDLESS = 10**6
"""Steps of the learning rate's schedule: it is worked out in every step, and stays where it is."""


@dataclass(frozen=True)
class Setting:
    """The size of what is trained, as published unless said otherwise."""

    channels: int = 16
    cells: int = 5
    batch: int = 64
    threads: int | None = None


class GivenPath(Sampler):
    """The path that the benchmark is at."""

    path: Architecture

    def next_step(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
        """Return it."""
        del rng
        return [self.path]


def raynas_step(images: Images, setting: Setting, precision: Literal["float32", "bfloat16"]) -> Contender[Architecture]:
    """Return the contender that takes a step as a run of raynas does."""
    supernet = shared_network(images, channels=setting.channels, cells=setting.cells)
    sampler = GivenPath(supernet.space)
    settings = OptimizerSettings(batch_size=setting.batch, lr=0.025, precision=precision)
    split = images.dataset().train
    trainer = Trainer(supernet, split, sampler, settings, total_steps=ENDLESS, seed=0, name="benchmark")

    def prepare(path: Architecture) -> Callable[[], object]:
        sampler.path = path
        return functools.partial(trainer.train, 1)

    return prepare


def contenders(images: Images, setting: Setting, forms: dict[str, Form]) -> dict[str, Contender[Architecture]]:
    """Return the bare networks in these forms, and raynas in both precisions."""
    alone = Alone(shared_network(images, channels=setting.channels, cells=setting.cells))
    batch = images.first(setting.batch)
    bare = {name: training_step(alone, batch, form) for name, form in forms.items()}
    ours = {"raynas": raynas_step(images, setting, "float32"), "raynas bf16": raynas_step(images, setting, "bfloat16")}
    return {**bare, **ours}


def growth(report: Report, images: Images, published: Timings, threads: int) -> None:
    """Compare at other sizes, on the same paths: is what the supernet costs a share of the step, or a sum?

    Args:
        report: Where it is told.
        images: What is trained on.
        published: The times at the published size, of as many paths as are wanted at every other.
        threads: Where the size is not a number of threads.
    """
    settings = {
        **{f"{channels} channels": Setting(channels=channels) for channels in (8, 32)},
        **{f"N={cells}": Setting(cells=cells) for cells in (1, 3)},
        **{f"batch {batch}": Setting(batch=batch) for batch in (16, 256)},
        **{f"{number} threads": Setting(threads=number) for number in sorted({1, 2} - {threads})},
    }
    _report_size(report, f"{Setting.channels} channels, N={Setting.cells}, batch {Setting.batch}", published)
    count = len(published.seconds["bare"])
    for name, setting in settings.items():
        torch.set_num_threads(setting.threads or threads)
        _report_size(report, name, measure(contenders(images, setting, {"bare": Form()}), paths(count)))
    torch.set_num_threads(threads)


def _report_size(report: Report, name: str, timings: Timings) -> None:
    ratios = {f"step {ours} / bare fp32, {name}": pair for ours, pair in SIZE_RATIOS.items()}
    report.compare(f"training step, {name}", timings, ratios)


def main(quick: Quick = False, out: Out = None, threads: Threads = 2, keeps_memory: KeepMemory = True) -> None:
    """Time training steps of NAS-Bench-201's supernet against the networks of its paths alone."""
    report = Report("step", quick=quick, threads=threads, keeps_memory=keeps_memory)
    images = cifar10(512)
    report.note(f"{images.origin}; C=16, N=5, batch 64 and {threads} threads where nothing else is said")

    published = measure(contenders(images, Setting(), FORMS), paths(8 if quick else 60), warm_up=3)
    report.compare("training step", published, RATIOS)

    small = images.shrunk(4)
    timings = measure(contenders(small, Setting(batch=2), FORMS), paths(16 if quick else 60), warm_up=3)
    ratios = {"fixed cost / bare": ("raynas", "bare"), "fixed cost bf16 / bare": ("raynas bf16", "bare")}
    report.compare("fixed cost: a step on 2 images of 8x8", timings, ratios)

    growth(report, images, published.first(2 if quick else 12), threads)
    report.close(out)


if __name__ == "__main__":
    typer.run(main)
