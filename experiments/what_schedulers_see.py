"""What the schedulers' decisions rest on, held against the truth that they never see.

    python experiments/what_schedulers_see.py        (seconds; reads the runs of experiments/tables/schedulers*.yaml)

A scheduler ranks partitions by their standing: the mean score of the best five candidates drawn. Two things it could
hope to know by that are looked up: the best architecture that a partition has, and the mean accuracy of the five that
its supernet itself scores highest among those of known truth. Kendall's tau over the root's partitions, at the first
decision (after two rounds each) and after the last round of each; the mean over all finished runs, with the interval.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measuring import environment, results_file
from scipy import stats
from writing import put_into_pages

import raynas
from raynas.ranking import kendall_tau

TABLES = {"schedulers": "NAS-Bench-201, five partitions", "schedulers_macro": "NAS-Bench-Macro, nine partitions"}
MARK = "<!-- results: experiments/what_schedulers_see.py -->"
FIRST_DECISION = 2
PICKED = 5
QUESTIONS = {
    "best": "the best that the partition has",
    "picked": "the five that its supernet scores highest, of those of known truth that it was measured on",
}


def partition_bests(run: raynas.Run) -> dict[str, float]:
    """Return the accuracy of the best architecture of each of the root's partitions."""
    settings = run.config.truth
    assert settings is not None
    table = raynas.truth(str(settings.name))
    values, found = table.values(settings.metric), {}
    for part in run.partitions:
        if part["parent"] == "root":
            space = run.space_of(part["label"])
            known = zip(table.architectures, values, strict=True)
            found[part["label"]] = float(np.nanmax([value for a, value in known if a in space]))
    return found


def agreement(run: raynas.Run, *, last: bool) -> dict[str, float]:
    """Return tau of the partitions' standings with each of the two truths, at the first decision or at the end."""
    bests = partition_bests(run)
    metrics, ranking = run.metrics, run.ranking
    rows = []
    for label, best in bests.items():
        mine: pd.DataFrame = metrics[metrics["trial"] == label]
        number = int(mine["round"].max()) if last else FIRST_DECISION
        scored = ranking[(ranking["trial"] == label) & (ranking["round"] == number)]
        picked = scored.nlargest(PICKED, "score")["truth"].mean()
        rows.append((float(mine[mine["round"] == number]["standing"].iloc[0]), best, float(picked)))
    standing, best_truth, picked_truth = map(np.array, zip(*rows, strict=True))
    return {"best": kendall_tau(standing, best_truth), "picked": kendall_tau(standing, picked_truth)}


def interval(values: list[float]) -> list[float]:
    """Return the mean and its 95 % t interval."""
    half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
    mean = float(np.mean(values))
    return [mean, mean - half, mean + half]


def seen(table: str) -> dict[str, Any]:
    """Return the agreement, with its interval, over all finished runs of a table."""
    folders = sorted(Path("runs/tables", f"{table}-reduced").glob("*/summary.json"))
    runs = [raynas.load(path.parent) for path in folders if ".old-" not in str(path)]
    found: dict[str, Any] = {"runs": [run.path.name for run in runs]}
    for when, last in (("at the first decision", False), ("at the end", True)):
        taus = [agreement(run, last=last) for run in runs]
        found[when] = {question: interval([tau[question] for tau in taus]) for question in QUESTIONS}
    return found


def main() -> None:
    """Read the runs, and write results and table."""
    found = {table: seen(table) for table in TABLES}
    result = {"environment": environment(), "agreement": found}
    results_file("what_schedulers_see", "reduced").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    lines = [
        "| tau of standings over partitions, with | runs | at the first decision | at the end |",
        "|---|---|---|---|",
    ]
    for table, about in TABLES.items():
        of = found[table]
        for question, text in QUESTIONS.items():
            cells = [
                f"{mean:.2f} [{low:.2f}, {high:.2f}]"
                for mean, low, high in (of[when][question] for when in ("at the first decision", "at the end"))
            ]
            lines.append(f"| {about}: {text} | {len(of['runs'])} | {' | '.join(cells)} |")
    put_into_pages(MARK, "\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
