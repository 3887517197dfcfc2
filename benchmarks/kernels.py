"""What each replacement in a path is worth by itself: raynas's way against torch's, both ways, on the same input.

python benchmarks/kernels.py [--quick] [--out FILE]
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import partial

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import Contender, measure
from benchmarks.report import KeepMemory, Out, Quick, Report, Threads
from benchmarks.workload import Images, cifar10, paths, shared_network
from raynas.networks import Supernet
from raynas.networks.kernels import convolution, convolution_backward, patches
from raynas.networks.nasbench201_cell import Cell
from raynas.networks.operations import AveragePool, ReductionBlock
from raynas.spaces import Architecture

STAGES = ((16, 32), (32, 16), (64, 8))
"""Channels and height of the feature maps of NAS-Bench-201's stages."""


def feature_map(batch: int, channels: int, side: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return normal numbers (B, C, H, W), channels-last."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, channels, side, side, generator=generator).to(dtype)
    return x.contiguous(memory_format=torch.channels_last)


def pooling(report: Report, repeats: int) -> None:
    """Average pooling as a depthwise convolution, on the maps of all three stages."""
    ours, torchs = AveragePool(), nn.AvgPool2d(3, 1, 1, count_include_pad=False)
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        maps = [feature_map(64, *stage, dtype).requires_grad_() for stage in STAGES]

        def both_ways(layer: nn.Module, maps: list[Tensor] = maps) -> None:
            for x in maps:
                out = layer(x)
                out.backward(out.detach())

        contenders: dict[str, Contender[int]] = {
            "depthwise": lambda _, run=both_ways: partial(run, ours),  # type: ignore[misc]
            "pooling": lambda _, run=both_ways: partial(run, torchs),  # type: ignore[misc]
        }
        ratios = {f"pooling as depthwise convolution / torch's, {name}": ("depthwise", "pooling")}
        report.compare(f"average pooling of 3x3, both ways, {name}", measure(contenders, range(repeats)), ratios)


def products(report: Report, repeats: int) -> None:
    """Convolutions as matrix products: 1x1 at the published size, and 3x3 at small ones."""
    cases = {
        "1x1 convolution as product / torch's": (1, [(64, *stage) for stage in STAGES]),
        "3x3 convolution of 2 images as product / torch's": (3, [(2, 16, 8), (2, 32, 4), (2, 64, 2)]),
        "3x3 convolution of 16 images as product / torch's": (3, [(16, 16, 8), (16, 32, 4), (16, 64, 2)]),
    }
    for name, (kernel, shapes) in cases.items():
        inputs = [feature_map(*shape) for shape in shapes]
        weights = [feature_map(x.shape[1], x.shape[1], kernel) for x in inputs]

        def ours(kernel: int = kernel, inputs: list[Tensor] = inputs, weights: list[Tensor] = weights) -> None:
            for x, weight in zip(inputs, weights, strict=True):
                around = patches(x) if kernel == 3 else None
                out = convolution(x, weight, 1, around)
                convolution_backward(out, x, weight, 1, around)

        def torchs(kernel: int = kernel, inputs: list[Tensor] = inputs, weights: list[Tensor] = weights) -> None:
            same = [kernel // 2] * 2
            for x, weight in zip(inputs, weights, strict=True):
                out = functional.conv2d(x, weight, padding=kernel // 2)
                torch.ops.aten.convolution_backward(
                    out, x, weight, None, [1, 1], same, [1, 1], False, [0, 0], 1, [True, True, False]
                )

        contenders: dict[str, Contender[int]] = {
            "product": lambda _, run=ours: run,  # type: ignore[misc]
            "torch": lambda _, run=torchs: run,  # type: ignore[misc]
        }
        report.compare(name.partition(" as ")[0], measure(contenders, range(repeats)), {name: ("product", "torch")})


def by_modules(network: Supernet) -> Supernet:
    """Return the network with its blocks run module by module."""
    for part in network.modules():
        if isinstance(part, Cell):
            setattr(part, "forward", part.by_edges)  # noqa: B010
        if isinstance(part, ReductionBlock):
            setattr(part, "forward", part.by_modules)  # noqa: B010
    setattr(network, "forward_path", partial(Supernet.forward_path, network))  # noqa: B010
    return network


def one_node(report: Report, title: str, images: Images, count: int) -> None:
    """All blocks of a path as one node of the graph, against module by module with the same layout and pooling."""

    def both_ways(network: Supernet) -> Contender[Architecture]:
        def prepare(path: Architecture) -> Callable[[], object]:
            network.zero_grad()

            def step() -> None:
                functional.cross_entropy(network(images.pixels, path), images.labels).backward()  # type: ignore[no-untyped-call]

            return step

        return prepare

    contenders = {
        "one node": both_ways(shared_network(images).train()),
        "modules": both_ways(by_modules(shared_network(images).train())),
    }
    ratios = {f"one node / module by module, {title}": ("one node", "modules")}
    report.compare(f"a path both ways, {title}", measure(contenders, paths(count), warm_up=3), ratios)


def grouped(report: Report, images: Images, title: str, groups: int) -> None:
    """Sixteen architectures as one batch, as a GPU runs them, against one after another, as a CPU does."""
    network = shared_network(images).eval()

    def together(chosen: list[Architecture]) -> None:
        with torch.inference_mode():
            network.together(images.pixels, chosen)  # type: ignore[operator]

    def apart(chosen: list[Architecture]) -> None:
        with torch.inference_mode():
            for architecture in chosen:
                network(images.pixels, architecture)

    drawn = paths(16 * groups)
    lists = [drawn[start : start + 16] for start in range(0, len(drawn), 16)]
    contenders: dict[str, Contender[list[Architecture]]] = {
        "one batch": lambda chosen: functools.partial(together, chosen),
        "one after another": lambda chosen: functools.partial(apart, chosen),
    }
    ratios = {f"16 architectures as one batch / one after another, {title}": ("one batch", "one after another")}
    report.compare(f"16 architectures, {title}", measure(contenders, lists), ratios)


def main(quick: Quick = False, out: Out = None, threads: Threads = 2, keeps_memory: KeepMemory = True) -> None:
    """Time each replacement against what it replaces."""
    report = Report("kernels", quick=quick, threads=threads, keeps_memory=keeps_memory)
    images = cifar10(64)
    report.note(f"{images.origin}, {threads} threads, channels-last throughout")
    repeats = 20 if quick else 100
    pooling(report, repeats)
    products(report, repeats)
    one_node(report, "batch 64, 32x32", images, 4 if quick else 30)
    one_node(report, "2 images of 8x8", images.shrunk(4).first(2), 8 if quick else 60)
    grouped(report, images.shrunk(4).first(2), "2 images of 8x8", 2 if quick else 10)
    grouped(report, images.first(16), "16 images of 32x32", 1 if quick else 5)
    report.close(out)


if __name__ == "__main__":
    typer.run(main)
