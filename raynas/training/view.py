"""`View`: what the trainer and the parts of a method see of a training, and the budget that all of it is charged to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from raynas.data import Augmentation, ImageData, Split, TaskName
from raynas.errors import ConfigError, RunError
from raynas.methods import Path
from raynas.networks import Supernet
from raynas.spaces import Architecture, Space
from raynas.streams import stream
from raynas.training.batches import BatchStream
from raynas.training.precision import autocast, full_precision
from raynas.training.scoring import ScoreProtocol, score_architectures
from raynas.training.settings import OptimizerSettings
from raynas.training.task import task as task_named


class View:
    """See `raynas.methods.TrainingView`, which it is.

    Args:
        supernet: What is trained.
        train: The images it is trained on.
        heldout: Images set aside for the parts of the method, in an order whose beginnings are balanced; or None.
        settings: Batch size, precision and the cost of scoring.
        total: The budget, in images.
        seed: The run's seed.
        name: What is trained.
        task: What is learned.
        augmentation: What is done to the images; None for nothing.
        restart: What `restart` does.
        apart: The first so many of the held-out images are for `score` alone, and `heldout_batch` draws from the
            others; with 0 both use all of them.
        before: What of the budget, in images, others have spent when this training begins.
    """

    def __init__(
        self,
        supernet: Supernet,
        train: Split,
        heldout: Split | None,
        settings: OptimizerSettings,
        *,
        total: float,
        seed: int,
        name: str,
        task: TaskName,
        augmentation: Augmentation | None,
        restart: Callable[[], None],
        apart: int = 0,
        before: float = 0.0,
    ) -> None:
        self.supernet, self.train, self.settings, self.total = supernet, train, settings, total
        self.before = before
        self.heldout, self.apart, self.task_name, self.augmentation = heldout, apart, task, augmentation
        self.task = task_named(task)
        if settings.label_smoothing and not self.task.smooths:
            problem = f"the task {task} has no labels to smooth, got {settings.label_smoothing}; set it to 0"
            raise ConfigError([f"'label_smoothing': {problem}"], "the training recipe")
        self.batch: tuple[Tensor, Tensor]  # these two are set by the trainer, step by step
        self.lr = settings.lr
        self.images_scored = 0
        self._trained = 0
        self._restart = restart
        drawn = 0 if heldout is None else len(heldout) - apart
        self._drawn, self._seed, self._name = drawn, seed, name
        self._heldout: dict[str, tuple[BatchStream, np.random.Generator]] = {}
        self.step_progress = 0.0  # set by the trainer

    @property
    def space(self) -> Space:
        """The supernet's space."""
        return self.supernet.space

    @property
    def images_trained(self) -> int:
        """Images passed forward and backward so far."""
        return self._trained

    @property
    def epoch_images(self) -> int:
        """The images that weights are trained on."""
        return len(self.train)

    @property
    def spent(self) -> float:
        """What this training spent of the budget, in images: those trained, and those scored at what they cost."""
        return self._trained + self.settings.scoring_cost * self.images_scored

    @property
    def progress(self) -> float:
        """The share of the budget that is spent, 0 to 1."""
        return min((self.before + self.spent) / self.total, 1.0)

    def output(self, path: Path, images: Tensor) -> Tensor:
        """Return what one path makes of images (B, C, H, W)."""
        with autocast(self.settings.precision, images.device):
            out = self.supernet(images, path)
        return full_precision(out)

    def loss(self, path: Path, images: Tensor, targets: Tensor, *, trained: bool = False) -> Tensor:
        """Return the task's mean loss of one path as it is scored, or as it is trained, a scalar with its graph."""
        output = self.output(path, images)
        return self.training_loss(output, targets) if trained else self.task.loss(output, targets)

    def training_loss(self, output: Tensor, targets: Tensor) -> Tensor:
        """Return the task's mean loss of outputs as it is trained: with smoothed labels, if the settings say so."""
        return self.task.loss(output, targets, self.settings.label_smoothing)

    def heldout_batch(self, purpose: str) -> tuple[Tensor, Tensor]:
        """Return a purpose's next batch of held-out images."""
        if self.heldout is None or not self._drawn:
            raise RunError("no images are held out: set train.heldout above 0")
        batches, changes = self._held_out_for(purpose)
        index = self.apart + batches.next()
        if self.augmentation is None:
            return self.heldout.take(index)
        return self.heldout.take_augmented(index, self.augmentation, changes)

    def _held_out_for(self, purpose: str) -> tuple[BatchStream, np.random.Generator]:
        if purpose not in self._heldout:
            order, changes = (
                stream(self._seed, kind, self._name, purpose) for kind in ("held out", "augment held out")
            )
            self._heldout[purpose] = BatchStream(self._drawn, self.settings.batch_size, order), changes
        return self._heldout[purpose]

    def score(self, architectures: Sequence[Architecture], images: int = 1000) -> list[float]:
        """Return minus the mean loss of architectures on the first held-out images, and count them.

        Architectures that are equal under shared weights are evaluated, and counted, once.
        """
        subset = self._set_aside().first(images)
        data = ImageData("held out", self.train, subset, subset, self.supernet.classes, self.task_name)
        self.count(scored=len(set(self.supernet.shared_forms(architectures))) * len(subset))
        found = score_architectures(self.supernet, data, architectures, self._protocol(len(subset)))
        return [-score.loss for score in found]

    def protocol(self, images: int = 1000) -> str:
        """Return the name of the protocol of `score`, and on how many held-out images (``.../1000 held out``)."""
        count = min(images, len(self._set_aside()))
        return f"{self._protocol(count).name}/{count} held out"

    def _set_aside(self) -> Split:
        if self.heldout is None:
            raise RunError("no images are held out: set train.heldout above 0")
        return self.heldout.first(self.apart) if self.apart else self.heldout

    def _protocol(self, count: int) -> ScoreProtocol:
        return ScoreProtocol(precision=self.settings.precision, batch_size=min(1000, count))

    def count(self, *, trained: int = 0, scored: int = 0) -> None:
        """Charge images to the budget."""
        self._trained += trained
        self.images_scored += scored

    def restart(self) -> None:
        """Begin the learning rate's schedule anew, and forget momentum."""
        self._restart()

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {
            "images_trained": self._trained,
            "images_scored": self.images_scored,
            "heldout": {
                purpose: (batches.state_dict(), changes.bit_generator.state)
                for purpose, (batches, changes) in self._heldout.items()
            },
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._trained, self.images_scored = state["images_trained"], state["images_scored"]
        self._heldout.clear()
        for purpose, (order, change) in state["heldout"].items():
            batches, changes = self._held_out_for(purpose)
            batches.load_state_dict(order)
            changes.bit_generator.state = change


def distillation_loss(output: Tensor, teacher: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of a student's classes from its teacher's, (B, K) logits, batch mean."""
    log_p, log_q = torch.log_softmax(teacher.detach(), 1), torch.log_softmax(output, 1)
    return torch.nn.functional.kl_div(log_q, log_p, reduction="batchmean", log_target=True)
