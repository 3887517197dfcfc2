"""A trial run: do space, network, data and task go together? Told before anything is started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from raynas.data import ImageData
from raynas.errors import ArchitectureError, ConfigError
from raynas.networks import Supernet
from raynas.spaces import Architecture, Space
from raynas.streams import stream
from raynas.training.job import SupernetJob
from raynas.training.task import task

MOST_ARCHITECTURES = 60
_DRAWS = 20


def trial_run(job: SupernetJob, data: ImageData) -> None:
    """Build the supernet and run two training images through architectures that together hold every option.

    Neither the run's random streams nor torch's global generator are moved.

    Raises:
        ConfigError: The network cannot be built for these images, or an architecture fails on them.
    """
    about = f"images {data.input_shape} and {data.classes} classes (data {data.name}, {data.task})"
    with torch.random.fork_rng(devices=[]):
        try:
            network = replace(job, device="cpu").build(data)
        except ConfigError as error:
            told = "; ".join(error.problems)
            raise ConfigError([f"'space': {job.space.name} cannot be built for {about}: {told}"]) from error
        except Exception as error:  # whatever a network or the user's code raises
            raise ConfigError([f"'space': {job.space.name} cannot be built for {about}: {_told(error)}"]) from error
        images, targets = data.train.take(_two(data))
        failure = _first_failure(network, job, lambda out: task(data.task).loss(out, targets), images)
    if failure is not None:
        where, cause = failure
        raise ConfigError([f"'space': {job.space.name} fails on {about} at {where}: {_told(cause)}"]) from cause


def covering(space: Space, rng: np.random.Generator) -> list[Architecture]:
    """Return architectures in which every option of every decision takes part, as far as it can (at most 60)."""
    unseen = [set(decision.options) for decision in space.decisions]
    found: list[Architecture] = []
    while any(unseen) and len(found) < MOST_ARCHITECTURES:
        drawn = tuple(
            left[int(rng.integers(len(left)))]
            for left in (
                [option for option in decision.options if not rest or option in rest]
                for decision, rest in zip(space.decisions, unseen, strict=True)
            )
        )
        before = sum(map(len, unseen))
        if space.is_valid(drawn):
            _tick_off(space, drawn, unseen)
            if sum(map(len, unseen)) < before:
                found.append(space.make(drawn))
                continue
        place = next(place for place, rest in enumerate(unseen) if rest)
        option = next(option for option in space.decisions[place].options if option in unseen[place])
        one = _with_option(space, place, option, rng)
        unseen[place].discard(option)
        if one is not None and one not in found:
            _tick_off(space, one.options, unseen)
            found.append(one)
    return found


def _with_option(space: Space, place: int, option: str, rng: np.random.Generator) -> Architecture | None:
    """Return an architecture with this option, one in which it takes part if there is one; None if there is none."""
    part = space.subspace({space.decisions[place].name: (option,)})
    drawn = None
    try:
        for _ in range(_DRAWS):
            drawn = part.sample(rng)
            if space.active(drawn.options)[place]:
                break
    except ArchitectureError:  # the validity rule never allows it
        return None
    return drawn


def _tick_off(space: Space, options: tuple[str, ...], unseen: list[set[str]]) -> None:
    for option, live, rest in zip(options, space.active(options), unseen, strict=True):
        if live:
            rest.discard(option)


def _two(data: ImageData) -> Tensor:
    """Return the indices of two training images, one of them of the last class there is."""
    if data.task == "classification" and len(data.train) > 1:
        last = int(data.train.targets.argmax())
        return torch.tensor([0 if last else 1, last])
    return torch.arange(min(2, len(data.train)))


def _first_failure(
    network: Supernet, job: SupernetJob, loss: Callable[[Tensor], Tensor], images: Tensor
) -> tuple[str, Exception] | None:
    """Return where the first failure is, in words, and the error; None if nothing fails."""

    def error_of(architecture: Architecture) -> Exception | None:
        try:
            loss(network(images, architecture))
        except Exception as error:  # whatever a network or the user's code raises
            return error
        return None

    network.train()
    with torch.no_grad():
        tried = covering(job.space, stream(job.seed, "trial run"))
        errors = [error_of(architecture) for architecture in tried]
        failed = [(one, error) for one, error in zip(tried, errors, strict=True) if error is not None]
        if not failed:
            return None
        works = next((one for one, error in zip(tried, errors, strict=True) if error is None), None)
        (first, error), *_ = failed
        if works is None:
            return f"every architecture tried, the first '{first}'", error
        for place, (decision, option) in enumerate(zip(job.space.decisions, first.options, strict=True)):
            changed = (*works.options[:place], option, *works.options[place + 1 :])
            if option == works.options[place] or not job.space.is_valid(changed):
                continue
            one = job.space.make(changed)
            its_error = error_of(one)
            if its_error is not None:
                return f"{decision.name}={option} (architecture '{one}')", its_error
    return f"the architecture '{first}'", error


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
