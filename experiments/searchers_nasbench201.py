"""Every searcher on NAS-Bench-201's own results, and the benchmark's published comparison played again.

    python experiments/searchers_nasbench201.py      (an hour on two cores; continues where it stopped)
    python experiments/searchers_nasbench201.py random tpe           (only these)

It reads the tables that experiments/prepare_data.py makes. Numbers go to
experiments/results/searchers_nasbench201.json, where what is there already is kept until a searcher's code or its
settings change; docs/search.md's tables are written from that file.

`whole`: told the validation accuracy after 200 epochs. `published`: told that after 12 epochs, for as many evaluations
as a time budget allows. The tables have no training times. NAS-Bench-201 gives its searches 12,000 s and NATS-Bench
20,000 s, where training an architecture for 12 epochs and validating it takes somewhat more than 100 s on average: we
*assume* 104 s, the same for all, that is 115 and 192 evaluations. (Searches that prefer slow architectures got fewer.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from tabular import ROOT, Entry, Kept, Rows, at, cell, rows_of, table
from writing import put_into_pages

import raynas
import raynas.methods
from raynas.search import SEARCHERS
from raynas.truth import TruthTable

TRUTH, SHORT = Path("data/nb201-cifar10.npz"), Path("data/nb201-cifar10-12ep.npz")
RESULTS = ROOT / "experiments" / "results" / "searchers_nasbench201.json"
WHOLE = (100, 300, 1000)
SECONDS_EACH = 104
PUBLISHED_BUDGETS = {"12,000 s": 12_000 // SECONDS_EACH, "20,000 s": 20_000 // SECONDS_EACH}
SHORT_SHARE = 0.06
"""12 of 200 epochs."""
SLOW = {"bohb": (100, 1000), "cmaes": (100, 1000), "tpe": (100, 1000), "nao": (100, 300), "gp": (100, 100)}
"""Seeds and evaluations of those that take long: `gp` fits a process for each architecture, whatever the batch."""
PUBLISHED = ("random", "reinforce", "regularized_evolution", "local", "evolution")
REPORTED = {
    "random": "93.70 ± 0.36",
    "reinforce": "93.85 ± 0.37",
    "regularized_evolution": "93.92 ± 0.30",
    "bohb": "93.61 ± 0.52",
}
"""NAS-Bench-201 (Dong & Yang, ICLR 2020), table 5: test accuracy on CIFAR-10, 500 runs, 12,000 s."""


def entries() -> list[Entry]:
    """Return every registered searcher with its seeds and budget, the quick ones first."""
    both = {"levels": [SHORT_SHARE, 1.0]}
    names = sorted(SEARCHERS.names(), key=lambda name: (list(SLOW).index(name) + 1 if name in SLOW else 0, name))
    return [
        Entry(
            name, *SLOW.get(name, (500 if name in PUBLISHED else 200, WHOLE[-1])), both if uses_fidelity(name) else {}
        )
        for name in names
    ]


def uses_fidelity(name: str) -> bool:
    """Say whether a searcher asks for short evaluations."""
    return bool(getattr(SEARCHERS.get(name), "uses_fidelity", False))


def play_whole(entry: Entry, truth: TruthTable, short: TruthTable) -> dict[str, Any]:
    """Return a searcher's regret by validation accuracy after 200 epochs."""
    short_says = {SHORT_SHARE: short} if uses_fidelity(entry.searcher) else None
    result = raynas.benchmark(
        entry.searcher, truth, seeds=entry.seeds, budget=entry.budget, fidelities=short_says, **entry.options
    )
    steps = [count for count in WHOLE if count <= entry.budget]
    return {**told(entry), "best": result.board.best, "rows": rows_of(result.regret(steps))}


def play_published(entry: Entry, truth: TruthTable, short: TruthTable) -> dict[str, Any]:
    """Return a searcher's regret by validation accuracy after 12 epochs."""
    scores = dict(zip(short.texts, short.values("valid_accuracy").tolist(), strict=True))
    result = raynas.benchmark(
        entry.searcher, truth, scores=scores, seeds=entry.seeds, budget=entry.budget, **entry.options
    )
    rows = rows_of(result.regret(list(PUBLISHED_BUDGETS.values())))
    for row in rows:
        row["std"] = round(float(result.curve[:, int(row["evaluations"]) - 1].std(ddof=1)), 5)
    return {**told(entry), "best": result.board.best, "rows": rows}


def told(entry: Entry) -> dict[str, Any]:
    """Return what an entry is, for the results."""
    return {"seeds": entry.seeds, "budget": entry.budget, "options": dict(entry.options)}


def whole_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of all searchers, the best after most evaluations first."""

    def order(name: str) -> tuple[float, ...]:
        rows: Rows = found[name]["rows"]
        regrets = [None if (row := at(rows, count)) is None else row["regret"] for count in (300, 100)]
        return tuple(99.0 if regret is None else regret for regret in regrets)

    heads = ["searcher", "seeds", *(f"regret after {count:,}" for count in WHOLE)]
    heads += [f"test accuracy after {count:,}, %" for count in WHOLE]
    lines = []
    for name in sorted(found, key=order):
        row = found[name]
        steps = [at(row["rows"], count) for count in WHOLE]
        label = Entry(name, row["seeds"], row["budget"], row["options"]).label
        cells = [cell(step, "regret", 3) for step in steps] + [cell(step, "accuracy", 2) for step in steps]
        lines.append([label, f"{row['seeds']:,}", *cells])
    return table(heads, lines)


def published_table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of the published setting, with what was published."""
    heads = ["searcher", *(f"{count} evaluations ({time})" for time, count in PUBLISHED_BUDGETS.items())]
    heads += ["deviation over seeds, 115", "reported by the benchmark, 12,000 s"]
    first = next(iter(PUBLISHED_BUDGETS.values()))
    heads[-2] = f"deviation over seeds, {first}"
    lines = []
    for name, row in sorted(found.items(), key=lambda item: item[1]["rows"][0]["accuracy"]):
        steps = [at(row["rows"], count) for count in PUBLISHED_BUDGETS.values()]
        cells = [cell(step, "accuracy", 2) for step in steps]
        lines.append([f"`{name}`", *cells, f"{row['rows'][0]['std']:.2f}", REPORTED.get(name, "-")])
    lines += [[f"`{name}`", "-", "-", "-", text] for name, text in REPORTED.items() if name not in found]
    return table(heads, lines)


def main(names: Annotated[list[str] | None, typer.Argument(help="Searchers; all by default.")] = None) -> None:
    """Play what is missing, and write the tables."""
    truth, short, kept = raynas.truth(TRUTH), raynas.truth(SHORT), Kept(RESULTS)
    chosen: Sequence[str] = names or SEARCHERS.names()
    published = [Entry(name, 500, max(PUBLISHED_BUDGETS.values())) for name in PUBLISHED if name in chosen]
    whole = [entry for entry in entries() if entry.searcher in chosen]
    data = truth.source["sha256"]  # of the raw file, that both tables are from
    keys = {entry: entry.key("published", PUBLISHED_BUDGETS, data) for entry in published}
    keys |= {entry: entry.key("whole", WHOLE, data) for entry in whole}  # now, while files are what was imported
    for entry in published:
        kept.get("published", entry.searcher, keys[entry], partial(play_published, entry, truth, short))
    for entry in whole:
        kept.get("whole", entry.searcher, keys[entry], partial(play_whole, entry, truth, short))
        write(kept)
    write(kept)


def write(kept: Kept) -> None:
    """Put the tables into the pages."""
    script = "experiments/searchers_nasbench201.py"
    put_into_pages(f"<!-- results: {script} whole -->", whole_table(kept.found.get("whole", {})))
    put_into_pages(f"<!-- results: {script} published -->", published_table(kept.found.get("published", {})))


if __name__ == "__main__":
    typer.run(main)
