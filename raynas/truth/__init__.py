"""Stand-alone quality of architectures: tables that ship with the package, or files."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from raynas.callable_module import make_callable
from raynas.errors import UnknownNameError, nearest
from raynas.truth.columns import PER_ARCHITECTURE, PER_SEED
from raynas.truth.files import load_table
from raynas.truth.latency import LatencyTable
from raynas.truth.latency_files import load_help_nasbench201, load_help_ofa, load_hwnasbench
from raynas.truth.table import TruthTable

__all__ = [
    "PER_ARCHITECTURE",
    "PER_SEED",
    "LatencyTable",
    "TruthTable",
    "load_help_nasbench201",
    "load_help_ofa",
    "load_hwnasbench",
    "load_table",
    "shipped",
    "shipped_path",
    "truth",
]


def shipped_path(name: str) -> Path:
    """Return where a table of this name ships inside the package (whether or not it is there)."""
    return Path(str(resources.files("raynas.truth"))) / "tables" / f"{name}.npz"


def shipped() -> list[str]:
    """Return the names of the tables inside the package."""
    return sorted(path.stem for path in shipped_path("x").parent.glob("*.npz"))


def truth(name_or_path: str | Path) -> TruthTable:
    """Return a truth table by the name of a shipped one (``raynas ls truth``) or by its file.

    Raises:
        UnknownNameError: Neither a shipped table nor an existing file.
        TruthError: The file is not a truth table.
    """
    text = str(name_or_path)
    if text in shipped():
        return load_table(shipped_path(text))
    path = Path(text)
    if path.suffix == ".npz" or path.exists():
        return load_table(path)
    raise UnknownNameError(
        f"unknown truth '{text}'{nearest(text, shipped())} (allowed: {', '.join(shipped())}, or a file)"
    )


make_callable(__name__, truth)
