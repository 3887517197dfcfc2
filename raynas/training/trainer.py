"""The training loop of a supernet: sampled paths, one batch a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from raynas.data import Augmentation, Split, TaskName
from raynas.methods import Sampler
from raynas.networks import Supernet
from raynas.streams import stream
from raynas.training.precision import autocast, full_precision
from raynas.training.settings import OptimizerSettings
from raynas.training.task import task as task_named


class BatchStream:
    """Endless batches of indices: each epoch is a new permutation, its incomplete last batch is dropped.

    Args:
        count: The number of images.
        batch_size: Images a batch; at most `count` of them are taken.
        rng: The stream of permutations.
    """

    def __init__(self, count: int, batch_size: int, rng: np.random.Generator) -> None:
        self.count, self.batch_size, self.rng = count, min(batch_size, count), rng
        self._order = np.empty(0, np.int64)
        self._position = 0

    def next(self) -> Tensor:
        """Return the indices (B,) of the next batch."""
        if self._position + self.batch_size > len(self._order):
            self._order, self._position = self.rng.permutation(self.count), 0
        batch = self._order[self._position : self._position + self.batch_size]
        self._position += self.batch_size
        return torch.as_tensor(batch)

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {
            "order": torch.as_tensor(self._order),
            "position": self._position,
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._order, self._position = state["order"].numpy(), state["position"]
        self.rng.bit_generator.state = state["rng"]


@dataclass(frozen=True)
class TrainReport:
    """What a stretch of training did: mean loss (the task's, an image), steps, images passed forward and backward."""

    loss: float
    steps: int
    images_trained: int


class Trainer:
    """Trains a supernet in place and can stop, save and continue at any step.

    Args:
        supernet: The network; parameters that a path does not touch get no gradient, momentum or decay.
        train: The images to train on.
        sampler: Chooses each step's paths.
        settings: Optimizer and schedule.
        total_steps: Length of the cosine schedule, in steps.
        seed: The run's seed.
        name: What is trained (``root``, a partition's label): each name has its own random streams.
        task: What is learned.
        augmentation: What is done to the images; None for nothing.
        fused: Whether the optimizer's step is one call for all parameters: faster, and other in the last bits.
    """

    def __init__(
        self,
        supernet: Supernet,
        train: Split,
        sampler: Sampler,
        settings: OptimizerSettings,
        *,
        total_steps: int,
        seed: int,
        name: str,
        task: TaskName = "classification",
        augmentation: Augmentation | None = None,
        fused: bool = True,
    ) -> None:
        self.supernet, self.split, self.sampler, self.settings = supernet, train, sampler, settings
        self.task, self.augmentation = task_named(task), augmentation
        self.total_steps = total_steps
        self.step = 0
        self._paths = stream(seed, "paths", name)
        self._batches = BatchStream(len(train), settings.batch_size, stream(seed, "batches", name))
        self._changes = stream(seed, "augment", name)
        self._parameters = list(supernet.parameters())
        self._optimizer = torch.optim.SGD(
            self._parameters,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.momentum > 0,
            fused=fused,
        )

    def train(self, steps: int) -> TrainReport:
        """Take so many optimizer steps and return what was done."""
        if not self.supernet.training:  # walking through a thousand modules takes as long as a small step
            self.supernet.train()
        losses, images = [], 0
        for _ in range(steps):
            for group in self._optimizer.param_groups:
                group["lr"] = self.settings.lr_at(self.step, self.total_steps)
            batch = self._batches.next()
            x, y = self._take(batch)
            self._optimizer.zero_grad(set_to_none=True)
            for architecture in self.sampler.next_step(self._paths):
                with autocast(self.settings.precision, x.device):
                    outputs = self.supernet(x, architecture)
                loss = self.task.loss(full_precision(outputs), y)
                loss.backward()  # type: ignore[no-untyped-call]
                losses.append(loss.detach())
                images += len(batch)
            self._optimizer_step()
            self.step += 1
        return TrainReport(torch.stack(losses).mean().item(), steps, images)

    def _optimizer_step(self) -> None:
        """Clip and apply the gradients; only parameters that have one are touched."""
        touched = [parameter for parameter in self._parameters if parameter.grad is not None]
        if self.settings.grad_clip is not None:
            torch.nn.utils.clip_grad_norm_(touched, self.settings.grad_clip)
        if self.settings.momentum > 0:
            for parameter in touched:
                if parameter not in self._optimizer.state:
                    # The fused step cannot take parameters with and without momentum at once: new ones start at zero.
                    self._optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self._optimizer.step()

    def _take(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        if self.augmentation is None:
            return self.split.take(batch)
        return self.split.take_augmented(batch, self.augmentation, self._changes)

    def state_dict(self) -> dict[str, Any]:
        """Return weights, optimizer, step and random streams; tensors on the CPU, where any process can read them."""
        return {
            "supernet": _on_cpu(self.supernet.state_dict()),
            "optimizer": _on_cpu(self._optimizer.state_dict()),
            "step": self.step,
            "paths": self._paths.bit_generator.state,
            "batches": self._batches.state_dict(),
            "augment": self._changes.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self.supernet.load_state_dict(state["supernet"])
        self._optimizer.load_state_dict(state["optimizer"])
        for parameter, kept in self._optimizer.state.items():
            if kept.get("momentum_buffer") is not None:
                # Laid out as the parameter is: the fused step walks through both as they lie in memory.
                kept["momentum_buffer"] = torch.empty_like(parameter).copy_(kept["momentum_buffer"])
        self.step = state["step"]
        self._paths.bit_generator.state = state["paths"]
        self._batches.load_state_dict(state["batches"])
        self._changes.bit_generator.state = state["augment"]


def _on_cpu(state: Any) -> Any:
    """Return a nested state with its tensors on the CPU; those that are there already are not copied."""
    return tree_map(lambda leaf: leaf.cpu() if isinstance(leaf, Tensor) else leaf, state)
