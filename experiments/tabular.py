"""What experiments on truth tables share: results that are kept until what made them changes, and cells of tables."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
from measuring import environment

import raynas
from raynas.benchmark.settings import searcher_class

ROOT = Path(__file__).resolve().parents[1]
Rows = list[dict[str, float]]


@dataclass(frozen=True)
class Entry:
    """One searcher in one setting.

    Args:
        searcher: Its name.
        seeds: How many searches.
        budget: Evaluations each.
        options: Its options that are not the defaults.
    """

    searcher: str
    seeds: int
    budget: int
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def label(self) -> str:
        """The name, with the options."""
        options = ", ".join(f"`{key}={value}`" for key, value in self.options.items())
        return f"`{self.searcher}`" + (f", {options}" if options else "")

    def key(self, *setting: object) -> str:
        """Return what changes when the entry, the setting or the searcher's code does."""
        told = [vars(self), [str(part) for part in setting], _code(searcher_class(self.searcher))]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


class Kept:
    """Results in a JSON file, by setting and name; what was made otherwise is made again.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found = self._read()

    def get(self, setting: str, name: str, key: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Return a result, made now if it is missing or changed, and written at once."""
        kept = self.found.setdefault(setting, {})
        if kept.get(name, {}).get("key") != key:
            began = time.perf_counter()
            made = make()
            kept[name] = {"key": key, **made, "wall_seconds": round(time.perf_counter() - began, 1)}
            kept[name]["environment"] = environment()
            self._write(setting, name, kept[name])
            print(f"{setting}: {name}: {kept[name]['wall_seconds']} s", flush=True)
        return kept[name]

    def _read(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = json.loads(self.path.read_text())["results"] if self.path.exists() else {}
        return found

    def _write(self, setting: str, name: str, result: dict[str, Any]) -> None:
        """Put one result into the file, which another process may have added to, and take that in."""
        self.found = self._read()
        self.found.setdefault(setting, {})[name] = result
        self.path.parent.mkdir(exist_ok=True)
        beside = self.path.with_suffix(".part")
        beside.write_text(json.dumps({"environment": environment(), "results": self.found}, indent=2) + "\n")
        os.replace(beside, self.path)


def rows_of(frame: pd.DataFrame) -> Rows:
    """Return a table's rows as plain values, five digits behind the point."""
    return [{str(key): round(float(value), 5) for key, value in row.items()} for row in frame.to_dict("records")]


def at(rows: Rows, evaluations: int) -> dict[str, float] | None:
    """Return the row after so many evaluations; None where the search did not go so far."""
    return next((row for row in rows if row["evaluations"] == evaluations), None)


def cell(row: Mapping[str, float] | None, name: str, digits: int) -> str:
    """Return a mean and its interval; ``-`` where there is none."""
    if row is None:
        return "-"
    return f"{row[name]:.{digits}f} [{row[f'{name}_low']:.{digits}f}, {row[f'{name}_high']:.{digits}f}]"


def table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table."""
    marks = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}"]
    return "\n".join([*marks, *(f"| {' | '.join(line)} |" for line in lines)])


def _code(maker: object) -> str:
    """Return a hash of the code of a searcher and of what it imports of searchers and methods, comments left out."""
    digest = hashlib.sha256()
    for path in sorted(_files(Path(inspect.getfile(maker)), set())):  # type: ignore[arg-type]
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
                node.body = node.body[1:]
        digest.update(ast.dump(tree).encode())
    return digest.hexdigest()


def _files(path: Path, seen: set[Path]) -> set[Path]:
    seen.add(path)
    for other in _imported(path):
        if other not in seen and other.is_file():
            _files(other, seen)
    return seen


def _imported(path: Path) -> Iterator[Path]:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.startswith(("raynas.search.", "raynas.methods."))
        ):
            yield Path(str(raynas.__file__)).parents[1] / f"{node.module.replace('.', '/')}.py"
