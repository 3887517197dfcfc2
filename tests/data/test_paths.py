"""Relative paths: splits are read by processes that may work in another folder."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

import raynas
from raynas.data import ImageData, StreamSplit
from tests.data.files import image_folder


def readable_elsewhere(data: ImageData, monkeypatch: pytest.MonkeyPatch, elsewhere: Path) -> None:
    assert isinstance(data.valid, StreamSplit)
    stored, expected = pickle.dumps(data.valid), data.valid.take(torch.arange(3))
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    for mine, theirs in zip(pickle.loads(stored).take(torch.arange(3)), expected, strict=True):
        assert torch.equal(mine, theirs)


def test_a_folder_of_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image_folder(tmp_path / "images", {"train": 4, "valid": 2, "test": 1})
    monkeypatch.chdir(tmp_path)
    readable_elsewhere(raynas.data("imagefolder:images", memory_mb=0), monkeypatch, tmp_path / "elsewhere")


@pytest.mark.parametrize("saved", [True, False])
def test_a_local_copy_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saved: bool) -> None:
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    from tests.data.test_hub import as_parquet, local_copy
    from tests.data.test_hub import saved as save

    copy = local_copy({"train": np.arange(1_200) % 120, "validation": np.arange(120)}, image="image", side=16)
    (save if saved else as_parquet)(copy, tmp_path / "copy")
    monkeypatch.chdir(tmp_path)
    data = raynas.data("imagenet16", path="copy", valid_images=120, memory_mb=0)
    readable_elsewhere(data, monkeypatch, tmp_path / "elsewhere")


@pytest.mark.ray
def test_trials_stay_in_the_folder_of_the_run(local_ray: None, tmp_path: Path) -> None:
    """Options of networks (``encoder_weights``) are paths that trials open."""
    from ray import tune

    def trial(config: dict[str, object]) -> None:
        tune.report({"folder": os.getcwd()})

    result = tune.Tuner(trial, run_config=tune.RunConfig(storage_path=str(tmp_path), verbose=0)).fit()[0]
    assert result.metrics is not None
    assert result.metrics["folder"] == os.getcwd()
