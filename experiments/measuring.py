"""What is measured of a finished run, and how runs of several seeds are put together and compared with controls."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import raynas
from raynas.report.folder import environment as run_environment

MEASURES = ("kendall_tau", "kendall_tau_sparse", "p_at_top5", "kendall_tau_top10", "best_rank", "found_accuracy")
"""Of the ranking of all known architectures, and of the architecture that the search found; see `measure`."""
LOWER_IS_BETTER = ("best_rank",)
WHOLE_RUN = "run"
"""The trial under which every architecture is scored by the supernet that owns it."""


def environment() -> dict[str, Any]:
    """Return versions, machine and commit."""
    return {key: value for key, value in run_environment(0).items() if key not in ("seed", "command")}


def results_file(name: str, scale: str) -> Path:
    """Return where a table's results are kept."""
    return Path(__file__).resolve().parent / "results" / f"{name}-{scale}.json"


def measure(folder: Path) -> dict[str, Any]:
    """Return what a finished run says.

    ``best_rank`` is the place by truth, 1 the best, of the architecture that the search found, and ``found_accuracy``
    its true accuracy in percent; where a table holds a part of the space only, that is the best by score of those it
    knows. The others are those of `raynas.rank` on the architectures of the run's ranking set.
    """
    run = raynas.load(folder)
    ranking, metrics = run.ranking, run.metrics
    trial = WHOLE_RUN if (ranking["trial"] == WHOLE_RUN).any() else "root"
    own = ranking[ranking["trial"] == trial]
    own = own[own["round"] == own["round"].max()]
    report = raynas.rank(own["score"].to_numpy(), own["truth"].to_numpy())
    last = metrics.groupby("trial").last()
    return {
        **{name: _finite(report.values[name]) for name in MEASURES if name in report.values},
        **found_best(run),
        "architectures": report.n,
        "budget": run.summary["budget"],
        "images_trained": int(last["images_trained"].sum()),
        "images_standalone": int(run.ledger["images_standalone"]),
        "seconds": run.ledger["wall_seconds"],
        "by_round": [_finite(tau) for tau in metrics[metrics["trial"] == "root"]["kendall_tau"]],
    }


def found_best(run: raynas.Run) -> dict[str, float | None]:
    """Return place and accuracy by truth of the best by score, of those scored by the search that truth knows."""
    settings, space = run.config.truth, run.space
    assert settings is not None
    assert settings.name is not None
    table = raynas.truth(settings.name)
    ordered = run.searched.sort_values(["score", "architecture"], ascending=[False, True])
    for text in ordered["architecture"]:
        architecture = space.parse(text)
        if table.knows(architecture, settings.metric):
            accuracy = table.query(architecture, settings.metric)
            return {"best_rank": table.rank_of(architecture, settings.metric), "found_accuracy": accuracy}
    return {"best_rank": None, "found_accuracy": None}


def summarise(found: Mapping[str, Mapping[int, Mapping[str, Any]]], controls: Sequence[str]) -> dict[str, Any]:
    """Return, for each method and measure, mean, deviation, 95 % interval of the mean, and the gain over each control.

    Args:
        found: Of each method, each seed's measures.
        controls: The methods that the others must beat.
    """
    return {
        name: {
            "seeds": len(runs),
            "budget": float(np.mean([run["budget"] for run in runs.values()])),
            "standalone": float(np.mean([run["images_standalone"] for run in runs.values()])),
            "seconds": float(np.mean([run["seconds"] for run in runs.values()])),
            **{one: _over_seeds(_values(runs, one)) for one in MEASURES},
            "gains": {
                control: {one: gain(_values(runs, one), _values(found[control], one), one) for one in MEASURES}
                for control in controls
                if control in found and control != name
            },
        }
        for name, runs in found.items()
    }


def gain(method: Sequence[float], control: Sequence[float], measure: str) -> dict[str, Any]:
    """Return how much better a method is than a control, and whether by more than seeds differ.

    ``separate``: every seed of the method is better than every seed of the control, which of 3 and 3 runs that do not
    differ one in twenty would be. ``interval`` is Welch's 95 % interval of the difference.
    """
    sign = -1.0 if measure in LOWER_IS_BETTER else 1.0
    a, b = sign * np.asarray(method, float), sign * np.asarray(control, float)
    if not len(a) or not len(b):
        return {"difference": None, "interval": None, "separate": False}
    interval = None
    if len(a) > 1 and len(b) > 1 and max(np.ptp(a), np.ptp(b)) > 1e-9:  # else all are the same but for rounding
        with warnings.catch_warnings():  # of one side all may be the same: its variance is 0 then, as it should be
            warnings.simplefilter("ignore", RuntimeWarning)
            low, high = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
        interval = [_finite(low), _finite(high)]
    separate = len(a) > 2 and len(b) > 2 and bool(a.min() > b.max())
    return {"difference": float(a.mean() - b.mean()), "interval": interval, "separate": separate}


def _values(runs: Mapping[int, Mapping[str, Any]], measure: str) -> list[float]:
    return [float(run[measure]) for run in runs.values() if run.get(measure) is not None]


def _over_seeds(values: Sequence[float]) -> dict[str, Any] | None:
    if not values:
        return None
    mean, interval = float(np.mean(values)), None
    if len(values) > 1:
        half = float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))
        interval = [mean - half, mean + half]
    return {"mean": mean, "std": float(np.std(values, ddof=1)) if len(values) > 1 else None, "interval": interval}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
