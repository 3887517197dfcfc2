"""The figures of a run's page, as inline SVG. Every figure is drawn from the run folder's tables alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raynas.report.run import Run

PALETTE = ("#4269d0", "#ff725c", "#3ca951", "#efb118", "#a463f2", "#6cc5b0", "#ff8ab7", "#9c6b4e", "#97bbf5")
ROOT_COLOUR = "#333333"
STYLE: Any = {
    "svg.hashsalt": "raynas",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "legend.frameon": False,
}


def colours(labels: list[str]) -> dict[str, str]:
    """Return one colour a trial, the same in every figure."""
    partitions = sorted(label for label in labels if label != "root")
    return {"root": ROOT_COLOUR, **{label: PALETTE[i % len(PALETTE)] for i, label in enumerate(partitions)}}


def all_figures(run: Run) -> dict[str, str]:
    """Return every figure of a run's page as SVG text.

    ``scatter`` and ``tau`` where two or more architectures of known truth were ranked, ``budget`` where the space was
    split, ``search`` where something was scored.
    """
    metrics, truth = run.metrics, run.summary["truth"]
    figures = {}
    if _ranked(metrics):
        figures["scatter"] = scatter(run.ranking, metrics, truth["metric"])
        figures["tau"] = tau_over_rounds(metrics, truth["ceiling"], run.partitions)
    if run.partitions:
        figures["budget"] = budget(run.partitions, metrics)
    search = run.searched
    if len(search):
        figures["search"] = best_so_far(search, list(dict.fromkeys(metrics["trial"])))
    return figures


def _ranked(metrics: pd.DataFrame) -> list[str]:
    """Return the trials whose ranking was measured."""
    return list(dict.fromkeys(metrics[metrics["n_architectures"] >= 2]["trial"]))


def _height(least: float, labels: Sequence[str]) -> float:
    """Return a figure's height in inches that holds a legend of these labels."""
    return max(least, 0.2 * len(labels) + 1.0)


def svg(figure: Figure) -> str:
    """Return a figure as SVG text, without a head, the same whenever it is drawn."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None}, bbox_inches="tight", facecolor="white")
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def scatter(ranking: pd.DataFrame, metrics: pd.DataFrame, metric: str) -> str:
    """Draw truth against score after each trial's last round, one panel a trial whose ranking was measured."""
    labels, colour = _ranked(metrics), colours(list(dict.fromkeys(metrics["trial"])))
    columns = min(3, len(labels))
    rows = -(-len(labels) // columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(3.5 * columns, 2.9 * rows), layout="constrained")
        axes = np.atleast_1d(np.asarray(figure.subplots(rows, columns, sharex=True))).ravel()
        low = float(np.quantile(ranking["truth"], 0.02))
        for axis, label in zip(axes, labels, strict=False):
            mine = ranking[ranking["trial"] == label]
            last = mine[mine["round"] == mine["round"].max()]
            tau = metrics[metrics["trial"] == label]["kendall_tau"].iloc[-1]
            axis.scatter(last["truth"], last["score"], s=9, alpha=0.6, color=colour[label], linewidths=0)
            between = "\n" if len(label) > 20 else ": "
            axis.set_title(f"{label}{between}tau {tau:.2f}, n = {len(last)}", loc="left")
            axis.set_xlim(low, float(ranking["truth"].max()) + 0.5)
        for axis in axes[len(labels) :]:
            axis.set_visible(False)
        figure.supxlabel(f"truth: stand-alone {metric.replace('_', ' ')} (%), worst 2 % cut off", fontsize=9)
        figure.supylabel("supernet score (higher is better)", fontsize=9)
        return svg(figure)


def tau_over_rounds(metrics: pd.DataFrame, ceiling: float | None, partitions: Sequence[dict[str, Any]] = ()) -> str:
    """Draw each trial's tau with its interval over the images it was trained on, those of its ancestors included."""
    labels, colour = _ranked(metrics), colours(list(dict.fromkeys(metrics["trial"])))
    images = metrics.groupby("trial")["images_trained"].max()
    parents = {part["label"]: part["parent"] for part in partitions}
    before = {"root": 0}  # images trained on the way to each supernet, which stand parents first
    for label in parents:
        before[label] = before[parents[label]] + int(images.get(parents[label], 0))
    with rc_context(STYLE):
        figure = Figure(figsize=(8.5, _height(3.6, labels)), layout="constrained")
        axis: Axes = figure.subplots()
        for label in labels:
            mine = metrics[metrics["trial"] == label]
            x = (mine["images_trained"] + before[label]) / 1000
            if label != "root":
                start, inherited = before[label] / 1000, float(mine["kendall_tau_inherited"].iloc[0])
                axis.plot(
                    [start, x.iloc[0]], [inherited, mine["kendall_tau"].iloc[0]], color=colour[label], lw=1, ls=":"
                )
                axis.plot([start], [inherited], marker="o", ms=4, mfc="white", color=colour[label])
            axis.plot(x, mine["kendall_tau"], marker="o", ms=3.5, lw=1.6, color=colour[label], label=label)
            axis.fill_between(
                x, mine["kendall_tau_ci_low"], mine["kendall_tau_ci_high"], color=colour[label], alpha=0.12, lw=0
            )
        if ceiling is not None:
            _mark_ceiling(axis, ceiling)
        axis.set_xlabel("thousand images trained on the path to this supernet (its ancestors' included)")
        axis.set_ylabel("Kendall tau, 95 % interval")
        axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
        return svg(figure)


def _mark_ceiling(axis: Axes, ceiling: float) -> None:
    axis.axhline(ceiling, color="#888888", lw=1, ls="--")
    axis.annotate(
        "truth's noise ceiling",
        (1, ceiling),
        (-4, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        ha="right",
        fontsize=8,
        color="#666666",
    )


def budget(partitions: list[dict[str, Any]], metrics: pd.DataFrame) -> str:
    """Draw what was spent on the root and each partition, in images trained and images scored."""
    root = metrics[metrics["trial"] == "root"].iloc[-1]
    rows: list[tuple[str, int, int, bool]] = [("root", int(root["images_trained"]), int(root["images_scored"]), True)]
    rows += [(p["label"], p["images_trained"], p["images_scored"], p["survived"]) for p in partitions]
    colour = colours([row[0] for row in rows])
    with rc_context(STYLE):
        figure = Figure(figsize=(8.5, 0.42 * len(rows) + 1.1), layout="constrained")
        spent = {"trained": [row[1] for row in rows], "scored": [row[2] for row in rows]}
        for axis, (name, images) in zip(figure.subplots(1, 2, sharey=True), spent.items(), strict=True):
            values = [count / 1000 for count in images]
            bars = axis.barh([row[0] for row in rows], values, color=[colour[row[0]] for row in rows])
            for bar, row in zip(bars, rows, strict=True):
                bar.set_alpha(1.0 if row[3] else 0.4)
            axis.set_xlabel(f"thousand images {name}")
            axis.grid(axis="y", visible=False)
        axis.invert_yaxis()
        return svg(figure)


def best_so_far(search: pd.DataFrame, labels: list[str]) -> str:
    """Draw every score of the search and the best so far, over what was spent."""
    with rc_context(STYLE):
        return svg(search_figure(search, labels))


def search_figure(search: pd.DataFrame, labels: Sequence[str] = ()) -> Figure:
    """Return every score of a search and the best so far, over full evaluations spent.

    Args:
        search: Its evaluations.
        labels: The run's supernets, for their colours; those of the search if not given.
    """
    scorers = sorted(search["scorer"].unique())
    with rc_context(STYLE):
        figure = Figure(figsize=(8.5, _height(3.0, scorers)), layout="constrained")
        axis: Axes = figure.subplots()
        colour = colours(list(labels) or scorers)
        for scorer in scorers:
            mine = search[search["scorer"] == scorer]
            axis.scatter(mine["spent"], mine["score"], s=9, alpha=0.6, lw=0, color=colour[scorer], label=scorer)
        whole = search[search["fidelity"] == 1.0]
        axis.plot(whole["spent"], whole["score"].cummax(), color="#111111", lw=1.6, label="best so far")
        low = float(search["score"].quantile(0.05))
        if np.isfinite(low):
            axis.set_ylim(low, None)
        axis.set_xlabel("architectures scored")
        axis.set_ylabel("supernet score")
        axis.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def front_figure(found: pd.DataFrame, front: pd.DataFrame, cost: str) -> Figure:
    """Return score against a cost of everything found, and the front.

    Args:
        found: What was evaluated.
        front: Those of them on the Pareto front.
        cost: The cost's column.
    """
    with rc_context(STYLE):
        figure = Figure(figsize=(7.0, 4.0), layout="constrained")
        axis: Axes = figure.subplots()
        axis.scatter(found[cost], found["score"], s=9, alpha=0.4, lw=0, color="#888888", label="scored")
        line = front.sort_values(cost)
        axis.step(line[cost], line["score"], where="post", color=PALETTE[0], lw=1.4)
        axis.scatter(line[cost], line["score"], s=16, color=PALETTE[0], label="Pareto front")
        low = float(found["score"].quantile(0.05))
        if np.isfinite(low):
            axis.set_ylim(min(low, float(line["score"].min())), None)
        axis.set_xlabel(cost)
        axis.set_ylabel("supernet score")
        axis.legend(loc="lower right")
    return figure
