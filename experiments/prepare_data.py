"""Write what the CIFAR-10 experiments read, into data/: 16x16 images in NAS-Bench-201's halves, and truth tables.

RAYNAS_SHARED=FOLDER python experiments/prepare_data.py            (a minute)

FOLDER/data holds the raw files: ``nasbench201/nasbench201.npz``, ``nasbench_macro/nasbench_macro.npz`` and
``other_spaces/darts_random_cifar10.npz`` (docs/truth.md lists their fields, and where these are public), and in
``cifar10`` what make_cifar10_npz.py reads.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

HERE = Path(__file__).resolve().parent
TABLES = {
    "nb201-cifar10.npz": ("npz-nasbench201", "nasbench201/nasbench201.npz"),
    "nbmacro-cifar10.npz": ("npz-nasbench-macro", "nasbench_macro/nasbench_macro.npz"),
    "darts-random-cifar10.npz": ("npz-darts-random", "other_spaces/darts_random_cifar10.npz"),
}
IMAGES = "cifar10-valid-16.npz"
IMAGES_FROM = tuple(f"cifar10/{name}.npz" for name in ("cifar10_train_jpeg", "cifar10_test_jpeg", "nasbench201_split"))


def missing_files(out: Path, shared: Path) -> list[Path]:
    """Return the raw files that are needed for what `out` lacks, and are not there."""
    needed = [] if (out / IMAGES).exists() else [*IMAGES_FROM]
    needed += [raw for name, (_, raw) in TABLES.items() if not (out / name).exists()]
    return [path for path in (shared / "data" / raw for raw in needed) if not path.is_file()]


def prepare(out: Path, shared: Path) -> None:
    """Write images and tables into a folder; what is there already stays.

    Args:
        out: The folder.
        shared: Where the folder ``data`` of raw files is.
    """
    from raynas.truth.importers import import_to_file

    out.mkdir(parents=True, exist_ok=True)
    if not (out / IMAGES).exists():
        script = [sys.executable, str(HERE / "make_cifar10_npz.py"), "--size", "16", "--split", "cifar10-valid"]
        environment = {**os.environ, "RAYNAS_SHARED": str(shared)}
        subprocess.run([*script, "--out", str(out / IMAGES)], check=True, env=environment)
    for name, (kind, raw) in TABLES.items():
        if not (out / name).exists():
            import_to_file(kind, shared / "data" / raw, out=out / name)
            print(out / name)


def main(
    out: Path = Path("data"), shared: Annotated[Path, typer.Option(envvar="RAYNAS_SHARED")] = Path("../shared")
) -> None:
    """Write what the CIFAR-10 experiments read."""
    missing = missing_files(out, shared)
    if missing:
        listed = "\n".join(f"  {path}" for path in missing)
        print(f"these raw files are missing; set RAYNAS_SHARED to the folder that holds them:\n{listed}")
        raise typer.Exit(2)
    prepare(out, shared)


if __name__ == "__main__":
    typer.run(main)
