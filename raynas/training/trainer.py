"""The training loop of a supernet: sampled paths, one batch a step, and what else the method asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from raynas.data import Augmentation, Split, TaskName
from raynas.methods import Curriculum, Part, Regularizer, Sampler, Sharing
from raynas.networks import Supernet
from raynas.streams import stream, stream_seed
from raynas.training.batches import BatchStream
from raynas.training.plateau import Plateau
from raynas.training.settings import OptimizerSettings
from raynas.training.view import View, distillation_loss

_OWN = ("weight_decay", "momentum", "nesterov")
"""The optimizer's settings that its state would bring along."""


@dataclass(frozen=True)
class TrainReport:
    """What a stretch of training did.

    Args:
        loss: Mean loss of the paths trained on targets (the task's, an image), not of those that learned a teacher's
            output; NaN where there was no step.
        steps: Optimizer steps.
        images_trained: Images passed forward and backward.
        images_scored: Images that the method passed forward only.
    """

    loss: float
    steps: int
    images_trained: int
    images_scored: int


class Trainer:
    """Trains a supernet in place and can stop, save and continue at any step.

    The budget is counted in images: those passed forward and backward, and, at `OptimizerSettings.scoring_cost` each,
    those that the method passes forward only to decide what to train.

    Args:
        supernet: The network; parameters that a path does not touch get no gradient, momentum or decay.
        train: The images to train on.
        sampler: Chooses each step's paths.
        settings: Optimizer and schedule.
        total_steps: The budget: as many images as so many plain steps take; the learning rate's schedule is as long.
        seed: The run's seed.
        name: What is trained (``root``, a partition's label): each name has its own random streams.
        task: What is learned.
        augmentation: What is done to the images; None for nothing.
        fused: Whether the optimizer's step is one call for all parameters: faster, and other in the last bits.
        heldout: Images set aside for the parts of the method; None for none.
        regularizer: A term beside the loss.
        curriculum: What changes in the course of the training.
        sharing: Which weights an operation uses: the supernet is made by it.
        apart: The first so many of the held-out images are for scores alone; see `View`.
        steps_before: Plain steps of the schedule that are over when this training begins: its learning rate and its
            progress go on from there.
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
        heldout: Split | None = None,
        regularizer: Regularizer | None = None,
        curriculum: Curriculum | None = None,
        sharing: Sharing | None = None,
        apart: int = 0,
        steps_before: int = 0,
    ) -> None:
        self.supernet, self.split, self.sampler, self.settings = supernet, train, sampler, settings
        self.regularizer, self.curriculum, self.sharing = regularizer, curriculum, sharing
        self.augmentation = augmentation
        self.step = 0
        self.step_images = min(settings.batch_size, len(train))
        self.view = View(
            supernet,
            train,
            heldout,
            settings,
            total=total_steps * self.step_images,
            seed=seed,
            name=name,
            task=task,
            augmentation=augmentation,
            restart=self._restart,
            apart=apart,
            before=steps_before * self.step_images,
        )
        self._began = 0.0  # what was spent when the schedule began
        self._target = 0.0  # what is to be spent by the end of the present round
        self._streams = {purpose: stream(seed, purpose, name) for purpose in ("paths", "augment", "term", "curriculum")}
        self._batches = BatchStream(len(train), settings.batch_size, stream(seed, "batches", name))
        self._plateau: Plateau | None = None
        if settings.schedule == "plateau":
            epoch_steps = len(train) // self.step_images
            self._plateau = Plateau(settings.plateau_factor, settings.plateau_patience, epoch_steps)
        for number, part in enumerate(self._parts().values()):
            part.start(supernet, stream_seed(seed, "part", name, number))
        self._parameters = list(supernet.parameters())
        undecayed = set(supernet.undecayed())
        groups: list[dict[str, Any]] = [{"params": [p for p in self._parameters if p not in undecayed]}]
        if undecayed:
            groups.append({"params": [p for p in self._parameters if p in undecayed], "weight_decay": 0.0})
        self._optimizer = torch.optim.SGD(
            groups,
            lr=settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov and settings.momentum > 0,
            fused=fused,
        )

    def train(self, steps: int) -> TrainReport:
        """Take so many optimizer steps and return what was done."""
        return self._until(lambda: self.step, self.step + steps)

    def spend(self, steps: int) -> TrainReport:
        """Spend what so many plain steps cost, or stop where the sampler asks to; return what was done.

        What the last step spent beyond it is saved in the next round.
        """
        self._target += steps * self.step_images
        return self._until(lambda: self.view.spent, self._target)

    def _until(self, measure: Callable[[], float], target: float) -> TrainReport:
        if not self.supernet.training:  # walking through a thousand modules takes as long as a small step
            self.supernet.train()
        losses: list[Tensor] = []
        trained, scored, first = self.view.images_trained, self.view.images_scored, self.step
        while measure() < target and not self.sampler.finished:
            losses += self._take_step()
        loss = torch.stack(losses).mean().item() if losses else float("nan")
        return TrainReport(
            loss, self.step - first, self.view.images_trained - trained, self.view.images_scored - scored
        )

    def _take_step(self) -> list[Tensor]:
        """Take one optimizer step and return the losses of its paths, but for those that were taught."""
        view, sampler = self.view, self.sampler
        view.step_progress = view.progress
        if self.curriculum is not None:
            self.curriculum.before_step(view, self._streams["curriculum"])
        batch = self._batches.next()
        view.batch = x, y = self._take(batch)
        view.lr = self._lr()
        paths = sampler.next_step(view, self._streams["paths"])
        for group in self._optimizer.param_groups:
            group["lr"] = self._lr()
        self._optimizer.zero_grad(set_to_none=True)
        losses, teacher = [], None
        for path in paths:
            output = view.output(path, x)
            if teacher is None:
                loss = view.training_loss(output, y)
                losses.append(loss.detach())
            else:  # not reported: it is no loss of the task, and falls where the teacher grows unsure
                loss = distillation_loss(output, teacher)
            loss.backward()  # type: ignore[no-untyped-call]
            if sampler.distils and teacher is None:
                teacher = output
            view.count(trained=len(batch))
        if self.regularizer is not None:
            self.regularizer.add_gradients(view, self._streams["term"])
        self._optimizer_step()
        if self._plateau is not None:
            self._plateau.took(losses)
        self.step += 1
        return losses

    def _lr(self) -> float:
        """Return the learning rate at what is spent by now; a schedule that was begun anew has no warm-up."""
        warm, step = self._began == 0, self.step_images
        spent, total = self.view.before + self.view.spent - self._began, self.view.total - self._began
        lr = self.settings.lr_at(spent, total, step=step, warm=warm)
        return lr if self._plateau is None else max(lr * self._plateau.scale, min(lr, self.settings.lr_min))

    def _parts(self) -> dict[str, Part]:
        parts: dict[str, Part | None] = {
            "sampler": self.sampler,
            "regularizer": self.regularizer,
            "curriculum": self.curriculum,
            "sharing": self.sharing,
        }
        return {name: part for name, part in parts.items() if part is not None}

    def _restart(self) -> None:
        self._began = self.view.before + self.view.spent
        self._optimizer.state.clear()
        if self._plateau is not None:
            self._plateau.restart()

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

    def diagnostics(self) -> dict[str, float]:
        """Return what the parts of the method have to say of the round that has just ended."""
        told = [self.supernet.diagnostics(), *(part.diagnostics() for part in self._parts().values())]
        return {key: value for one in told for key, value in one.items()}

    def _take(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        if self.augmentation is None:
            return self.split.take(batch)
        return self.split.take_augmented(batch, self.augmentation, self._streams["augment"])

    def continue_schedule(self, state: Mapping[str, Any]) -> None:
        """Take over where another trainer's learning-rate schedule is, but for what it spent: see `steps_before`.

        Args:
            state: The other's `state_dict`.
        """
        self._began = state["began"]
        if self._plateau is not None:
            self._plateau.load_state_dict(state["plateau"])

    def state_dict(self) -> dict[str, Any]:
        """Return weights, optimizer, step and random streams; tensors on the CPU, where any process can read them."""
        return {
            "supernet": _on_cpu(self.supernet.state_dict()),
            "optimizer": _on_cpu(self._optimizer.state_dict()),
            "step": self.step,
            "began": self._began,
            "plateau": None if self._plateau is None else self._plateau.state_dict(),
            "target": self._target,
            "view": self.view.state_dict(),
            "batches": self._batches.state_dict(),
            "streams": {purpose: rng.bit_generator.state for purpose, rng in self._streams.items()},
            "parts": {name: _on_cpu(part.state_dict()) for name, part in self._parts().items()},
        }

    def load_state_dict(self, state: Mapping[str, Any], parts: Collection[str] | None = None) -> None:
        """Continue exactly where `state_dict` was taken.

        Args:
            state: The state.
            parts: The method parts (by kind) that continue; the others stay as they are. All if None.
        """
        self.supernet.load_state_dict(state["supernet"])
        own = [{key: group[key] for key in _OWN} for group in self._optimizer.param_groups]
        self._optimizer.load_state_dict(state["optimizer"])
        for group, settings in zip(self._optimizer.param_groups, own, strict=True):
            group.update(settings)  # a training may go on with other settings than it began with
        if self.settings.momentum == 0 or state["optimizer"]["param_groups"][0]["momentum"] == 0:
            self._optimizer.state.clear()
        for parameter, kept in self._optimizer.state.items():
            if kept.get("momentum_buffer") is not None:
                # Laid out as the parameter is: the fused step walks through both as they lie in memory.
                kept["momentum_buffer"] = torch.empty_like(parameter).copy_(kept["momentum_buffer"])
        self.step, self._began, self._target = state["step"], state["began"], state["target"]
        if self._plateau is not None and state["plateau"] is not None:
            self._plateau.load_state_dict(state["plateau"])
        self.view.load_state_dict(state["view"])
        self._batches.load_state_dict(state["batches"])
        for purpose, rng in self._streams.items():
            rng.bit_generator.state = state["streams"][purpose]
        for name, part in self._parts().items():
            if parts is None or name in parts:
                part.load_state_dict(state["parts"][name])


def _on_cpu(state: Any) -> Any:
    """Return a nested state with its tensors on the CPU; those that are there already are not copied."""
    return tree_map(lambda leaf: leaf.cpu() if isinstance(leaf, Tensor) else leaf, state)
