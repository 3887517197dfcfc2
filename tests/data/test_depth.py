"""Depth pairs: the real NYU frames, folders of files, and what is wrong with them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import raynas
from raynas.data import TensorSplit
from raynas.data.parts import fixed_order
from raynas.errors import DataError
from tests.conftest import shared_file
from tests.data.files import encoded, random_images


def test_the_real_frames() -> None:
    path = shared_file("depth/nyuv2_160x120.npz")
    data = raynas.data(f"depth_npz:{path}", flip=True)
    assert (len(data.train), len(data.valid), len(data.test)) == (716, 79, 654)
    assert (data.task, data.classes, data.input_shape) == ("depth", 1, (3, 106, 140))
    with np.load(path) as stored:
        row = int(np.flatnonzero(stored["is_test"])[fixed_order(654, "test", 0)[10]])
        blob, offsets, code = stored["jpeg"], stored["offsets"], stored["depth_code"][row]
    file = io.BytesIO(blob[offsets[row] : offsets[row + 1]].tobytes())
    assert isinstance(data.test, TensorSplit)
    assert np.array_equal(data.test.images[10].permute(1, 2, 0).numpy(), np.asarray(Image.open(file))[12:118, 11:151])
    np.testing.assert_allclose(data.test.targets[10, 0].numpy(), code[12:118, 11:151] / 25.51, rtol=1e-6)
    assert 0.6 < float(data.test.targets.min()) < float(data.test.targets.max()) < 10.1
    small = raynas.data(f"depth_npz:{path}", size=64, train_images=50, valid_images=20, test_images=30)
    assert [len(s) for s in (small.train, small.valid, small.test)] == [50, 20, 30]
    assert small.input_shape == (3, 64, 64)
    assert small.train.targets.shape == (50, 1, 64, 64)


def bundle(**changes: np.ndarray) -> dict[str, np.ndarray]:
    files = [encoded(image) for image in random_images(20, (6, 8))]
    codes = np.random.default_rng(0).integers(0, 255, (20, 6, 8), dtype=np.uint8)
    fields = {
        "jpeg": np.frombuffer(b"".join(files), np.uint8),
        "offsets": np.cumsum([0, *map(len, files)]),
        "depth_code": codes,
        "is_test": (np.arange(20) % 4 == 0).astype(np.uint8),
    }
    return {**fields, **changes}


def test_a_bundle_of_another_kind(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **bundle())
    options = {"path": str(tmp_path / "a.npz"), "rows": (0, 5), "columns": (1, 7), "codes_per_metre": 10.0}
    data = raynas.data("depth_npz", **options, valid_images=5)
    assert [len(s) for s in (data.train, data.valid, data.test)] == [10, 5, 5]
    code = bundle()["depth_code"][::4][fixed_order(5, "test", 0)[1]][:, 1:8]
    assert np.array_equal(data.test.targets[1, 0].isnan().numpy(), code == 0)
    known = code > 0
    np.testing.assert_allclose(data.test.targets[1, 0].numpy()[known], code[known] / 10, rtol=1e-6)


def test_problems_of_bundles(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", **bundle(is_test=np.zeros(3), offsets=np.zeros(4)))
    with pytest.raises(DataError) as caught:
        raynas.data(f"depth_npz:{tmp_path / 'a.npz'}")
    assert caught.value.problems == [
        "offsets is float64 (4,), not integers (21,)",
        "is_test is float64 (3,), not (20,) of 0 and 1",
        "rows=[12, 117] do not lie inside 0 to 5",
        "columns=[11, 150] do not lie inside 0 to 7",
    ]
    np.savez(tmp_path / "b.npz", jpeg=np.zeros(3, np.uint8))
    with pytest.raises(DataError, match="field depth_code is missing"):
        raynas.data(f"depth_npz:{tmp_path / 'b.npz'}")


def folder(root: Path, kind: str = "png16") -> Path:
    rng = np.random.default_rng(0)
    for name in ("images", "depths"):
        (root / name).mkdir()
    for row, image in enumerate(random_images(20, (6, 8))):
        Image.fromarray(image).save(root / "images" / f"{row:02}.png")
        millimetres = rng.integers(500, 9_000, (6, 8))
        millimetres[0, 0] = 0
        file = root / "depths" / f"{row:02}"
        if kind == "npy":
            np.save(file.with_suffix(".npy"), (millimetres / 1000).astype(np.float32))
        else:
            values = millimetres.astype(np.uint16) if kind == "png16" else (millimetres // 40).astype(np.uint8)
            Image.fromarray(values).save(file.with_suffix(".png"))
    return root


@pytest.mark.parametrize(("kind", "scale"), [("png16", 0.001), ("png8", 0.04), ("npy", 1.0)])
def test_folders(tmp_path: Path, kind: str, scale: float) -> None:
    data = raynas.data(f"depth_folder:{folder(tmp_path, kind)}", scale=scale, valid_images=4, test_images=3)
    assert [len(s) for s in (data.train, data.valid, data.test)] == [13, 4, 3]
    for split in (data.train, data.valid, data.test):
        assert split.targets[:, 0, 0, 0].isnan().all()
        assert split.targets.flatten(1)[:, 1:].isfinite().all()
        assert 0.4 < split.targets.flatten(1)[:, 1:].min() < split.targets.flatten(1)[:, 1:].max() < 9
    assert raynas.data(f"depth_folder:{tmp_path}", scale=scale, size=4).train.targets.shape[1:] == (1, 4, 4)


def test_resized_depths_stay_with_their_images(tmp_path: Path) -> None:
    for name in ("images", "depths"):
        (tmp_path / name).mkdir()
    for row, grey in enumerate(np.random.default_rng(0).integers(1, 255, (10, 4, 6), dtype=np.uint8)):
        blocks = grey.repeat(3, axis=0).repeat(3, axis=1)
        Image.fromarray(np.stack([blocks] * 3, axis=2)).save(tmp_path / "images" / f"{row}.png")
        Image.fromarray(blocks).save(tmp_path / "depths" / f"{row}.png")
    data = raynas.data(f"depth_folder:{tmp_path}", size=4)
    assert isinstance(data.train, TensorSplit)
    assert torch.equal(data.train.images[:, :1].float(), data.train.targets)


def test_problems_of_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no folder .*images"):
        raynas.data(f"depth_folder:{tmp_path}")
    root = folder(tmp_path)
    (root / "depths" / "03.png").unlink()
    with pytest.raises(DataError, match=r"images/03.png has no depth in .*depths"):
        raynas.data(f"depth_folder:{root}")
    Image.fromarray(np.zeros((5, 8), np.uint16)).save(root / "depths" / "03.png")
    (root / "images" / "07.png").write_bytes(b"nothing")
    with pytest.raises(DataError) as caught:
        raynas.data(f"depth_folder:{root}")
    assert len(caught.value.problems) == 2
    assert "03.png is (5, 8), its image" in caught.value.problems[0]
    assert "07.png" in caught.value.problems[1]
