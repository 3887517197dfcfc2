"""Building a truth table: interrupted, continued, refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import raynas
from raynas.cluster import truth_build
from raynas.cluster.truth_build import TruthPlan, build_truth
from raynas.config import RaySettings
from raynas.errors import TruthError
from raynas.training.standalone import StandaloneRecipe

pytestmark = pytest.mark.ray

PLAN = TruthPlan(
    name="tiny",
    space=raynas.space("nasbench201", connected=True),
    data="digits",
    recipe=StandaloneRecipe(network={"channels": 2, "cells": 1}, epochs=1),
    architectures=5,
    seeds=(0, 1),
)


class Interrupted(Exception):
    pass


def test_interrupted_and_continued_is_unbroken(
    local_ray: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = build_truth(PLAN, tmp_path / "whole.npz", RaySettings())

    def stop_at_two(done: int, total: int) -> None:
        if done == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        build_truth(PLAN, tmp_path / "broken.npz", RaySettings(), stop_at_two)
    partial = tmp_path / "broken.npz.partial.jsonl"
    assert not (tmp_path / "broken.npz").exists()
    partial.write_text(partial.read_text() + '{"architecture": "|none~')  # cut off in the middle of a line

    trained: list[int] = []
    original = truth_build.train_all

    def counting(space: object, architectures: list[object], *args: object, **keys: object) -> object:
        trained.append(len(architectures))
        return original(space, architectures, *args, **keys)  # type: ignore[arg-type]

    monkeypatch.setattr(truth_build, "train_all", counting)
    continued = build_truth(PLAN, tmp_path / "broken.npz", RaySettings())
    assert trained == [3]
    assert continued.texts == whole.texts
    assert all(np.array_equal(continued.columns[name], whole.columns[name]) for name in whole.columns)
    assert not partial.exists()
    assert raynas.truth(tmp_path / "broken.npz").source["seeds"] == [0, 1]


def test_another_plans_partial_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.npz.partial.jsonl").write_text(json.dumps({"plan": "other"}) + "\n")
    with pytest.raises(TruthError, match="begun with another plan"):
        build_truth(replace(PLAN, seeds=(0, 1, 2)), tmp_path / "t.npz", RaySettings())


def test_an_existing_table_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.npz").write_bytes(b"precious")
    with pytest.raises(TruthError, match="exists"):
        build_truth(PLAN, tmp_path / "t.npz", RaySettings())
    assert (tmp_path / "t.npz").read_bytes() == b"precious"
