"""Does a small network trained a little rank architectures as the benchmark's large ones, trained for long, do?

    python experiments/reduced_scale.py runs/tables/nasbench201-reduced/{spos,greedy,close,landmark,stack}-?

The reduced tables train supernets of three cells on 16x16 images for eight epochs, and compare their scores with
networks of fifteen cells trained for 200 epochs on 32x32. A supernet that ranks badly there can be wrong about its own
networks, or right about them and its networks unlike the benchmark's. To tell these apart, architectures of known truth
are trained stand-alone, as the first run's supernet is: same size, images, batch and learning rate. Their results are
held against truth, and the scores of the runs' supernets against both. Trainings are kept in runs/reduced_scale.jsonl,
and the command goes on where it was broken off. Prints the table and writes experiments/results/reduced_scale.json.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean, stdev
from typing import Annotated, Any

import torch
import typer
from measuring import environment
from rich.console import Console
from rich.progress import track
from writing import put_into_pages

import raynas
from raynas.spaces import Architecture, Space
from raynas.streams import stream
from raynas.training.process import prepare_process
from raynas.training.scoring import score_architectures
from raynas.training.standalone import StandaloneRecipe, train_standalone

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "experiments" / "results" / "reduced_scale.json"
KEPT = Path("runs") / "reduced_scale.jsonl"


def draw(space: Space, count: int) -> list[Architecture]:
    """Return random architectures no two of which are the same function."""
    rng, drawn = stream(0, "reduced scale"), dict[Architecture, Architecture]()
    while len(drawn) < count:
        architecture = space.sample(rng)
        drawn.setdefault(space.canonical(architecture), architecture)
    return list(drawn.values())


def train_all(run: raynas.Run, drawn: Sequence[Architecture], epochs: int) -> list[dict[str, float]]:
    """Return what each architecture came to, stand-alone as the run's supernet is trained; keep what is new."""
    config = run.config
    data = raynas.data(config.data.name, **config.data.options)
    network = {name: value for name, value in config.network.items() if name not in ("affine", "track")}
    recipe = StandaloneRecipe(network=network, epochs=epochs, optimizer=config.train.optimizer)
    setting = json.loads(recipe.model_dump_json())
    KEPT.parent.mkdir(exist_ok=True)
    lines = map(json.loads, KEPT.read_text().splitlines() if KEPT.exists() else ())
    known = {line["architecture"]: line["result"] for line in lines if line["recipe"] == setting}
    for architecture in track(drawn, "stand-alone"):
        if architecture.text in known:
            continue
        known[architecture.text] = asdict(train_standalone(run.space, architecture, data, recipe, seed=0))
        with KEPT.open("a") as file:
            line = {"architecture": architecture.text, "recipe": setting, "result": known[architecture.text]}
            file.write(json.dumps(line) + "\n")
    return [known[architecture.text] for architecture in drawn]


def supernet_scores(folder: Path, drawn: Sequence[Architecture]) -> list[float]:
    """Return how a run's root supernet scores architectures, by the run's own protocol."""
    run = raynas.load(folder)
    data = raynas.data(run.config.data.name, **run.config.data.options)
    protocol = run.config.score.protocol
    scores = score_architectures(run.supernet("root"), data, drawn, protocol)
    return [score.value(protocol.metric) for score in scores]


def against(scores: Sequence[float], truths: dict[str, Sequence[float]]) -> dict[str, Any]:
    """Return tau of scores with each truth, with its interval."""
    found = {}
    for name, truth in truths.items():
        report = raynas.rank(scores, truth)
        found[name] = {"kendall_tau": report.kendall_tau, "interval": list(report.kendall_tau_ci)}
    return found


def markdown(rows: dict[str, dict[str, Any]]) -> str:
    """Return the table: of stand-alone trainings tau and its interval, of a method's supernets mean and deviation."""
    lines = ["| scored by | tau with the benchmark's truth | tau with the same networks stand-alone |", "|---|---|---|"]
    methods: dict[str, list[dict[str, Any]]] = {}
    for name, row in rows.items():
        method, _, seed = name.rpartition("-")
        methods.setdefault(method if seed.isdigit() else name, []).append(row)
    for name, found in methods.items():
        cells = [_cell([row[key] for row in found if key in row]) for key in ("truth", "standalone")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(found: list[dict[str, Any]]) -> str:
    taus = [one["kendall_tau"] for one in found]
    if len(taus) > 1:
        return f"{mean(taus):.2f} ± {stdev(taus):.2f}"
    return "{:.2f} [{:.2f}, {:.2f}]".format(taus[0], *found[0]["interval"]) if taus else "-"


def main(
    runs: list[Path],
    architectures: Annotated[int, typer.Option(help="Trained stand-alone.")] = 50,
    epochs: Annotated[int, typer.Option(help="Of each training.")] = 2,
) -> None:
    """Train, compare, and write results and table."""
    prepare_process(torch.get_num_threads())
    first = raynas.load(runs[0])
    drawn = draw(first.space, architectures)
    settings = first.config.truth
    assert settings is not None
    assert settings.name is not None
    table = raynas.truth(settings.name)
    trained = train_all(first, drawn, epochs)
    truth = [table.query(architecture, settings.metric) for architecture in drawn]
    alone = [one["valid_accuracy"] for one in trained]
    rows = {
        "stand-alone, accuracy": against(alone, {"truth": truth}),
        "stand-alone, loss": against([-one["valid_loss"] for one in trained], {"truth": truth, "standalone": alone}),
    }
    for folder in runs:
        rows[folder.name] = against(supernet_scores(folder, drawn), {"truth": truth, "standalone": alone})
    result = {"architectures": architectures, "epochs": epochs, "environment": environment(), "rows": rows}
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    put_into_pages("<!-- results: experiments/reduced_scale.py -->", markdown(rows))
    Console().print(markdown(rows), markup=False, highlight=False, soft_wrap=True)


if __name__ == "__main__":
    typer.run(main)
