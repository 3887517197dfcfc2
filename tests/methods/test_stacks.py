"""Every sampler with every sharing, regularizer and curriculum: it is refused with a reason, or it works.

The parts are taken from the registries, so that one registered later is here too.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np
import pydantic
import pytest
import torch

import raynas
from raynas.config import Config, validate
from raynas.data import ImageData
from raynas.errors import ConfigError
from raynas.methods import CURRICULA, REGULARIZERS, SAMPLERS, SHARINGS, Landmark
from raynas.registry import Registry
from raynas.search import CandidatePool
from raynas.spaces import Architecture
from raynas.training.job import RankingSet, SupernetJob
from raynas.training.scoring import ScoreProtocol
from raynas.training.settings import OptimizerSettings
from raynas.training.worker import RoundReport, SupernetWorker

KINDS: Mapping[str, Registry[Any]] = {
    "sampler": SAMPLERS,
    "sharing": SHARINGS,
    "regularizer": REGULARIZERS,
    "curriculum": CURRICULA,
}
MAY_LACK = ("regularizer", "curriculum")
SMALL = {
    "images": 8, "seeds": 4, "generated": 2, "random": 2, "keep": 3, "epochs": 1, "hidden": 4, "warmup": 0.25,
    "every": 0.25, "m": 3, "k": 2, "blocks": 2, "partial": 2,
}  # fmt: skip
"""Values for options of these names, whatever part has them, so that each does all it can in two short rounds."""
NETWORKS = {
    "nasbench201": ({"name": "nasbench201", "connected": True}, {"channels": 2, "cells": 1}),
    "darts": ({"name": "darts"}, {"channels": 2, "cells": 3}),
}
STEPS, BATCH = 2, 8


def named(kind: str) -> list[str | None]:
    return [*KINDS[kind].names(), *([None] if kind in MAY_LACK else [])]


STACKS = list(itertools.product(*(named(kind) for kind in KINDS)))
NEUTRAL = ("uniform", "positions", None, None)
ON_DARTS = [stack for stack in STACKS if stack[0] == NEUTRAL[0] or stack[1:] == NEUTRAL[1:]]


@cache
def small_options(kind: str, name: str) -> dict[str, Any]:
    """Return those of `SMALL` that the part takes."""
    model = KINDS[kind].options_model(name)
    taken: dict[str, Any] = {}
    for key in SMALL.keys() & model.model_fields.keys():
        try:
            model.model_validate({**taken, key: SMALL[key]})
        except pydantic.ValidationError as error:
            if any(problem["loc"] == (key,) for problem in error.errors()):
                continue
        taken[key] = SMALL[key]
    return taken


def configured(space: str, stack: tuple[str | None, ...]) -> Config:
    """Return the checked configuration of a stack."""
    method = {
        kind: {"name": name, **small_options(kind, name)}
        for kind, name in zip(KINDS, stack, strict=True)
        if name is not None
    }
    its_space, network = NETWORKS[space]
    plain = {"space": its_space, "network": network, "data": "digits", "method": method}
    truth = {"truth": "digits201"} if space == "nasbench201" else {}
    return validate({**plain, **truth, "search": {"name": "evolution", "verify": {"top": 0}}})


def attempted(space: str, stack: tuple[str | None, ...]) -> tuple[Config | None, list[str]]:
    """Return the configuration, or None and why it is refused."""
    try:
        return configured(space, stack), []
    except ConfigError as error:
        return None, error.problems


@cache
def images() -> ImageData:
    digits = raynas.data("digits")
    return ImageData("digits", digits.train.first(60), digits.valid.first(8), digits.test.first(8), 10)


@cache
def known(space: str) -> tuple[Landmark, ...]:
    if space == "nasbench201":
        table = raynas.truth("digits201")
        return tuple(Landmark(a, table.query(a, "valid_accuracy")) for a in table.architectures[:4])
    chosen = raynas.space(space)
    rng = np.random.default_rng(0)
    return tuple(Landmark(chosen.sample(rng), float(quality)) for quality in range(4))


def make_worker(config: Config) -> SupernetWorker:
    landmarks = known(config.space.name)
    architectures = tuple(landmark.architecture for landmark in landmarks)
    job = SupernetJob(
        label="root",
        space=raynas.space(config.space.name, **config.space.options),
        network=config.network,
        method=config.method.plan,
        optimizer=OptimizerSettings(batch_size=BATCH),
        round_steps=STEPS,
        total_rounds=2,
        protocol=ScoreProtocol(images=8),
        ranking=RankingSet(architectures, tuple(landmark.quality for landmark in landmarks)),
        candidates=2,
        rescore=1,
        seed=0,
        heldout=0.5,
        landmarks=landmarks,
    )
    return SupernetWorker(job, images())


def told(report: RoundReport) -> dict[str, str]:
    """Return a report without its times, as text so that NaN equals NaN."""
    return {key: repr(value) for key, value in report.metrics.items() if not key.startswith("seconds")}


def stored(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state as it comes back from a file."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    back: dict[str, Any] = torch.load(file, weights_only=True)
    return back


def tensors(worker: SupernetWorker) -> Iterator[torch.Tensor]:
    return iter([tensor.clone() for tensor in worker.supernet.state_dict().values()])


def check(space: str, stack: tuple[str | None, ...]) -> None:
    config, refusals = attempted(space, stack)
    if config is None:
        assert refusals
        for refusal in refusals:  # it is the stack that is refused, in words, and not an option
            assert refusal.startswith("'method.")
            assert len(refusal.split()) > 5, refusal
        return
    numbers = torch.get_rng_state()
    whole, pool = make_worker(config), CandidatePool(10)
    first = whole.run_round(pool)
    pool.commit({"root": first.entries})
    state = stored(whole.state_dict())
    images_are_counted(whole, first)
    a_score_changes_nothing(whole, known(space)[0].architecture)
    whole.images_scored = state["images_scored"]  # as if that score had not been

    second = whole.run_round(pool)
    images_are_counted(whole, second)
    continued = make_worker(config)
    continued.load_state_dict(state)
    assert told(continued.run_round(pool)) == told(second)
    for ours, theirs in zip(tensors(continued), tensors(whole), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(numbers, torch.get_rng_state())


def images_are_counted(worker: SupernetWorker, report: RoundReport) -> None:
    view, cost = worker.trainer.view, worker.job.optimizer.scoring_cost
    assert worker.images_trained > 0
    assert report.images_trained % BATCH == 0
    assert view.images_trained == worker.images_trained == report.metrics["images_trained"]
    assert view.spent == view.images_trained + cost * view.images_scored
    assert report.metrics["budget"] == pytest.approx(view.spent, abs=1e-3)
    assert view.spent >= worker.round * STEPS * BATCH or report.metrics["finished"]
    ranking = len(set(map(worker.job.space.shared_form, worker.job.ranking.architectures)))
    assert report.images_scored >= ranking * 8
    assert worker.images_scored >= view.images_scored + ranking * 8


def a_score_changes_nothing(worker: SupernetWorker, architecture: Architecture) -> None:
    before, training = list(tensors(worker)), worker.supernet.training
    scores = worker.score([architecture])
    assert worker.score([architecture]) == scores
    assert worker.supernet.training == training
    for ours, theirs in zip(tensors(worker), before, strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize("stack", STACKS, ids=lambda stack: "-".join(map(str, stack)))
def test_on_nasbench201(stack: tuple[str | None, ...]) -> None:
    check("nasbench201", stack)


@pytest.mark.parametrize("stack", ON_DARTS, ids=lambda stack: "-".join(map(str, stack)))
def test_on_darts(stack: tuple[str | None, ...]) -> None:
    check("darts", stack)


def test_each_part_works_in_some_stack() -> None:
    """What is refused everywhere would not be checked at all."""
    for place, kind in enumerate(KINDS):
        for name in KINDS[kind].names():
            stacks = [stack for stack in STACKS if stack[place] == name]
            assert any(attempted("nasbench201", stack)[0] for stack in stacks), f"{kind} {name}"
