"""Does bfloat16 change a ranking? The quick start's root supernet over seeds, trained and scored in both precisions.

    python experiments/precision_seeds.py            (about five minutes on two cores; continues where it stopped)

Runs go to runs/precision-<trained in>-seed<n>; the numbers to experiments/results/precision_seeds.json, with the
environment; the table in docs/speed.md between its two markers is written from that file.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

import raynas
from raynas.training.scoring import ScoreProtocol, score_architectures

SEEDS = (0, 1, 2)
PRECISIONS = (("float32", "float32"), ("float32", "bfloat16"), ("bfloat16", "bfloat16"))
"""Of training and of scoring; seeds, batches and paths are the same throughout."""
RESULTS = Path("experiments/results/precision_seeds.json")
PAGE = Path("docs/speed.md")
MARKERS = ("<!-- results: experiments/precision_seeds.py -->", "<!-- end of results -->")


def finished(precision: str, seed: int) -> raynas.Run:
    """Return the run trained and scored in this precision, made now if it is not there: the root supernet only."""
    out = Path("runs") / f"precision-{precision}-seed{seed}"
    if (out / "summary.json").exists():
        return raynas.load(out)
    settings = {
        "method.partition": None,
        "search.budget": 8,
        "search.verify.top": 0,
        "train.precision": precision,
        "score.precision": precision,
        "wandb.mode": "disabled",
        "seed": seed,
        "out": str(out),
    }
    return raynas.run("experiments/quickstart.yaml", **settings)


def measure(seed: int) -> dict[str, float]:
    """Return the taus of one seed."""
    exact, rough = (finished(precision, seed) for precision in ("float32", "bfloat16"))
    last = exact.ranking[exact.ranking["round"] == exact.ranking["round"].max()]
    architectures, truth = list(last["architecture"]), last["truth"].to_numpy()
    protocol = ScoreProtocol(**{**exact.config.score.protocol.model_dump(), "precision": "bfloat16"})
    network = exact.supernet("root").to(memory_format=torch.channels_last)
    parsed = [network.space.parse(text) for text in architectures]
    again = [score.value("loss") for score in score_architectures(network, raynas.data("digits"), parsed, protocol)]
    other = rough.ranking[rough.ranking["round"] == rough.ranking["round"].max()].set_index("architecture")["score"]
    scores = {
        ("float32", "float32"): last["score"].to_numpy(),
        ("float32", "bfloat16"): np.array(again),
        ("bfloat16", "bfloat16"): other.loc[architectures].to_numpy(),
    }
    found: dict[str, float] = {}
    for (train, score), values in scores.items():
        found[f"{train}/{score}"] = raynas.rank(values, truth).kendall_tau
        found[f"{train}/{score} against float32"] = raynas.rank(values, scores["float32", "float32"]).kendall_tau
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
    environment = json.loads((finished("float32", SEEDS[0]).folder.path / "env.json").read_text())
    RESULTS.write_text(json.dumps({"environment": environment, "seeds": SEEDS, "runs": rows}, indent=1) + "\n")
    before, _, rest = PAGE.read_text().partition(MARKERS[0])
    after = rest.partition(MARKERS[1])[2]
    PAGE.write_text(f"{before}{MARKERS[0]}\n{markdown(rows)}\n{MARKERS[1]}{after}")
    print(markdown(rows))


if __name__ == "__main__":
    main()
