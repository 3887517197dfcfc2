"""A check's report, printed."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from raynas.cluster.check import CheckReport
from raynas.cluster.check_costs import Processes
from raynas.cluster.node_types import bundle_text
from raynas.report.text import print_line


def print_check(console: Console, report: CheckReport) -> None:
    """Print what a run is, what was tried, what will run where, and how long it may take."""
    for key, text in report.lines:
        print_line(console, key, escape(text))
    _print(console, "tried on a batch, on this machine's CPU", _parts(report))
    _print(console, f"processes, on {report.machines.where}", _processes(report))
    _print(console, "images, and the time of one process on a CPU of this machine", _phases(report))
    console.print()
    at_once = "" if report.machines.node_types is None else f", {_hours(report.hours)} with all places used"
    print_line(
        console,
        "estimate",
        f"{_hours(report.process_hours)} of one process{at_once}: from the seconds of the few steps just taken on this "
        "machine's CPU; a GPU, other images in a batch or a busy machine change it much",
    )
    print_line(
        console, "wandb", f"{report.wandb}, {report.wandb_runs} run{'s' if report.wandb_runs != 1 else ''} at most"
    )
    for warning in report.warnings:
        print_line(console, "[yellow]note[/]      ", escape(warning))
    print_line(console, "[green]ok[/]        ", "nothing was started, nothing was written")


def _parts(report: CheckReport) -> Table:
    table = _table("part", "name", "", "trained", "scored", "seconds")
    for done in report.rehearsal.parts:
        note = done.note or (f"changed the supernet {done.changed} times" if done.changed else "")
        images = (f"{count:,}" if count else "" for count in (done.trained, done.scored))
        table.add_row(
            done.kind, escape(done.name), escape(note), *images, f"{done.seconds:.2f}" if done.seconds else ""
        )
    return table


def _processes(report: CheckReport) -> Table:
    table = _table("process", "at most", "each reserves", "places")
    for process in report.processes:
        table.add_row(process.what, str(process.count), bundle_text(process.bundle), _places(report, process))
    return table


def _places(report: CheckReport, process: Processes) -> str:
    """Return where a process fits: ``8: gpu_spot 4 each``."""
    fitting = report.machines.fitting(process.bundle)
    if fitting is None:
        return "" if process.bundle else "anywhere"
    return f"{fitting.at_once}: {', '.join(f'{fit.node_type.name} {fit.each} each' for fit in fitting.fits)}"


def _phases(report: CheckReport) -> Table:
    table = _table("phase", "budget", "scored, at most", "stand-alone", "time")
    for phase in report.phases:
        images = (f"{count:,}" if count else "" for count in (phase.budget, phase.scored, phase.alone))
        table.add_row(phase.name, *images, _hours(report.seconds(phase) / 3600))
    return table


def _hours(hours: float) -> str:
    """Return hours with two digits; minutes where it is less than one."""
    if hours < 1:
        return f"{60 * hours:.1f} min"
    return f"{hours:.1f} h" if hours < 10 else f"{hours:,.0f} h"


def _table(*columns: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(columns):
        right = place and name in ("trained", "scored", "seconds", "at most", "budget", "stand-alone", "time")
        table.add_column(name, justify="right" if right or name.startswith("scored") else "left")
    return table


def _print(console: Console, title: str, table: Table) -> None:
    console.print()
    console.print(f"[italic]{escape(title)}[/]", highlight=False, soft_wrap=True)
    console.print(table)
