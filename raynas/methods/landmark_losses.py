"""What a pair of landmarks costs: the loss forms of landmark regularization, under the names of the released code.

Yu et al., "Landmark Regularization: Ranking Guided Super-Net Training in Neural Architecture Search" (CVPR 2021) have
one form, the hinge without margin ``max(0, L(better) - L(worse))``: ``mae_relu``. The others are those of the released
code (`_loss_fn` of landmark_procedures.py). Each is a function of d = L(better) - L(worse) and of the true gap
w = quality(better) - quality(worse) > 0 in percent, which only the forms that end in ``infinite`` use.

Four names of the code are refused, with the reason (`REFUSED`): they cannot be trained on, or ask for the opposite.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import relu, softplus

LossName = Literal[
    "mae_relu",
    "mae_softplus",
    "mae_softplus_beta3",
    "mae_softplus_beta5",
    "mae_softplus_beta7",
    "mae_tanh_relu",
    "crossentropy",
    "focal_loss",
    "mixed_focal",
    "mae_relu_infinite",
    "softplus_infinite",
    "mae_tanh_infinite",
    "tanh_infinite",
    "mae_sign_tanh_infinite",
    "mae_relu_sigmoid_infinite",
    "sigmoid_softplus_infinite",
    "hinge_sign_infinite",
]

_NO_GRADIENT = "its gradient is zero everywhere, so that nothing would be learned"
REFUSED: dict[str, str] = {
    "mae_relu_inverse": "it rewards the wrong order; it was made to debug the code",
    "mae_sign_relu": _NO_GRADIENT,
    "mae_sign_tanh_relu": _NO_GRADIENT,
    "mae_relu_norm": "it is 0/0 where two losses are equal, and NaN from there on",
}
"""Forms of the released code that are not losses, each with the reason."""

_FOCUS = 5
"""The exponent (gamma) of the focal forms."""


@dataclass(frozen=True)
class RankingLoss:
    """The loss of a pair.

    Args:
        value: Takes d (a scalar tensor) and w (percent) and returns a scalar tensor.
        hinge: Whether the gradient is zero wherever the value is.
    """

    value: Callable[[Tensor, float], Tensor]
    hinge: bool


def refuse_no_loss(name: object) -> object:
    """Return what was given, unless it names a form of the code that cannot be trained on; raises ValueError."""
    if isinstance(name, str) and name in REFUSED:
        raise ValueError(f"{REFUSED[name]}; choose one of {', '.join(get_args(LossName))}")
    return name


def ranking_loss(name: LossName) -> RankingLoss:
    """Return a loss form by its name."""
    return _LOSSES[name]


def _focal(d: Tensor, w: float) -> Tensor:
    del w
    return torch.sigmoid(d) ** _FOCUS * softplus(d)


def _smooth(beta: float) -> RankingLoss:
    return RankingLoss(lambda d, w: softplus(d, beta=beta), hinge=False)


_LOSSES: dict[str, RankingLoss] = {
    "mae_relu": RankingLoss(lambda d, w: relu(d), hinge=True),
    "mae_softplus": _smooth(1),
    "mae_softplus_beta3": _smooth(3),
    "mae_softplus_beta5": _smooth(5),
    "mae_softplus_beta7": _smooth(7),
    "mae_tanh_relu": RankingLoss(lambda d, w: relu(torch.tanh(d)), hinge=True),
    "crossentropy": RankingLoss(lambda d, w: softplus(d), hinge=False),
    "focal_loss": RankingLoss(_focal, hinge=False),
    "mixed_focal": RankingLoss(lambda d, w: torch.where(d < 0, _focal(d, w), softplus(d)), hinge=False),
    "mae_relu_infinite": RankingLoss(lambda d, w: relu(d * w), hinge=True),
    "softplus_infinite": RankingLoss(lambda d, w: softplus(d * w, beta=5), hinge=False),
    "mae_tanh_infinite": RankingLoss(lambda d, w: relu(torch.tanh(d) * math.tanh(w)), hinge=True),
    "tanh_infinite": RankingLoss(lambda d, w: torch.tanh(d) * math.tanh(w), hinge=False),
    "mae_sign_tanh_infinite": RankingLoss(lambda d, w: relu(torch.tanh(d) * math.copysign(1, w)), hinge=True),
    "mae_relu_sigmoid_infinite": RankingLoss(lambda d, w: relu(0.5 - torch.sigmoid(-d / w)), hinge=True),
    "sigmoid_softplus_infinite": RankingLoss(lambda d, w: softplus(0.5 - torch.sigmoid(-d / w)), hinge=False),
    "hinge_sign_infinite": RankingLoss(lambda d, w: relu(1 + d * math.copysign(1, w)), hinge=True),
}
