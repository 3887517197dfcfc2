"""What did not pay, each against what is used: so that nobody has to try again without knowing what came out.

python benchmarks/not_taken.py [--quick] [--out FILE]
"""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Callable

import torch
import typer
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.bare import Alone, Form, training_step
from benchmarks.harness import measure, timed
from benchmarks.report import KeepMemory, Out, Quick, Report, Threads
from benchmarks.workload import Images, cifar10, paths, shared_network
from raynas.networks.operations import ReluConvBn
from raynas.spaces import Architecture

CHANNELS, BATCH, SIDE = 16, 64, 32
COMPILED = "compiled operation / eager operation"
COMPILE_SECONDS = "seconds to compile one operation"


def feature_map() -> Tensor:
    """Return what enters a cell of the first stage, (B, C, H, W), channels-last."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE, generator=generator)
    return x.contiguous(memory_format=torch.channels_last).requires_grad_()


def operation() -> nn.Module:
    """Return ReLU, 3x3 convolution and batch norm as they stand on an edge."""
    made = ReluConvBn(CHANNELS, CHANNELS, 3, affine=False, track=False)
    return made.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def forward_backward(module: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """Run a module both ways."""
    out = module(x)
    out.backward(torch.ones_like(out))  # type: ignore[no-untyped-call]


def compiled_operation(report: Report, repeats: int) -> None:
    """Compile one operation of a cell."""
    if not shutil.which(os.environ.get("CXX", "c++")):
        report.skip(COMPILED, "torch.compile needs a C++ compiler, and there is none")
        return
    torch.compiler.config.force_disable_caches = True
    x, eager, compiled = feature_map(), operation(), torch.compile(operation())
    report.figure(COMPILE_SECONDS, timed(functools.partial(forward_backward, compiled, x)))
    contenders = {
        "compiled": lambda _: functools.partial(forward_backward, compiled, x),
        "eager": lambda _: functools.partial(forward_backward, eager, x),
    }
    timings = measure(contenders, range(repeats), warm_up=5)
    report.compare("ReLU, 3x3 convolution, batch norm; both ways", timings, {COMPILED: ("compiled", "eager")})


class Branches(nn.Module):
    """Three 3x3 convolutions that leave one node.

    Args:
        merged: Run as one convolution of three times the channels; the weights stay three, as paths choose among them.
    """

    def __init__(self, *, merged: bool) -> None:
        super().__init__()
        self.merged = merged
        weights = [nn.Conv2d(CHANNELS, CHANNELS, 3, bias=False).weight for _ in range(3)]
        self.weights = nn.ParameterList(weights)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W), the sum of what arrives."""
        rectified = functional.relu(x)
        if self.merged:
            first, second, third = self._convolve(rectified, torch.cat(list(self.weights))).chunk(3, 1)
        else:
            first, second, third = (self._convolve(rectified, weight) for weight in self.weights)
        return first + second + third

    def _convolve(self, x: Tensor, weight: Tensor) -> Tensor:
        return functional.batch_norm(functional.conv2d(x, weight, padding=1), None, None, training=True)


def merged_convolutions(report: Report, repeats: int) -> None:
    """Run the convolutions that leave a node in one call."""
    x = feature_map()
    merged, separate = (Branches(merged=one).to(memory_format=torch.channels_last) for one in (True, False))  # type: ignore[call-overload]
    contenders = {
        "merged": lambda _: functools.partial(forward_backward, merged, x),
        "separate": lambda _: functools.partial(forward_backward, separate, x),
    }
    timings = measure(contenders, range(repeats), warm_up=5)
    ratios = {"merged convolutions / separate": ("merged", "separate")}
    report.compare("three 3x3 convolutions of one node, both ways", timings, ratios)


def contiguous_bfloat16(report: Report, images: Images, count: int) -> None:
    """Compute in bfloat16 in torch's default layout."""
    alone = Alone(shared_network(images))
    contenders = {
        "contiguous bf16": training_step(alone, images, Form(bfloat16=True)),
        "channels_last bf16": training_step(alone, images, Form(channels_last=True, bfloat16=True)),
        "contiguous fp32": training_step(alone, images, Form()),
    }
    ratios = {
        "contiguous bf16 / channels_last bf16": ("contiguous bf16", "channels_last bf16"),
        "contiguous bf16 / contiguous fp32": ("contiguous bf16", "contiguous fp32"),
    }
    report.compare("training step of a bare network", measure(contenders, paths(count), warm_up=2), ratios)


def optimizers(report: Report, images: Images, count: int) -> None:
    """Update a path's weights one by one (loop), operation by operation (foreach), or in one kernel (fused)."""
    few = images.first(2)

    def updating(**how: bool) -> Callable[[Architecture], Callable[[], object]]:
        supernet = shared_network(images)
        recipe = {"lr": 0.025, "momentum": 0.9, "weight_decay": 5e-4, "nesterov": True}
        optimizer = torch.optim.SGD(supernet.parameters(), **recipe, **how)  # type: ignore[arg-type]
        for parameter in supernet.parameters():  # the fused kernel wants all or none to have momentum
            optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)

        def prepare(path: Architecture) -> Callable[[], object]:
            optimizer.zero_grad()
            functional.cross_entropy(supernet(few.pixels, path), few.labels).backward()  # type: ignore[no-untyped-call]
            return optimizer.step

        return prepare

    contenders = {
        "loop": updating(foreach=False, fused=False),
        "foreach": updating(foreach=True),
        "fused": updating(fused=True),
    }
    ratios = {"SGD fused / SGD foreach": ("fused", "foreach"), "SGD fused / SGD loop": ("fused", "loop")}
    report.compare("the optimizer's part of a step", measure(contenders, paths(count), warm_up=3), ratios)


def main(quick: Quick = False, out: Out = None, threads: Threads = 2, keeps_memory: KeepMemory = True) -> None:
    """Time what is not used against what is."""
    report = Report("not_taken", quick=quick, threads=threads, keeps_memory=keeps_memory)
    images = cifar10(BATCH)
    report.note(f"{images.origin}, {threads} threads")
    compiled_operation(report, 30 if quick else 200)
    merged_convolutions(report, 30 if quick else 200)
    contiguous_bfloat16(report, images, 4 if quick else 30)
    optimizers(report, images, 8 if quick else 60)
    report.close(out)


if __name__ == "__main__":
    typer.run(main)
