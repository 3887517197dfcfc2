"""What do the supernets of a comparison prefer, and what does the truth?

    python experiments/preferences.py nasbench201
    python experiments/preferences.py nasbench_macro

For each method of a reduced table, over its seeds: Kendall's tau of the scores with the truth, with the architecture's
parameters and with its number of nonlinear functions in a row, all over the architectures of the run's ranking, and tau
with the truth among those with the same number, by which a ranking can be good or bad whatever it thinks of depth.
Reads `runs/tables/<table>-reduced`, prints the table, puts it into the page that has its marks, and writes
experiments/results/preferences-<table>.json.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
from measuring import WHOLE_RUN, environment
from numpy.typing import NDArray
from rich.console import Console
from writing import put_into_pages

import raynas
from raynas.networks.cost import costs
from raynas.ranking.metrics import kendall_tau
from raynas.spaces import Space

RESULTS = Path(__file__).resolve().parent / "results"
HEADS = {
    "truth": "tau with the truth",
    "same_depth": "with the truth, same number of nonlinear functions",
    "nonlinear": "with the number of nonlinear functions",
    "params": "with the parameters",
}


def last_ranking(run: raynas.Run) -> pd.DataFrame:
    """Return the run's ranking at its end, of the root where there are no partitions."""
    ranking = run.ranking
    trial = WHOLE_RUN if (ranking["trial"] == WHOLE_RUN).any() else "root"
    own = ranking[ranking["trial"] == trial]
    return own[own["round"] == own["round"].max()]


def among_equals(scores: NDArray[np.float64], truth: NDArray[np.float64], kinds: NDArray[np.int64]) -> float:
    """Return the mean tau of scores and truth among architectures of the same kind, weighted by their pairs."""
    taus, pairs = [], []
    for kind in np.unique(kinds):
        of = kinds == kind
        tau = kendall_tau(scores[of], truth[of])
        if np.isfinite(tau):
            taus.append(tau)
            pairs.append(of.sum() * (of.sum() - 1) / 2)
    return float(np.average(taus, weights=pairs))


def preferences(space: Space, network: dict[str, Any], ranking: pd.DataFrame) -> dict[str, dict[str, float]]:
    """Return what scores and truth of a ranking go with."""
    architectures = [space.parse(text) for text in ranking["architecture"]]
    size = {key: value for key, value in network.items() if key not in ("affine", "track")}
    params = costs(space, architectures, **size)[:, 0]
    depth = np.array([space.nonlinear_functions(architecture) for architecture in architectures])
    truth = ranking["truth"].to_numpy()
    return {
        who: {
            "truth": kendall_tau(values, truth),
            "same_depth": among_equals(values, truth, depth),
            "nonlinear": kendall_tau(values, depth),
            "params": kendall_tau(values, params),
        }
        for who, values in (("score", ranking["score"].to_numpy()), ("truth", truth))
    }


def markdown(rows: dict[str, dict[str, list[float]]]) -> str:
    """Return the table: a row a method, mean and deviation over its seeds."""
    lines = [f"| | {' | '.join(HEADS.values())} |", "|---|" + "---|" * len(HEADS)]
    for name, row in rows.items():
        cells = [
            f"{np.mean(values):.2f}" + (f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else "")
            for values in (row[key] for key in HEADS)
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(
    table: Annotated[str, typer.Argument(help="nasbench201 or nasbench_macro.")],
    only: Annotated[str, typer.Option(help="Methods, separated by commas; all if empty.")] = "",
) -> None:
    """Measure, and write results and table."""
    wanted = {name for name in only.split(",") if name}
    rows: dict[str, dict[str, list[float]]] = defaultdict(lambda: {key: [] for key in HEADS})
    for folder in sorted((Path("runs") / "tables" / f"{table}-reduced").iterdir()):
        method, _, seed = folder.name.rpartition("-")
        if (
            ".old" in method
            or not seed.isdigit()
            or not (folder / "summary.json").is_file()
            or (wanted and method not in wanted)
        ):
            continue
        run = raynas.load(folder)
        measured = preferences(run.space, run.config.network, last_ranking(run))
        for key in HEADS:
            rows["the truth itself"][key].append(measured["truth"][key])
            rows[method][key].append(measured["score"][key])
    result = {"environment": environment(), "methods": dict(rows)}
    (RESULTS / f"preferences-{table}.json").write_text(json.dumps(result, indent=1) + "\n")
    put_into_pages(f"<!-- results: experiments/preferences.py {table} -->", markdown(rows))
    Console().print(markdown(rows), markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
