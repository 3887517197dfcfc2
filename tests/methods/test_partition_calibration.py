"""Scores of sub-supernets on the root's scale."""

from __future__ import annotations

import numpy as np
import pytest

import raynas
from raynas.methods import Calibration, Line
from raynas.methods.partition_calibration import yardstick

SPACE = raynas.space("nasbench201").subspace({"1<-0": ["none"]})
DRAWN = yardstick(SPACE, np.random.default_rng(0), 8)
ROOTS = tuple(np.random.default_rng(1).normal(-2.0, 0.5, len(DRAWN)).tolist())


@pytest.mark.parametrize("kind", ["shift", "scale"])
def test_inherited_scores_stay_as_they_are_bit_for_bit(kind: str) -> None:
    line = Calibration(kind, DRAWN, ROOTS).line(ROOTS)  # type: ignore[arg-type]
    assert line == Line(1.0, 0.0)
    assert [line(score) for score in ROOTS] == list(ROOTS)


def test_means_and_deviations_become_the_roots() -> None:
    mine = [0.3 * score + 1.0 + 0.1 * place for place, score in enumerate(ROOTS)]
    shifted, scaled = (Calibration(kind, DRAWN, ROOTS).line(mine) for kind in ("shift", "scale"))  # type: ignore[arg-type]
    assert shifted.slope == 1.0
    assert np.mean([shifted(score) for score in mine]) == pytest.approx(np.mean(ROOTS))
    assert np.mean([scaled(score) for score in mine]) == pytest.approx(np.mean(ROOTS))
    assert np.std([scaled(score) for score in mine]) == pytest.approx(np.std(ROOTS))
    assert np.argsort([scaled(score) for score in mine]).tolist() == np.argsort(mine).tolist()


def test_scores_that_are_not_finite_do_not_count() -> None:
    mine = [*[score + 1.0 for score in ROOTS[:-1]], float("nan")]
    assert Calibration("shift", DRAWN, ROOTS).line(mine).intercept == pytest.approx(-1.0)
    assert np.isnan(Calibration("scale", DRAWN, ROOTS).line([float("nan")] * len(DRAWN))(1.0))
    constant = Calibration("scale", DRAWN, ROOTS).line([3.0] * len(DRAWN))
    assert (constant.slope, constant(3.0)) == (1.0, pytest.approx(np.mean(ROOTS)))


def test_a_report_tells_the_line() -> None:
    line = Line(2.0, -1.5)
    assert Line.of(line.metrics()) == line
    assert Line.of({"round": 3}) == Line()


def test_the_yardstick_is_drawn_from_the_part() -> None:
    assert len(set(DRAWN)) == len(DRAWN) == 8
    assert all(architecture in SPACE for architecture in DRAWN)
    few = SPACE.subspace({name: ["none"] for name in ("2<-0", "2<-1", "3<-0", "3<-1")})
    assert len(yardstick(few, np.random.default_rng(0), 32)) <= 5
