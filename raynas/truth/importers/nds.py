"""NDS (Radosavovic et al., ICCV 2019): the official ``ResNet.json``, ``ResNet_rng1.json``, ``ResNeXt-A.json``, ...

A file is a list of trainings: ``net`` (``block_type``, ``ds``, ``ws``, ``bot_muls``, ``num_gs``, the stem first),
``optim`` (``base_lr``, ``wd``, ``max_ep``), ``params``, ``flops``, ``min_test_top1`` (the error of the best epoch,
percent), and others. The files of the cell spaces (DARTS, ENAS, ...) also vary depth and width, which none of our
spaces does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from raynas.errors import TruthError
from raynas.spaces import Architecture
from raynas.spaces import space as space_named
from raynas.truth.importers.documents import read_json
from raynas.truth.importers.registry import IMPORTERS
from raynas.truth.importers.rows import Rows
from raynas.truth.importers.source import source_of
from raynas.truth.table import TruthTable

SPACES = ("nds_resnet", "nds_resnext_a")
_STAGES = 3


@IMPORTERS.register("nds")
def nds(path: Path, *, space: Literal["nds_resnet", "nds_resnext_a"] = "nds_resnet") -> TruthTable:
    """NDS from ResNet*.json or ResNeXt-A*.json, or a folder of them whose trainings are put together as seeds.

    Args:
        path: A json file, or a folder of json files of one space and one recipe (``ResNet_rng1`` to ``3``). Each file
            has table columns of its own: one, or as many as it has trainings of the same network.
        space: Which of the two spaces.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise TruthError(f"{path} holds no json file")
    datasets = {"imagenet" if file.stem.endswith("_in") else "cifar10" for file in files}
    rows = Rows(path, space_named(space), "architecture")
    recipe: Mapping[str, Any] | None = None
    trainings: list[tuple[str, int, Architecture, float, dict[str, float]]] = []
    for place, file, entry in _entries(files):
        try:
            found, architecture, error, costs = _training(rows, place, entry)
        except (KeyError, TypeError, ValueError, IndexError) as problem:
            raise rows.problem(place, f"not a training of NDS: {type(problem).__name__}: {problem}") from problem
        recipe = recipe or found
        if found != recipe or len(datasets) > 1:
            raise rows.problem(place, f"trained with {found}, others with {recipe}: one table holds one recipe")
        trainings.append((place, file, architecture, 100.0 - error, costs))
    _add_by_file(rows, trainings)
    source = source_of(
        path,
        "NDS (Radosavovic et al., ICCV 2019)",
        datasets.pop(),
        int(recipe["max_ep"]) if recipe else None,
        files=[file.name for file in files],
        trained_with=recipe,
        columns={"test_accuracy": "trained on the whole training set; the best epoch by the test accuracy itself"},
    )
    return rows.table(f"{space}-{source['data']}", source)


def _add_by_file(rows: Rows, trainings: Sequence[tuple[str, int, Architecture, float, dict[str, float]]]) -> None:
    """Add (place, file, architecture, accuracy, costs), in the order of files, so that a column is of one file only."""
    times = Counter((file, architecture.text) for _, file, architecture, _, _ in trainings)
    width: Counter[int] = Counter()
    for (file, _), count in times.items():
        width[file] = max(width[file], count)
    first = {file: sum(width[before] for before in width if before < file) for file in width}
    filled: Counter[str] = Counter()
    for place, file, architecture, accuracy, costs in trainings:
        empty: list[dict[str, float]] = [{}] * (first[file] - filled[architecture.text])
        rows.add(place, architecture, [*empty, {"test_accuracy": accuracy}], costs, again=True)
        filled[architecture.text] += len(empty) + 1


def _entries(files: list[Path]) -> Iterator[tuple[str, int, Any]]:
    """Yield place, the file's number, and training."""
    for place, file in enumerate(files):
        trainings = read_json(file)
        if isinstance(trainings, Mapping) and {"top", "mid"} <= trainings.keys():
            trainings = [*trainings["top"], *trainings["mid"]]
        if not isinstance(trainings, list):
            raise TruthError(f"{file} is not a file of NDS: a {type(trainings).__name__}, not a list of trainings")
        for number, training in enumerate(trainings):
            yield f"{file.name}, training {number}", place, training


def _training(
    rows: Rows, place: str, entry: Mapping[str, Any]
) -> tuple[dict[str, Any], Architecture, float, dict[str, float]]:
    """Return recipe, architecture, test error in percent, and costs."""
    net = entry["net"]
    if "genotype" in net:
        raise rows.problem(place, f"a cell of NDS's cell spaces; only {' and '.join(SPACES)} can be read")
    bottleneck = "bottleneck" in str(net["block_type"])
    if bottleneck != (rows.space.name == "nds_resnext_a"):
        raise rows.problem(
            place,
            f"block_type '{net['block_type']}' is not of {rows.space.name}; "
            f"give space={SPACES[bottleneck]} if the file is of that space",
        )
    names = ("ds", "ws", "bot_muls", "num_gs") if bottleneck else ("ds", "ws")
    text = " ".join(f"{name}={','.join(f'{value:g}' for value in _stages(net[name]))}" for name in names)
    optimizer = entry["optim"]
    recipe = {name: optimizer[name] for name in ("base_lr", "wd", "max_ep")}
    costs = {"params_m": float(entry["params"]) / 1e6, "flops_m": float(entry["flops"]) / 1e6}
    return recipe, rows.parse(place, text), float(entry["min_test_top1"]), costs


def _stages(values: list[float]) -> list[float]:
    """Return the values of the three stages, which the stem's stands before."""
    if len(values) != _STAGES + 1:
        raise ValueError(f"{values} does not have the stem and {_STAGES} stages")
    return values[1:]
