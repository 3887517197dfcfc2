"""NAS-Bench-Macro (Su et al., CVPR 2021): the official ``nas-bench-macro_cifar10.json``, or an npz of its columns.

The official file (github.com/xiusu/NAS-Bench-Macro, folder ``data``) maps each network (eight digits) to
``test_acc`` (3 trainings, percent), ``mean_acc``, ``std``, ``params`` and ``flops`` (multiply-adds). Every encoding has
its own entry, also those that are the same function.
The npz holds ``arch`` (n,), ``test_acc`` (n, 3), ``mean_acc``, ``params`` and ``flops`` (n,) of any of the networks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from raynas.errors import TruthError
from raynas.spaces import space
from raynas.truth.importers.arrays import read_arrays
from raynas.truth.importers.documents import read_json
from raynas.truth.importers.registry import IMPORTERS
from raynas.truth.importers.rows import Rows
from raynas.truth.importers.source import source_of
from raynas.truth.table import TruthTable

EPOCHS = 50


@IMPORTERS.register("nasbench-macro")
def nasbench_macro(path: Path) -> TruthTable:
    """NAS-Bench-Macro from the official nas-bench-macro_cifar10.json: three trainings a network, CIFAR-10.

    Args:
        path: The json file.
    """
    entries = read_json(path)
    if not isinstance(entries, Mapping):
        raise TruthError(f"{path} is not NAS-Bench-Macro: a {type(entries).__name__}, not an object of networks")
    return _table(path, ((f"entry '{text}'", text, entry) for text, entry in entries.items()))


@IMPORTERS.register("npz-nasbench-macro")
def npz_nasbench_macro(path: Path) -> TruthTable:
    """NAS-Bench-Macro from an npz of the json's columns (arch, test_acc, ...), of all networks or some of them.

    Args:
        path: The npz file.
    """
    names = ("arch", "test_acc", "mean_acc", "params", "flops")
    found = read_arrays(path, names, "an npz of NAS-Bench-Macro's columns")
    rows = zip(*(found[name].tolist() for name in names), strict=True)
    return _table(path, ((f"row {i}", row[0], dict(zip(names, row, strict=True))) for i, row in enumerate(rows)))


def _table(path: Path, entries: Iterable[tuple[str, str, Any]]) -> TruthTable:
    rows = Rows(path, space("nasbench_macro"), "architecture")
    for place, text, entry in entries:
        architecture = rows.parse(place, text)
        try:
            accuracies = [float(value) for value in entry["test_acc"]]
            mean = float(entry["mean_acc"])
            costs = {"params_m": float(entry["params"]) / 1e6, "flops_m": float(entry["flops"]) / 1e6}
        except (KeyError, TypeError, ValueError) as error:
            raise rows.problem(place, f"not an entry of NAS-Bench-Macro: {type(error).__name__}: {error}") from error
        if not accuracies or not np.isclose(np.mean(accuracies), mean, atol=1e-3):
            raise rows.problem(place, f"mean_acc {mean:g} is not the mean of test_acc {accuracies}")
        rows.add(place, architecture, [{"test_accuracy": value} for value in accuracies], costs)
    source = source_of(
        path,
        "NAS-Bench-Macro (Su et al., CVPR 2021)",
        "cifar10",
        EPOCHS,
        columns={"test_accuracy": "trained on all 50,000 training images; the best epoch by the test accuracy itself"},
    )
    return rows.table("nasbench-macro", source)
