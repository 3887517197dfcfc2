"""`TrainedProbe`: a trained supernet and training images, for choosing how it is split."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from raynas.data import ImageData
from raynas.methods import Path
from raynas.streams import stream
from raynas.training.batches import BatchStream
from raynas.training.job import SupernetJob
from raynas.training.view import View


class TrainedProbe:
    """See `raynas.methods.Probe`, which it is; the weights are copies, and its streams its own.

    Args:
        job: The supernet's job.
        data: The images.
        state: The supernet's trained weights, its ``state_dict()``.
    """

    def __init__(self, job: SupernetJob, data: ImageData, state: Mapping[str, Tensor]) -> None:
        self.supernet = job.build(data)
        self.supernet.load_state_dict(state)
        self.supernet.train()
        data = data.to(job.device)
        self._train, _ = job.split(data.train)
        self._view = View(
            self.supernet,
            self._train,
            None,
            job.optimizer,
            total=1.0,
            seed=job.seed,
            name=job.label,
            task=data.task,
            augmentation=data.augmentation,
            restart=lambda: None,
        )
        self._batches = BatchStream(
            len(self._train), job.optimizer.batch_size, stream(job.seed, "split batches", job.label)
        )
        self._changes = stream(job.seed, "split augment", job.label)

    @property
    def images_trained(self) -> int:
        """Images passed forward and backward so far."""
        return self._view.images_trained

    @property
    def images_scored(self) -> int:
        """Images passed forward only so far."""
        return self._view.images_scored

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """Return the next training images (B, C, H, W) and targets (B, ...), changed as in training."""
        index = self._batches.next()
        if self._view.augmentation is None:
            return self._train.take(index)
        return self._train.take_augmented(index, self._view.augmentation, self._changes)

    def loss(self, path: Path, images: Tensor, targets: Tensor) -> Tensor:
        """Return the task's mean loss of one path, a scalar with its graph."""
        return self._view.loss(path, images, targets)

    def count(self, *, trained: int = 0, scored: int = 0) -> None:
        """Charge images to the budget."""
        self._view.count(trained=trained, scored=scored)
