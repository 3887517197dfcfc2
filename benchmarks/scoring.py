"""Scoring NAS-Bench-201's paths: raynas against the network of the path alone, many paths a call, many processes.

    python benchmarks/scoring.py [--quick] [--out FILE]

A score is the loss and the accuracy on 256 images, batch norm by the statistics of these images.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import typer

import raynas
from benchmarks.bare import FORMS, Alone, Form, evaluation
from benchmarks.harness import measure, measure_whole
from benchmarks.processes import ScoringProcesses
from benchmarks.report import KeepMemory, Out, Quick, Report, Threads
from benchmarks.scorer import Scorer
from benchmarks.workload import Images, cifar10, paths, shared_network
from raynas.spaces import Architecture

IMAGES, FEW_IMAGES = 256, 16
SIZES = (1, 2, 4, 8, 16, 64)
RATIOS = {
    "score fp32 / bare fp32": ("raynas", "bare"),
    "score fp32 / bare channels_last": ("raynas", "bare channels_last"),
    "score bf16 / bare fp32": ("raynas bf16", "bare"),
    "score bf16 / bare channels_last bf16": ("raynas bf16", "bare channels_last bf16"),
    "score bf16 / score fp32": ("raynas bf16", "raynas"),
}


def groups(size: int, count: int) -> list[list[Architecture]]:
    """Return so many lists of so many paths, no path drawn for two of them."""
    drawn = paths(size * count)
    return [drawn[place : place + size] for place in range(0, len(drawn), size)]


def evaluations(architectures: Sequence[Architecture]) -> int:
    """Return how many evaluations give the scores of all these cells: equal under shared weights, they share one."""
    cells = raynas.space("nasbench201")
    return len({cells.shared_form(architecture) for architecture in architectures})


def one_path_a_call(report: Report, images: Images, count: int) -> None:
    """Compare with the network of the path alone."""
    alone = Alone(shared_network(images))
    bare = {name: evaluation(alone, images, form) for name, form in FORMS.items()}
    ours = {"raynas": Scorer(images).one, "raynas bf16": Scorer(images, "bfloat16").one}
    timings = measure({**bare, **ours}, paths(count), warm_up=2)
    report.compare(f"a score on {IMAGES} images, one path a call", timings, RATIOS)
    for name, seconds in timings.seconds.items():
        report.figure(f"paths/s, {name}", count / seconds.sum())


def many_paths_a_call(report: Report, images: Images, sizes: Sequence[int], total: int) -> None:
    """Compare one call for many paths with a call each: what does not depend on the path is then done once."""
    scorer, count = Scorer(images), len(images.labels)
    for size in sizes:
        given = groups(size, max(2, total // size))
        timings = measure({"one call": scorer.together, "one by one": scorer.one_by_one}, given)
        title = f"n={size} paths a call, {count} images"
        report.compare(title, timings, {f"one call / one by one, n={size}, {count} images": ("one call", "one by one")})


def long_list(report: Report, images: Images, count: int, sample: int) -> None:
    """Compare one call for a thousand paths with the networks of some of them, alone."""
    listed = paths(count)
    chosen = [listed[place] for place in np.random.default_rng(1).choice(count, sample, replace=False)]
    scorer, bare = Scorer(images), evaluation(Alone(shared_network(images)), images, Form())
    found = measure_whole(scorer.together(listed), bare, count, chosen)
    report.extrapolated(f"{count:,} paths in one call", "long list fp32 / bare fp32 (estimated)", found)
    report.counted("long list: evaluations / paths", evaluations(listed), count)


def whole_space(report: Report) -> None:
    """Count the evaluations that give the scores of all cells."""
    cells = list(raynas.space("nasbench201").enumerate())
    report.counted("whole space: evaluations / cells", evaluations(cells), len(cells))


def processes(report: Report, count: int, *, keeps_memory: bool) -> None:
    """Compare two processes of one thread with one process of two."""
    few = ScoringProcesses(1, 2, IMAGES, keeps_memory=keeps_memory)
    many = ScoringProcesses(2, 1, IMAGES, keeps_memory=keeps_memory)
    one, two = "1 process x 2 threads", "2 processes x 1 thread"
    timings = measure({one: few.contender, two: many.contender}, groups(8, count))
    report.compare("8 paths by one or two processes", timings, {f"{two} / {one}": (two, one)})
    few.close()
    many.close()


def allocator(report: Report, threads: int, count: int) -> None:
    """Compare the allocator's settings, each in a process of its own, as the setting cannot be undone."""
    default = ScoringProcesses(1, threads, IMAGES, keeps_memory=False)
    kept = ScoringProcesses(1, threads, IMAGES, keeps_memory=True)
    contenders = {"default malloc": default.contender, "memory kept": kept.contender}
    timings = measure(contenders, groups(1, count), warm_up=3)
    ratios = {"memory kept / default malloc": ("memory kept", "default malloc")}
    report.compare("a score with and without memory kept", timings, ratios)
    default.close()
    kept.close()


def main(quick: Quick = False, out: Out = None, threads: Threads = 2, keeps_memory: KeepMemory = True) -> None:
    """Time scores of NAS-Bench-201's paths."""
    report = Report("scoring", quick=quick, threads=threads, keeps_memory=keeps_memory)
    images = cifar10(IMAGES)
    report.note(f"{images.origin}; C=16, N=5, {threads} threads where nothing else is said")
    one_path_a_call(report, images, 8 if quick else 60)
    many_paths_a_call(report, images, (1, 4) if quick else SIZES, 4 if quick else 48)
    many_paths_a_call(report, images.first(FEW_IMAGES), (1, 4, 16) if quick else SIZES, 16 if quick else 128)
    long_list(report, images, *((20, 4) if quick else (1000, 40)))
    whole_space(report)
    processes(report, 2 if quick else 8, keeps_memory=keeps_memory)
    allocator(report, threads, 8 if quick else 40)
    report.close(out)


if __name__ == "__main__":
    typer.run(main)
