"""NAS-Bench-101 (Ying et al., ICML 2019): the official ``nasbench_only108.tfrecord`` and ``nasbench_full.tfrecord``.

A record is a JSON list: the module's hash, epochs, the adjacency matrix as a text of zeros and ones, the operations
joined by commas, and a base64 text of a protobuf message. Its fields, from ``nasbench/lib/model_metrics.proto``:
``ModelMetrics`` {1: evaluation_data (repeated), 2: trainable_parameters, 3: total_time}, ``EvaluationData`` {1:
current_epoch, 2: training_time, 3: train_accuracy, 4: validation_accuracy, 5: test_accuracy, 6: checkpoint_path}. The
evaluations are made before, halfway through and after the training; each module was trained three times.
"""

from __future__ import annotations

import base64
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from raynas.errors import ArchitectureError, TruthError
from raynas.spaces import Architecture
from raynas.spaces.nasbench101 import Nasbench101, cell_hash
from raynas.truth.importers.protobuf import fields
from raynas.truth.importers.registry import IMPORTERS
from raynas.truth.importers.rows import Rows
from raynas.truth.importers.source import source_of
from raynas.truth.importers.tfrecord import read_records
from raynas.truth.table import TruthTable


@dataclass
class _Module:
    place: str
    matrix: str
    operations: str
    parameters: int
    trainings: list[dict[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


@IMPORTERS.register("nasbench101")
def nasbench101(path: Path, *, epochs: Literal[4, 12, 36, 108] = 108) -> TruthTable:
    """NAS-Bench-101 from an official tfrecord file: three trainings a module, CIFAR-10, accuracies at the end.

    Args:
        path: The tfrecord file.
        epochs: Which length of training; the file ``only108`` has no other.
    """
    modules: dict[str, _Module] = {}
    present: set[int] = set()
    for number, record in enumerate(read_records(path)):
        place = f"record {number}"
        try:
            module_hash, trained, matrix, operations, metrics = json.loads(record)
            present.add(int(trained))
            if trained != epochs:
                continue
            parameters, seconds, training = _final(base64.b64decode(metrics), epochs)
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise TruthError(f"{path}: {place}: not a record of NAS-Bench-101: {error}") from error
        module = modules.setdefault(module_hash, _Module(place, matrix, operations, parameters))
        if module.parameters != parameters:
            raise TruthError(
                f"{path}: {place}: {parameters:,} parameters, but {module.parameters:,} in {module.place} "
                f"of the same hash"
            )
        module.trainings.append(training)
        module.seconds.append(seconds)
    if not modules:
        found = ", ".join(map(str, sorted(present))) or "no records at all"
        raise TruthError(f"{path} has no trainings of {epochs} epochs (but {found})")
    return _table(path, modules, epochs)


def _table(path: Path, modules: dict[str, _Module], epochs: int) -> TruthTable:
    cells = Nasbench101()
    rows = Rows(path, cells, "function")
    for module_hash, module in modules.items():
        architecture = _architecture(rows, cells, module_hash, module)
        costs = {"params_m": module.parameters / 1e6, "train_seconds": float(np.mean(module.seconds))}
        rows.add(module.place, architecture, module.trainings, costs)
    source = source_of(
        path,
        "NAS-Bench-101 (Ying et al., ICML 2019)",
        "cifar10",
        epochs,
        columns={
            "valid_accuracy": "trained on 40,000 training images, validated on the other 10,000",
            "test_accuracy": "the same trainings, on the 10,000 test images",
            "train_accuracy": "the same trainings, on 10,000 of their training images",
        },
    )
    return rows.table(f"nasbench101-{epochs}ep", source)


def _architecture(rows: Rows, cells: Nasbench101, module_hash: str, module: _Module) -> Architecture:
    """Return the module as an architecture of ours, after comparing its hash with the benchmark's."""
    size = math.isqrt(len(module.matrix))
    if size * size != len(module.matrix) or set(module.matrix) - {"0", "1"}:
        raise rows.problem(module.place, f"'{module.matrix}' is not a square matrix of zeros and ones")
    matrix = np.array([int(digit) for digit in module.matrix], np.int64).reshape(size, size)
    try:
        architecture = cells.from_matrix(matrix, module.operations.split(","))
    except ArchitectureError as error:
        raise rows.problem(module.place, f"not an architecture of {cells.name}: {error}") from error
    ours = cell_hash(architecture.options)
    if ours != module_hash:
        raise rows.problem(module.place, f"the file gives this module the hash {module_hash}, by its rule it is {ours}")
    return architecture


def _final(message: bytes, epochs: int) -> tuple[int, float, dict[str, float]]:
    """Return parameters, training seconds, and accuracies in percent, at the end of the training.

    Raises:
        ValueError: The message is not a ModelMetrics, or its last evaluation is not at the end.
    """
    evaluations: list[dict[int, Any]] = []
    parameters = None
    for number, value in fields(message):
        if number == 1 and isinstance(value, bytes):
            evaluations.append(dict(fields(value)))
        elif number == 2 and isinstance(value, int):
            parameters = value
    if not evaluations or parameters is None:
        raise ValueError("no evaluations or no parameter count in its metrics")
    last = max(evaluations, key=lambda evaluation: float(evaluation.get(1, 0.0)))
    missing = {1, 2, 3, 4, 5} - last.keys()
    if missing:
        raise ValueError(f"its last evaluation lacks field {min(missing)}")
    if abs(last[1] - epochs) > 0.05 * epochs:
        raise ValueError(f"its last evaluation is at epoch {last[1]:g} of {epochs}")
    metrics = {"train_accuracy": last[3], "valid_accuracy": last[4], "test_accuracy": last[5]}
    return parameters, float(last[2]), {metric: 100.0 * float(value) for metric, value in metrics.items()}
