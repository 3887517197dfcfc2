"""The recorder puts reports into one order; JSONL keeps whole lines; W&B takes the right mode."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from raynas.tracking import Recorder
from raynas.tracking.console import ConsoleTracker
from raynas.tracking.jsonl import JsonlTracker, read_jsonl
from raynas.tracking.wandb import WandbTracker, choose_mode


class Memory:
    def __init__(self) -> None:
        self.rows: list[Mapping[str, Any]] = []
        self.summary: Mapping[str, Any] | None = None

    def log(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)

    def finish(self, summary: Mapping[str, Any]) -> None:
        self.summary = summary


def row(trial: str, number: int) -> dict[str, Any]:
    return {"trial": trial, "round": number}


@pytest.mark.parametrize("order", list(itertools.permutations("abc")))
def test_order_of_arrival_does_not_matter(order: tuple[str, ...]) -> None:
    ordered, live = Memory(), Memory()
    recorder = Recorder([ordered], [live])
    recorder.expect(["a", "b", "c"])
    for trial in order:
        recorder.log(row(trial, 1))
    recorder.expect(["b", "c"])
    recorder.log(row("c", 2))
    assert len(ordered.rows) == 3
    recorder.log(row("b", 2))
    assert ordered.rows == [row("a", 1), row("b", 1), row("c", 1), row("b", 2), row("c", 2)]
    assert [r["trial"] for r in live.rows] == [*order, "c", "b"]


def test_rankings_go_to_those_that_want_them() -> None:
    class Ranked(Memory):
        def log_ranking(self, label: str, round: int, table: Mapping[str, Any]) -> None:
            self.rows.append({"ranking": label, "round": round, **table})

    ranked, plain = Ranked(), Memory()
    Recorder([plain], [ranked]).log_ranking("a", 2, {"score": [1.0]})
    assert ranked.rows == [{"ranking": "a", "round": 2, "score": [1.0]}]
    assert plain.rows == []


def test_what_a_failed_trial_held_up_is_written_at_the_end() -> None:
    ordered = Memory()
    recorder = Recorder([ordered], [])
    recorder.expect(["a", "b"])
    recorder.log(row("b", 1))
    recorder.finish({"done": True})
    assert ordered.rows == [row("b", 1)]
    assert ordered.summary == {"done": True}


def test_a_trial_that_failed_for_good_holds_nothing_up() -> None:
    ordered = Memory()
    recorder = Recorder([ordered], [])
    recorder.expect(["a", "b"])
    recorder.log(row("b", 1))
    assert ordered.rows == []
    recorder.give_up("a")
    assert ordered.rows == [row("b", 1)]


def test_of_a_round_that_was_run_twice_the_later_report_counts() -> None:
    ordered = Memory()
    recorder = Recorder([ordered], [])
    recorder.expect(["a", "b"])
    recorder.log({**row("a", 1), "loss": 1})
    recorder.log({**row("a", 1), "loss": 2})
    recorder.log(row("b", 1))
    recorder.expect(["a"])
    recorder.log(row("a", 2))
    assert ordered.rows == [{**row("a", 1), "loss": 2}, row("b", 1), row("a", 2)]


def test_wandb_never_ends_a_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb

    modes = []

    def no_server(**keys: Any) -> Any:
        modes.append(keys["mode"])
        raise wandb.errors.CommError("timed out")

    monkeypatch.setattr(wandb, "init", no_server)
    monkeypatch.setattr(wandb, "Api", lambda **keys: None)
    tracker = WandbTracker(tmp_path, "group", {}, mode="online", project="p", entity=None)
    tracker.log({"trial": "root", "round": 1, "kendall_tau": 0.5})
    tracker.log({"trial": "root", "round": 2, "kendall_tau": 0.5})
    tracker.finish({})
    assert modes == ["online", "offline", "offline"]
    told = capsys.readouterr().err
    assert "going on offline" in told
    assert told.count("the run goes on") == 1


def test_jsonl_has_a_line_a_report_and_no_nan(tmp_path: Path) -> None:
    tracker = JsonlTracker(tmp_path / "metrics.jsonl")
    tracker.log({"trial": "root", "kendall_tau": float("nan"), "loss": 1.5})
    tracker.log({"trial": "root", "kendall_tau": 0.5, "best_candidate": "|x~0|"})
    tracker.finish({})
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"trial": "root", "kendall_tau": None, "loss": 1.5}
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + '\n{"trial": "ro')
    assert len(read_jsonl(tmp_path / "metrics.jsonl")) == 2


def test_console_prints_one_line_a_report() -> None:
    console = Console(record=True, width=160, file=None, quiet=False)
    numbers = {"loss": 1.25, "kendall_tau": 0.5, "kendall_tau_ci_low": 0.25, "kendall_tau_ci_high": 0.75}
    more = {"n_architectures": 200, "p_at_top5": 0.3, "pool_overlap": 0.9, "seconds_train": 1.0, "seconds_score": 0.5}
    with console.capture() as captured:
        ConsoleTracker(console, {"root": 4}.__getitem__, 8).log({"trial": "root", "round": 2, **numbers, **more})
    text = captured.get()
    assert text.count("\n") == 1
    assert "root      round  2/4   loss 1.250 | tau 0.50 [0.25, 0.75] n=200 | P@top5% 0.30" in text
    nan = float("nan")
    unknown = {"kendall_tau_ci_low": nan, "kendall_tau_ci_high": nan, "p_at_top5": nan, "n_architectures": 2}
    with console.capture() as captured:
        ConsoleTracker(console, {"root": 4}.__getitem__, 8).log(
            {"trial": "root", "round": 2, **numbers, **more, **unknown}
        )
    assert "tau 0.50 - n=2 | P@top5% - |" in captured.get()


@pytest.mark.parametrize(
    ("wanted", "environment", "mode"),
    [
        ("auto", {}, "offline"),
        ("auto", {"WANDB_API_KEY": "x" * 40}, "online"),
        ("auto", {"WANDB_MODE": "disabled", "WANDB_API_KEY": "x" * 40}, "disabled"),
        ("offline", {"WANDB_MODE": "disabled"}, "offline"),
    ],
)
def test_wandb_mode(
    wanted: str, environment: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert choose_mode(wanted) == mode


def test_a_key_in_netrc_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text("machine api.wandb.ai login user password x\n")
    (tmp_path / ".netrc").chmod(0o600)
    assert choose_mode("auto") == "online"
