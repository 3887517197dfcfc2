"""What is wrong with a sweep is told before anything is tried, all of it; and what a search is told, and when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import groupby, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ray.tune.schedulers import HyperBandScheduler
from ray.tune.search import Searcher

import raynas
from raynas.cluster.local_run import LocalRun
from raynas.cluster.plan import with_truth
from raynas.cluster.setting_schedulers import TIME, Hyperband, Median
from raynas.cluster.setting_searcher import SettingSearcher, inner_search
from raynas.cluster.setting_trial import NAME, PAYLOAD
from raynas.cluster.sweep_journal import SweepJournal
from raynas.cluster.sweep_plan import plan_sweep
from raynas.config import load_config
from raynas.errors import ConfigError, RunError
from raynas.settings import Choices, Interval, Setting, setting_of
from raynas.settings.halving import bracket_sizes
from tests.cluster.test_sweep import SMALL

COEFFICIENT, SCHEDULE = "method.regularizer.coefficient", "method.regularizer.schedule"


def problems(sweep: dict[str, Any], **config: Any) -> str:
    whole = {**SMALL, **config, "sweep": {**SMALL["sweep"], "warm_start": None, "stop": None, **sweep}}
    with pytest.raises(ConfigError) as caught:
        plan_sweep(load_config(whole), raynas.data("digits"))
    return "\n".join(caught.value.problems)


@pytest.mark.parametrize(
    ("sweep", "words"),
    [
        ({"keys": {"method.regularizer.coefficent": [1]}}, ["unknown", "did you mean 'coefficient'"]),
        ({"keys": {"train.learning": [0.1]}}, ["unknown key 'train.learning'"]),
        ({"keys": {COEFFICIENT: ["much"]}}, ["coefficient", "much"]),
        ({"keys": {COEFFICIENT: {"uniform": [-1, 1]}}, "search": "random"}, ["coefficient", "greater than or equal"]),
        ({"keys": {COEFFICIENT: {"uniform": [1]}}}, ["takes the least and the most"]),
        ({"keys": {SCHEDULE: ["constant", "cosine"]}}, ["cosine"]),
        ({"objectives": ["kendal_tau"]}, ["no trial reports 'kendal_tau', did you mean 'kendall_tau'"]),
        ({"objectives": ["kendall_tau", "hours"]}, ["no trial reports a cost 'hours'"]),
        ({"keys": {"method.regularizer.warmup": [0.5], "method.regularizer.ramp": [0.6]}}, ["ramp must be below"]),
        ({"keys": {"seed": [0, 1]}}, ["seed is not varied"]),
        ({"seeds": [1, 1]}, ["must be different numbers"]),
        ({"controls": {"spos": {"method.regulariser": None}}}, ["method.regulariser", "spos"]),
        ({"search": "grid", "keys": {COEFFICIENT: {"uniform": [1, 2]}}}, ["search=grid needs lists"]),
        ({"search": "tpe", "stop": "halving"}, ["take stop=asha, or search=random"]),
        ({"stop": {"name": "asha", "grace": 5}}, ["grace': is 5, and a trial has 5 rounds"]),
        ({"search": "bohb", "stop": "halving"}, ["give stop=hyperband or asha"]),
        ({"stop": "pbt"}, ["give every key a range of numbers"]),
        ({"stop": {"name": "pbt", "every": 1}, "search": "random", "keys": {"train.weight_decay": {"uniform": [0, 1]}}},
         ["train.weight_decay cannot change in the course of a training", "method.regularizer.coefficient"]),
        ({"controls": {"t001": {}}}, ["a control cannot be called 't001'"]),
        ({"controls": {"../x": {}, "warm": {}}}, ["'../x'", "'warm'"]),
        ({"keys": {"search.budget": [10]}}, ["'sweep.keys.search.budget' makes no difference"]),
        ({"keys": {"score.architectures": [10]}}, ["would change what rankings are measured on"]),
        ({"stop": {"name": "asha", "quantile": 0.1}}, ["'sweep.stop.quantile': asha has no use for it"]),
        ({"keys": {"method.regularizer.count": [6, 100000]}}, ["100000"]),
        ({"warm_start": {"rounds": 2, "values": {"method.regularizer": None}}, "keys": {COEFFICIENT: [1, 2]}},
         ["term would set in at 0.2 of the budget, and its first 0.4 is trained without"]),
        ({"warm_start": {"rounds": 5}}, ["of the root's 5 rounds 5 would be over"]),
        ({"warm_start": {"rounds": 1}, "keys": {"train.batch_size": [32]}}, ["another train.batch_size: 32 there, 64"]),
        ({"warm_start": {"rounds": 1}, "keys": {"train.heldout": [0.2]}}, ["another train.heldout"]),
        ({"warm_start": {"rounds": 1}, "keys": {"train.warmup": [0, 0.2]}}, ["another train.warmup: 0.2 there, 0"]),
        ({"warm_start": {"rounds": 1}, "keys": {"train.schedule": ["linear"]}}, ["another train.schedule"]),
        ({"stop": {"name": "median", "least": 5}}, ["is 5, and each of 4 settings has 3 beside it"]),
        ({"stop": "halving", "keys": {COEFFICIENT: [1]}}, ["'sweep.stop': one setting is tried"]),
        ({"stop": "hyperband", "search": {"name": "tpe", "batch": 3}}, ["lots are as large as its brackets"]),
        ({"warm_start": {"rounds": 1}, "keys": {"network": [{"channels": 4}]}}, ["another network"]),
    ],
)  # fmt: skip
def test_a_sweep_is_refused_with_reasons(sweep: dict[str, Any], words: list[str]) -> None:
    told = problems(sweep)
    for word in words:
        assert word in told, told


def test_all_problems_are_told_at_once_and_each_once() -> None:
    told = problems({"keys": {COEFFICIENT: [1, -1, -2], SCHEDULE: ["constant", "cosine"]}}).splitlines()
    assert sum("cosine" in line.partition("(at")[0] for line in told) == 1
    assert sum("coefficient" in line.partition("(at")[0] for line in told) >= 1
    assert any("and 1 more" in line or "and 2 more" in line for line in told)


def test_rankings_need_a_truth_and_a_run_has_no_sweep() -> None:
    assert "there is no truth" in problems({}, truth=None)
    with pytest.raises(ConfigError, match="raynas sweep"):
        raynas.run(SMALL)
    with pytest.raises(ConfigError, match="no sweep section"):
        raynas.sweep({**SMALL, "sweep": None})


class Inner(Searcher):
    """Gives numbers, and notes what it is told."""

    def __init__(self) -> None:
        super().__init__(metric="kendall_tau", mode="max")
        self.log: list[tuple[str, object]] = []

    def suggest(self, trial_id: str) -> dict[str, Any]:
        self.log.append(("ask", trial_id))
        return {COEFFICIENT: float(len(self.log))}

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        self.log.append(("fail" if error else "tell", (trial_id, None if result is None else result["kendall_tau"])))


class FakeTrial:
    """What schedulers look at of a trial of Tune's."""

    def __init__(self, name: str) -> None:
        self.trial_id, self.config, self.status, self.is_saving = name, {NAME: name}, "RUNNING", False


def searcher(inner: Inner, path: Path, lots: Sequence[int] = (2,)) -> SettingSearcher:
    control = Setting("spos", {"method.regularizer": None}, control=True)
    ranges = {COEFFICIENT: Interval(0, 100)}
    return SettingSearcher(
        [control], None, ranges, inner, lots=lots, total=5, objectives=["kendall_tau"], journal=SweepJournal(path)
    )


def test_a_search_is_told_in_lots_in_the_order_of_asking(tmp_path: Path) -> None:
    inner = Inner()
    one = searcher(inner, tmp_path / "journal.jsonl")
    assert one.suggest("x") == {NAME: "spos"}
    one.on_trial_complete("x", {"kendall_tau": 0.9})
    assert one.suggest("a")[NAME] == "t000"
    assert one.suggest("b")[NAME] == "t001"
    assert one.suggest("c") is None  # until both are over
    one.on_trial_complete("b", {"kendall_tau": 0.2})
    assert one.suggest("c") is None
    one.on_trial_complete("a", error=True)
    told = [("ask", "t000"), ("ask", "t001"), ("fail", ("t000", None)), ("tell", ("t001", 0.2))]
    assert inner.log == told
    assert one.suggest("c")[NAME] == "t002"

    lying = tmp_path / "other.jsonl"
    lying.write_text((tmp_path / "journal.jsonl").read_text().replace("1.0", "7.5"))
    with pytest.raises(RunError, match="does not find again"):
        searcher(Inner(), lying)

    # killed here: the other searcher is told the same, in the same order, and goes on
    again = Inner()
    other = searcher(again, tmp_path / "journal.jsonl")
    assert again.log == [*told, ("ask", "t002")]
    names = []
    for place, trial in enumerate("xabcdef"):
        found = other.suggest(trial)
        if found is None:
            found = other.suggest(trial)
        if found == Searcher.FINISHED:
            break
        names.append(found[NAME])
        other.on_trial_complete(trial, {"kendall_tau": 0.1 * place})
    assert names == ["spos", "t000", "t001", "t002", "t003", "t004"]
    assert [kind for kind, _ in again.log[5:]] == ["ask", "tell", "tell", "ask", "tell"]


@pytest.mark.parametrize("scheduler", ["uniform", "reinforce"])
def test_a_trial_has_as_many_steps_as_were_planned(scheduler: str) -> None:
    parts = {**SMALL["method"], "partition": {"decisions": ["3<-0"]}}
    train = {
        **SMALL["train"],
        "root_rounds": 1,
        "partition_rounds": 20,
        "round_images": 64,
        "partition_round_images": 64,
    }
    sweep = {**SMALL["sweep"], "warm_start": None, "stop": None, "controls": {}}
    config = load_config({**SMALL, "method": parts, "train": train, "scheduler": scheduler, "sweep": sweep})
    plan = plan_sweep(config, raynas.data("digits"))
    run, steps = LocalRun(with_truth(plan.draft(plan.looked_at[0].values, 0))), 0
    while not run.finished:
        run.step()
        steps += 1
    assert steps == plan.steps == 1 + {"uniform": 4, "reinforce": 9}[scheduler]


def test_lots_may_be_of_several_sizes(tmp_path: Path) -> None:
    inner = Inner()
    one = searcher(inner, tmp_path / "journal.jsonl", (3, 1))
    one.suggest("x")
    for lot in ("abc", "d", "e"):
        for trial in lot:
            assert isinstance(one.suggest(trial), dict)
        assert one.suggest("y") == (Searcher.FINISHED if lot == "e" else None)
        for trial in lot:
            one.on_trial_complete(trial, {"kendall_tau": 0.5})
    assert [kind for kind, _ in inner.log] == ["ask"] * 3 + ["tell"] * 3 + ["ask", "tell"] * 2


@pytest.mark.parametrize(("steps", "reduction"), [(4, 2.0), (9, 3.0), (10, 3.0), (81, 3.0), (20, 2.5)])
def test_lots_under_hyperband_are_its_brackets(tmp_path: Path, steps: int, reduction: float) -> None:
    sizes = bracket_sizes(steps, reduction)
    kinds = HyperBandScheduler, partial(Hyperband, 2 * sum(sizes))
    raw, own = (kind(metric="a", mode="max", max_t=steps, reduction_factor=reduction) for kind in kinds)
    own.watched_by(frozenset(), SweepJournal(tmp_path / "journal.jsonl"))
    for scheduler in (raw, own):  # Ray's, to which all come at once, and ours, lot by lot
        trials = [FakeTrial(str(place)) for place in range(2 * sum(sizes))]
        left = iter(trials)
        for size in (*sizes, *sizes):
            lot = list(islice(left, size))
            for trial in lot:
                scheduler.on_trial_add(None, trial)
            for trial in lot if scheduler is own else ():
                scheduler.on_trial_complete(None, trial, {})
        brackets = [scheduler._trial_info[trial][0] for trial in trials]
        assert [len(list(group)) for _, group in groupby(brackets, id)] == [*sizes, *sizes]
    sweep = {**SMALL["sweep"], "warm_start": None, "keys": {COEFFICIENT: {"uniform": [1, 2]}}}
    plan = plan_sweep(
        load_config({**SMALL, "sweep": {**sweep, "stop": "hyperband", "trials": 3}}), raynas.data("digits")
    )
    assert plan.lots == bracket_sizes(5, 3.0)


def test_a_bracket_waits_for_all_that_it_is_to_hold(tmp_path: Path) -> None:
    """Of 9 steps and 7 settings: a bracket of 3 that all train to the end, and one of 5, of which 4 come."""
    rule = Hyperband(7, time_attr=TIME, metric="a", mode="max", max_t=9, reduction_factor=3, stop_last_trials=False)
    rule.watched_by(frozenset(), SweepJournal(tmp_path / "journal.jsonl"))
    trials = [FakeTrial(str(place)) for place in range(7)]
    controller = SimpleNamespace(stop_trial=lambda trial: stopped.append(trial.trial_id))
    stopped: list[str] = []
    decided = []
    for value, trial in enumerate(trials):
        rule.on_trial_add(controller, trial)
        decided.append(
            rule.on_trial_result(controller, trial, {TIME: 3, "a": -value, PAYLOAD: SimpleNamespace(step=3)})
        )
        trial.status = "RUNNING" if decided[-1] == "CONTINUE" else "PAUSED"
    assert decided == ["CONTINUE"] * 3 + ["PAUSE"] * 3 + ["STOP"]  # the last is the worst of four, of whom two go on
    assert stopped == ["5"]


def test_who_waits_for_others_has_them_all_beside_it() -> None:
    many = {**SMALL["sweep"], "warm_start": None, "keys": {COEFFICIENT: {"uniform": [1, 2]}}, "search": "random"}
    images, beside = raynas.data("digits"), {}
    for stop in ("halving", "asha"):
        config = load_config({**SMALL, "sweep": {**many, "trials": 3, "stop": stop}})
        plan = replace(plan_sweep(config, images), known=tuple(setting_of(n, {COEFFICIENT: 1.0}) for n in range(700)))
        beside[stop] = plan.at_once
    assert beside == {"halving": 701, "asha": 500}


def test_the_median_rule_goes_on_with_whom_it_let_go_on_before(tmp_path: Path) -> None:
    """Reports that come in another order after a kill would have it stop a trial that was let go on."""
    values = {"a": 0.5, "b": 0.5, "c": 0.5, "d": 0.1}

    def told(order: str, steps: int) -> list[str]:
        journal = SweepJournal(tmp_path / "journal.jsonl")
        rule = Median(time_attr=TIME, metric="kendall_tau", mode="max", grace_period=1, min_samples_required=3)
        rule.watched_by(frozenset(), journal)
        trials = {name: FakeTrial(name) for name in values}
        controller = SimpleNamespace(get_live_trials=lambda: list(trials.values()), get_trials=list)
        for trial in trials.values():
            rule.on_trial_add(controller, trial)
        decided = [
            rule.on_trial_result(
                controller,
                trials[name],
                {TIME: step, "kendall_tau": values[name], PAYLOAD: SimpleNamespace(step=step)},
            )
            for step in range(1, steps + 1)
            for name in order
        ]
        journal.close()
        return decided

    assert told("dabc", 1) == ["CONTINUE"] * 4  # d had too few beside it
    assert told("abcd", 2) == ["CONTINUE"] * 7 + ["STOP"]


def test_known_settings_are_given_by_their_labels(tmp_path: Path) -> None:
    ranges = {SCHEDULE: Choices(("constant", None)), COEFFICIENT: Choices((1, 10))}
    known = [setting_of(0, {SCHEDULE: None, COEFFICIENT: 10})]
    journal = SweepJournal(tmp_path / "journal.jsonl")
    one = SettingSearcher([], known, ranges, None, lots=[1], total=1, objectives=["kendall_tau"], journal=journal)
    assert one.suggest("a") == {NAME: "t000", SCHEDULE: "null", COEFFICIENT: "10"}
    assert one.suggest("b") == Searcher.FINISHED


def test_optunas_search_is_the_same_again(tmp_path: Path) -> None:
    ranges = {COEFFICIENT: Interval(0.1, 100, log=True), SCHEDULE: Choices(("constant", "cosine_increase"))}
    found = []
    for _ in range(2):
        search = inner_search("tpe", ranges, ["kendall_tau"], seed=3, startup=2, folder=tmp_path)
        drawn = []
        for number in range(6):
            drawn.append(dict(search.suggest(f"t{number}")))
            search.on_trial_complete(f"t{number}", {"kendall_tau": float(drawn[-1][COEFFICIENT])})
        found.append(drawn)
    assert found[0] == found[1]
    assert len({str(one) for one in found[0]}) == 6


def test_bohb_takes_those_that_came_further_for_the_better(tmp_path: Path) -> None:
    """Trials stopped after one step with high measures do not draw the search to where they are."""
    ranges = {COEFFICIENT: Interval(0.0, 1.0)}
    search = inner_search("bohb", ranges, ["kendall_tau"], seed=0, startup=8, folder=tmp_path)
    drawn = []
    for number in range(60):
        value = float(search.suggest(f"t{number}")[COEFFICIENT])
        drawn.append(value)
        over = value > 0.5  # what is small is always stopped early, however good it looked
        told = {"kendall_tau": value if over else 2.0 - value, "step": 9 if over else 1, "over": over}
        search.on_trial_complete(f"t{number}", told)
    assert sum(value > 0.5 for value in drawn[-30:]) >= 25
    failed = inner_search("bohb", ranges, ["kendall_tau"], seed=0, startup=2, folder=tmp_path)
    failed.suggest("t0")
    failed.on_trial_complete("t0", error=True)
    assert failed.suggest("t1")
