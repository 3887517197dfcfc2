"""The figures of a sweep's page: heat map, curves over training beside what was scheduled, importance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from raynas.ranking.intervals import mean_interval
from raynas.report.figures import PALETTE, ROOT_COLOUR, STYLE, svg
from raynas.report.sweep_effects import keys_with_choices
from raynas.settings import Choices
from raynas.settings.ranges import label_of

if TYPE_CHECKING:
    import pandas as pd

    from raynas.report.sweep_result import SweepResult

SCHEDULED = ("landmark_lambda", "greedy_epsilon", "close_blocks", "close_level")
"""What a method reports of a schedule of its own, round by round; the first that a sweep has is drawn."""


def all_figures(result: SweepResult) -> dict[str, str]:
    """Return every figure of a sweep's page as SVG text: ``curves``, and where there is something to draw the others.

    ``heat`` where two keys have choices, ``importance`` where it can be told.
    """
    figures = {"curves": svg(curves_figure(result))}
    keys = keys_with_choices(result)
    if len(keys) >= 2:
        figures["heat"] = svg(heat_figure(result, keys[1], keys[0]))
    shares = result.importance()
    if shares:
        figures["importance"] = svg(importance_figure(shares))
    return figures


def curves_figure(result: SweepResult) -> Figure:
    """Return the measure over rounds, a line with its band a value of the first key with choices, beside its schedule.

    A line is the mean over seeds of the mean over the settings that were still trained in a round; the band is its 95 %
    t interval over seeds. Where settings were stopped, later rounds are those of the better ones.
    """
    keys = keys_with_choices(result)
    metrics, groups = result.metrics, _groups(result, keys[0] if keys else None)
    scheduled = next((name for name in SCHEDULED if name in metrics and metrics[name].notna().any()), None)
    with rc_context(STYLE):
        figure = Figure(figsize=(9.5 if scheduled else 6.5, 3.4), layout="constrained")
        axes = figure.subplots(1, 2 if scheduled else 1, squeeze=False)[0]
        for place, (label, names) in enumerate(groups.items()):
            colour = ROOT_COLOUR if label in result.sweep.controls else PALETTE[place % len(PALETTE)]
            style = "--" if label in result.sweep.controls else "-"
            mine = metrics[metrics["trial"].isin(names)]
            _draw(axes[0], mine, result.sweep.metric, label, colour, style)
            if scheduled is not None:  # of one setting: of several with other warm-ups a mean would be none's schedule
                best = _best_of(result, names)
                one = metrics[metrics["trial"] == best]
                if one[scheduled].notna().any():
                    _draw(axes[1], _relative(one, scheduled), scheduled, label, colour, style)
        if len(result.warm):
            _draw(axes[0], result.warm, result.sweep.metric, "before all of them", "#9a9da5", ":")
        axes[0].set(xlabel="round", ylabel=result.sweep.metric.replace("_", " "))
        axes[0].legend(fontsize=8)
        if scheduled is not None:
            axes[1].set(xlabel="round", ylabel=f"{scheduled.replace('_', ' ')}, share of its largest")
            axes[1].set_title("of the best setting with each value")
    return figure


def _groups(result: SweepResult, key: str | None) -> dict[str, list[str]]:
    """Return trials' names by the value of a key; the controls each by itself."""
    groups: dict[str, list[str]] = {}
    for one in result.settings:
        if not one["control"]:
            groups.setdefault("all settings" if key is None else label_of(one["values"][key]), []).append(one["trial"])
    order = result.sweep.ranges[key].labels if key is not None else list(groups)  # type: ignore[union-attr]
    ordered = {label: groups[label] for label in order if label in groups}
    return {**ordered, **{name: [name] for name in result.sweep.controls}}


def _best_of(result: SweepResult, names: list[str]) -> str:
    """Return the best of some trials, one that was trained to the end if there is one."""
    return next(str(trial) for trial in result.dataframe()["trial"] if trial in names)


def _relative(rows: pd.DataFrame, name: str) -> pd.DataFrame:
    """Return rows whose scheduled value is a share of the trial's largest."""
    largest = rows.groupby("trial")[name].transform("max").replace(0.0, np.nan)
    return rows.assign(**{name: rows[name] / largest})


def _draw(axis: Axes, rows: pd.DataFrame, name: str, label: str, colour: str, style: str) -> None:
    means = rows.groupby(["round", "seed"])[name].mean().unstack("seed").dropna(how="all")
    if not len(means):
        return
    rounds = means.index.to_numpy()
    ends = [mean_interval(values[np.isfinite(values)]) for values in means.to_numpy(np.float64)]
    mean, low, high = (np.array([float(one[place]) for one in ends]) for place in range(3))
    axis.plot(rounds, mean, style, color=colour, label=label, linewidth=1.6, marker="o", markersize=3)
    axis.fill_between(rounds, low, high, color=colour, alpha=0.12, linewidth=0)


def heat_figure(result: SweepResult, row_key: str, column_key: str) -> Figure:
    """Return a heat map of two keys: of the settings with both values the best, by its last measure.

    A cell whose best was stopped early is hatched, and says after which round.
    """
    metric, table = result.sweep.metric, result.dataframe().set_index("trial")
    searched = [one for one in result.settings if not one["control"]]
    rows, columns = (_labels(result, key) for key in (row_key, column_key))
    values, notes = np.full((len(rows), len(columns)), np.nan), np.full((len(rows), len(columns)), "", object)
    early = np.zeros(values.shape, bool)
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            mine = [
                one["trial"]
                for one in searched
                if label_of(one["values"][row_key]) == row and label_of(one["values"][column_key]) == column
            ]
            if mine:  # the table has the best first, those trained to the end before all others
                best = table[table.index.isin(mine)].iloc[0]
                values[i, j], early[i, j] = best[metric], best["state"] != "finished"
                fate = "\nfailed" if best["state"] == "failed" else f"\nround {best['round']}" if early[i, j] else ""
                notes[i, j] = f"{best[metric]:.3f}{fate}"
    with rc_context({**STYLE, "axes.grid": False}):
        figure = Figure(figsize=(1.3 * len(columns) + 2, 0.55 * len(rows) + 1.4), layout="constrained")
        axis = figure.subplots()
        image = axis.imshow(values, cmap="viridis", aspect="auto")
        middle = np.nanmean(values) if np.isfinite(values).any() else 0.0
        for (i, j), note in np.ndenumerate(notes):
            axis.text(j, i, note, ha="center", va="center", fontsize=8, color=_ink(float(values[i, j]), float(middle)))
            if early[i, j]:
                axis.add_patch(_hatch(j, i))
        axis.set_xticks(range(len(columns)), columns)
        axis.set_yticks(range(len(rows)), rows)
        axis.set(xlabel=result.names[column_key], ylabel=result.names[row_key])
        figure.colorbar(image, label=metric.replace("_", " "))
    return figure


def _ink(value: float, middle: float) -> str:
    return "black" if value > middle else "white"


def _hatch(column: int, row: int) -> Any:
    from matplotlib.patches import Rectangle

    return Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, hatch="///", edgecolor="#ffffff66", linewidth=0)


def _labels(result: SweepResult, key: str) -> list[str]:
    one = result.sweep.ranges[key]
    return one.labels if isinstance(one, Choices) else []


def importance_figure(shares: dict[str, float]) -> Figure:
    """Return a bar a key: its share of what the settings differ by."""
    names = list(shares)[::-1]
    with rc_context(STYLE):
        figure = Figure(figsize=(6.5, 0.35 * len(names) + 0.9), layout="constrained")
        axis = figure.subplots()
        axis.barh(names, [shares[name] for name in names], color=PALETTE[0])
        axis.set(xlim=(0, 1), xlabel="importance (fANOVA), shares of 1")
    return figure
