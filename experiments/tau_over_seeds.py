"""Run a configuration with several seeds and write how well the supernet ranks, beside what FLOPs alone would give.

    python experiments/tau_over_seeds.py experiments/nasbench201_cifar10.yaml --seeds 0,1,2

Writes experiments/results/<configuration>.json; the table in docs/spaces.md is made of these files. A run that is
finished (runs/<configuration>-<seed>) is read, not repeated.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

import raynas
from raynas.errors import RaynasError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
START, END = "<!-- results: experiments/tau_over_seeds.py -->", "<!-- end of results -->"
CONFIGS = ("nasbench201_cifar10", "nasbench_macro_cifar10")


def measure(config: Path, seed: int, console: Console) -> dict[str, Any]:
    """Run one seed, or read it, and return what it says."""
    folder = Path("runs") / f"{config.stem}-{seed}"
    done = (folder / "summary.json").is_file()
    overrides = {"seed": seed, "out": str(folder), "wandb.mode": "disabled"}
    run = raynas.load(folder) if done else raynas.run(config, console=console, **overrides)
    last = run.metrics.iloc[-1]
    ranking = run.ranking[run.ranking["round"] == last["round"]]
    table = raynas.truth(run.config.truth.name)  # type: ignore[union-attr, arg-type]
    truth = ranking["truth"].to_numpy()
    by_size = {
        name: raynas.rank(np.array([table.query(a, column) for a in ranking["architecture"]]), truth).kendall_tau
        for name, column in (("params", "params_m"), ("flops", "flops_m"))
    }
    return {
        "seed": seed,
        "kendall_tau": run.metrics["kendall_tau"].tolist(),
        "interval": [float(last["kendall_tau_ci_low"]), float(last["kendall_tau_ci_high"])],
        "spearman": float(last["spearman"]),
        "p_at_top5": float(last["p_at_top5"]),
        "architectures": int(last["n_architectures"]),
        "tau_of_params": by_size["params"],
        "tau_of_flops": by_size["flops"],
        "images_trained": run.ledger["images_trained"],
        "seconds": run.ledger["wall_seconds"],
        "best_true_rank": (run.summary["best"] or {}).get("true_rank"),
    }


def table_of_results() -> str:
    """Return the Markdown table of every result there is."""
    lines = [
        "| configuration | tau, mean (each seed) | P@top5% | FLOPs alone | params alone | images trained | seconds |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for name in CONFIGS:
        path = HERE / "results" / f"{name}.json"
        if not path.is_file():
            continue
        rows = json.loads(path.read_text())["runs"]
        taus = [row["kendall_tau"][-1] for row in rows]
        cells = [
            f"[`{name}.yaml`](../experiments/{name}.yaml)",
            f"{np.mean(taus):.3f} ({', '.join(f'{tau:.3f}' for tau in taus)})",
            f"{np.mean([row['p_at_top5'] for row in rows]):.2f}",
            f"{np.mean([row['tau_of_flops'] for row in rows]):.3f}",
            f"{np.mean([row['tau_of_params'] for row in rows]):.3f}",
            f"{rows[0]['images_trained']:,}",
            ", ".join(f"{row['seconds']:.0f}" for row in rows),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def write_table() -> None:
    """Put the table between its marks in docs/spaces.md."""
    page = ROOT / "docs" / "spaces.md"
    before, _, rest = page.read_text().partition(START)
    _, _, after = rest.partition(END)
    page.write_text(f"{before}{START}\n{table_of_results()}\n{END}{after}")


def main(config: Path, seeds: Annotated[str, typer.Option(help="Separated by commas.")] = "0,1,2") -> None:
    """Run a configuration with several seeds and write its results."""
    console = Console()
    try:
        rows = [measure(config, int(seed), console) for seed in seeds.split(",")]
    except RaynasError as error:
        console.print(str(error), markup=False)
        raise typer.Exit(error.exit_code) from error
    out = HERE / "results" / f"{config.stem}.json"
    out.write_text(json.dumps({"cores": os.cpu_count(), "runs": rows}, indent=1) + "\n")
    write_table()
    console.print(table_of_results(), markup=False)


if __name__ == "__main__":
    typer.run(main)
