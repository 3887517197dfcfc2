"""Measured latencies from npz files of the columns of HW-NAS-Bench and HELP.

`docs/truth.md` lists their fields, and where these are public.
The files of NAS-Bench-201 have no architectures but rows in the benchmark's order, so another npz must say that order.
HELP's FBNet table is not read: FBNet is none of our spaces.
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


def load_hwnasbench(path: Path, dataset: Dataset = "cifar10", *, order: Path) -> LatencyTable:
    """Return HW-NAS-Bench's table; ``eyeriss`` and ``fpga`` are estimates of tools, and -1 is read as not measured.

    Args:
        path: An npz of ``metric`` (m,), such as ``pixel3_latency`` (ms) and ``fpga_energy`` (mJ), and for each data set
            (``cifar10``, ``cifar100``, ``imagenet16``) the values (15625, m), in the benchmark's order.
        dataset: The data set whose network was measured.
        order: An npz whose ``arch`` (15625,) are the cells in the benchmark's order, such as that of `npz_nasbench201`.

    Raises:
        TruthError: A file is not what it should be.
    """
    found = read_arrays(path, ("metric", dataset), "an npz of HW-NAS-Bench's columns")
    texts, names = _benchmark_order(order), found["metric"].tolist()
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


def load_help_nasbench201(path: Path, *, order: Path) -> LatencyTable:
    """Return HELP's table of NAS-Bench-201: 27 devices, a GPU's name ending in its batch size (``titan_rtx_256``).

    Args:
        path: An npz of ``device`` (d,) and ``latency_ms`` (15625, d), in the benchmark's order.
        order: An npz whose ``arch`` (15625,) are the cells in the benchmark's order, such as that of `npz_nasbench201`.

    Raises:
        TruthError: A file is not what it should be.
    """
    found = read_arrays(path, ("device", "latency_ms"), "an npz of HELP's latencies of NAS-Bench-201")
    texts, devices = _benchmark_order(order), found["device"].tolist()
    values = _shaped(path, found["latency_ms"], (len(texts), len(devices)))
    columns = {device: values[:, i] for i, device in enumerate(devices)}
    source = {"benchmark": _HELP, "file": path.name}
    return LatencyTable("help-nasbench201", space("nasbench201"), texts, columns, {}, source)


def load_help_ofa(path: Path) -> LatencyTable:
    """Return HELP's table of 5,000 Once-for-all MobileNetV3 networks, each at its own resolution.

    Args:
        path: An npz of ``device`` (d,), ``latency_ms`` (n, d), ``kernel_size`` and ``expand_ratio`` (n, 20), ``depth``
            (n, 5) and ``resolution`` (n,).

    Raises:
        TruthError: The file is not that table, or a row is no architecture of the space.
    """
    names = ("device", "latency_ms", "kernel_size", "expand_ratio", "depth", "resolution")
    found = read_arrays(path, names, "an npz of HELP's latencies of Once-for-all")
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


def _benchmark_order(order: Path) -> tuple[str, ...]:
    """Return all cells of NAS-Bench-201 in the benchmark's order."""
    found = read_arrays(order, ("arch",), "an npz with NAS-Bench-201's cells (arch) in the benchmark's order")
    return checked_texts(order, space("nasbench201"), (str(text) for text in found["arch"]))


def _shaped(path: Path, values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if values.shape != shape:
        raise TruthError(f"{path} holds values of shape {values.shape}, not {shape}")
    return values
