"""Does a search that begins with GreedyNAS's candidate pool find better architectures for the same evaluations?

    python experiments/compare.py run experiments/tables/nasbench_macro.yaml --only greedy   (three supernets)
    python experiments/pool_start.py                                                         (some minutes)

GreedyNAS (CVPR 2020), figure 3, on NAS-Bench-Macro at the reduced scale. Each of the three supernets that greedy
sampling trained scores every architecture of the space once; then searchers play on these scores alone, over many
seeds, with the pool that the training left as their start and without it. The pool's architectures are evaluated like
all others. What is found is the best by score; its true accuracy, which no searcher sees, is known of one half of the
space, which is the half that is searched.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from measuring import environment, results_file
from scipy import stats
from writing import put_into_pages

import raynas
from raynas.data import data
from raynas.training.scoring import score_architectures

RUNS = Path("runs/tables/nasbench_macro-reduced")
KEPT = Path("runs/pool_start")
TRAINED = (0, 1, 2)
SEARCHERS: dict[str, dict[str, Any]] = {
    "random": {},
    "evolution": {"population": 20, "parents": 10, "mutations": 10, "crossovers": 10},
    "regularized_evolution": {},
    "local": {},
    "greedy": {"ramp": 100},
}
EVALUATIONS = (10, 20, 50, 100, 200)
SEEDS = 100
MARK = "<!-- results: experiments/pool_start.py -->"


def all_scores(seed: int) -> dict[str, float]:
    """Return the score of every architecture of the space by one trained supernet; measured once and kept."""
    kept = KEPT / f"scores-{seed}.json"
    if not kept.exists():
        run = raynas.load(RUNS / f"greedy-{seed}")
        config, architectures = run.config, list(run.space.enumerate())
        images = data(config.data.name, **config.data.options)
        scores = score_architectures(run.supernet("root"), images, architectures, config.score.protocol)
        metric = config.score.metric
        KEPT.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({a.text: s.value(metric) for a, s in zip(architectures, scores, strict=True)}))
    found: dict[str, float] = json.loads(kept.read_text())
    return found


def play(searcher: str, seed: int, scores: dict[str, float], *, pool: bool) -> dict[str, np.ndarray[Any, Any]]:
    """Return (SEEDS, evaluations) score and true accuracy of the best by score, after so many evaluations."""
    run = raynas.load(RUNS / f"greedy-{seed}")
    assert run.config.truth is not None
    played = raynas.benchmark(
        searcher,
        str(run.config.truth.name),
        metric=run.config.truth.metric,
        report=run.config.truth.metric,
        budget=max(EVALUATIONS),
        seeds=SEEDS,
        scores=scores,
        initial=list(dict.fromkeys(run.pool["architecture"])) if pool else None,
        **SEARCHERS[searcher],
    )
    places = np.array(EVALUATIONS) - 1
    best = np.stack([np.maximum.accumulate(one.score)[places] for one in played.plays])
    return {"score": best, "accuracy": played.curve[:, places]}


def interval(values: np.ndarray[Any, Any]) -> list[float]:
    """Return the mean and its 95 % t interval."""
    half = stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    mean = float(np.mean(values))
    return [mean, mean - float(half), mean + float(half)]


def compare(searcher: str, scores: dict[int, dict[str, float]]) -> dict[str, Any]:
    """Return what one searcher finds with the pool and without, over all supernets and seeds, and the difference."""
    runs = {
        start: [play(searcher, seed, scores[seed], pool=start == "pool") for seed in TRAINED]
        for start in ("pool", "none")
    }
    found: dict[str, Any] = {}
    for measure in ("score", "accuracy"):
        with_pool, without = (np.stack([one[measure] for one in runs[start]]) for start in ("pool", "none"))
        difference = with_pool - without  # (supernets, SEEDS, evaluations)
        found[measure] = {
            str(count): {
                "pool": interval(with_pool[..., place].ravel()),
                "none": interval(without[..., place].ravel()),
                "difference": interval(difference[..., place].ravel()),
                "by_supernet": [interval(one[:, place]) for one in difference],
            }
            for place, count in enumerate(EVALUATIONS)
        }
    return found


def markdown(found: dict[str, Any]) -> str:
    """Return the table: without the pool, with it, and the gain with its interval, after some evaluations."""
    counts = [str(count) for count in EVALUATIONS]
    lines = [
        f"| searcher | measure | {' | '.join(f'{count} evaluations' for count in counts)} |",
        f"|---|---|{'---|' * len(counts)}",
    ]
    for searcher, measures in found.items():
        for measure, name, digits in (("score", "supernet score", 3), ("accuracy", "true accuracy, %", 2)):
            cells = []
            for count in counts:
                of = measures[measure][count]
                gain, low, high = of["difference"]
                before, after = of["none"][0], of["pool"][0]
                change = f"{gain:+.{digits}f} [{low:+.{digits}f}, {high:+.{digits}f}]"
                cells.append(f"{before:.{digits}f} to {after:.{digits}f}: {change}")
            lines.append(f"| `{searcher}` | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Play, and write results and table."""
    scores = {seed: all_scores(seed) for seed in TRAINED}
    found = {searcher: compare(searcher, scores) for searcher in SEARCHERS}
    result = {"environment": environment(), "seeds": SEEDS, "supernets": list(TRAINED), "searchers": found}
    results_file("pool_start", "reduced").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    text = markdown(found)
    put_into_pages(MARK, text)
    print(text)


if __name__ == "__main__":
    main()
