"""Run every configuration in experiments/spaces, check that it trains and ranks, and write what came out.

    python experiments/prepare_data.py     (once; the raw files are looked for in RAYNAS_SHARED, ../shared)
    python experiments/run_spaces.py       (a quarter of an hour on two cores; NAME... for some of them)

A run counts as good if it ends within two minutes, its training loss falls, and it has a Kendall tau.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

import raynas
from raynas.errors import RaynasError
from raynas.tracking.jsonl import finite

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "spaces.json"
SECONDS = 120.0


def measure(config: Path) -> dict[str, Any]:
    """Run a configuration and return what came out."""
    began = time.time()
    with tempfile.TemporaryDirectory() as folder:
        run = raynas.run(config, out=f"{folder}/run", **{"wandb.mode": "disabled"})
        seconds = time.time() - began
        last, losses = run.metrics.iloc[-1], run.metrics["loss"].tolist()
        summary, ledger = run.summary, run.ledger
    good = seconds <= SECONDS and losses[-1] < losses[0] and math.isfinite(last["kendall_tau"])
    return {
        "space": config.stem,
        "good": bool(good),
        "loss": losses,
        "kendall_tau": float(last["kendall_tau"]),
        "interval": [float(last["kendall_tau_ci_low"]), float(last["kendall_tau_ci_high"])],
        "architectures": int(last["n_architectures"]),
        "truth": summary["truth"]["name"],
        "images_trained": ledger["images_trained"],
        "seconds": round(seconds, 1),
    }


def show(console: Console, rows: list[dict[str, Any]]) -> None:
    """Print the table."""
    table = Table("space", "truth", "loss, first and last round", "tau", "interval", "n", "seconds", "")
    for row in rows:
        low, high = row["interval"]
        loss, tau = f"{row['loss'][0]:.3f} {row['loss'][-1]:.3f}", f"{row['kendall_tau']:.2f}"
        n, seconds = str(row["architectures"]), f"{row['seconds']:.0f}"
        mark = "" if row["good"] else "bad"
        table.add_row(row["space"], row["truth"], loss, tau, f"[{low:.2f}, {high:.2f}]", n, seconds, mark)
    console.print(table)


def main(names: list[str] | None = typer.Argument(None, help="Which; all without it.")) -> None:  # noqa: B008
    """Run every configuration in experiments/spaces."""
    os.environ.setdefault("RAYNAS_SHARED", "../shared")
    console = Console()
    configs = sorted((HERE / "spaces").glob("*.yaml"))
    configs = [config for config in configs if not names or config.stem in names]
    rows, failed = [], False
    for config in configs:
        try:
            rows.append(measure(config))
            console.print(f"{config.stem}: tau {rows[-1]['kendall_tau']:.2f}, {rows[-1]['seconds']:.0f} s")
        except RaynasError as error:
            console.print(f"{config.stem}: {error}")
            failed = True
    show(console, rows)
    if not names:
        RESULTS.write_text(
            json.dumps(finite({"cores": os.cpu_count(), "runs": rows}), indent=1, allow_nan=False) + "\n"
        )
    raise typer.Exit(int(failed or not all(row["good"] for row in rows)))


if __name__ == "__main__":
    typer.run(main)
