"""What a run prints before it begins and when it has ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from raynas.report.run import Run, number
from raynas.report.search_result import SearchResult
from raynas.report.tables import WHOLE_RUN

_WIDE_ONLY = ("rounds", "spearman", "P@top5%")


def count(value: int) -> str:
    """Return how many there are: every digit of what can be grasped, else the magnitude."""
    return f"{value:,}" if value < 10**9 else f"{value:.2g}"


def print_line(console: Console, key: str, text: str) -> None:
    """Print a key and a text."""
    console.print(f"[dim]{key:<10}[/]{text}", highlight=False, soft_wrap=True)


def training_progress(console: Console) -> Progress:
    """Return a bar for trainings, to be used as a context manager; it goes when it is done, a quiet console has none.

    The time that remains is estimated over an hour, as one architecture may take minutes.
    """
    columns = (
        TextColumn("[dim]{task.description}[/]"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    return Progress(*columns, console=console, transient=True, disable=console.quiet, speed_estimate_period=3_600)


def print_header(console: Console, lines: Sequence[tuple[str, str]]) -> None:
    """Print what is about to happen: a key and a text a line."""
    for key, text in lines:
        print_line(console, key, text)
    console.print()


def print_summary(console: Console, run: Run) -> None:
    """Print what came out: the supernets' table, the best architectures, what was spent, where everything is."""
    summary, ledger = run.summary, run.ledger

    def line(head: str, text: str) -> None:
        console.print(f"[bold]{head:<10}[/]{text}", highlight=False, soft_wrap=True)

    if summary["truth"] is not None or _is_split(summary):
        console.print()
        console.print(f"[italic]{escape(_table_title(summary['truth']))}[/]", highlight=False, soft_wrap=True)
        table = _supernet_table(summary, wide=console.width >= 112)
        _print_whole(console, table)
    if summary["verified"]:
        console.print(
            "the best found, trained stand-alone (* the best of them by validation accuracy):", highlight=False
        )
        for row in summary["verified"]:
            mark = "*" if row["architecture"] == run.best else " "
            console.print(f" {mark} {_verified_line(row, summary)}", highlight=False, soft_wrap=True)
    best = summary["best"]
    if best is not None:
        console.print()
        line("best", best["architecture"])
        line("", _best_line(best, summary))
    seconds = ", ".join(f"{phase} {value:.0f}" for phase, value in ledger["process_seconds"].items())
    line("budget", f"{summary['budget']:,.0f} images spent on training, what the method scored included at its cost")
    line(
        "images",
        f"{ledger['images_trained']:,} trained, {ledger['images_scored']:,} scored (by the method, to measure, and "
        f"by the search), {ledger['images_standalone']:,} stand-alone",
    )
    line("time", f"{ledger['wall_seconds']:.0f} s; in process seconds over {ledger['slots']} slots: {seconds}")
    line(
        "overhead",
        f"{ledger['overhead_percent']:.1f} % of the time nothing trained, scored or started; "
        f"slots {ledger['busy_percent']:.0f} % busy",
    )
    line("run", f"{run.path}  (page: {run.folder.report})")


def _print_whole(console: Console, table: Table) -> None:
    """Print a table with nothing cut off: one that is too wide beats one without its names."""
    width, options = console.width, console.options.copy()
    options.max_width = 1_000
    console.width = max(width, Measurement.get(console, options, table).maximum)
    console.print(table)
    console.width = width


def _best_line(best: dict[str, Any], summary: dict[str, Any]) -> str:
    parts = [f"supernet score {number(best['score'], 3)}"]
    if "test_accuracy" in best:
        seeds = f"± {best['test_accuracy_std']:.2f} % ({best['seeds']} seeds)" if best["seeds"] > 1 else "% (one seed)"
        parts.append(f"stand-alone test accuracy {best['test_accuracy']:.2f} {seeds}")
    parts.append(_rank_text(best, summary))
    return ", ".join(part for part in parts if part)


def _verified_line(row: dict[str, Any], summary: dict[str, Any]) -> str:
    return (
        f"score {number(row['score'], 3)}  valid {row['valid_accuracy']:.2f} %  test {row['test_accuracy']:.2f} %  "
        f"{row['architecture']}  {_rank_text(row, summary)}"
    ).rstrip()


def _rank_text(row: dict[str, Any], summary: dict[str, Any]) -> str:
    """Return where an architecture stands in the truth; nothing where there is none."""
    if summary["truth"] is None:
        return ""
    total = summary["truth"]["architectures"]
    if row["true_rank"] is not None:
        return f"true rank {row['true_rank']} of {total:,}"
    if "place" in row:
        return f"not in {summary['truth']['name']}, would be {row['place']} of {total + 1:,}"
    return f"not in {summary['truth']['name']}"


def _supernet_table(summary: dict[str, Any], *, wide: bool) -> Table:
    """Return one row a supernet: how well it ranks, and whether it survived; what does not apply has no column.

    A narrow console gets the columns that matter most.
    """
    truth, split = summary["truth"], _is_split(summary)
    table = Table(
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        padding=(0, 1 if wide else 0),
    )
    rows = []
    for label, row in summary["ranking"].items():
        if label == WHOLE_RUN and (not split or truth is None):
            continue  # it would say again what the root's row says, or nothing
        cells = {"trial": label, "rounds": "" if label == WHOLE_RUN else str(row["round"])}
        if truth is not None:
            cells |= _ranking_cells(label, row, split=split)
        if split:
            cells[""] = _fate(label, summary)
        rows.append({name: cell for name, cell in cells.items() if wide or truth is None or name not in _WIDE_ONLY})
    for name in rows[0]:
        table.add_column(name, justify="left" if name in ("trial", "") else "right", no_wrap=True)
    for cells in rows:
        table.add_row(*(escape(cell) for cell in cells.values()))
    return table


def _is_split(summary: dict[str, Any]) -> bool:
    return bool(set(summary["ranking"]) - {"root", WHOLE_RUN})


def _fate(label: str, summary: dict[str, Any]) -> str:
    """Return what became of a supernet, in a word."""
    if label == "root":
        return ""
    if label == WHOLE_RUN:
        return "merged"
    if label in summary["split"]:
        return "split"
    return "survived" if label in summary["survivors"] else "rejected"


def _table_title(truth: dict[str, Any] | None) -> str:
    if truth is None:
        return "supernets (no truth, not ranked)"
    ceiling = "unknown" if truth["ceiling"] is None else number(truth["ceiling"], 2)
    return f"ranking against {truth['name']} {truth['metric']} (noise ceiling {ceiling})"


def _ranking_cells(label: str, row: dict[str, Any], *, split: bool) -> dict[str, str]:
    known = row["kendall_tau"] is not None and row["kendall_tau_ci_low"] is not None
    own = "" if label in ("root", WHOLE_RUN) else number(row["kendall_tau_inherited"], 3)
    inherited = {"inherited": own} if split else {}
    interval = f"[{number(row['kendall_tau_ci_low'], 2)}, {number(row['kendall_tau_ci_high'], 2)}]"
    return {
        "n": str(row["n_architectures"]),
        **inherited,
        "tau": number(row["kendall_tau"], 3),
        "95 % interval": interval if known else "-",
        "ceiling": number(row["kendall_tau_ceiling"], 2),
        "spearman": number(row["spearman"], 3),
        "P@top5%": number(row["p_at_top5"], 2),
    }


def print_search(console: Console, found: SearchResult, k: int = 5) -> None:
    """Print what a later search found: the front, or the k best, what was verified, and where it is kept."""
    summary = found.summary
    front = len(found.objectives) > 1
    rows = found.pareto() if front else found.top(k)
    title = "Pareto front" if front else "best by score"
    short = int((found.dataframe()["fidelity"] < 1).sum()) if summary["evaluations"] else 0
    fewer = f", {short:,} of them on fewer images" if short else ""
    console.print(f"[italic]{title}, of {summary['evaluations']:,} scored{fewer}[/]", highlight=False)
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    columns = ["score", *(name for name in summary["constraints"] | dict.fromkeys(found.objectives[1:]))]
    columns += ["truth"] if "truth" in rows else []
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("architecture", no_wrap=True)
    for row in rows.to_dict("records"):
        table.add_row(*(_cell(row[name]) for name in columns), escape(row["architecture"]))
    _print_whole(console, table)
    if len(found.verified):
        console.print("trained stand-alone (* the best of them by validation accuracy):", highlight=False)
        for text, mine in found.verified.groupby("architecture", sort=False):
            mark = "*" if text == found.best else " "
            valid, test = mine["valid_accuracy"].mean(), mine["test_accuracy"].mean()
            line = f" {mark} valid {valid:.2f} %  test {test:.2f} %  {text}"
            console.print(line, highlight=False, soft_wrap=True, markup=False)
    console.print(f"best      {found.best}", highlight=False, soft_wrap=True, markup=False)
    console.print(
        f"spent     {summary['images_scored']:,} images scored, {summary['images_standalone']:,} stand-alone, "
        f"{summary['wall_seconds']:.0f} s",
        highlight=False,
        soft_wrap=True,
    )
    console.print(f"search    {found.path}", highlight=False, soft_wrap=True, markup=False)


def _cell(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3f}"
