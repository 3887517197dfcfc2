"""The command ``raynas benchmark``: reading its ``key=value`` texts, and printing what came out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from yaml import YAMLError

from raynas.benchmark.benchmarking import benchmark
from raynas.benchmark.result import BenchmarkResult
from raynas.errors import ConfigError
from raynas.truth.importers import parse_options

_MAPPINGS = ("constraints", "fidelities")
_LISTS = ("objectives", "initial", "reference")
_FIXED = ("searcher", "truth")


def read_options(texts: Sequence[str]) -> tuple[dict[str, Any], list[float] | None]:
    """Return what ``key=value`` texts say: arguments of `raynas.benchmark`, and the hypervolume's reference or None.

    ``constraints.flops_m=[null,60]`` and ``fidelities.0.06=FILE`` are entries of mappings, one each; ``scores`` is a
    JSON file of an object that holds each architecture's score.

    Raises:
        ConfigError: A text is not of this form; all such are told.
    """
    given: dict[str, Any] = {}
    problems = []
    for key, text in parse_options(texts).items():
        try:
            value = _value(text)
        except (OmegaConfBaseException, YAMLError, ValueError) as error:
            problems.append(f"'{key}': {text!r} is not a value: {' '.join(str(error).split())}")
            continue
        whole, dot, entry = key.partition(".")
        if key in _FIXED:
            problems.append(f"'{key}' is not an option: it stands before them")
        elif whole in _MAPPINGS and dot:
            given.setdefault(whole, {})[entry] = value
        elif key in _MAPPINGS and not isinstance(value, dict):
            problems.append(f"'{key}' has entries of its own: give {key}.NAME=VALUE, got {text!r}")
        elif key in _LISTS and not isinstance(value, list):
            problems.append(f"'{key}' must be a list, '{key}=[{text}]', got {text!r}")
        else:
            given[key] = {**given.get(key, {}), **value} if key in _MAPPINGS else value
    for entry in given.get("fidelities", {}):
        if not _is_number(entry):
            problems.append(f"'fidelities.{entry}': the share of a full evaluation is a number, such as 0.06")
    reference = given.pop("reference", None)
    if reference is not None and not all(map(_is_number, reference)):
        problems.append(f"'reference' must be numbers, one an objective, got {reference}")
    if problems:
        raise ConfigError(problems, "the options given")
    return given, None if reference is None else [float(value) for value in reference]


def run(searcher: str, truth: str, given: Mapping[str, Any]) -> BenchmarkResult:
    """Return what `raynas.benchmark` gives; scores come from their file."""
    options = dict(given)
    if options.get("scores") is not None:
        options["scores"] = _read_scores(Path(str(options["scores"])))
    return benchmark(searcher, truth, **options)


def print_result(console: Console, result: BenchmarkResult, reference: Sequence[float] | None = None) -> None:
    """Print a table of regret and accuracy over evaluations, with the hypervolume where there is a reference."""
    board = result.board
    heads = ["evaluations", "regret", board.report.replace("_", " ")]
    lines = [
        [f"{row.evaluations:,}", _with_interval(row, "regret", 3), _with_interval(row, "accuracy", 2)]
        for row in result.regret().itertuples()
    ]
    if reference is not None:
        heads.append("hypervolume share")
        shares = [_with_interval(row, "share", 3) for row in result.hypervolume(None, reference).itertuples()]
        lines = [[*line, share] for line, share in zip(lines, shares, strict=True)]
    padding = (0, 1 if reference is None else 0)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=padding)
    for head in heads:
        table.add_column(head, justify="right", no_wrap=True)
    for line in lines:
        table.add_row(*map(escape, line))

    def tell(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True, markup=False)

    told = ", ".join([board.metric, *result.objectives[1:]])
    seeds = f"{len(result.plays):,} seed{'s' if len(result.plays) > 1 else ''}"
    tell(f"{result.searcher} on {board.table.name}: {seeds}, {len(board.texts):,} architectures, told {told}")
    console.print(table)
    tell(f"means and 95 % intervals; regret in points of {board.report}, whose best is {board.best:.2f} %")


def _with_interval(row: Any, name: str, digits: int) -> str:
    """Return a mean with its interval as a text; ``-`` for what is not defined."""
    mean, low, high = (float(getattr(row, key)) for key in (name, f"{name}_low", f"{name}_high"))
    between = "" if math.isnan(low) else f" [{low:.{digits}f}, {high:.{digits}f}]"
    return "-" if math.isnan(mean) else f"{mean:.{digits}f}{between}"


def _value(text: str) -> Any:
    """Return a value as a configuration's overrides are read."""
    plain = OmegaConf.to_container(OmegaConf.from_dotlist([f"value={text}"]))
    assert isinstance(plain, dict)
    return plain["value"]


def _is_number(value: object) -> bool:
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def _read_scores(path: Path) -> dict[str, float]:
    """Return scores from a JSON file; raises ConfigError where it is not one."""
    try:
        found = json.loads(path.read_text())
        return {str(text): float(score) for text, score in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(
            [f"'scores': {path} is not a JSON object of scores by architecture: {error}"], "the options given"
        ) from error
