"""The quick start over several seeds and both schedulers; makes the table in the README.

    python experiments/quickstart_seeds.py            (about 20 minutes on two cores; continues where it stopped)

Runs go to runs/quickstart-<scheduler>-seed<n>; the numbers to experiments/results/quickstart_seeds.json, with the
environment; the README's table between its two markers is written from that file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

import raynas
from raynas.streams import stream

SCHEDULERS = ("greedy", "uniform")
SEEDS = (0, 1, 2)
RESULTS = Path("experiments/results/quickstart_seeds.json")
FIGURE = Path("docs/quickstart-tau.svg")
MARKERS = ("<!-- results: experiments/quickstart_seeds.py -->", "<!-- end of results -->")


def finished(scheduler: str, seed: int) -> raynas.Run:
    """Return the run, made now if it is not there."""
    out = Path("runs") / f"quickstart-{scheduler}-seed{seed}"
    if (out / "summary.json").exists():
        return raynas.load(out)
    return raynas.run("experiments/quickstart.yaml", [f"scheduler={scheduler}", f"seed={seed}", f"out={out}"])


def row(run: raynas.Run) -> dict[str, Any]:
    """Return what the table needs of one run."""
    ranking, best, ledger = run.summary["ranking"], run.summary["best"], run.ledger
    parts = [value for label, value in ranking.items() if label not in ("root", "run")]
    return {
        "root_tau": ranking["root"]["kendall_tau"],
        "root_p_at_top5": ranking["root"]["p_at_top5"],
        "inherited_tau": float(np.mean([part["kendall_tau_inherited"] for part in parts])),
        "partition_tau": float(np.mean([part["kendall_tau"] for part in parts])),
        "test_accuracy": best["test_accuracy"],
        "place": best["true_rank"] or best["place"],
        "images_trained": ledger["images_trained"],
        "images_scored": ledger["images_scored"],
        "survivors": run.summary["survivors"],
    }


def random_control(draws: int = 10_000) -> float:
    """Return the mean test accuracy of the better of five random cells, chosen by validation accuracy (percent)."""
    table, rng = raynas.truth("digits201"), stream(0, "random control")
    valid, test = table.values("valid_accuracy"), table.values("test_accuracy")
    chosen = rng.integers(len(table), size=(draws, 5))
    best = chosen[np.arange(draws), valid[chosen].argmax(1)]
    return float(test[best].mean())


def spread(values: list[float], digits: int) -> str:
    """Return ``mean (lowest to highest)``, or the value that all have."""
    if min(values) == max(values):
        return f"{values[0]:,.{digits}f}"
    return f"{np.mean(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def markdown(results: dict[str, Any]) -> str:
    """Return the table and what is to be said of it."""
    names = {
        "root_tau": ("root supernet: tau", 3),
        "inherited_tau": ("partitions: tau as inherited, mean of five", 3),
        "partition_tau": ("partitions: tau after their training, mean of five", 3),
        "test_accuracy": ("best found: stand-alone test accuracy, %", 2),
        "place": ("best found: place among 1,200 cells of known truth", 0),
        "images_trained": ("images trained", 0),
        "images_scored": ("images scored", 0),
    }
    lines = [
        "| | " + " | ".join(f"`{name}` scheduler" for name in SCHEDULERS) + " |",
        "|---|" + "---|" * len(SCHEDULERS),
    ]
    for key, (name, digits) in names.items():
        cells = [spread([run[key] for run in results["runs"][s]], digits) for s in SCHEDULERS]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    lines += [
        "",
        f"Mean over {len(SEEDS)} seeds (lowest to highest) of `experiments/quickstart.yaml`. For comparison: the "
        "better of five random cells, chosen by its validation accuracy after the same stand-alone training, has "
        f"{results['random_control']:.2f} % on average; the best cell of the table has {results['best_known']:.2f} %; "
        f"the noise ceiling of tau is {results['ceiling']:.2f}.",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run what is missing, write the results and the README's table."""
    runs = {scheduler: [finished(scheduler, seed) for seed in SEEDS] for scheduler in SCHEDULERS}
    table = raynas.truth("digits201")
    results = {
        "runs": {scheduler: [row(run) for run in listed] for scheduler, listed in runs.items()},
        "random_control": random_control(),
        "best_known": float(table.values().max()),
        "ceiling": table.ceiling.mean,
        "environment": {key: runs["greedy"][0].env[key] for key in ("python", "platform", "cpus", "versions")},
    }
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")
    readme = Path("README.md")
    before, rest = readme.read_text().split(MARKERS[0])
    after = rest.split(MARKERS[1])[1]
    readme.write_text(f"{before}{MARKERS[0]}\n{markdown(results)}\n{MARKERS[1]}{after}")
    runs["greedy"][0].write_figures(Path("runs/figures"))
    figure = Path("runs/figures/tau.svg").read_text()
    FIGURE.parent.mkdir(exist_ok=True)
    FIGURE.write_text(figure)


if __name__ == "__main__":
    main()
