"""The reference: the network of one path alone, of plain torch modules, as one would write it by hand.

It holds the operations on the path only and knows nothing of supernets. In its usual form (float32, torch's default
layout, torch's own optimizer) it is what raynas is compared with; channels-last and bfloat16 make it the floor that no
supernet can be expected to break.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.harness import Contender
from benchmarks.workload import Images
from raynas.networks import Supernet
from raynas.networks.derive import derive
from raynas.spaces import Architecture


@dataclass(frozen=True)
class Form:
    """How a network is computed.

    Args:
        channels_last: Whether weights and images lie channels-last.
        bfloat16: Whether under autocast to bfloat16.
    """

    channels_last: bool = False
    bfloat16: bool = False

    @property
    def layout(self) -> torch.memory_format:
        """Torch's name of the layout."""
        return torch.channels_last if self.channels_last else torch.contiguous_format

    def autocast(self) -> torch.autocast:
        """Return the context of the forward pass."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16)


FORMS = {
    "bare": Form(),
    "bare channels_last": Form(channels_last=True),
    "bare channels_last bf16": Form(channels_last=True, bfloat16=True),
}
"""The reference and the two floors."""


class Alone:
    """Derives networks; that of the latest path is kept, as all forms of it are wanted one after the other.

    Args:
        supernet: What they are derived from.
    """

    def __init__(self, supernet: Supernet) -> None:
        self._derived = functools.lru_cache(maxsize=1)(functools.partial(derive, supernet))

    def network(self, path: Architecture, form: Form) -> nn.Module:
        """Return the network of a path, its weights in the layout of a form."""
        return self._derived(path).to(memory_format=form.layout)  # type: ignore[call-overload, no-any-return]


def training_step(alone: Alone, images: Images, form: Form) -> Contender[Architecture]:
    """Return the contender that takes a training step on these images.

    Its first step, in which torch makes the momentum and looks around, is taken before, on two images.
    """
    pixels, few = images.pixels.contiguous(memory_format=form.layout), images.first(2)

    def prepare(path: Architecture) -> Callable[[], None]:
        network = alone.network(path, form).train()
        optimizer = torch.optim.SGD(network.parameters(), lr=0.025, momentum=0.9, weight_decay=5e-4, nesterov=True)

        def step(x: Tensor, y: Tensor) -> None:
            optimizer.zero_grad()
            with form.autocast():
                loss = functional.cross_entropy(network(x), y)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            loss.item()

        step(few.pixels.contiguous(memory_format=form.layout), few.labels)
        return functools.partial(step, pixels, images.labels)

    return prepare


def evaluation(alone: Alone, images: Images, form: Form) -> Contender[Architecture]:
    """Return the contender that computes loss and accuracy on these images, by the statistics of their own batch."""
    pixels, few = images.pixels.contiguous(memory_format=form.layout), images.first(2)

    def prepare(path: Architecture) -> Callable[[], None]:
        network = alone.network(path, form).train()

        @torch.inference_mode()
        def evaluate(x: Tensor, y: Tensor) -> None:
            with form.autocast():
                logits = network(x)
            functional.cross_entropy(logits.float(), y).item()
            (logits.argmax(1) == y).sum().item()

        evaluate(few.pixels.contiguous(memory_format=form.layout), few.labels)
        return functools.partial(evaluate, pixels, images.labels)

    return prepare
