"""The command ``raynas benchmark``."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

import raynas
from raynas.benchmark.command import print_result, read_options, run
from raynas.errors import ConfigError
from tests.test_cli import raynas as command


def test_options_are_read_as_overrides_are() -> None:
    texts = ["budget=3", "lr=1e-3", "constraints.flops_m=[null,60]", "fidelities.0.06=x.npz", "reference=[80,12]"]
    given, reference = read_options(texts)
    assert given == {
        "budget": 3,
        "lr": 1e-3,
        "constraints": {"flops_m": [None, 60]},
        "fidelities": {"0.06": "x.npz"},
    }
    assert reference == [80, 12]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("constraints=60", "'constraints' has entries of its own: give constraints.NAME=VALUE"),
        ("fidelities.short=x.npz", "'fidelities.short': the share of a full evaluation is a number"),
        ("objectives=score", r"'objectives' must be a list, 'objectives=\[score\]'"),
        ("reference=[a]", "'reference' must be numbers"),
        ("budget", "'budget' is not of the form key=value"),
        ("truth=x", "'truth' is not an option"),
        ("constraints.flops_m=[1", r"'constraints.flops_m': '\[1' is not a value"),
    ],
)
def test_slips_are_told(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_options([text])


def test_it_prints_what_python_gives() -> None:
    done = command("benchmark", "random", "digits201", "budget=30", "seeds=5", "constraints.flops_m=[null,0.5]")
    assert (done.returncode, done.stderr) == (0, "")
    result = raynas.benchmark("random", "digits201", budget=30, seeds=5, constraints={"flops_m": (None, 0.5)}, jobs=1)
    row = result.regret([30]).iloc[0]
    assert f"{row['regret']:.3f} [{row['regret_low']:.3f}, {row['regret_high']:.3f}]" in done.stdout
    assert f"whose best is {result.board.best:.2f} %" in done.stdout


def test_a_mistake_is_one_message() -> None:
    done = command("benchmark", "random", "digits201", "budget=0")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'budget': input should be greater than or equal to 1, got 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_scores_come_from_a_file(tmp_path: Path) -> None:
    texts = raynas.truth("digits201").texts
    (tmp_path / "scores.json").write_text(json.dumps({text: place for place, text in enumerate(texts)}))
    given = {"budget": 5, "seeds": 2, "jobs": 1}
    result = run("random", "digits201", {**given, "scores": str(tmp_path / "scores.json")})
    out = io.StringIO()
    print_result(Console(file=out), result)
    assert "2 seeds, 1,200 architectures, told scores" in out.getvalue()
    with pytest.raises(ConfigError, match=r"none.json is not a JSON object of scores"):
        run("random", "digits201", {**given, "scores": str(tmp_path / "none.json")})


def test_the_front_is_told_where_there_is_a_reference() -> None:
    given = {"budget": 20, "seeds": 2, "jobs": 1, "objectives": ["score", "flops_m"]}
    out = io.StringIO()
    print_result(Console(file=out, width=80), run("nsga2", "digits201", given), [80.0, 2.0])
    assert "hypervolume share" in out.getvalue()
