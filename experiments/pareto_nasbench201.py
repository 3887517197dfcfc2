"""How much of the true front of accuracy and latency searchers of several objectives find, on NAS-Bench-201.

    python experiments/pareto_nasbench201.py            (an hour on two cores, most of it `tpe`; continues)
    python experiments/pareto_nasbench201.py nsga2           (only this)

It reads a table that experiments/prepare_data.py makes: NAS-Bench-201's validation accuracy after 200 epochs, and
HW-NAS-Bench's latency on a Pixel 3. Numbers go to experiments/results/pareto_nasbench201.json, and docs/search.md's
table is written from that file. `random` is the control: as many evaluations, of which the best by both count all the
same.

A hypervolume needs a reference point, and how much of it is easily had depends on that point. The latency of both is
22 ms, a little above the slowest architecture of the true front. The accuracies are 80 %, and 88 %, above which only
the trade-off between good networks is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from tabular import ROOT, Entry, Kept, at, cell, rows_of, table
from writing import put_into_pages

import raynas
from raynas.search import SCORE
from raynas.truth import TruthTable

TRUTH = Path("data/nb201-cifar10-latency.npz")
RESULTS = ROOT / "experiments" / "results" / "pareto_nasbench201.json"
LATENCY = "latency_ms/pixel3"
OBJECTIVES = (SCORE, LATENCY)
REFERENCES = {"80 %, 22 ms": (80.0, 22.0), "88 %, 22 ms": (88.0, 22.0)}
STEPS = (100, 300, 1000, 1500)
CONTROL = "random"
SEEDS = {CONTROL: 100, "nsga2": 100, "cars": 100, "nsga3": 20, "tpe": 20}


def play(entry: Entry, truth: TruthTable) -> dict[str, Any]:
    """Return a searcher's share of the true front's hypervolume, by reference."""
    if entry.searcher == CONTROL:  # it cannot be told of latency; a limit that limits nothing makes it be looked up
        asked: dict[str, Any] = {"constraints": {LATENCY: (None, float(truth.values(LATENCY).max()))}}
    else:
        asked = {"objectives": OBJECTIVES}
    result = raynas.benchmark(entry.searcher, truth, seeds=entry.seeds, budget=entry.budget, **asked)
    rows = {
        name: rows_of(result.hypervolume(list(STEPS), reference, OBJECTIVES)) for name, reference in REFERENCES.items()
    }
    return {"seeds": entry.seeds, "budget": entry.budget, "options": {}, "rows": rows}


def markdown(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table: shares of the true front's hypervolume, a block a reference."""
    heads = ["reference", "searcher", "seeds", *(f"after {count:,}" for count in STEPS)]
    lines = []
    for name in REFERENCES:
        ranked = sorted(found, key=lambda searcher: at(found[searcher]["rows"][name], STEPS[-1])["share"])  # type: ignore[index]
        for searcher in ranked:
            cells = [cell(at(found[searcher]["rows"][name], count), "share", 3) for count in STEPS]
            lines.append([name, f"`{searcher}`", str(found[searcher]["seeds"]), *cells])
    return table(heads, lines)


def main(names: Annotated[list[str] | None, typer.Argument(help="Searchers; all by default.")] = None) -> None:
    """Play what is missing, and write the table."""
    truth, kept = raynas.truth(TRUTH), Kept(RESULTS)
    entries = [Entry(name, seeds, STEPS[-1]) for name, seeds in SEEDS.items() if not names or name in names]
    data = truth.source["sha256"]
    keys = [entry.key(OBJECTIVES, REFERENCES, STEPS, data) for entry in entries]  # while files are what was imported
    for entry, key in zip(entries, keys, strict=True):
        kept.get("pixel3", entry.searcher, key, partial(play, entry, truth))
        put_into_pages("<!-- results: experiments/pareto_nasbench201.py -->", markdown(kept.found["pixel3"]))


if __name__ == "__main__":
    typer.run(main)
