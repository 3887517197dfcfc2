"""Putting a supernet at a place of its training, and measuring what a part of its method does there."""

from __future__ import annotations

import time
from typing import Any

import torch

from raynas.cluster.check_done import Done, told
from raynas.cluster.plan import Plan
from raynas.methods import Landmark
from raynas.streams import stream
from raynas.training.worker import SupernetWorker


def place(worker: SupernetWorker, share: float) -> None:
    """Put a training where this share of its budget is spent."""
    view = worker.trainer.view
    view.before = share * view.total - view.spent


def watch(worker: SupernetWorker, part: object, method: str, done: Done) -> None:
    """Measure what a part does in its work: time, images it passes, and whether it changes the supernet."""
    original, kind = getattr(part, method), done.kind

    def watched(*args: Any) -> Any:
        view = worker.trainer.view
        trained, scored, weights = view.images_trained, view.images_scored, _fingerprint(worker, done)
        began = time.perf_counter()
        with told(f"'method.{kind}' ({done.name})"):
            result = original(*args)
        done.seconds += time.perf_counter() - began
        done.times += 1
        done.trained += view.images_trained - trained
        done.scored += view.images_scored - scored
        done.changed += weights != _fingerprint(worker, done)
        return result

    setattr(part, method, watched)


def _fingerprint(worker: SupernetWorker, done: Done) -> tuple[float, ...]:
    """Return what changes with the supernet's weights and buffers; of a curriculum, whose work they are."""
    if done.kind != "curriculum":
        return ()
    finite = (
        torch.nan_to_num(tensor.detach().double(), posinf=1, neginf=1)
        for tensor in worker.supernet.state_dict().values()
    )
    return tuple(float(tensor.abs().sum()) for tensor in finite)


def stand_ins(plan: Plan) -> tuple[Landmark, ...]:
    """Return two architectures, the plan's first landmarks where it has any, that are told to be far apart."""
    if plan.root.method.regularizer is None:
        return ()
    chosen = [one.architecture for one in plan.landmarks]
    rng = stream(plan.config.seed, "check", "landmarks")
    chosen += [plan.space.sample(rng) for _ in range(50)]
    form = plan.root.parts().sharing.shared_form
    apart = list({form(plan.space, one): one for one in reversed(chosen)}.values())[::-1]
    return tuple(Landmark(one, 100.0 * place) for place, one in enumerate(apart[:2]))
