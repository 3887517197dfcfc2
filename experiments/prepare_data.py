"""Write what the CIFAR-10 experiments read, into data/: 16x16 images in NAS-Bench-201's halves, and truth tables.

RAYNAS_SHARED=FOLDER python experiments/prepare_data.py            (a minute)

FOLDER/data holds the raw files: ``nasbench201/nasbench201.npz``, ``hwnasbench/hw_nasbench201.npz``,
``nasbench_macro/nasbench_macro.npz`` and ``other_spaces/darts_random_cifar10.npz`` (docs/truth.md lists their fields,
and where these are public), and in ``cifar10`` what make_cifar10_npz.py reads.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

HERE = Path(__file__).resolve().parent
_NASBENCH201 = ("npz-nasbench201", "nasbench201/nasbench201.npz")
TABLES: dict[str, tuple[str, str, dict[str, object]]] = {
    "nb201-cifar10.npz": (*_NASBENCH201, {}),
    "nb201-cifar10-12ep.npz": (*_NASBENCH201, {"epochs": 12}),
    "nb201-cifar10-latency.npz": (*_NASBENCH201, {"latency": "hwnasbench/hw_nasbench201.npz"}),
    "nbmacro-cifar10.npz": ("npz-nasbench-macro", "nasbench_macro/nasbench_macro.npz", {}),
    "darts-random-cifar10.npz": ("npz-darts-random", "other_spaces/darts_random_cifar10.npz", {}),
}
"""By the table's file: its format, raw file, and the format's options; an option ending in .npz is a raw file too."""
IMAGES = "cifar10-valid-16.npz"
PAPER_IMAGES = "cifar10-valid-32.npz"
IMAGES_FROM = tuple(f"cifar10/{name}.npz" for name in ("cifar10_train_jpeg", "cifar10_test_jpeg", "nasbench201_split"))


def missing_files(out: Path, shared: Path, images: Sequence[str] = (IMAGES,)) -> list[Path]:
    """Return the raw files that are needed for what `out` lacks, and are not there."""
    needed = [] if all((out / name).exists() for name in images) else [*IMAGES_FROM]
    for name, (_, raw, options) in TABLES.items():
        if not (out / name).exists():
            needed += [raw, *(str(value) for value in options.values() if _is_raw(value))]
    return [path for path in (shared / "data" / raw for raw in dict.fromkeys(needed)) if not path.is_file()]


def _is_raw(value: object) -> bool:
    return isinstance(value, str) and value.endswith(".npz")


def prepare(out: Path, shared: Path, images: Sequence[str] = (IMAGES,)) -> None:
    """Write images and tables into a folder; what is there already stays.

    Args:
        out: The folder.
        shared: Where the folder ``data`` of raw files is.
        images: Which bundles of CIFAR-10, by name; the number in it is the side in pixels.
    """
    from raynas.truth.importers import import_to_file

    out.mkdir(parents=True, exist_ok=True)
    for name in images:
        if (out / name).exists():
            continue
        size = name.removesuffix(".npz").rpartition("-")[2]
        script = [sys.executable, str(HERE / "make_cifar10_npz.py"), "--size", size, "--split", "cifar10-valid"]
        environment = {**os.environ, "RAYNAS_SHARED": str(shared)}
        subprocess.run([*script, "--out", str(out / name)], check=True, env=environment)
    for name, (kind, raw, given) in TABLES.items():
        if not (out / name).exists():
            folder = shared / "data"
            options = {key: str(folder / str(value)) if _is_raw(value) else value for key, value in given.items()}
            import_to_file(kind, folder / raw, options, out=out / name)
            print(out / name)


def main(
    out: Path = Path("data"),
    shared: Annotated[Path, typer.Option(envvar="RAYNAS_SHARED")] = Path("../shared"),
    paper: Annotated[bool, typer.Option(help="Also images of 32x32, for comparisons at the papers' scale.")] = False,
) -> None:
    """Write what the CIFAR-10 experiments read."""
    images = (IMAGES, PAPER_IMAGES) if paper else (IMAGES,)
    missing = missing_files(out, shared, images)
    if missing:
        listed = "\n".join(f"  {path}" for path in missing)
        print(f"these raw files are missing; set RAYNAS_SHARED to the folder that holds them:\n{listed}")
        raise typer.Exit(2)
    prepare(out, shared, images)


if __name__ == "__main__":
    typer.run(main)
