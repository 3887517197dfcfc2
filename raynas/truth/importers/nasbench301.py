"""NAS-Bench-301 (Zela et al., ICLR 2022): predictions of its surrogate, through its own package ``nasbench301``.

Nothing was trained for such a table: each accuracy is what the ensemble predicts for one training of that network.
"""

from __future__ import annotations

import ast
import importlib
from collections import namedtuple
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from raynas.errors import TruthError
from raynas.spaces import space
from raynas.truth.importers.registry import IMPORTERS
from raynas.truth.importers.rows import Rows
from raynas.truth.importers.source import source_of
from raynas.truth.table import TruthTable

EPOCHS = 100
_CURE = (
    "nasbench301 0.3 (2021) can be installed but declares none of the packages it imports: ConfigSpace, lightgbm, "
    "xgboost, IPython, h5py, torch-geometric and torch-scatter (which must be compiled) among them. "
    "Query it where it runs, write a list of "
    '{"architecture": str(genotype), "valid_accuracy": number} as JSON, and import that: '
    "raynas truth import json FILE space=darts dataset=cifar10 epochs=100"
)

Genotype = namedtuple("Genotype", "normal normal_concat reduce reduce_concat")


@IMPORTERS.register("nasbench301")
def nasbench301(path: Path, *, architectures: Annotated[int, Field(ge=2)] = 1000, draw_seed: int = 0) -> TruthTable:
    """NAS-Bench-301: the validation accuracy its surrogate predicts for a random draw of DARTS networks.

    Args:
        path: The folder of an accuracy ensemble, such as ``nb_models/xgb_v1.0``.
        architectures: How many distinct networks to draw, uniformly.
        draw_seed: Seed of the draw.
    """
    try:
        package = importlib.import_module("nasbench301")
    except ImportError as error:
        raise TruthError(f"reading {path} needs the package nasbench301, which fails with: {error}. {_CURE}") from error
    if not path.is_dir():
        raise TruthError(f"no folder at {path}")
    try:
        surrogate = package.load_ensemble(str(path))
    except Exception as error:  # whatever the package raises for a folder of another kind
        raise TruthError(f"{path} is not an ensemble of NAS-Bench-301: {type(error).__name__}: {error}") from error
    rows, rng = Rows(path, space("darts"), "function"), np.random.default_rng(draw_seed)
    drawn: set[str] = set()
    while len(drawn) < architectures:
        architecture = rows.space.canonical(rows.space.sample(rng))
        if architecture.text not in drawn:
            drawn.add(architecture.text)
            accuracy = float(surrogate.predict(_genotype(architecture.text), "genotype", with_noise=False))
            rows.add(architecture.text, architecture, [{"valid_accuracy": accuracy}])
    source = source_of(
        path,
        "NAS-Bench-301 (Zela et al., ICLR 2022), surrogate",
        "cifar10",
        EPOCHS,
        draw=f"{architectures} functions, uniform over encodings, seed {draw_seed}",
        columns={"valid_accuracy": "predicted by the ensemble, its mean without noise; nothing was trained"},
    )
    return rows.table(f"nasbench301-{path.name}", source)


def _genotype(text: str) -> Any:
    """Return the package's named tuple of ``Genotype(normal=..., ...)``."""
    call = ast.parse(text, mode="eval").body
    assert isinstance(call, ast.Call)
    return Genotype(**{str(field.arg): ast.literal_eval(field.value) for field in call.keywords})
