"""Loss forms, schedules and draws of landmark regularization against formulas written out."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch

from raynas.errors import ConfigError
from raynas.methods import REGULARIZERS, Landmark
from raynas.methods.landmark_losses import REFUSED, LossName, ranking_loss
from raynas.methods.landmark_pairs import LandmarkPairs
from raynas.methods.landmark_schedules import Schedule, coded_multiplier, multiplier
from raynas.spaces import Architecture

# ---------------------------------------------------------------- loss forms


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def relu(x: float) -> float:
    return max(x, 0.0)


def softplus(x: float, b: float = 1) -> float:
    return math.log1p(math.exp(b * x)) / b


def focal(d: float) -> float:
    return sigmoid(d) ** 5 * -math.log(1 - sigmoid(d))


FORMULAS: dict[str, Callable[[float, float], float]] = {
    "mae_relu": lambda d, w: relu(d),
    "mae_softplus": lambda d, w: softplus(d),
    "mae_softplus_beta3": lambda d, w: softplus(d, 3),
    "mae_softplus_beta5": lambda d, w: softplus(d, 5),
    "mae_softplus_beta7": lambda d, w: softplus(d, 7),
    "mae_tanh_relu": lambda d, w: relu(math.tanh(d)),
    "crossentropy": lambda d, w: -math.log(1 - sigmoid(d)),
    "focal_loss": lambda d, w: focal(d),
    "mixed_focal": lambda d, w: focal(d) if d < 0 else -math.log(1 - sigmoid(d)),
    "mae_relu_infinite": lambda d, w: relu(d * w),
    "softplus_infinite": lambda d, w: softplus(d * w, 5),
    "mae_tanh_infinite": lambda d, w: relu(math.tanh(d) * math.tanh(w)),
    "tanh_infinite": lambda d, w: math.tanh(d) * math.tanh(w),
    "mae_sign_tanh_infinite": lambda d, w: relu(math.tanh(d)),
    "mae_relu_sigmoid_infinite": lambda d, w: relu(0.5 - sigmoid(-d / w)),
    "sigmoid_softplus_infinite": lambda d, w: softplus(0.5 - sigmoid(-d / w)),
    "hinge_sign_infinite": lambda d, w: relu(1 + d),
}


@pytest.mark.parametrize("name", get_args(LossName))
def test_every_form_is_its_formula(name: LossName) -> None:
    form = ranking_loss(name)
    for d in (-2.5, -1.0, -0.3, 0.0, 0.2, 1.7):
        for w in (0.1, 2.0, 4.0):
            difference = torch.tensor(d, dtype=torch.float64, requires_grad=True)
            value = form.value(difference, w)
            assert value.item() == pytest.approx(FORMULAS[name](d, w), abs=1e-12)
            (gradient,) = torch.autograd.grad(value, difference)
            if form.hinge and value == 0:
                assert gradient == 0
            if abs(d) > 0.1:  # away from the kinks: a hinge's at 0, mixed_focal's step there
                slope = (FORMULAS[name](d + 1e-6, w) - FORMULAS[name](d - 1e-6, w)) / 2e-6
                if not (name == "hinge_sign_infinite" and d == -1.0):
                    assert gradient.item() == pytest.approx(slope, abs=1e-5)
                assert math.isfinite(gradient.item())


def test_all_forms_that_are_losses_are_there() -> None:
    assert set(FORMULAS) == set(get_args(LossName))
    assert not set(REFUSED) & set(FORMULAS)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "mae_relu_norm"}, "it is 0/0 where two losses are equal.*choose one of mae_relu, .*got 'mae_relu_n"),
        ({"loss": "mae_sign_relu"}, "its gradient is zero everywhere"),
        ({"loss": "mae_sign_tanh_relu"}, "its gradient is zero everywhere"),
        ({"loss": "mae_relu_inverse"}, "it rewards the wrong order"),
        ({"schedule": "inverse_lr"}, "choose cosine_increase, got 'inverse_lr'"),
    ],
)
def test_what_cannot_be_trained_on_is_refused_with_the_reason(options: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        REGULARIZERS.checked("landmark", options)


# ---------------------------------------------------------------- schedules


@pytest.mark.parametrize(("x", "expected"), [(0, 0), (0.25, 0.146), (0.5, 0.5), (0.75, 0.854), (1, 1)])
def test_the_papers_cosine(x: float, expected: float) -> None:
    spent = 0.375 + 0.625 * x
    assert multiplier("cosine_increase", spent, warmup=0.375, ramp=0) == pytest.approx(expected, abs=5e-4)


@pytest.mark.parametrize(("x", "expected"), [(0, 0), (0.25, 0.060), (0.5, 0.222), (0.75, 0.450), (1, 0.691)])
def test_the_cosine_as_coded(x: float, expected: float) -> None:
    epoch = 150 + round(250 * x) - 1  # the code's t + 1 counts from 1; the quarters lie between two epochs
    found = coded_multiplier("cosine_increase", epoch, epochs=400, warmup=150, ramp=10)
    assert found == pytest.approx(expected, abs=4e-3)


@pytest.mark.parametrize(
    ("trained", "epochs", "warmup", "expected"),
    [
        (400, 400, 150, 0.69),
        (400, 400, 100, 0.85),
        (200, 200, 100, 0.50),
        (400, 400, 250, 0.31),
        (450, 400, 250, 0.50),
        (400, 400, 300, 0.15),
        (200, 200, 140, 0.21),
        (200, 200, 150, 0.15),
    ],
)
def test_where_the_cosine_as_coded_ends(trained: int, epochs: int, warmup: int, expected: float) -> None:
    last = coded_multiplier("cosine_increase", trained - 1, epochs=epochs, warmup=warmup, ramp=10)
    assert round(last, 2) == expected


def test_the_ramp_as_coded() -> None:
    values = [coded_multiplier("constant", 50 + t, epochs=200, warmup=50, ramp=10) for t in (-1, 0, 1, 9, 10, 99)]
    assert values == pytest.approx([0, 2 / 11, 3 / 11, 1, 1, 1])


def test_decreasing_forms_as_coded() -> None:
    def coded(name: Schedule, t: int) -> float:
        return coded_multiplier(name, 20 + t, epochs=100, warmup=20, ramp=0)

    assert [coded("cosine_decrease", t) for t in (39, 79)] == pytest.approx([0.5, 0])
    assert [coded("linear_step_decrease", t) for t in (0, 19, 20, 40, 60, 79)] == [1, 1, 0.1, 0.01, 0.001, 0.001]
    assert [coded("linear_step_increase", t) for t in (0, 19, 20, 40, 60, 79)] == [0, 0, 0.01, 0.1, 1, 1]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("constant", [0, 0, 0.5, 1, 1, 1, 1]),
        ("cosine_decrease", [0, 0, 0.5, 1, 0.5, 0.5 * (1 - math.sqrt(0.5)), 0]),
        ("linear_step_decrease", [0, 0, 0.5, 1, 0.01, 0.001, 0.001]),
    ],
)
def test_forms_with_a_ramp_over_the_budget(name: Schedule, expected: list[float]) -> None:
    shares = [0.0, 0.2, 0.25, 0.3, 0.65, 0.825, 1.0]  # a warm-up of 0.2, a ramp of 0.1, and 0.7 of the form
    found = [multiplier(name, share, warmup=0.2, ramp=0.1) for share in shares]
    assert found == pytest.approx(expected)


def test_official_changes_lambda_at_epochs_only() -> None:
    ours = REGULARIZERS.make("landmark", (), coefficient=10.0, warmup=0.375)
    coded = REGULARIZERS.make("landmark", (), coefficient=10.0, warmup=0.375, official=True, epochs=400)
    assert ours.weight(1.0) == 10  # type: ignore[attr-defined]
    assert coded.weight(1.0) == pytest.approx(6.91, abs=5e-3)  # type: ignore[attr-defined]
    shares = [(200 + part) / 400 for part in (0, 0.3, 0.9)]
    assert len({coded.weight(share) for share in shares}) == 1  # type: ignore[attr-defined]
    assert len({ours.weight(share) for share in shares}) == 3  # type: ignore[attr-defined]
    expected = [10 * coded_multiplier("cosine_increase", e, epochs=400, warmup=150, ramp=0) for e in range(400)]
    assert [coded.weight(e / 400) for e in range(400)] == pytest.approx(expected)  # type: ignore[attr-defined]


# ---------------------------------------------------------------- pairs


def some(*qualities: float) -> list[Landmark]:
    return [Landmark(Architecture(f"a{place}", (str(place),)), quality) for place, quality in enumerate(qualities)]


def chi_square(pairs: LandmarkPairs, expected: dict[tuple[float, float], float], draws: int) -> float:
    """Return Pearson's statistic of draws against the probability of each pair of qualities."""
    counts = dict.fromkeys(expected, 0)
    for worse, better in pairs.draw(draws, np.random.default_rng(0)):
        counts[worse.quality, better.quality] += 1
    assert sum(counts.values()) == draws
    return sum((counts[pair] - draws * p) ** 2 / (draws * p) for pair, p in expected.items())


def test_pairs_are_uniform_and_the_worse_comes_first() -> None:
    found = LandmarkPairs(some(3, 1, 0, 2, 4))
    expected = {(float(a), float(b)): 0.1 for a in range(5) for b in range(a + 1, 5)}
    assert chi_square(found, expected, 20_000) < 27.9  # the 99.9 % point of 9 degrees of freedom


def test_the_released_codes_draw_prefers_the_best() -> None:
    size = 5
    expected = {
        (float(a), float(b)): 1 / ((size - 1) * (size - 1 - a)) for a in range(size) for b in range(a + 1, size)
    }
    assert sum(expected.values()) == pytest.approx(1)
    assert chi_square(LandmarkPairs(some(0, 1, 2, 3, 4), official=True), expected, 20_000) < 27.9
    assert chi_square(LandmarkPairs(some(0, 1, 2, 3, 4)), expected, 20_000) > 1000


def test_close_pairs_are_left_out() -> None:
    pairs = LandmarkPairs(some(80, 80, 80.5, 82), min_gap=0.5)
    assert {(a.quality, b.quality) for a, b in pairs.usable} == {(80, 80.5), (80, 82), (80.5, 82)}
    assert pairs.skipped == pytest.approx(1 / 6)
    assert LandmarkPairs(some(80, 80.5, 82), min_gap=0.6).skipped == pytest.approx(1 / 3)
    official = LandmarkPairs(some(80, 80, 80.5, 82), official=True)
    drawn = official.draw(1000, np.random.default_rng(0))
    assert all(worse.quality < better.quality for worse, better in drawn)
    assert 800 < len(drawn) < 950  # the pair of ties has a probability of 1/9


def test_ties_alone_are_no_pairs() -> None:
    pairs = LandmarkPairs(some(80, 80))
    assert pairs.draw(3, np.random.default_rng(0)) == []
    assert pairs.skipped == 1
    assert math.isnan(LandmarkPairs(some(80)).skipped)
