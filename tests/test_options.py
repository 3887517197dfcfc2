"""Options given in Python are checked as a configuration's are: every problem is told, by key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import raynas
from raynas.errors import ConfigError, UnknownNameError
from raynas.spaces import SPACES

CELLS = raynas.space("nasbench201")
MODEL = """
from torch import nn
from raynas import Choice


class Net(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(1, 2, 3), Choice("act", {"relu": nn.ReLU(), "tanh": nn.Tanh()}))
"""


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: raynas.space("nasbench201", conected=True),
            "the space nasbench201:\n.*'conected', did you mean 'conn",
        ),
        (lambda: raynas.space("module"), "the space module:\n.*'path' is missing"),
        (lambda: raynas.space("nasbench201", connected="yes"), "'connected': must be True or False, got 'yes'"),
        (lambda: raynas.space("mobilenet", se=2), "'se': input should be a valid boolean.*, got 2"),
        (lambda: raynas.space("ofa_mobilenetv3", resolutions=224), "'resolutions': input should be a .*tuple, got 224"),
        (lambda: raynas.supernet(CELLS, chanels=4), "unknown key 'chanels', did you mean 'channels'"),
        (lambda: raynas.supernet(CELLS, channels=0, cells=0), "2 problems in the network nasbench201:\n.*'channels'"),
        (lambda: raynas.supernet(CELLS, channels="8"), "'channels': must be a number, not a text, got '8'"),
        (lambda: raynas.cost(CELLS, CELLS.sample(np.random.default_rng(0)), chanels=4), "unknown key 'chanels'"),
        (lambda: raynas.derive(CELLS, CELLS.sample(np.random.default_rng(0)), chanels=4), "unknown key 'chanels'"),
        (lambda: raynas.data("imagefolder", path="imgs", szie=16), "unknown key 'szie', did you mean 'size'"),
        (
            lambda: raynas.data("imagefolder:imgs", size=-1),
            "'size': input should be greater than or equal to 1, got -1",
        ),
        (lambda: raynas.data("imagefolder:imgs", path="others"), "'path' is given twice"),
        (lambda: raynas.data("digits", size=16), "the data set digits:\n.*unknown key 'size' .it has no options"),
    ],
)
def test_bad_options_are_told(call: Callable[[], object], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        call()


def test_a_component_without_a_path() -> None:
    with pytest.raises(UnknownNameError, match=r"^data set 'digits' takes no path, got 'digits:foo'$"):
        raynas.data("digits:foo")


def test_options_take_their_types() -> None:
    assert raynas.space("ofa_mobilenetv3", resolutions=[160, 224]).options == {"resolutions": (160, 224)}
    assert SPACES.options_model("nasbench201") is SPACES.options_model("nasbench201")
    assert raynas.space("nasbench201").options == {}


def test_an_own_model_by_its_file(tmp_path: Path) -> None:
    file = tmp_path / "my.py"
    file.write_text(MODEL)
    space = raynas.space(f"module:{file}:Net")
    assert space.decisions == raynas.space("module", path=f"{file}:Net").decisions
    assert raynas.supernet(f"module:{file}:Net", input_shape=(1, 8, 8)).space.decisions == space.decisions
    assert raynas.cost(space, "act=relu", input_shape=(1, 8, 8)).params_m == pytest.approx(20e-6)
    with pytest.raises(ConfigError, match=r"'act=relu' on images of input_shape=\(3, 32, 32\): RuntimeError"):
        raynas.cost(space, "act=relu")


@pytest.mark.parametrize("name", ["depth_v1", "depth_v2"])
def test_depth_has_one_output_unless_told_otherwise(name: str) -> None:
    space = raynas.space(name)
    architecture = space.sample(np.random.default_rng(0))
    small = {"features": 4, "encoder_channels": (2, 2, 2, 2), "encoder_blocks": (1, 1, 1, 1)}
    assert raynas.supernet(space, **small).classes == 1
    assert raynas.cost(space, architecture, **small) == raynas.cost(space, architecture, classes=1, **small)
    raynas.derive(space, architecture, **small)
    assert raynas.latency(space, architecture, min_seconds=0.01, **small).runs > 0
    with pytest.raises(ConfigError, match="classes must be 1"):
        raynas.supernet(space, classes=10, **small)
