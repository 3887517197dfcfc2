"""Importing by the name of a format, with options as ``key=value`` texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pydantic

from raynas.errors import ConfigError, TruthError, nearest
from raynas.truth.importers.registry import IMPORTERS
from raynas.truth.table import TruthTable


def import_truth(format_name: str, path: str | Path, options: Mapping[str, Any] | None = None) -> TruthTable:
    """Read a benchmark's file.

    Args:
        format_name: One of `IMPORTERS`.
        path: The file or folder.
        options: The importer's options, as texts or values.

    Raises:
        UnknownNameError: There is no such format.
        ConfigError: An option does not exist, is missing or has a wrong value; every problem is named.
        TruthError: The file is not of this format, or contradicts itself.
    """
    model = IMPORTERS.options_model(format_name)
    try:
        checked = model.model_validate(_numbers(model, options or {}))
    except pydantic.ValidationError as error:
        problems = [_problem(model, dict(found)) for found in error.errors()]
        raise ConfigError(problems, f"the options of truth format '{format_name}'") from error
    given = {name: getattr(checked, name) for name in checked.model_fields_set}
    return IMPORTERS.make(format_name, Path(path), **given)


def import_to_file(
    format_name: str, path: str | Path, options: Mapping[str, Any] | None = None, out: Path | None = None
) -> tuple[TruthTable, Path]:
    """Read a benchmark's file and write the table; returns it and where it was written.

    Args:
        format_name: One of `IMPORTERS`.
        path: The file or folder.
        options: The importer's options.
        out: The table's file, by default ``<the table's name>.npz`` in the current folder.

    Raises:
        TruthError: The table's file exists; and whatever `import_truth` raises.
    """
    if out is not None:
        _refuse_existing(out)
    table = import_truth(format_name, path, options)
    written = out or Path(f"{table.name}.npz")
    _refuse_existing(written)
    table.save(written)
    return table, written


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise TruthError(f"{out} exists; move it away, or give another --out")
    if out.suffix != ".npz":
        raise TruthError(f"a truth table's file ends in .npz, got {out}")


def parse_options(texts: Sequence[str]) -> dict[str, str]:
    """Return ``key=value`` texts as a mapping; raises ConfigError naming those without a key or given twice."""
    parts = [text.partition("=") for text in texts]
    problems = [f"'{''.join(part)}' is not of the form key=value" for part in parts if not part[0] or not part[1]]
    names = [name for name, _, _ in parts]
    problems += [f"'{name}' is given twice" for name in sorted({n for n in names if n and names.count(n) > 1})]
    if problems:
        raise ConfigError(problems, "the options given")
    return {name: value for name, _, value in parts}


def _numbers(model: type[pydantic.BaseModel], options: Mapping[str, Any]) -> dict[str, Any]:
    """Turn digits into numbers for the options that are numbers: a literal 200 is not the text '200'."""
    texts = {name for name, field in model.model_fields.items() if field.annotation is str}
    return {
        name: int(value) if isinstance(value, str) and value.isdecimal() and name not in texts else value
        for name, value in options.items()
    }


def _problem(model: type[pydantic.BaseModel], found: Mapping[str, Any]) -> str:
    name = ".".join(map(str, found["loc"]))
    if found["type"] == "extra_forbidden":
        return f"'{name}': no such option{nearest(name, model.model_fields)} (allowed: {', '.join(model.model_fields)})"
    if found["type"] == "missing":
        return f"'{name}': missing; give {name}=VALUE"
    return f"'{name}': {str(found['msg'])[:1].lower()}{str(found['msg'])[1:]}, got {found['input']!r}"
