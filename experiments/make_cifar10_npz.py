"""Write a CIFAR-10 bundle for ``data=npz:PATH`` from a folder with the images as JPEG files.

::

    python experiments/make_cifar10_npz.py --shared FOLDER --size 16 --out cifar10-16.npz

FOLDER (or the environment's RAYNAS_SHARED) holds ``data/cifar10`` with ``cifar10_train_jpeg.npz``,
``cifar10_test_jpeg.npz`` and ``nasbench201_split.npz``. It is not part of raynas; without it use
``data=cifar10-valid``, which downloads CIFAR-10 from the Hugging Face hub.

``--split cifar10-valid`` writes NAS-Bench-201's official halves of the 50,000 training images as train and valid,
``--split cifar10`` the first 40,000 as train and the last 10,000 as valid; test is the official 10,000 either way.
At 32x32 the JPEG files are kept as they are (``*_jpeg``, ``*_offsets``); other sizes are raw pixels, each the average
of the area it covers. The source images are JPEGs themselves: near CIFAR-10's pixels, not equal to them.
"""

from __future__ import annotations

import argparse
import io
import itertools
import os
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 32
TRAIN_IMAGES_OF_CIFAR10 = 40_000

Part = tuple[list[bytes], np.ndarray]


def read_part(path: Path) -> Part:
    """Return the JPEG files of one .npz file, and their labels (N,) uint8."""
    with np.load(path, allow_pickle=False) as stored:
        blob, offsets, labels = stored["jpeg"].tobytes(), stored["offsets"], stored["labels"]
    return [blob[start:stop] for start, stop in itertools.pairwise(offsets)], labels


def read_splits(folder: Path, split: str) -> tuple[dict[str, Part], np.ndarray]:
    """Return the files and labels of train, valid and test, and the class names.

    Args:
        folder: With the three .npz files.
        split: ``cifar10-valid`` or ``cifar10``.
    """
    files, labels = read_part(folder / "cifar10_train_jpeg.npz")
    if split == "cifar10-valid":
        with np.load(folder / "nasbench201_split.npz", allow_pickle=False) as halves:
            index = {"train": np.sort(halves["train"]), "valid": np.sort(halves["valid"])}
    else:
        train, valid = np.split(np.arange(len(labels)), [TRAIN_IMAGES_OF_CIFAR10])
        index = {"train": train, "valid": valid}
    parts = {name: ([files[i] for i in rows], labels[rows]) for name, rows in index.items()}
    with np.load(folder / "cifar10_test_jpeg.npz", allow_pickle=False) as stored:
        names = stored["class_names"]
    return {**parts, "test": read_part(folder / "cifar10_test_jpeg.npz")}, names


def pixels(files: list[bytes], size: int) -> np.ndarray:
    """Return the decoded images as uint8 (N, size, size, 3), each pixel the average of the area it covers."""
    images = np.empty((len(files), size, size, 3), np.uint8)
    for row, file in enumerate(files):
        image = Image.open(io.BytesIO(file)).convert("RGB")
        images[row] = np.asarray(image.resize((size, size), Image.Resampling.BOX))
    return images


def bundle(folder: Path, split: str, size: int) -> dict[str, np.ndarray]:
    """Return the fields of the bundle."""
    parts, names = read_splits(folder, split)
    fields = {"class_names": names}
    for name, (files, labels) in parts.items():
        fields[f"{name}_labels"] = labels
        if size == SIDE:
            fields[f"{name}_jpeg"] = np.frombuffer(b"".join(files), np.uint8)
            fields[f"{name}_offsets"] = np.cumsum([0, *map(len, files)]).astype(np.int64)
        else:
            fields[f"{name}_images"] = pixels(files, size)
    return fields


def main() -> None:
    """Read the command line and write the bundle."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--size", type=int, default=SIDE, help="side of the images in pixels (default: %(default)s)")
    parser.add_argument("--split", choices=("cifar10-valid", "cifar10"), default="cifar10-valid")
    parser.add_argument("--out", type=Path, required=True, help="the .npz file to write")
    parser.add_argument(
        "--shared",
        type=Path,
        default=os.environ.get("RAYNAS_SHARED"),
        help="folder that holds data/cifar10 (default: the environment's RAYNAS_SHARED)",
    )
    given = parser.parse_args()
    if given.size < 1:
        parser.error(f"--size must be at least 1, got {given.size}")
    if given.shared is None:
        parser.error("give --shared FOLDER, or set RAYNAS_SHARED, to the folder that holds data/cifar10")
    folder = given.shared / "data" / "cifar10"
    if not folder.is_dir():
        parser.error(f"--shared (RAYNAS_SHARED): there is no folder {folder}")
    fields = bundle(folder, given.split, given.size)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(given.out, **fields)  # type: ignore[arg-type]  # numpy's stub takes the fields for allow_pickle
    counts = ", ".join(f"{len(fields[f'{name}_labels']):,} {name}" for name in ("train", "valid", "test"))
    print(f"{given.out}: {counts}, {given.size}x{given.size}, {given.out.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
