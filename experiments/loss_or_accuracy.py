"""Does the loss on a thousand images rank paths as the accuracy on all of them does, and better than their accuracy?

    python experiments/loss_or_accuracy.py runs/tables/nasbench_macro-reduced/{spos,greedy}-0

GreedyNAS's question (You et al., CVPR 2020, its table of rank correlations): paths of an untrained supernet and of the
runs' supernets are scored by loss and by accuracy on a small part of the validation images, and both are held against
accuracy on all the other validation images. Prints the table and writes experiments/results/loss_or_accuracy.json.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from measuring import environment
from rich.console import Console

import raynas
from raynas.data import ImageData
from raynas.networks import Supernet
from raynas.streams import stream
from raynas.training.process import prepare_process
from raynas.training.scoring import ScoreProtocol, score_architectures

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "experiments" / "results" / "loss_or_accuracy.json"


def correlations(network: Supernet, data: ImageData, paths: int, few: int, most: int) -> dict[str, float]:
    """Return the rank correlations of loss and accuracy on few images with accuracy on others.

    Args:
        network: A supernet.
        data: Whose validation images are used.
        paths: Architectures drawn.
        few: Images of the small part.
        most: At most so many other images.
    """
    rng = stream(0, "loss or accuracy")
    drawn = [network.space.sample(rng) for _ in range(paths)]
    rest = data.valid.select(torch.arange(few, min(len(data.valid), few + most)))
    small = score_architectures(network, data, drawn, ScoreProtocol(images=few, batch_size=few))
    whole = score_architectures(network, replace(data, valid=rest), drawn, ScoreProtocol(batch_size=few))
    truth = [score.accuracy for score in whole]
    found = {"images": float(len(rest)), "mean_accuracy": sum(truth) / len(truth)}
    for name in ("loss", "accuracy"):
        report = raynas.rank([score.value(name) for score in small], truth)  # type: ignore[arg-type]
        found |= {f"{name}_kendall_tau": report.kendall_tau, f"{name}_spearman": report.spearman}
    return found


def table(rows: dict[str, dict[str, float]]) -> str:
    """Return the table as Markdown."""
    lines = [
        "| supernet | loss: tau, Spearman | accuracy: tau, Spearman | mean accuracy of a path, % |",
        "|---|---|---|---|",
    ]
    for name, row in rows.items():
        by = [f"{row[f'{one}_kendall_tau']:.3f}, {row[f'{one}_spearman']:.3f}" for one in ("loss", "accuracy")]
        lines.append(f"| {name} | {by[0]} | {by[1]} | {row['mean_accuracy']:.1f} |")
    return "\n".join(lines)


def main(
    runs: list[Path],
    paths: Annotated[int, typer.Option(help="Architectures drawn.")] = 300,
    few: Annotated[int, typer.Option(help="Images of the small part.")] = 1000,
    most: Annotated[int, typer.Option(help="At most so many images for the accuracy they are held against.")] = 10_000,
) -> None:
    """Measure, and write results and table."""
    prepare_process(torch.get_num_threads())
    first = raynas.load(runs[0])
    data = raynas.data(first.config.data.name, **first.config.data.options)
    untrained = raynas.supernet(first.space, input_shape=data.input_shape, classes=data.classes, **first.config.network)
    networks = {"untrained": untrained, **{run.name: raynas.load(run).supernet("root") for run in runs}}
    rows = {}
    for name, network in networks.items():
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        rows[name] = correlations(network, data, paths, few, most)
    RESULTS.write_text(
        json.dumps({"environment": environment(), "paths": paths, "few": few, "rows": rows}, indent=1) + "\n"
    )
    Console().print(table(rows), markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
