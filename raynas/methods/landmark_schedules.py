"""How the weight of the landmark term changes: lambda as a share of its largest value, over the training.

The paper's form, lambda/2 (1 - cos(pi (t - W)/(E - W))) after a warm-up of W of E epochs, is a function of the share of
the budget that is spent, and so are the others here: `multiplier`. The released code evaluates them once an epoch, with
denominators of its own, so that the cosine that increases never comes to the end (0.69 after 400 epochs, 150 of them
warm-up): `coded_multiplier`.

The code's ``inverse_lr``, (lr_0 - lr + lr_min) lambda, is refused: with a learning rate that falls as a cosine it is a
cosine that increases, in units of the learning rate, and the only procedure of the code that knows it cannot run.
"""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["cosine_increase", "constant", "cosine_decrease", "linear_step_increase", "linear_step_decrease"]
INCREASING = ("cosine_increase", "linear_step_increase")
"""Schedules that begin near zero and ignore the ramp."""
_STEPS_UP = (0.0, 0.01, 0.1, 1.0)
_STEPS_DOWN = (1.0, 0.1, 0.01, 0.001)


def refuse_inverse_lr(name: object) -> object:
    """Return what was given, unless it is the schedule of the code that is refused; raises ValueError."""
    if name == "inverse_lr":
        raise ValueError("it is a cosine that increases in units of the learning rate; choose cosine_increase")
    return name


def multiplier(schedule: Schedule, spent: float, *, warmup: float, ramp: float) -> float:
    """Return lambda's share of its largest value, 0 to 1.

    Args:
        schedule: The form.
        spent: The share of the budget that is spent, 0 to 1.
        warmup: The share at which the term sets in; before it lambda is zero.
        ramp: The share over which it then rises linearly from zero, before the schedule begins; the schedules that
            increase have none.
    """
    if spent < warmup:
        return 0.0
    ramp = 0.0 if schedule in INCREASING else ramp
    if spent < warmup + ramp:
        return (spent - warmup) / ramp
    return _value(schedule, (spent - warmup - ramp) / (1 - warmup - ramp))


def coded_multiplier(schedule: Schedule, epoch: int, *, epochs: int, warmup: int, ramp: int) -> float:
    """Return lambda's share of its largest value in an epoch, as `adjust_landmark_coef` of the released code does.

    Args:
        schedule: The form.
        epoch: The epoch, from 0; it may lie beyond `epochs` (GDAS trains 50 more).
        epochs: All epochs, E.
        warmup: Those before the term sets in, W.
        ramp: Those in which it rises, R; ignored by the schedules that increase.
    """
    since = epoch - warmup
    if since < 0:
        return 0.0
    if schedule == "cosine_increase":
        return 0.5 * (1 - math.cos(math.pi * (since + 1) / epochs))
    if schedule == "linear_step_increase":
        return _value(schedule, since / (epochs - warmup))
    if since < ramp:
        return (since + 2) / (ramp + 1)
    left = max(epochs - warmup - ramp, 1)
    return _value(schedule, (since - ramp + (schedule == "cosine_decrease")) / left)


def _value(schedule: Schedule, x: float) -> float:
    """Return the value of a schedule at x of its length, 0 to 1."""
    quarter = min(int(4 * x + 1e-9), 3)
    match schedule:
        case "constant":
            return 1.0
        case "cosine_increase":
            return 0.5 * (1 - math.cos(math.pi * x))
        case "cosine_decrease":
            return 0.5 * (1 + math.cos(math.pi * x))
        case "linear_step_increase":
            return _STEPS_UP[quarter]
        case "linear_step_decrease":
            return _STEPS_DOWN[quarter]
