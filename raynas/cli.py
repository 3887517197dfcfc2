"""The command line: ``raynas VERB [TARGET] [key=value ...]``. No logic of its own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import raynas
from raynas.errors import RaynasError

app = typer.Typer(
    help="Weight-sharing neural architecture search on Ray that says how far its own ranking can be trusted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
truth_app = typer.Typer(help="Stand-alone truth tables.", no_args_is_help=True)
app.add_typer(truth_app, name="truth")

console = Console()
errors = Console(stderr=True)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"raynas {raynas.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Weight-sharing neural architecture search on Ray that says how far its own ranking can be trusted."""


@app.command()
def run(
    config: Annotated[Path, typer.Argument(help="A YAML file; see experiments/.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Dotted keys.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the run folder.")] = False,
) -> None:
    """Run a search: train supernets, rank, search, train the best stand-alone."""
    from raynas.cluster.launch import run as launch

    done = launch(config, overrides or [], console=None if quiet else console)
    if quiet:
        console.print(str(done.path), highlight=False, soft_wrap=True)


@app.command()
def sweep(
    config: Annotated[Path, typer.Argument(help="A YAML file with a sweep section; see experiments/.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Dotted keys.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the sweep's folder.")] = False,
) -> None:
    """Try many settings of a configuration, each over several seeds, and compare how well they rank."""
    from raynas.cluster.sweep import sweep as launch

    done = launch(config, overrides or [], console=None if quiet else console)
    if quiet:
        console.print(str(done.path), highlight=False, soft_wrap=True)


@app.command()
def resume(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run or sweep that was killed.")],
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the folder.")] = False,
) -> None:
    """Go on with a run or sweep that was killed or interrupted."""
    from raynas.cluster.resume import resume as go_on

    done = go_on(run_folder, console=None if quiet else console)
    if quiet:
        console.print(str(done.path), highlight=False, soft_wrap=True)


@app.command()
def check(
    config: Annotated[Path, typer.Argument(help="A YAML file; see experiments/.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Dotted keys.")] = None,
    cluster: Annotated[Path | None, typer.Option(help="A file for `ray up`, such as cluster.yaml.")] = None,
) -> None:
    """Check a run before it runs: all settings, a batch through each part of its method, its place, its time."""
    from raynas.cluster.check import check as examine
    from raynas.cluster.check_text import print_check

    with console.status("trying every part"):
        report = examine(config, overrides or [], cluster=cluster)
    print_check(console, report)


@app.command()
def search(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="searcher=NAME budget=N seconds=S objectives=[score,flops_m] 'constraints.flops_m=[null,330]' "
            "verify=K seed=N, and the searcher's options (raynas ls keys 'search.*').",
        ),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print only the search's folder.")] = False,
) -> None:
    """Search under a run's trained supernets; the run stays as it is."""
    from raynas.cluster.run_search import search_run
    from raynas.report.run import load
    from raynas.report.text import print_search

    found = search_run(load(run_folder), None, overrides or [], console=None if quiet else console)
    if quiet:
        console.print(str(found.path), highlight=False, soft_wrap=True)
    else:
        print_search(console, found)


@app.command()
def report(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")],
    figures: Annotated[Path | None, typer.Option(help="A folder to write the page's figures to, as SVG.")] = None,
) -> None:
    """Write the page of a run or sweep anew from its tables, and print its summary."""
    from raynas.report.run import load
    from raynas.report.sweep_result import load_sweep
    from raynas.report.sweep_text import print_sweep
    from raynas.report.text import print_summary

    found = load(run_folder)
    if found.config.sweep is not None:
        result = load_sweep(run_folder)
        result.write_report()
        if figures is not None:
            result.write_figures(figures)
        print_sweep(console, result)
        return
    found.write_report()
    if figures is not None:
        found.write_figures(figures)
    print_summary(console, found)


@app.command()
def benchmark(
    searcher: Annotated[str, typer.Argument(help="A searcher's name; see `raynas ls searchers`.")],
    truth: Annotated[str, typer.Argument(help="A shipped table's name, or a file.")],
    options: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[KEY=VALUE]...",
            help="budget=300 seeds=100 constraints.flops_m=[null,60] ..., and the searcher's own options.",
        ),
    ] = None,
) -> None:
    """Let a searcher play on a truth table alone, over many seeds, and print its regret."""
    from raynas.benchmark.command import print_result, read_options
    from raynas.benchmark.command import run as play

    given, reference = read_options(options or [])
    print_result(console, play(searcher, truth, given), reference)


@app.command("ls")
def list_names(
    what: Annotated[
        str | None,
        typer.Argument(
            help="spaces, networks (their options), methods, searchers, schedulers, data, truth, configs or keys; "
            "all but keys without it."
        ),
    ] = None,
    pattern: Annotated[str, typer.Argument(help="A shell pattern for the names: greedy, 'method.sampler.*'.")] = "*",
) -> None:
    """List what can be named in a configuration."""
    from raynas.catalogue import catalogue

    for kind, rows in catalogue(what, pattern).items():
        console.print(f"[bold]{kind}[/]")
        width = max((len(name) for name, _ in rows), default=0)
        for name, text in rows:
            console.print(f"  {escape(name):<{width}}  [dim]{escape(text)}[/]", highlight=False, soft_wrap=True)


@app.command()
def doctor() -> None:
    """Check what raynas needs, and say what is missing."""
    from raynas.doctor import examine

    findings = examine()
    for finding in findings:
        mark = "[green]ok[/]  " if finding.good else "[red]bad[/] "
        console.print(f"{mark} {finding.what:<14} {finding.text}", highlight=False, soft_wrap=True)
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


@truth_app.command("build")
def truth_build(
    what: Annotated[str, typer.Argument(help="A table's name (digits201), or a YAML file with truth.train.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Of the YAML file.")] = None,
    out: Annotated[Path | None, typer.Option(help="The table's file; NAME.npz here by default.")] = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="CPUs to use; all by default.")] = None,
) -> None:
    """Train a table's architectures stand-alone, on all cores; interrupted, the same command continues."""
    from raynas.cluster.truth_build import build_truth
    from raynas.cluster.truth_plan import plan_of

    plan, settings = plan_of(what, overrides or [])
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(f"{plan.name}: {len(plan.seeds)} trainings each", total=plan.architectures)
        table = build_truth(
            plan,
            out or Path(f"{Path(what).stem}.npz"),
            settings.model_copy(update={"cpus": cpus}) if cpus else settings,
            lambda done, total: progress.update(task, completed=done, total=total),
            command=" ".join(["raynas truth build", what, *(overrides or [])]),
        )
    console.print(repr(table), highlight=False, soft_wrap=True)


@truth_app.command("import")
def truth_import(
    format_name: Annotated[str, typer.Argument(metavar="FORMAT", help="A format; docs/truth.md lists them.")],
    path: Annotated[Path, typer.Argument(help="The benchmark's file or folder.")],
    options: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="The format's options: dataset=cifar100.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="The table's file; the table's own name here by default.")] = None,
) -> None:
    """Turn a benchmark's official file into a truth table."""
    from raynas.truth.importers import import_to_file, parse_options

    table, written = import_to_file(format_name, path, parse_options(options or []), out)
    console.print(repr(table), highlight=False, soft_wrap=True, markup=False)
    console.print(str(written), highlight=False, soft_wrap=True, markup=False)


@truth_app.command("show")
def truth_show(table: Annotated[str, typer.Argument(help="A shipped table's name, or a file.")]) -> None:
    """Print what a truth table holds, and where it is from."""
    from raynas.truth import truth
    from raynas.truth.show import describe

    lines = describe(truth(table))
    width = max(len(what) for what, _ in lines)
    for what, text in lines:
        console.print(f"{what:<{width}}  {text}", highlight=False, soft_wrap=True, markup=False)


def main() -> None:
    """Run the command line; a user's mistake is told in one message, without a traceback."""
    try:
        app()
    except RaynasError as error:
        errors.print("error: ", style="bold red", end="")
        errors.print(str(error), markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        errors.print("interrupted", highlight=False)
        sys.exit(130)
