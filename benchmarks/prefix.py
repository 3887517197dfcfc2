"""All of a linear space at once: NAS-Bench-Macro's encodings share the layers up to where they differ.

    python benchmarks/prefix.py [--quick] [--full] [--out FILE]

In one call, `score_architectures` walks the tree of prefixes; architecture by architecture, every layer of each is run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import numpy as np
import torch
import typer

import raynas
from benchmarks.harness import measure, measure_whole
from benchmarks.report import KeepMemory, Out, Quick, Report, Threads
from benchmarks.scorer import Scorer
from benchmarks.workload import CLASSES, Images, cifar10
from raynas.networks import Supernet
from raynas.networks.supernet import Choice
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench_macro")
IMAGES = 256


def macro_network(images: Images) -> Supernet:
    """Return NAS-Bench-Macro's supernet."""
    network: Supernet = raynas.supernet(SPACE, input_shape=images.input_shape, classes=CLASSES)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def subtree(rng: np.random.Generator, layers: int) -> list[Architecture]:
    """Return all encodings that differ in the last layers only, the others drawn at random."""
    first = SPACE.sample(rng).options[: len(SPACE.decisions) - layers]
    fixed = {decision.name: (option,) for decision, option in zip(SPACE.decisions, first, strict=False)}
    return list(SPACE.subspace(fixed).enumerate())


def count_layers(images: Images, architectures: Sequence[Architecture]) -> int:
    """Return how many searched layers one call runs, counted while it does."""
    network, calls = macro_network(images), 0

    def called(*_: Any) -> None:
        nonlocal calls
        calls += 1

    for module in network.modules():
        if isinstance(module, Choice):
            module.register_forward_hook(called)
    Scorer(images, supernet=network).score(architectures)
    return calls


def main(
    quick: Quick = False,
    full: Annotated[bool, typer.Option("--full", help="Also run all 6,561 encodings in one call.")] = False,
    out: Out = None,
    threads: Threads = 2,
    keeps_memory: KeepMemory = True,
) -> None:
    """Time scores of NAS-Bench-Macro's encodings, in one call and one by one."""
    report = Report("prefix", quick=quick, threads=threads, keeps_memory=keeps_memory)
    images = cifar10(IMAGES)
    report.note(f"{images.origin}, {threads} threads")
    everything, scorer = list(SPACE.enumerate()), Scorer(images, supernet=macro_network(images))

    layers = count_layers(images.first(2).shrunk(4), everything)
    report.counted("layers run, all encodings: one call / one by one", layers, len(everything) * len(SPACE.decisions))

    rng, depth = np.random.default_rng(0), 3 if quick else 4
    trees = [subtree(rng, depth) for _ in range(1 if quick else 4)]
    timings = measure({"one call": scorer.together, "one by one": scorer.one_by_one}, trees, warm_up=0)
    title = f"{len(trees[0])} encodings of the last {depth} layers"
    report.compare(title, timings, {f"one call / one by one, {len(trees[0])} encodings": ("one call", "one by one")})

    name = "one call / one by one, all encodings (estimated)"
    if full:
        sample = [everything[place] for place in rng.choice(len(everything), 64, replace=False)]
        found = measure_whole(scorer.together(everything), scorer.one, len(everything), sample)
        report.extrapolated(f"all {len(everything):,} encodings in one call", name, found)
    else:
        report.skip(name, "minutes; run with --full")
    report.close(out)


if __name__ == "__main__":
    typer.run(main)
