"""Where networks compute; there is no GPU where these tests run, so what they see is the refusal."""

from __future__ import annotations

import pytest
import torch

from raynas.data import data
from raynas.errors import RunError
from raynas.training.device import usable_device
from raynas.training.trainer import _on_cpu


def test_cpu() -> None:
    assert usable_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    with pytest.raises(RunError, match=r"ray\.gpus_per_trial asks for a GPU, but .*; install torch with CUDA"):
        usable_device("cuda")


def test_data_that_are_there_stay() -> None:
    digits = data("digits")
    assert digits.to("cpu") is digits
    assert digits.train.to("meta").targets.device.type == "meta"  # the one other device that every machine has


def test_states_on_the_cpu_are_not_copied() -> None:
    tensor = torch.ones(3)
    state = _on_cpu({"a": [tensor, 1], "b": {"c": None}})
    assert state["a"][0] is tensor
    assert state["b"] == {"c": None}
