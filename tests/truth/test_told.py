"""How a run against an imported table, of one value each, is told: its noise is not known."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import raynas
from raynas.report.tables import RunTables
from raynas.report.text import print_summary
from raynas.tracking.jsonl import finite
from raynas.truth import TruthTable

RANKING = {
    "round": 4, "n_architectures": 200, "kendall_tau_inherited": None, "kendall_tau": 0.523, "kendall_tau_ci_low": 0.4,
    "kendall_tau_ci_high": 0.6, "kendall_tau_ceiling": None, "spearman": 0.7, "p_at_top5": 0.35,
}  # fmt: skip
LEDGER = {
    "images_trained": 1_000, "images_scored": 2_000, "images_standalone": 0, "wall_seconds": 12.0,
    "process_seconds": {"train": 3.0}, "overhead_percent": 2.5, "busy_percent": 70.0, "slots": 2,
}  # fmt: skip


@pytest.mark.parametrize("width", [80, 150])
def test_the_title_is_one_line_and_says_that_the_ceiling_is_unknown(width: int) -> None:
    space = raynas.space("nasbench201")
    texts = tuple(a.text for a, _ in zip(space.enumerate(), range(5), strict=False))
    columns = {"test_accuracy": np.linspace(60.0, 90.0, 5)[:, None]}
    table = TruthTable("nasbench201-cifar10-200ep", "nasbench201", texts, columns, {}, "architecture")
    folder: Any = SimpleNamespace(report="runs/x/report.html")
    truth = finite({"truth": RunTables(folder, table, "test_accuracy")._truth_row()})
    summary = {"ranking": {"root": RANKING}, "survivors": [], "verified": [], "best": None, "budget": 3_000.0, **truth}
    run: Any = SimpleNamespace(summary=summary, ledger=LEDGER, best=None, path="runs/x", folder=folder)
    console = Console(width=width)
    with console.capture() as captured:
        print_summary(console, run)
    lines = captured.get().splitlines()
    assert "ranking against nasbench201-cifar10-200ep test_accuracy (noise ceiling unknown)" in map(str.rstrip, lines)
    assert not re.search("nan|None", captured.get())
    assert any("0.523" in line for line in lines)
