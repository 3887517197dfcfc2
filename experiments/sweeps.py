"""The project's sweeps: run or gone on with, and written down.

    python experiments/sweeps.py landmark_schedule      (experiments/sweep_landmark_schedule.yaml; about an hour)
    python experiments/sweeps.py epsilon_ramp close_curriculum
    python experiments/sweeps.py savings                (what early stopping and the warm start save; half an hour)

Sweeps lie in runs/sweeps. One that is there is gone on with, or only read where it is over. Numbers go to
experiments/results/sweep_NAME.json; docs/sweeps.md's tables are written from these files.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from measuring import environment
from rich.console import Console
from tabular import ROOT, table
from writing import put_into_pages

import raynas
from raynas.report.sweep_effects import effects, keys_with_choices
from raynas.report.sweep_result import SweepResult
from raynas.tracking.jsonl import finite

SWEEPS = Path("runs/sweeps")
SAVINGS: dict[str, list[str]] = {
    "neither": ["sweep.stop=null", "sweep.warm_start=null"],
    "early stopping": ["sweep.stop.grace=3", "sweep.warm_start=null"],
    "warm start": ["sweep.stop=null"],
    "both": [],
}
"""The landmark sweep with few settings; the rung is at the same round with and without the warm start."""
FEW = [
    "sweep.keys.method.regularizer.coefficient=[10,100]",
    "sweep.keys.method.regularizer.schedule=[constant,cosine_increase]",
    "sweep.keys.method.regularizer.warmup=[0.2]",
    "sweep.keys.method.regularizer.pairs=[1]",
    "train.root_rounds=5",
    "sweep.warm_start.rounds=1",
    "sweep.stop.grace=2",
]


def run(config: Path, out: Path, overrides: list[str]) -> SweepResult:
    """Run a sweep, go on with it, or read it."""
    console = Console()
    if (out / "config.yaml").is_file():
        found = raynas.resume(out, console=console)
        assert isinstance(found, SweepResult)
        return found
    return raynas.sweep(config, [*overrides, "wandb.mode=disabled"], out=str(out), console=console)


def told(result: SweepResult) -> dict[str, Any]:
    """Return everything that is kept of a sweep."""
    return {
        "summary": result.summary,
        "ledger": result.ledger,
        "settings": result.dataframe().to_dict("records"),
        "effects": {result.names[key]: effects(result, key).to_dict("records") for key in keys_with_choices(result)},
        "comparisons": {name: result.compare(name).to_dict("records") for name in result.sweep.controls},
        "importance": result.importance(),
    }


def keep(name: str, found: Any) -> None:
    """Write a result file."""
    path = ROOT / "experiments" / "results" / f"sweep_{name}.json"
    whole = {"environment": environment(), **found}
    path.write_text(json.dumps(finite(_plain(whole)), indent=1) + "\n")
    print(path)


def _plain(value: Any) -> Any:
    """Return a nested value with numpy's numbers as Python's."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value.item() if hasattr(value, "item") else value


def effects_table(name: str, rows: list[dict[str, Any]]) -> str:
    """Return what the values of a key do."""
    early, first = rows[0]["early_round"], rows[0]["value"]
    heads = [
        name,
        "settings",
        f"mean tau, round {early}",
        f"to `{first}`, paired",
        "P(better)",
        "to the end",
        "best tau",
    ]
    lines = [
        [
            f"`{row['value']}`",
            str(row["settings"]),
            _with(row["early"], row["early_low"], row["early_high"]),
            "" if row["value"] == first else _with(row["difference"], row["low"], row["high"], "+"),
            "" if row["value"] == first else _number(row["probability"], 2),
            str(row["finished"]),
            _with(row["best"], row["best_low"], row["best_high"]),
        ]
        for row in rows
    ]
    return table(heads, lines)


def best_table(found: dict[str, Any], count: int = 6) -> str:
    """Return the best settings and the controls, and what the best are worth against these."""
    rows = found["settings"]
    shown = [row for place, row in enumerate(rows) if row["control"] or place < count]
    against = {control: {one["trial"]: one for one in compared} for control, compared in found["comparisons"].items()}
    heads = ["setting", "round", "tau", *(f"to {control}, paired" for control in against), "images trained"]
    lines = []
    for row in shown:
        cells = []
        for compared in against.values():
            one = compared.get(row["trial"])
            cells.append("" if one is None else _with(one["difference"], one["low"], one["high"], "+"))
        name = f"`{row['setting']}`" + (" (control)" if row["control"] else "")
        tau = _with(row["kendall_tau"], row["kendall_tau_low"], row["kendall_tau_high"])
        lines.append([name, str(row["round"]), tau, *cells, f"{row['images_trained'] / 1000:,.0f}k"])
    return table(heads, lines)


def savings_table(found: dict[str, dict[str, Any]]) -> str:
    """Return what each way of saving finds and spends."""
    whole = found["neither"]["ledger"]["images_trained"]
    heads = ["sweep", "best tau found", "best setting", "images trained", "share", "images scored", "seconds"]
    lines = []
    for name, one in found.items():
        ended = [row for row in one["settings"] if row["state"] == "finished" and not row["control"]]
        best = max(ended, key=lambda row: row["kendall_tau"])
        spent = one["ledger"]
        lines.append(
            [
                name,
                _with(best["kendall_tau"], best["kendall_tau_low"], best["kendall_tau_high"]),
                f"`{best['setting']}`",
                f"{spent['images_trained'] / 1e6:.2f} M",
                f"{100 * spent['images_trained'] / whole:.0f} %",
                f"{spent['images_scored'] / 1e6:.1f} M",
                f"{spent['wall_seconds']:.0f}",
            ]
        )
    return table(heads, lines)


def _with(value: float | None, low: float | None, high: float | None, sign: str = "") -> str:
    if value is None or value != value:
        return "-"
    number = f"{value:{sign}.3f}"
    return number if low is None or low != low else f"{number} [{low:{sign}.3f}, {high:{sign}.3f}]"


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or value != value else f"{value:.{digits}f}"


def main(names: Annotated[list[str], typer.Argument(help="Which sweeps.")]) -> None:
    """Run or read sweeps, and write them down."""
    for name in names:
        if name == "savings":
            config = ROOT / "experiments" / "sweep_landmark_schedule.yaml"
            found = {
                way: told(run(config, SWEEPS / f"savings-{way.replace(' ', '-')}", [*FEW, *overrides]))
                for way, overrides in SAVINGS.items()
            }
            keep(name, found)
            put_into_pages("<!-- results: experiments/sweeps.py savings -->", savings_table(_plain(found)))
            continue
        result = run(ROOT / "experiments" / f"sweep_{name}.yaml", SWEEPS / name, [])
        one = _plain(told(result))
        keep(name, one)
        for key, rows in one["effects"].items():
            put_into_pages(f"<!-- results: experiments/sweeps.py {name} {key} -->", effects_table(key, rows))
        put_into_pages(f"<!-- results: experiments/sweeps.py {name} best -->", best_table(one))


if __name__ == "__main__":
    typer.run(main)
