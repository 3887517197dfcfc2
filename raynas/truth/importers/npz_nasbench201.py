"""NAS-Bench-201 from an npz of the benchmark's columns; `docs/truth.md` lists them, and where they are public."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raynas.errors import TruthError
from raynas.spaces import space
from raynas.truth.importers.arrays import read_arrays
from raynas.truth.importers.registry import IMPORTERS
from raynas.truth.importers.rows import checked_texts
from raynas.truth.importers.source import source_of
from raynas.truth.table import TruthTable

_FULL = "protocol 'cifar10': trained on all 50,000 training images"
_HALF = "protocol 'cifar10-valid': trained on the official half of the training images"
_OWN = "trained on the whole training set; validation and test are halves of the official test set"
_COLUMNS = {
    ("cifar10", 200): {
        "test_accuracy": ("cifar10_test", f"{_FULL}, tested on the 10,000 test images"),
        "valid_accuracy": ("cifar10_valid", f"{_HALF}, validated on the other"),
        "train_accuracy": ("cifar10_train", "training accuracy; that this is its meaning was inferred from its values"),
    },
    ("cifar100", 200): {"test_accuracy": ("cifar100_test", _OWN)},
    ("imagenet16", 200): {
        "test_accuracy": ("imagenet16_test", _OWN),
        "valid_accuracy": ("imagenet16_valid", f"{_OWN}; unknown for cells with unreachable operations"),
    },
    ("cifar10", 12): {
        "test_accuracy": ("cifar10_test_12ep", "12 epochs; protocol as published, not named in the file"),
        "valid_accuracy": ("cifar10_valid_12ep", f"12 epochs; {_HALF}, validated on the other"),
    },
    ("cifar100", 12): {
        "test_accuracy": ("cifar100_test_12ep", f"12 epochs; {_OWN}"),
        "valid_accuracy": ("cifar100_valid_12ep", f"12 epochs; {_OWN}"),
    },
    ("imagenet16", 12): {
        "test_accuracy": ("imagenet16_test_12ep", f"12 epochs; {_OWN}"),
        "valid_accuracy": ("imagenet16_valid_12ep", f"12 epochs; {_OWN}"),
    },
}
"""By data set and epochs: the file's column behind each metric, and which training it is from."""

CELLS = 15_625
_MORE_CIFAR100_WEIGHTS = 64 * (100 - 10)
"""Multiply-adds that the classifier (64 features) has on CIFAR-100 beyond those on CIFAR-10."""


@IMPORTERS.register("npz-nasbench201")
def npz_nasbench201(
    path: Path,
    *,
    dataset: Literal["cifar10", "cifar100", "imagenet16"] = "cifar10",
    epochs: Literal[12, 200] = 200,
    latency: str | None = None,
) -> TruthTable:
    """NAS-Bench-201 from an npz of the benchmark's columns (arch, cifar10_test, ...): all cells, means over its seeds.

    Args:
        path: The npz file, its rows in the benchmark's order.
        dataset: Which data set's results.
        epochs: Which length of training.
        latency: An npz of HW-NAS-Bench (`load_hwnasbench`), to add its latencies and energies as columns.
    """
    chosen = _COLUMNS[dataset, epochs]
    costs = [f"params_{dataset}"] + ([] if dataset == "imagenet16" else ["macs_conv_cifar10_M"])
    names = ["arch", *(column for column, _ in chosen.values()), *costs]
    found = read_arrays(path, names, "an npz of NAS-Bench-201's columns")
    texts = checked_texts(path, space("nasbench201"), (str(text) for text in found["arch"]))
    if len(texts) != CELLS:
        raise TruthError(f"{path} holds {len(texts):,} cells, NAS-Bench-201 has {CELLS:,}")
    columns: dict[str, NDArray[np.floating]] = {
        metric: np.asarray(found[column], np.float64)[:, None] for metric, (column, _) in chosen.items()
    }
    columns["params_m"] = found[f"params_{dataset}"] / 1e6
    if dataset != "imagenet16":
        # ImageNet16-120 stands in the file only with batch norm and pooling counted, which is another convention.
        more = _MORE_CIFAR100_WEIGHTS / 1e6 if dataset == "cifar100" else 0.0
        columns["flops_m"] = found["macs_conv_cifar10_M"] + more
    source = source_of(
        path,
        "NAS-Bench-201 (Dong & Yang, ICLR 2020)",
        dataset,
        epochs,
        seeds="one column of means over the benchmark's 1 to 3 seeds, whose number the file does not tell",
        columns={metric: what for metric, (_, what) in chosen.items()},
    )
    table = TruthTable(f"nasbench201-{dataset}-{epochs}ep", "nasbench201", texts, columns, source, "architecture")
    if latency is None:
        return table
    from raynas.truth.latency_files import load_hwnasbench  # which itself imports from this package

    return load_hwnasbench(Path(latency), dataset, order=path).added_to(table)
