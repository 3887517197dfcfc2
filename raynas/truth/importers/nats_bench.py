"""NATS-Bench, topology space (Dong et al., TPAMI 2021), through its own package ``nats_bench``.

Official files: the folder ``NATS-tss-v1_0-3ffb9-simple`` (a pickle a cell) and ``NATS-tss-v1_0-3ffb9.pickle.pbz2``.
They are pickles, which can run code when read: import only files you trust.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from raynas.errors import TruthError
from raynas.spaces import space
from raynas.truth.importers.registry import IMPORTERS
from raynas.truth.importers.rows import Rows
from raynas.truth.importers.source import source_of
from raynas.truth.table import TruthTable

_HALVES = "trained on the whole training set; validation and test are halves of the official test set"
_SETS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "cifar10": {"train": ("cifar10", "train"), "valid": ("cifar10-valid", "x-valid"), "test": ("cifar10", "ori-test")},
    "cifar10-valid": {
        "train": ("cifar10-valid", "train"),
        "valid": ("cifar10-valid", "x-valid"),
        "test": ("cifar10-valid", "ori-test"),
    },
    "cifar100": {"train": ("cifar100", "train"), "valid": ("cifar100", "x-valid"), "test": ("cifar100", "x-test")},
    "imagenet16": {
        "train": ("ImageNet16-120", "train"),
        "valid": ("ImageNet16-120", "x-valid"),
        "test": ("ImageNet16-120", "x-test"),
    },
}
"""By data set and split: the benchmark's names of training protocol and evaluation set.

On CIFAR-10 the benchmark itself takes the test result from trainings on all 50,000 images and the validation result
from others on half of them; ``cifar10-valid`` takes both from the latter."""
_PROTOCOLS = {
    "cifar10": "trained on all 50,000 training images",
    "cifar10-valid": "trained on the official half of the training images",
    "cifar100": _HALVES,
    "ImageNet16-120": _HALVES,
}


@IMPORTERS.register("nats-bench")
def nats_bench(
    path: Path,
    *,
    dataset: Literal["cifar10", "cifar10-valid", "cifar100", "imagenet16"] = "cifar10",
    epochs: Literal[12, 200] = 200,
) -> TruthTable:
    """NATS-Bench / NAS-Bench-201 from NATS-tss-v1_0-3ffb9-simple or its pickle.pbz2: every seed (extra 'nats').

    Args:
        path: The folder of the "simple" version, or the one large file.
        dataset: Which data set's results.
        epochs: Which length of training.
    """
    api = _open(path)
    rows = Rows(path, space("nasbench201"), "architecture")
    cells = list(_cells(api, rows, dataset, str(epochs)))
    seeds = sorted({seed for _, _, trainings, _ in cells for seed in trainings})
    for place, text, trainings, costs in cells:
        rows.add(place, rows.parse(place, text), [trainings.get(seed, {}) for seed in seeds], costs)
    source = source_of(
        path,
        "NATS-Bench topology (Dong et al., TPAMI 2021)",
        dataset,
        epochs,
        seeds=seeds,
        columns={
            f"{split}_accuracy": f"protocol '{protocol}', set '{evaluated}': {_PROTOCOLS[protocol]}"
            for split, (protocol, evaluated) in _SETS[dataset].items()
        },
    )
    return rows.table(f"nats-{dataset}-{epochs}ep", source)


def _open(path: Path) -> Any:
    try:
        package = importlib.import_module("nats_bench")
    except ImportError as error:
        raise TruthError(
            f"reading {path} needs the package nats_bench: pip install 'raynas[nats]' ({error})"
        ) from error
    if not path.exists():
        raise TruthError(f"no file or folder at {path}")
    try:
        return package.create(str(path), "tss", fast_mode=path.is_dir(), verbose=False)
    except Exception as error:  # whatever unpickling a file of another kind raises
        raise TruthError(f"{path} is not the topology part of NATS-Bench: {type(error).__name__}: {error}") from error


def _cells(
    api: Any, rows: Rows, dataset: str, hp: str
) -> Iterator[tuple[str, str, dict[int, dict[str, float]], dict[str, float]]]:
    """Yield place, cell, metrics by seed, and costs."""
    folder = rows.path.is_dir()
    for index in range(len(api)):
        place = f"cell {index}"
        try:
            results = api.query_meta_info_by_index(index, hp)
            yield place, str(api.arch(index)), *_results(results, dataset)
        except TruthError:
            raise
        except Exception as error:  # the package asserts, and raises KeyError, ValueError and others
            raise rows.problem(place, f"no results on {dataset} of {hp} epochs: {error!r}") from error
        if folder:  # the package would keep all cells it has read, gigabytes of them
            api.arch2infos_dict.pop(index, None)
            api.evaluated_indexes.discard(index)


def _results(results: Any, dataset: str) -> tuple[dict[int, dict[str, float]], dict[str, float]]:
    trainings: dict[int, dict[str, float]] = {}
    for split, (protocol, evaluated) in _SETS[dataset].items():
        for seed in results.get_dataset_seeds(protocol):
            found = results.get_metrics(protocol, evaluated, is_random=seed)
            metrics = trainings.setdefault(int(seed), {})
            metrics[f"{split}_accuracy"] = float(found["accuracy"])
            if split != "train":
                metrics[f"{split}_loss"] = float(found["loss"])
    found = results.get_compute_costs(_SETS[dataset]["test"][0])
    costs = {"params_m": float(found["params"]), "flops_m": float(found["flops"])}
    if found.get("T-train@total") is not None:
        costs["train_seconds"] = float(found["T-train@total"])
    return trainings, costs
