"""Bundles: both forms, held-out parts, subsets, sizes, and every problem with its field and index."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import raynas
from raynas.data import StreamSplit, TensorSplit
from raynas.data.parts import balanced, fixed_order
from raynas.errors import DataError
from tests.conftest import shared_file
from tests.data.files import encoded, random_images


def write(path: Path, **fields: object) -> str:
    np.savez(path, **fields)
    return str(path)


def raw_fields(count: int = 30) -> dict[str, np.ndarray]:
    labels = (np.arange(count) % 3).astype(np.uint8)
    return {
        "train_images": random_images(count),
        "train_labels": labels,
        "test_images": random_images(6, seed=1),
        "test_labels": labels[:6],
    }


def blob_fields(fields: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same images as files one after another (PNG, so that nothing is lost)."""
    out = {name: values for name, values in fields.items() if not name.endswith("_images")}
    for part in ("train", "test"):
        files = [encoded(image) for image in fields[f"{part}_images"]]
        out[f"{part}_jpeg"] = np.frombuffer(b"".join(files), np.uint8)
        out[f"{part}_offsets"] = np.cumsum([0, *map(len, files)])
    return out


def test_raw_bundle_with_a_part_held_out(tmp_path: Path) -> None:
    fields = raw_fields()
    data = raynas.data(f"npz:{write(tmp_path / 'a.npz', **fields)}", valid_images=6)
    assert (len(data.train), len(data.valid), len(data.test)) == (24, 6, 6)
    assert data.classes == 3
    assert data.input_shape == (3, 8, 8)
    assert data.augmentation is None
    assert isinstance(data.train, TensorSplit)
    assert isinstance(data.valid, TensorSplit)
    assert torch.bincount(data.valid.targets).tolist() == [2, 2, 2]
    pixels = torch.cat([data.train.images, data.valid.images]).permute(0, 2, 3, 1).numpy()
    assert {image.tobytes() for image in pixels} == {image.tobytes() for image in fields["train_images"]}
    images, _ = data.train.take(torch.arange(24))
    torch.testing.assert_close(images.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(images.std((0, 2, 3)), torch.ones(3), atol=1e-3, rtol=0)


def test_encoded_equals_raw_in_memory_and_streamed(tmp_path: Path) -> None:
    fields = raw_fields()
    raw = raynas.data("npz", path=write(tmp_path / "raw.npz", **fields), size=4)
    held = raynas.data("npz", path=write(tmp_path / "blob.npz", **blob_fields(fields)), size=4)
    streamed = raynas.data("npz", path=str(tmp_path / "blob.npz"), size=4, memory_mb=0)
    assert isinstance(streamed.train, StreamSplit)
    assert isinstance(held.train, TensorSplit)
    index = torch.tensor([5, 0, 7])
    for part in ("train", "valid", "test"):
        for other in (held, streamed):
            for mine, theirs in zip(getattr(raw, part).slices(5), getattr(other, part).slices(5), strict=True):
                assert torch.equal(mine[0], theirs[0])
                assert torch.equal(mine[1], theirs[1])
    assert torch.equal(raw.train.take(index)[0], streamed.train.take(index)[0])


def test_shrinking_averages_areas(tmp_path: Path) -> None:
    fields = raw_fields()
    data = raynas.data("npz", path=write(tmp_path / "a.npz", **fields), size=4)
    assert isinstance(data.test, TensorSplit)
    means = fields["test_images"].reshape(6, 4, 2, 4, 2, 3).mean((2, 4))[fixed_order(6, "test", 0)]
    assert (
        np.abs(data.test.images.permute(0, 2, 3, 1).numpy() - means).max() <= 1
    )  # Pillow rounds twice: rows, then columns


def test_grey_images_and_more_test_classes_refused(tmp_path: Path) -> None:
    fields = {name: v[..., 0] if "images" in name else v for name, v in raw_fields().items()}
    assert raynas.data("npz", path=write(tmp_path / "a.npz", **fields)).input_shape == (1, 8, 8)
    fields["test_labels"] = np.array([0, 1, 2, 0, 5, 6])
    with pytest.raises(DataError, match=r"test_labels: label 5 at index 4 \(2 such labels\); allowed are 0 to 2"):
        raynas.data("npz", path=write(tmp_path / "b.npz", **fields))


def test_all_problems_are_told(tmp_path: Path) -> None:
    fields = {
        **raw_fields(),
        "valid_images": np.zeros((4, 8, 8, 3)),
        "valid_labels": np.zeros(3, int),
        "test_labels": np.zeros(5, int),
        "train_label": np.zeros(3),
    }
    path = write(tmp_path / "bad.npz", **fields)
    with pytest.raises(DataError) as caught:
        raynas.data("npz", path=path)
    assert path in str(caught.value)
    problems = " | ".join(caught.value.problems)
    assert "field train_label is not known, did you mean 'train_labels'?" in problems
    assert "valid_images is float64 (4, 8, 8, 3), not uint8 (N, H, W) or (N, H, W, 3)" in problems
    assert "test_labels holds 5 labels for 6 images" in problems
    assert len(caught.value.problems) == 3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_images": None}, r"field train_images \(or train_jpeg\) is missing"),
        ({"train_labels": None}, "field train_labels is missing"),
        ({"train_labels": np.zeros(30)}, r"train_labels is float64 \(30,\), not integers"),
        ({"test_images": np.zeros((6, 9, 8, 3), np.uint8)}, r"images differ in shape.*give a size"),
        ({"class_names": np.array(["a", "b"])}, "train_labels: label 2 at index 2"),
        ({"test_jpeg": np.zeros(9, np.uint8)}, "test_images and test_jpeg exclude each other"),
    ],
)
def test_one_problem(tmp_path: Path, changes: dict[str, np.ndarray | None], message: str) -> None:
    fields = {name: values for name, values in {**raw_fields(), **changes}.items() if values is not None}
    with pytest.raises(DataError, match=message):
        raynas.data("npz", path=write(tmp_path / "a.npz", **fields))


def test_problems_of_blobs(tmp_path: Path) -> None:
    fields = blob_fields(raw_fields())
    offsets = fields["train_offsets"].copy()
    offsets[4] = 10**6
    path = write(tmp_path / "a.npz", **{**fields, "train_offsets": offsets})
    with pytest.raises(DataError, match=r"train_offsets: .* at index 3 is no piece of"):
        raynas.data("npz", path=path)
    blob = fields["train_jpeg"].copy()
    start = fields["train_offsets"][7]
    blob[start : start + 20] = 0
    with pytest.raises(DataError, match="train_jpeg at index 7 cannot be read as an image"):
        raynas.data("npz", path=write(tmp_path / "b.npz", **{**fields, "train_jpeg": blob}))


def test_files_that_are_no_bundles(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no file at"):
        raynas.data("npz:/nowhere.npz")
    (tmp_path / "a.npz").write_text("hello")
    with pytest.raises(DataError, match=r"is not an \.npz") as caught:
        raynas.data("npz", path=str(tmp_path / "a.npz"))
    assert "pickle" not in str(caught.value)
    (tmp_path / "cut.npz").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(DataError, match=r"cannot be read as an \.npz"):
        raynas.data("npz", path=str(tmp_path / "cut.npz"))
    np.save(tmp_path / "b.npy", np.zeros(3))
    with pytest.raises(DataError, match="single array"):
        raynas.data("npz", path=str(tmp_path / "b.npy"))


def test_more_images_than_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", **raw_fields())
    with pytest.raises(DataError) as caught:
        raynas.data("npz", path=path, valid_images=30, test_images=7)
    assert caught.value.problems == [
        "valid_images=30 cannot be held out of 30 training images",
        "test_images=7, but test has 6 images",
    ]


def test_balanced_draws() -> None:
    labels = np.repeat(np.arange(4), [50, 3, 20, 27])
    rng = np.random.default_rng(0)
    drawn = balanced(labels, 23, rng)
    counts = np.bincount(labels[drawn])
    assert counts[1] == 3
    assert sorted(counts[[0, 2, 3]]) == [6, 7, 7]
    assert len(np.unique(drawn)) == 23
    assert (np.diff(drawn) > 0).all()
    assert not np.array_equal(drawn, balanced(labels, 23, rng))


def test_the_real_cifar10_as_a_bundle(tmp_path: Path) -> None:
    with np.load(shared_file("cifar10/cifar10_small.npz")) as stored:
        fields = {name: stored[name] for name in stored.files if not name.endswith("_index")}
    path = write(tmp_path / "cifar.npz", **fields)
    data = raynas.data(f"npz:{path}", train_images=1000, valid_images=500, crop=4, flip=True, cutout=16)
    assert torch.bincount(data.train.targets).tolist() == [100] * 10
    assert torch.bincount(data.valid.targets).tolist() == [50] * 10
    order = fixed_order(len(data.test), "test", 0)
    assert torch.equal(data.test.targets, torch.as_tensor(fields["test_labels"][order], dtype=torch.int64))
    assert data.augmentation is not None
    assert isinstance(data.test, TensorSplit)
    assert np.array_equal(data.test.images.permute(0, 2, 3, 1).numpy(), fields["test_images"][order])
    images, _ = data.train.take_augmented(torch.arange(64), data.augmentation, np.random.default_rng(0))
    assert images.shape == (64, 3, 32, 32)
    # the channel statistics of all 50,000
    assert data.test.mean == pytest.approx(255 * np.array([0.4913, 0.4821, 0.4465]), rel=0.03)
    assert data.test.std == pytest.approx(255 * np.array([0.2452, 0.2428, 0.2606]), rel=0.03)


def test_converter_says_which_folder_it_needs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from experiments import make_cifar10_npz as script

    monkeypatch.delenv("RAYNAS_SHARED", raising=False)
    nowhere = ["--shared", str(tmp_path)]
    for given, message in (([], "give --shared FOLDER, or set RAYNAS_SHARED"), (nowhere, "there is no folder")):
        monkeypatch.setattr(sys, "argv", ["make_cifar10_npz.py", "--out", str(tmp_path / "a.npz"), *given])
        with pytest.raises(SystemExit):
            script.main()
        assert message in capsys.readouterr().err


def test_converter_writes_bundles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments import make_cifar10_npz as script

    shared = shared_file("cifar10/nasbench201_split.npz").parent

    parts, _ = script.read_splits(shared, "cifar10-valid")
    assert [len(labels) for _, labels in parts.values()] == [25_000, 25_000, 10_000]
    monkeypatch.setattr(
        script, "read_splits", lambda *_: ({k: (f[:50], v[:50]) for k, (f, v) in parts.items()}, np.arange(10))
    )
    for size, kind in ((32, "train_jpeg"), (16, "train_images")):
        fields = script.bundle(shared, "cifar10-valid", size)
        assert kind in fields
        data = raynas.data("npz", path=write(tmp_path / f"{size}.npz", **fields), size=16)
        assert data.input_shape == (3, 16, 16)
        row = fixed_order(50, "test", 0)[0]
        first = Image.open(io.BytesIO(parts["test"][0][row])).resize((16, 16), Image.Resampling.BOX)
        assert isinstance(data.test, TensorSplit)
        assert np.array_equal(data.test.images[0].permute(1, 2, 0).numpy(), np.asarray(first))
