"""What does not go together is told before Ray is used or a folder made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import raynas
from raynas.cluster import launch
from raynas.cluster.plan import make_plan
from raynas.config import load_config
from raynas.errors import ConfigError
from raynas.spaces import SPACES, space
from raynas.training.trial_run import covering
from tests.data.test_depth import bundle

MODEL = """
from torch import nn
from raynas import Choice


class Net(nn.Module):
    def __init__(self, wrong=4, classes=10):
        super().__init__()
        self.stem = nn.Conv2d({channels}, 4, 3, padding=1)
        options = ["skip", "relu", "conv"]
        for part in ("first", "second"):
            wide = wrong if part == "second" else 4
            modules = [nn.Identity(), nn.ReLU(), nn.Conv2d(wide, 4, 1)]
            setattr(self, part, Choice(part, dict(zip(options, modules))))
        self.classifier = nn.Linear(4, classes)

    def forward(self, x):
        return self.classifier(self.second(self.first(self.stem(x))).mean((2, 3)))
"""
QUICK = {"search": {"verify": {"top": 0}}, "train": {"round_images": 64}}


def refused(monkeypatch: pytest.MonkeyPatch, folder: Path, config: dict[str, Any], words: str) -> None:
    @contextmanager
    def starting(*_: object) -> Iterator[Callable[[], None]]:
        def never() -> None:
            raise AssertionError("Ray was waited for")

        yield never

    monkeypatch.setattr(launch, "ray_starting", starting)
    with pytest.raises(ConfigError, match=words):
        raynas.run({**QUICK, **config, "out": str(folder / "run")})
    assert not (folder / "run").exists()


def test_a_depth_space_on_labels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = {"space": "depth_v2", "data": "digits", "network": {"features": 4, "encoder_channels": [2, 2, 2, 2]}}
    words = r"1 problem.*\n.*'space': depth_v2 cannot be built for images \(1, 8, 8\) and 10 classes .*must be 1, the"
    refused(monkeypatch, tmp_path, config, words)


def test_a_classifier_on_depths(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez(tmp_path / "depths.npz", **bundle())
    data = {"name": "depth_npz", "path": str(tmp_path / "depths.npz"), "rows": [0, 5], "columns": [0, 7]}
    words = r"nasbench_macro fails on images \(3, 6, 8\) .* at every architecture tried, .*outputs are \(2, 1\)"
    refused(monkeypatch, tmp_path, {"space": "nasbench_macro", "data": data}, words)


@pytest.mark.parametrize(
    ("channels", "arguments", "words"),
    [
        (
            1,
            {"wrong": 5},
            r"module fails on images \(1, 8, 8\) .* at second=conv \(architecture 'first=\w+,second=conv",
        ),
        (3, {}, r"at every architecture tried, the first '.*': RuntimeError: Given groups=1"),
        (1, {"classes": 9}, r"every architecture tried, .*Target 9 is out of bounds"),
        (
            1,
            {"classes": -1},
            r"module cannot be built for .*: .* cannot be built: RuntimeError|cannot be built: RuntimeError",
        ),
    ],
)
def test_an_own_model(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, channels: int, arguments: dict[str, int], words: str
) -> None:
    file = tmp_path / "net.py"
    file.write_text(MODEL.format(channels=channels))
    chosen = {"name": "module", "path": f"{file}:Net", "arguments": arguments}
    refused(monkeypatch, tmp_path, {"space": chosen, "data": "digits"}, words)


def test_what_fits_passes_and_moves_no_generator() -> None:
    before = torch.random.get_rng_state()
    make_plan(load_config({**QUICK, "space": "nasbench201", "network": {"channels": 2, "cells": 1}, "data": "digits"}))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", [name for name in SPACES.names() if name != "module"])
def test_every_option_is_tried(name: str) -> None:
    whole = space(name)
    drawn = covering(whole, np.random.default_rng(0))
    assert len(drawn) <= 60
    assert all(architecture in whole for architecture in drawn)
    for place, decision in enumerate(whole.decisions):
        assert {one.options[place] for one in drawn} == set(decision.options)
    assert [str(one) for one in drawn] == [str(one) for one in covering(whole, np.random.default_rng(0))]
