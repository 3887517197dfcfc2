"""What a finished run prints: every number at any width."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from raynas.report.text import count, print_summary, training_progress

ROW = {
    "round": 4, "n_architectures": 200, "kendall_tau_inherited": 0.41, "kendall_tau": 0.523, "kendall_tau_ci_low": -0.1,
    "kendall_tau_ci_high": 0.6, "kendall_tau_ceiling": 0.78, "spearman": 0.7, "p_at_top5": 0.35,
}  # fmt: skip
ARCHITECTURE = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
BEST = {
    "architecture": ARCHITECTURE, "score": -0.081, "true_rank": None, "place": 5, "valid_accuracy": 97.25,
    "test_accuracy": 97.95, "test_accuracy_std": 0.29, "seeds": 4,
}  # fmt: skip


def printed(width: int, label: str = "3<-0=skip_connect", **changes: Any) -> str:
    best = {**BEST, **changes}
    return printed_summary(width, {
        "ranking": {"root": {**ROW, "kendall_tau_inherited": None}, label: ROW, "3<-0=none": ROW},
        "survivors": ["3<-0=none"], "split": [], "verified": [best], "best": best,
        "truth": {"name": "digits201", "metric": "test_accuracy", "ceiling": 0.858, "architectures": 1200},
    })  # fmt: skip


def printed_summary(width: int, summary: dict[str, Any]) -> str:
    ledger = {
        "images_trained": 1_000, "images_scored": 2_000, "images_standalone": 3_000, "wall_seconds": 12.0,
        "process_seconds": {"train": 3.0}, "overhead_percent": 2.5, "busy_percent": 70.0, "slots": 2,
    }  # fmt: skip
    run: Any = SimpleNamespace(
        summary={"budget": 1_500.5, **summary},
        ledger=ledger,
        best=ARCHITECTURE,
        path="runs/x",
        folder=SimpleNamespace(report="runs/x/report.html"),
    )
    console = Console(width=width)
    with console.capture() as captured:
        print_summary(console, run)
    return captured.get()


@pytest.mark.parametrize("width", [80, 150])
def test_nothing_is_cut_off(width: int) -> None:
    text = printed(width)
    for words in ("3<-0=skip_connect", "0.523", "[-0.10, 0.60]", "0.410", "rejected", "survived", ARCHITECTURE):
        assert words in text
    assert "…" not in text
    assert " * score -0.081" in text
    assert "would be 5 of 1,201" in text
    assert "97.95 ± 0.29 % (4 seeds)" in text
    assert "overhead  2.5 %" in text
    assert "budget    1,500 images spent on training" in text


def test_long_names_are_not_cut_off_either() -> None:
    label = "2<-0=nor_conv_1x1,3<-0=avg_pool_3x3"
    text = printed(80, label=label)
    assert "…" not in text
    assert next(line for line in text.splitlines() if label in line).rstrip().endswith("rejected")


def test_what_is_not_defined_is_a_dash() -> None:
    text = printed(150, score=None)
    assert " * score -  valid" in text


def test_few_architectures_have_no_interval() -> None:
    few = {**ROW, "n_architectures": 2, "kendall_tau_ci_low": None, "kendall_tau_ci_high": None, "p_at_top5": None}
    truth = {"name": "t", "metric": "test_accuracy", "ceiling": None, "architectures": 2}
    text = printed_summary(
        150, {"ranking": {"root": few}, "survivors": [], "split": [], "verified": [], "best": None, "truth": truth}
    )
    assert next(line for line in text.splitlines() if "root" in line).split() == [
        "root", "4", "2", "0.523", "-", "0.78", "0.700", "-",
    ]  # fmt: skip


def test_a_quiet_console_has_no_progress() -> None:
    assert training_progress(Console(quiet=True)).disable
    assert not training_progress(Console()).disable


def test_known_architectures_and_single_seeds() -> None:
    text = printed(150, true_rank=7, seeds=1)
    assert "true rank 7 of 1,200" in text
    assert "97.95 % (one seed)" in text


def without_truth(*partitions: str) -> dict[str, Any]:
    row = {**dict.fromkeys(ROW), "round": 4, "n_architectures": 0}
    best = {**BEST, "place": None}
    ranking = dict.fromkeys(("root", *partitions), row)
    return {"ranking": ranking, "survivors": [], "split": [], "verified": [best], "best": best, "truth": None}


def test_without_truth_nothing_is_said_of_ranks() -> None:
    text = printed_summary(150, without_truth())
    assert "stand-alone test accuracy 97.95 ± 0.29 % (4 seeds)\n" in text
    for words in ("tau", "rank", "trial", "None", "nan"):
        assert words not in text


def test_without_truth_partitions_still_have_their_fate() -> None:
    text = printed_summary(80, without_truth("3<-0=none"))
    assert next(line for line in text.splitlines() if "3<-0=none" in line).split() == ["3<-0=none", "4", "rejected"]
    assert "tau" not in text


def test_one_supernet_has_no_columns_of_partitions() -> None:
    summary = without_truth()
    truth = {"name": "digits201", "metric": "test_accuracy", "ceiling": None, "architectures": 1200}
    text = printed_summary(150, {**summary, "truth": truth, "ranking": {"root": ROW}})
    assert "noise ceiling unknown" in text
    assert "0.523" in text
    assert "inherited" not in text


def test_counts_that_nobody_reads_are_rounded() -> None:
    assert count(15_284) == "15,284"
    assert count(2 * 10**19) == "2e+19"
