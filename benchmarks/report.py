"""What a benchmark prints and writes: tables for people, one JSON object for machines, and its command-line options."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Extrapolated, Ratio, Timings
from benchmarks.machine import describe
from raynas.training.allocator import keep_memory

Quick = Annotated[bool, typer.Option("--quick", help="About a minute: fewer inputs, smaller sets.")]
Out = Annotated[Path | None, typer.Option(help="Write everything as JSON to this file.")]
Threads = Annotated[int, typer.Option(min=1, help="Threads of torch.")]
KeepMemory = Annotated[
    bool, typer.Option("--keep-memory/--default-malloc", help="Whether freed memory stays with the process.")
]


class Report:
    """Collects comparisons, printing each as it comes.

    Making one sets torch's threads and the allocator of this process: the same for all contenders.

    Args:
        name: The benchmark's.
        quick: Whether it was run at a reduced size.
        threads: Of torch.
        keeps_memory: Whether freed memory stays with this process.
    """

    def __init__(self, name: str, *, quick: bool, threads: int, keeps_memory: bool) -> None:
        torch.set_num_threads(threads)
        if keeps_memory:
            keeps_memory = keep_memory()
        self._console = Console()
        self._head = {"benchmark": name, "quick": quick, "environment": describe(threads, keeps_memory=keeps_memory)}
        self._comparisons: list[dict[str, Any]] = []
        self._notes: list[str] = []
        self._figures: dict[str, float] = {}
        self._skipped: dict[str, str] = {}
        self._ratios: dict[str, float] = {}

    def compare(self, title: str, timings: Timings, ratios: Mapping[str, tuple[str, str]]) -> None:
        """Add a comparison.

        Args:
            title: What was timed.
            timings: The times.
            ratios: By name, which contender's times are divided by which other's.
        """
        contenders = {name: _spread(seconds) for name, seconds in timings.seconds.items()}
        compared = {name: timings.ratio(*pair) for name, pair in ratios.items()}
        samples = len(next(iter(timings.seconds.values())))
        for name, ratio in compared.items():
            self._ratios[name] = _short(ratio.sum)
            self._ratios[f"{name} (median)"] = _short(ratio.median)
        self._comparisons.append(
            {
                "title": title,
                "samples": samples,
                "others": timings.others if timings.others is None else _short(timings.others),
                "contenders": contenders,
                "ratios": {name: _ratio_fields(ratio) for name, ratio in compared.items()},
            }
        )
        self._console.print(f"\n[bold]{title}[/bold]: {samples} samples, {_others(timings.others)}")
        self._console.print(_times_table(contenders))
        self._console.print(_ratios_table(compared))

    def extrapolated(self, title: str, name: str, found: Extrapolated) -> None:
        """Add one long call that was compared with a sample of its inputs."""
        self._ratios[name] = _short(found.ratio)
        self._comparisons.append(
            {
                "title": title,
                "samples": len(found.sample),
                "others": found.others if found.others is None else _short(found.others),
                "contenders": {"one call": {"sum_s": _short(found.seconds)}, "sample": _spread(found.sample)},
                "ratios": {name: {"sum": _short(found.ratio)}},
            }
        )
        what = f"{len(found.sample)} of them one by one, {_others(found.others)}"
        self._console.print(f"\n[bold]{title}[/bold]: {found.seconds:.1f} s; {what}")
        self._console.print(f"  {name}: {found.ratio:.3f}")

    def counted(self, name: str, over: int, under: int) -> None:
        """Add a ratio that was counted, not timed."""
        self._ratios[name] = _short(over / under)
        self._console.print(f"\n{name}: {over:,} / {under:,} = {over / under:.3f}", markup=False)

    def figure(self, name: str, value: float) -> None:
        """Add a number that is no ratio."""
        self._figures[name] = _short(value)
        self._console.print(f"{name}: {value:.4g}", markup=False)

    def note(self, text: str) -> None:
        """Add what a reader has to know."""
        self._notes.append(text)
        self._console.print(text, markup=False)

    def skip(self, name: str, reason: str) -> None:
        """Say why a ratio is not there."""
        self._skipped[name] = reason
        self._console.print(f"\n{name}: skipped, {reason}", markup=False)

    def close(self, out: Path | None) -> None:
        """Write the JSON, if asked to, and print the ratios as the last line."""
        if out is not None:
            found = {
                "ratios": self._ratios,
                "figures": self._figures,
                "skipped": self._skipped,
                "notes": self._notes,
            }
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(json.dumps({**self._head, **found, "comparisons": self._comparisons}, indent=1) + "\n")
        print(json.dumps(self._ratios), flush=True)


def _times_table(contenders: Mapping[str, Mapping[str, Any]]) -> Table:
    table = Table("contender", "median, ms", "quartiles, ms", "sum, s")
    for name, spread in contenders.items():
        low, high = spread["quartiles_ms"]
        table.add_row(name, f"{spread['median_ms']:.4g}", f"{low:.4g} to {high:.4g}", f"{spread['sum_s']:.4g}")
    return table


def _ratios_table(compared: Mapping[str, Ratio]) -> Table:
    table = Table("ratio of times", "of sums", "median", "quartiles")
    for name, ratio in compared.items():
        table.add_row(name, f"{ratio.sum:.3f}", f"{ratio.median:.3f}", f"{ratio.low:.3f} to {ratio.high:.3f}")
    return table


def _spread(seconds: np.ndarray) -> dict[str, Any]:
    low, median, high = (_short(1000 * value) for value in np.quantile(seconds, [0.25, 0.5, 0.75]))
    return {"median_ms": median, "quartiles_ms": [low, high], "sum_s": _short(float(seconds.sum()))}


def _ratio_fields(ratio: Ratio) -> dict[str, Any]:
    quartiles = [_short(ratio.low), _short(ratio.high)]
    return {"sum": _short(ratio.sum), "median": _short(ratio.median), "quartiles": quartiles}


def _others(share: float | None) -> str:
    return "load of others unknown" if share is None else f"others used {share:.0%} of the machine"


def _short(value: float) -> float:
    """Return a number with the four digits that are at most worth writing."""
    return float(f"{value:.4g}")
