"""Random DARTS networks of Yang et al. (ICLR 2020, "NAS evaluation is frustratingly hard"), as an npz of their columns.

The authors publish 214 genotypes with their curves in github.com/antoyang/NAS-Benchmark, folder
``Plots/data/modified_search_space``. The npz holds ``op_names`` (k,) texts; ``op`` (n, 2, 4, 2) numbers of operations
by network, cell (normal, reduction), node and its two edges; ``input`` of that shape, where each edge comes from (0
and 1 are the two previous cells, 2 and more the nodes); ``accuracy`` (n,), the best of the curve in percent.
"""

from __future__ import annotations

from pathlib import Path

from raynas.errors import TruthError
from raynas.spaces import space
from raynas.truth.importers.arrays import read_arrays
from raynas.truth.importers.registry import IMPORTERS
from raynas.truth.importers.rows import Rows
from raynas.truth.importers.source import source_of
from raynas.truth.table import TruthTable

EPOCHS = 600
_CELLS = ("normal", "reduce")


@IMPORTERS.register("npz-darts-random")
def npz_darts_random(path: Path) -> TruthTable:
    """Random DARTS networks trained on CIFAR-10 for 600 epochs (Yang et al.), from an npz of op, input and accuracy.

    Args:
        path: The npz file: ``op`` and ``input`` (n, 2, 4, 2) by cell, node and edge, ``op_names``, ``accuracy``.
    """
    found = read_arrays(path, ("op", "input", "op_names", "accuracy"), "an npz of random DARTS networks")
    names, accuracy = found["op_names"].tolist(), found["accuracy"]
    shape = (len(accuracy), len(_CELLS), 4, 2)
    if found["op"].shape != shape or found["input"].shape != shape or found["op"].max(initial=0) >= len(names):
        raise TruthError(f"{path}: op and input are not {shape} numbers of operations and nodes")
    rows = Rows(path, space("darts"), "architecture")
    for row, (ops, inputs) in enumerate(zip(found["op"].tolist(), found["input"].tolist(), strict=True)):
        fields = []
        for cell, cell_ops, cell_inputs in zip(_CELLS, ops, inputs, strict=True):
            edges = [
                (names[operation], source)
                for node_ops, node_inputs in zip(cell_ops, cell_inputs, strict=True)
                for operation, source in zip(node_ops, node_inputs, strict=True)
            ]
            fields.append(f"{cell}={edges!r}, {cell}_concat=[2, 3, 4, 5]")
        place = f"row {row}"
        architecture = rows.parse(place, f"Genotype({', '.join(fields)})")
        rows.add(place, architecture, [{"test_accuracy": float(accuracy[row])}])
    source = source_of(
        path,
        "random networks of 'NAS evaluation is frustratingly hard' (Yang et al., ICLR 2020)",
        "cifar10",
        EPOCHS,
        columns={"test_accuracy": "one training each; the best epoch by the test accuracy itself"},
    )
    return rows.table("darts-random", source)
