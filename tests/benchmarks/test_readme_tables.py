"""The README's section on performance is what the benchmarks wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.table import AGAINST_ALONE, GAINS, MARKERS, METHODS, NOT_TAKEN, README, markdown, read_results

ENVIRONMENT = {
    "date": "2026-11-22T01:00:00+00:00",
    "processor": "Some CPU",
    "cpus": 2,
    "instructions": ["avx512_bf16"],
    "threads": 2,
    "versions": {"torch": "2.13.0"},
    "malloc": "default",
}


def made_up(benchmark: str) -> dict[str, Any]:
    rows = [row for row in (*AGAINST_ALONE, *METHODS, *GAINS, *NOT_TAKEN) if row.benchmark == benchmark]
    ratios = {row.ratio: 0.5 for row in rows[1:]}
    shown = {row.ratio: {"sum": 0.5, "median": 0.625, "quartiles": [0.25, 0.75]} for row in rows[1:]}
    return {
        "quick": False,
        "ratios": ratios,
        "figures": {"seconds to compile one operation": 25.1},
        "skipped": {rows[0].ratio: "no time"},
        "comparisons": [{"ratios": shown, "others": 0.07}],
        "environment": ENVIRONMENT,
    }


def test_readme_shows_the_results() -> None:
    results = read_results()
    if not results:
        pytest.skip("no results yet: make bench writes them")
    shown = README.read_text().partition(MARKERS[0])[2].partition(MARKERS[1])[0]
    assert shown.strip() == markdown(results)


def test_readme_has_room_for_the_results() -> None:
    assert README.read_text().count(MARKERS[0]) == 1


def test_tables_tell_times_gains_and_what_was_not_run() -> None:
    text = markdown({name: made_up(name) for name in ("step", "scoring", "prefix", "not_taken")})
    assert "| training step in bfloat16 | 0.50 | 0.62 (0.25 to 0.75) |" in text
    assert "| training step | not run (no time) |" in text
    assert "| bfloat16 on top (training step) | 2.00 |" in text
    assert "| convolutions that leave one node merged into one | 0.50 |" in text
    assert "(Seconds to compile one operation: 25.)" in text
    assert "Some CPU (2 cores; avx512_bf16), 2 threads, torch 2.13.0, malloc default, 2026-11-22: `not_taken` (" in text
    assert "`step` (others used at most 7%)." in text


def test_what_methods_add_is_a_table_of_its_own_where_it_was_measured() -> None:
    results = {name: made_up(name) for name in ("step", "methods")}
    assert "over a plain training step's" not in markdown({"step": results["step"]})
    text = markdown(results)
    assert "| time of what a method does over a plain training step's | all paths | median path (quartiles) |" in text
    assert "| CLOSE: a step with 1 block, C=16, N=5, 32x32 | 0.50 | 0.62 (0.25 to 0.75) |" in text
    assert "`methods` (others used at most 7%)" in text


def test_quick_results_are_not_shown(tmp_path: Path) -> None:
    (tmp_path / "step.json").write_text('{"quick": true}')
    with pytest.raises(ValueError, match="quick"):
        read_results(tmp_path)
