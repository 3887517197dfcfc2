"""What a run prints before it begins and when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from raynas.report.run import Run


def print_header(console: Console, lines: Sequence[tuple[str, str]]) -> None:
    """Print what is about to happen: a key and a text a line."""
    for key, text in lines:
        console.print(f"[dim]{key:<10}[/]{text}", highlight=False)
    console.print()


def print_summary(console: Console, run: Run) -> None:
    """Print what came out: the best architecture, the tau table, what was spent, where everything is."""
    summary, ledger = run.summary, run.ledger
    console.print()
    console.print(_ranking_table(summary))
    if summary["verified"]:
        console.print(_verified_table(summary))
    best = summary["best"]
    if best is not None:
        console.print(f"[bold]best[/]      {best['architecture']}", highlight=False, soft_wrap=True)
        console.print(f"          {_best_line(best, summary)}", highlight=False)
    seconds = ledger["process_seconds"]
    spent = ", ".join(f"{phase} {seconds[phase]:.0f}s" for phase in seconds)
    console.print(
        f"[bold]budget[/]    {ledger['images_trained']:,} images trained, {ledger['images_scored']:,} scored, "
        f"{ledger['images_standalone']:,} stand-alone; {ledger['wall_seconds']:.0f}s wall ({spent})",
        highlight=False,
    )
    console.print(
        f"          overhead {ledger['overhead_percent']:.1f}% of the time outside training, scoring and start-up; "
        f"{ledger['busy_percent']:.0f}% of {ledger['slots']} slots busy",
        highlight=False,
    )
    console.print(f"[bold]run[/]       {run.path}  (page: {run.folder.report})", highlight=False, soft_wrap=True)


def _best_line(best: dict[str, Any], summary: dict[str, Any]) -> str:
    parts = [f"supernet score {best['score']:.3f}"]
    if "test_accuracy" in best:
        spread = f" ± {best['test_accuracy_std']:.2f}" if best["seeds"] > 1 else ""
        parts.append(f"stand-alone test accuracy {best['test_accuracy']:.2f}{spread} % ({best['seeds']} seeds)")
    parts.append(_rank_text(best, summary))
    return ", ".join(parts)


def _rank_text(row: dict[str, Any], summary: dict[str, Any]) -> str:
    total = summary["truth"]["architectures"]
    if row["true_rank"] is not None:
        return f"true rank {row['true_rank']} of {total:,}"
    if "place" in row:
        return f"not in {summary['truth']['name']}; would be {row['place']} of {total + 1:,}"
    return f"not in {summary['truth']['name']}"


def _ranking_table(summary: dict[str, Any]) -> Table:
    truth = summary["truth"]
    table = Table(
        title=f"ranking against {truth['name']} {truth['metric']} "
        f"(noise ceiling {truth['ceiling']:.2f}, single seeds {truth['ceiling_single_seed']:.2f})",
        title_justify="left",
    )
    for name in (
        "trial",
        "rounds",
        "n",
        "inherited",
        "kendall_tau",
        "95 % interval",
        "ceiling",
        "spearman",
        "P@top5%",
        "",
    ):
        table.add_column(name, justify="left" if name in ("trial", "") else "right")
    for label, row in summary["ranking"].items():
        fate = "" if label == "root" else ("survived" if label in summary["survivors"] else "rejected")
        table.add_row(
            label,
            str(row["round"]),
            str(row["n_architectures"]),
            "" if row["kendall_tau_inherited"] is None else f"{row['kendall_tau_inherited']:.3f}",
            f"{row['kendall_tau']:.3f}",
            f"{row['kendall_tau_ci_low']:.2f} - {row['kendall_tau_ci_high']:.2f}",
            f"{row['kendall_tau_ceiling']:.2f}",
            f"{row['spearman']:.3f}",
            f"{row['p_at_top5']:.2f}",
            fate,
        )
    return table


def _verified_table(summary: dict[str, Any]) -> Table:
    table = Table(title="the best found, trained stand-alone", title_justify="left")
    for name in ("architecture", "score", "valid %", "test %", "truth"):
        table.add_column(name, justify="left" if name in ("architecture", "truth") else "right")
    for row in summary["verified"]:
        table.add_row(
            row["architecture"],
            f"{row['score']:.3f}",
            f"{row['valid_accuracy']:.2f}",
            f"{row['test_accuracy']:.2f}",
            _rank_text(row, summary),
        )
    return table
