"""Costs by name: counted, measured, and from a table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import raynas
from raynas.errors import TruthError
from raynas.training.costs import cost_names, cost_problem, run_cost

SPACE = raynas.space("nasbench201")
SHAPE = {"input_shape": (3, 16, 16), "classes": 10}
TABLE = raynas.truth("digits201")
WITH_LATENCY = replace(
    TABLE, columns={**TABLE.columns, "latency_ms/pixel3": np.arange(len(TABLE), dtype=float)}, keyed_by="function"
)


@pytest.mark.parametrize("name", ["params_m", "flops_m"])
def test_counts_are_those_of_the_network_trained_alone(name: str) -> None:
    cost = run_cost(name, SPACE, {"channels": 4, "cells": 1, "affine": False, "track": False}, SHAPE, None)
    for architecture in TABLE.architectures[:3]:
        expected = getattr(raynas.cost(SPACE, architecture, **SHAPE, channels=4, cells=1), name)
        assert cost(architecture) == expected


def test_a_table_answers_for_what_it_knows() -> None:
    cost = run_cost("latency_ms/pixel3", SPACE, {}, SHAPE, WITH_LATENCY)
    assert [cost(a) for a in TABLE.architectures[:3]] == [0.0, 1.0, 2.0]
    stranger = next(a for a in SPACE.enumerate() if not TABLE.knows(a))
    assert np.isnan(cost(stranger))


def test_a_measurement_is_taken_once() -> None:
    cost = run_cost("latency_ms", SPACE, {"channels": 2, "cells": 1}, SHAPE, None)
    architecture = TABLE.architectures[0]
    assert cost(architecture) == cost(architecture) > 0


def test_what_cannot_be_had_is_told() -> None:
    assert cost_names(None) == ["params_m", "flops_m", "latency_ms"]
    assert cost_names(WITH_LATENCY)[-1] == "latency_ms/pixel3"
    assert "did you mean 'latency_ms/pixel3'" in str(cost_problem("latency_ms/pixel", WITH_LATENCY))
    assert "there is no table of latencies" in str(cost_problem("energy_mj/pixel3", None))
    assert cost_problem("flops_m", None) is None
    with pytest.raises(TruthError, match="is no cost"):
        run_cost("speed", SPACE, {}, SHAPE, None)
