"""The latency files of the project's shared data.

HW-NAS-Bench (``hw_nasbench201.npz``) and HELP (``help_nasbench201_latency.npz``, ``help_ofa_latency.npz``). HELP's
FBNet table is not read: FBNet is none of our spaces. The NAS-Bench-201 files have no architectures but rows in the
benchmark's order, which is taken from ``nasbench201.npz``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from raynas.errors import ArchitectureError, TruthError
from raynas.spaces import space
from raynas.spaces.ofa_mobilenetv3 import OfaMobilenetV3
from raynas.truth.importers.arrays import read_arrays
from raynas.truth.importers.rows import Rows, checked_texts
from raynas.truth.latency import LatencyTable

Dataset = Literal["cifar10", "cifar100", "imagenet16"]

_HELP = "HELP (Lee et al., NeurIPS 2021)"


def load_hwnasbench(path: Path, dataset: Dataset = "cifar10", order: Path | None = None) -> LatencyTable:
    """Return HW-NAS-Bench's table; ``eyeriss`` and ``fpga`` are estimates of tools, and -1 is read as not measured.

    Args:
        path: ``hw_nasbench201.npz``.
        dataset: The data set whose network was measured.
        order: ``nasbench201.npz``; that of the shared data's other folder by default.

    Raises:
        TruthError: A file is not what it should be.
    """
    found = read_arrays(path, ("metric", dataset), "the shared HW-NAS-Bench table")
    texts, names = _benchmark_order(path, order), found["metric"].tolist()
    values = _shaped(path, np.asarray(found[dataset], np.float64), (len(texts), len(names)))
    columns = {name: np.where(values[:, i] < 0, np.nan, values[:, i]) for i, name in enumerate(names)}
    return LatencyTable(
        f"hwnasbench-{dataset}",
        space("nasbench201"),
        texts,
        {name.removesuffix("_latency"): column for name, column in columns.items() if name.endswith("_latency")},
        {name.removesuffix("_energy"): column for name, column in columns.items() if name.endswith("_energy")},
        {"benchmark": "HW-NAS-Bench (Li et al., ICLR 2021)", "file": path.name, "data": dataset},
    )


def load_help_nasbench201(path: Path, order: Path | None = None) -> LatencyTable:
    """Return HELP's table of NAS-Bench-201: 27 devices, a GPU's name ending in its batch size (``titan_rtx_256``).

    Args:
        path: ``help_nasbench201_latency.npz``.
        order: ``nasbench201.npz``; that of the shared data's other folder by default.

    Raises:
        TruthError: A file is not what it should be.
    """
    found = read_arrays(path, ("device", "latency_ms"), "the shared HELP table of NAS-Bench-201")
    texts, devices = _benchmark_order(path, order), found["device"].tolist()
    values = _shaped(path, found["latency_ms"], (len(texts), len(devices)))
    columns = {device: values[:, i] for i, device in enumerate(devices)}
    source = {"benchmark": _HELP, "file": path.name}
    return LatencyTable("help-nasbench201", space("nasbench201"), texts, columns, {}, source)


def load_help_ofa(path: Path) -> LatencyTable:
    """Return HELP's table of 5,000 Once-for-all MobileNetV3 networks, each at its own resolution.

    Raises:
        TruthError: The file is not that table, or a row is no architecture of the space.
    """
    names = ("device", "latency_ms", "kernel_size", "expand_ratio", "depth", "resolution")
    found = read_arrays(path, names, "the shared HELP table of Once-for-all")
    devices = found["device"].tolist()
    values = _shaped(path, found["latency_ms"], (len(found["resolution"]), len(devices)))
    networks = OfaMobilenetV3(resolutions=tuple(sorted({int(size) for size in found["resolution"]})))
    rows = Rows(path, networks, "architecture")
    for row, encoding in enumerate(zip(*(found[name].tolist() for name in names[2:]), strict=True)):
        try:
            architecture = networks.from_arrays(*encoding)
        except (ArchitectureError, ValueError) as error:
            raise rows.problem(f"row {row}", f"not an architecture of {networks.name}: {error}") from error
        rows.add(f"row {row}", architecture, [])
    columns = {device: values[:, i] for i, device in enumerate(devices)}
    return LatencyTable("help-ofa", networks, rows.texts, columns, {}, {"benchmark": _HELP, "file": path.name})


def _benchmark_order(path: Path, order: Path | None) -> tuple[str, ...]:
    """Return all cells of NAS-Bench-201 in the benchmark's order."""
    table = order or path.parent.parent / "nasbench201" / "nasbench201.npz"
    found = read_arrays(table, ("arch",), "the shared NAS-Bench-201 table, whose order of cells is needed")
    return checked_texts(table, space("nasbench201"), (str(text) for text in found["arch"]))


def _shaped(path: Path, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if values.shape != shape:
        raise TruthError(f"{path} holds values of shape {values.shape}, not {shape}")
    return values
