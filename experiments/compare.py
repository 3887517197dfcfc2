"""Run a comparison of methods and write its table.

    python experiments/compare.py run experiments/tables/nasbench201.yaml --scale reduced --jobs 2
    python experiments/compare.py table experiments/tables/nasbench201.yaml --scale reduced
    python experiments/compare.py config experiments/tables/nasbench201.yaml landmark --scale paper > landmark.yaml

`run` runs every method with every seed, a process a run, and skips what is finished, so that it can be broken off and
called again; then it does what `table` does: reads the runs there are, writes experiments/results/<table>-<scale>.json,
and the table into the page that has its markers. `config` prints one method's configuration for ``raynas run``.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated

import typer
import yaml
from comparison import Scale, Table
from measuring import environment, measure, results_file, summarise
from rich.console import Console
from writing import write_tables

import raynas
from raynas.errors import RaynasError

app = typer.Typer(add_completion=False, help=__doc__)
console = Console()
TableFile = Annotated[Path, typer.Argument(exists=True, dir_okay=False)]


def run_folder(table: Table, scale: Scale, method: str, seed: int) -> Path:
    """Return where a run is kept."""
    return Path("runs") / "tables" / f"{table.name}-{scale}" / f"{method}-{seed}"


def is_finished(table: Table, scale: Scale, method: str, seed: int) -> bool:
    """Say whether a run is finished, and is one of the configuration that the table has now."""
    folder = run_folder(table, scale, method, seed)
    if not (folder / "summary.json").is_file():
        return False
    apart = {"seed", "out", "wandb", "ray"}
    now, then = table.comparison.config(method, scale), raynas.load(folder).config
    # as JSON: a run folder gives back lists where a default is a tuple
    return now.model_dump(mode="json", exclude=apart) == then.model_dump(mode="json", exclude=apart)


def run_one(table: Table, scale: Scale, method: str, seed: int, cpus: int | None) -> str:
    """Run one method with one seed in a process of its own, unless it is finished; return what to tell of it."""
    folder = run_folder(table, scale, method, seed)
    if is_finished(table, scale, method, seed):
        return f"{method} seed {seed}: finished before"
    if folder.exists():  # broken off, or of another configuration: kept beside
        folder.rename(folder.with_name(f"{folder.name}.old-{int(time.time())}"))
    keys = {**table.comparison.keys(method, scale), "seed": seed, "out": str(folder), "wandb": {"mode": "disabled"}}
    if cpus is not None:
        keys["ray"] = {**keys.get("ray", {}), "cpus": cpus}
    folder.parent.mkdir(parents=True, exist_ok=True)
    config, log = folder.with_name(f"{folder.name}.yaml"), folder.with_name(f"{folder.name}.log")
    config.write_text(yaml.safe_dump(keys, sort_keys=False))
    began = time.time()
    with log.open("w") as out:
        code = subprocess.call(
            [sys.executable, "-m", "raynas", "run", str(config)], stdout=out, stderr=subprocess.STDOUT
        )
    if code:
        return f"{method} seed {seed}: FAILED with exit status {code}, see {log}"
    return f"{method} seed {seed}: {time.time() - began:.0f} s"


@app.command()
def run(
    table: TableFile,
    scale: Annotated[str, typer.Option(help="paper or reduced")] = "reduced",
    jobs: Annotated[int, typer.Option(help="Runs at the same time; the CPUs are divided among them.")] = 1,
    only: Annotated[str, typer.Option(help="Methods, separated by commas; all if empty.")] = "",
    seeds: Annotated[str, typer.Option(help="Seeds, separated by commas; the table's own if empty.")] = "",
) -> None:
    """Run what is not finished, then write the table."""
    comparison = Table(table)
    size = _scale(scale)
    comparison.check(size)
    strangers = {int(seed) for seed in seeds.split(",") if seed} - set(comparison.comparison.seeds)
    if strangers:
        raise typer.BadParameter(f"the table's seeds are {comparison.comparison.seeds}", param_hint="--seeds")
    rows = comparison.comparison.rows(size)
    names = [name for name in only.split(",") if name] or list(rows)
    wanted = [int(seed) for seed in seeds.split(",") if seed] or comparison.comparison.seeds
    for name in names:
        comparison.comparison.config(name, size)
    cpus = max(1, (os.cpu_count() or 1) // jobs) if jobs > 1 else None
    todo = [(name, seed) for seed in wanted for name in names]
    with ThreadPoolExecutor(jobs) as pool:
        for told in pool.map(lambda one: run_one(comparison, size, one[0], one[1], cpus), todo):
            console.print(told, markup=False, highlight=False)
    write(comparison, size)


@app.command(name="table")
def only_table(table: TableFile, scale: Annotated[str, typer.Option(help="paper or reduced")] = "reduced") -> None:
    """Write the table of the runs there are."""
    write(Table(table), _scale(scale))


@app.command()
def config(
    table: TableFile,
    method: Annotated[str, typer.Argument(help="A row of the table.")],
    scale: Annotated[str, typer.Option(help="paper or reduced")] = "reduced",
) -> None:
    """Print the configuration of one method, for ``raynas run``."""
    typer.echo(yaml.safe_dump(Table(table).comparison.keys(method, _scale(scale)), sort_keys=False), nl=False)


def write(table: Table, scale: Scale) -> None:
    """Write results and tables of the finished runs."""
    found = {
        name: {
            seed: measure(run_folder(table, scale, name, seed))
            for seed in table.comparison.seeds
            if is_finished(table, scale, name, seed)
        }
        for name in table.comparison.rows(scale)
    }
    found = {name: runs for name, runs in found.items() if runs}
    if not found:
        console.print(f"no run of {table.path} at {scale} scale is finished", markup=False)
        return
    result = {
        "table": table.name,
        "scale": scale,
        "environment": environment(),
        "methods": {name: {str(seed): one for seed, one in runs.items()} for name, runs in found.items()},
        "summary": summarise(found, table.comparison.controls),
    }
    results_file(table.name, scale).write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    console.print(write_tables(table, scale, result), markup=False, highlight=False, soft_wrap=True)


def _scale(text: str) -> Scale:
    if text not in ("paper", "reduced"):
        raise typer.BadParameter(f"must be paper or reduced, got {text!r}", param_hint="--scale")
    return text  # type: ignore[return-value]


if __name__ == "__main__":
    try:
        app(standalone_mode=True)
    except RaynasError as error:
        console.print(str(error), markup=False)
        raise SystemExit(error.exit_code) from error
