"""Does bfloat16 change a ranking? The quick start's root supernet over seeds, trained and scored in both precisions.

    python experiments/precision_seeds.py            (about five minutes on two cores; continues where it stopped)

Runs go to runs/precision-<train>-<score>-seed<n>; the numbers to experiments/results/precision_seeds.json, with the
environment; the table in docs/speed.md between its two markers is written from that file.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import raynas

SEEDS = (0, 1, 2)
PRECISIONS = (("float32", "float32"), ("float32", "bfloat16"), ("bfloat16", "bfloat16"))
"""Of training and of scoring; seeds, batches and paths are the same throughout."""
RESULTS = Path("experiments/results/precision_seeds.json")
PAGE = Path("docs/speed.md")
MARKERS = ("<!-- results: experiments/precision_seeds.py -->", "<!-- end of results -->")


def finished(train: str, score: str, seed: int) -> raynas.Run:
    """Return the run, made now if it is not there: the root supernet only."""
    out = Path("runs") / f"precision-{train}-{score}-seed{seed}"
    if (out / "summary.json").exists():
        return raynas.load(out)
    settings = {
        "method.partition": None,
        "search.budget": 8,
        "search.verify.top": 0,
        "train.precision": train,
        "score.precision": score,
        "wandb.mode": "disabled",
        "seed": seed,
        "out": str(out),
    }
    return raynas.run("experiments/quickstart.yaml", **settings)


def scores(run: raynas.Run) -> dict[str, tuple[float, float]]:
    """Return score and truth of each architecture after the last round."""
    ranking = run.ranking[run.ranking["round"] == run.ranking["round"].max()]
    return {row.architecture: (row.score, row.truth) for row in ranking.itertuples()}


def measure(seed: int) -> dict[str, float]:
    """Return the taus of one seed."""
    found: dict[str, float] = {}
    exact = scores(finished(*PRECISIONS[0], seed))
    for train, score in PRECISIONS:
        mine = scores(finished(train, score, seed))
        values, truth = np.array(list(mine.values())).T
        found[f"{train}/{score}"] = raynas.rank(values, truth).kendall_tau
        reference = np.array([exact[architecture][0] for architecture in mine])
        found[f"{train}/{score} against float32"] = raynas.rank(values, reference).kendall_tau
    return found


def markdown(rows: list[dict[str, float]]) -> str:
    """Return the table."""
    lines = [
        "| trained in | scored in | tau against the truth, mean (each seed) | tau against float32's own scores |",
        "|---|---|---|---|",
    ]
    for train, score in PRECISIONS:
        taus = [row[f"{train}/{score}"] for row in rows]
        agreement = [row[f"{train}/{score} against float32"] for row in rows]
        each = ", ".join(f"{tau:.3f}" for tau in taus)
        lines.append(f"| {train} | {score} | {np.mean(taus):.3f} ({each}) | {np.mean(agreement):.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Run what is missing and write results and table."""
    rows = [measure(seed) for seed in SEEDS]
    environment = json.loads((finished(*PRECISIONS[0], SEEDS[0]).folder.path / "env.json").read_text())
    RESULTS.write_text(json.dumps({"environment": environment, "seeds": SEEDS, "runs": rows}, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(MARKERS[0])
    after = rest.partition(MARKERS[1])[2]
    PAGE.write_text(f"{before}{MARKERS[0]}\n{markdown(rows)}\n{MARKERS[1]}{after}")
    print(markdown(rows))


if __name__ == "__main__":
    main()
