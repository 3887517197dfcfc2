"""Benchmark mode against a slow search by hand, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats

import raynas
from raynas.benchmark import plot_regret
from raynas.errors import ConfigError, RaynasError, TruthError, UnknownNameError
from raynas.search import SEARCHERS, Outcome, best_found, explore
from raynas.search.pareto import hypervolume, on_front
from raynas.streams import stream
from raynas.truth import TruthTable
from raynas.truth.importers import import_truth
from tests.conftest import shared_file

SMALL: dict[str, Any] = {"budget": 40, "seeds": 4, "jobs": 1}


@pytest.fixture(scope="module")
def digits() -> TruthTable:
    return raynas.truth("digits201")


@pytest.fixture(scope="module")
def cifar() -> TruthTable:
    return import_truth("npz-nasbench201", shared_file("nasbench201/nasbench201.npz"))


def by_hand(table: TruthTable, name: str, seed: int, budget: int, allowed: set[str]) -> list[float]:
    """Return the regret after every evaluation, found the slow way."""

    def feasible(architecture: raynas.Architecture) -> bool:
        return table.knows(architecture) and table.space.canonical(architecture).text in allowed

    def evaluate(asked: Any, fidelity: float) -> list[Outcome]:
        return [Outcome(table.query(a, "valid_accuracy"), np.nan, np.nan, "") for a in asked]

    searcher = SEARCHERS.make(name, table.space, stream(seed, "benchmark", name), [], feasible)
    found = explore(searcher, evaluate, budget=budget)
    best = max(table.query(text, "test_accuracy") for text in allowed)
    return [
        best - table.query(best_found(found[: count + 1], 1)[0].architecture, "test_accuracy")
        for count in range(len(found))
    ]


@pytest.mark.parametrize("limit", [None, 0.5])
def test_regret_is_that_of_a_slow_search(digits: TruthTable, limit: float | None) -> None:
    flops = digits.values("flops_m")
    allowed = {t for t, f in zip(digits.texts, flops, strict=True) if limit is None or f <= limit}
    constraints = None if limit is None else {"flops_m": (None, limit)}
    result = raynas.benchmark("random", digits, constraints=constraints, **SMALL)
    slow = np.array([by_hand(digits, "random", seed, 40, allowed) for seed in range(4)])
    np.testing.assert_allclose(result.board.best - result.curve, slow, rtol=0, atol=1e-12)
    frame = result.dataframe()
    assert len(frame) == 160
    np.testing.assert_allclose(frame["regret"].to_numpy().reshape(4, 40), slow, rtol=0, atol=1e-12)
    if limit is not None:
        assert frame["flops_m"].max() <= limit


def test_intervals_are_students(digits: TruthTable) -> None:
    result = raynas.benchmark("random", digits, **SMALL)
    table = result.regret([1, 40])
    regret = result.board.best - result.curve[:, -1]
    interval = stats.t.interval(0.95, 3, regret.mean(), stats.sem(regret))
    row = table.iloc[1]
    np.testing.assert_allclose([row["regret_low"], row["regret_high"]], interval)
    np.testing.assert_allclose(row["regret"] + row["accuracy"], result.board.best)
    assert table["regret"][0] > table["regret"][1]
    assert list(result.regret()["evaluations"]) == [10, 30, 40]
    assert f"regret {regret.mean():.3f} [{interval[0]:.3f}, {interval[1]:.3f}]" in repr(result)
    for wrong in (0, 41, 1.5):
        with pytest.raises(ConfigError, match="whole numbers from 1 to the budget of 40"):
            result.regret([wrong])  # type: ignore[list-item]


def test_the_budget_is_kept_and_one_seed_has_no_interval(digits: TruthTable) -> None:
    result = raynas.benchmark("evolution", digits, budget=73, seeds=1, population=20)
    assert [len(play.architectures) for play in result.plays] == [73]
    assert np.isnan(result.regret()["regret_low"]).all()
    assert "[" not in repr(result)


@pytest.mark.parametrize("name", ["regularized_evolution", "evolution"])
def test_parallel_is_serial_and_seeds_are_fixed(digits: TruthTable, name: str) -> None:
    serial = raynas.benchmark(name, digits, budget=60, seeds=5, jobs=1)
    parallel = raynas.benchmark(name, digits, budget=60, seeds=6, jobs=3)
    for one, other in zip(serial.plays, parallel.plays, strict=False):
        assert one.architectures == other.architectures
        assert (one.seed, one.score.tolist()) == (other.seed, other.score.tolist())
    assert len({play.architectures for play in parallel.plays}) == 6


def test_a_search_that_ends_early_keeps_its_incumbent(digits: TruthTable) -> None:
    flops = np.sort(digits.values("flops_m"))
    result = raynas.benchmark("random", digits, constraints={"flops_m": (None, float(flops[4]))}, **SMALL)
    assert len(result.board.texts) < 40
    for play, curve in zip(result.plays, result.curve, strict=True):
        assert len(play.architectures) == len(result.board.texts)
        assert curve[-1] == result.board.truth[play.entry[play.incumbent[-1]]]


def test_a_search_of_what_draws_do_not_find_begins_with_it(digits: TruthTable) -> None:
    params = float(np.sort(digits.values("params_m"))[-1])
    result = raynas.benchmark("local", digits, constraints={"params_m": (params, None)}, **SMALL)
    assert result.board.rare
    assert all(len(play.architectures) >= 1 for play in result.plays)
    assert result.regret([40])["regret"][0] == 0


def test_scores_of_elsewhere_are_told_and_truth_is_not(digits: TruthTable) -> None:
    cells = [digits.space.sample(np.random.default_rng(seed)) for seed in range(400)]
    scores = {cell.text: float(place) for place, cell in enumerate(cells)}
    result = raynas.benchmark("random", digits, scores=scores, **SMALL)
    frame = result.dataframe()
    assert set(frame["architecture"]) <= set(scores)
    assert all(scores[text] == score for text, score in zip(frame["architecture"], frame["score"], strict=True))
    with pytest.raises(ConfigError, match=r"'scores': .* is not of the form"):
        raynas.benchmark("random", digits, scores={"DS": 1.0})


def test_several_objectives_are_told_and_their_front_is_measured(digits: TruthTable) -> None:
    result = raynas.benchmark("nsga2", digits, objectives=("score", "flops_m"), budget=400, seeds=2)
    values = np.stack([digits.values("valid_accuracy"), -digits.values("flops_m")], 1)
    reference = np.array([80.0, -2.0])
    front = result.front()
    np.testing.assert_allclose(np.sort(front[:, 0]), np.sort(values[on_front(values)][:, 0]))
    volumes = result.hypervolume([50, 400], (80.0, 2.0))
    mine = result.dataframe().query("seed == 0 and evaluation <= 50")
    by_seed = [
        hypervolume(np.stack([mine["score"], -mine["flops_m"]], 1), reference)
        for _, mine in result.dataframe().query("evaluation <= 50").groupby("seed")
    ]
    assert len(mine) == 50
    np.testing.assert_allclose(volumes["hypervolume"][0], np.mean(by_seed))
    np.testing.assert_allclose(volumes["share"], volumes["hypervolume"] / hypervolume(values, reference))
    assert volumes["share"][0] < volumes["share"][1] <= 1
    with pytest.raises(ConfigError, match="'reference' must have a value for each of score, flops_m, got 1"):
        result.hypervolume(None, (80.0,))
    with pytest.raises(ConfigError, match="'reference': nothing on the board is better in every objective"):
        result.hypervolume(None, (100.0, 2.0))


def test_a_searcher_of_the_score_alone_is_judged_by_a_cost_that_it_was_not_told(digits: TruthTable) -> None:
    limits = {"flops_m": (None, 100.0)}
    result = raynas.benchmark("random", digits, constraints=limits, **SMALL)
    free = raynas.benchmark("random", digits, **SMALL)
    assert [play.architectures for play in result.plays] == [play.architectures for play in free.plays]
    assert 0 < result.hypervolume([40], (80.0, 2.0), ("score", "flops_m"))["share"][0] < 1
    with pytest.raises(ConfigError, match="costs that were looked at: score, flops_m"):
        result.hypervolume([40], (80.0, 2.0), ("score", "params_m"))


def test_short_evaluations_are_a_tables_of_short_trainings(digits: TruthTable) -> None:
    columns = {name: values[::-1] for name, values in digits.columns.items()}
    short = TruthTable("short", "nasbench201", digits.texts, columns, {}, "function")
    given = {"levels": [0.25, 1.0], "fidelities": {0.25: short}, **SMALL}
    result = raynas.benchmark("hyperband", digits, **given)
    frame = result.dataframe()
    for fidelity, table in ((0.25, short), (1.0, digits)):
        mine = frame[frame["fidelity"] == fidelity]
        told = [table.query(text, "valid_accuracy") for text in mine["architecture"]]
        np.testing.assert_allclose(mine["score"], told)
    assert (frame.groupby("seed")["spent"].max() >= 40).all()
    for play, curve in zip(result.plays, result.curve, strict=True):
        whole = np.flatnonzero(play.fidelity == 1.0)
        assert set(play.incumbent) <= {-1, *whole}
        best = max(whole[play.spent[whole] <= 20 + 1e-9], key=lambda place: play.score[place])
        assert curve[19] == result.board.truth[play.entry[best]]
    with pytest.raises(ConfigError, match=r"asks for 0.037037 of a full evaluation, known are 0.25, 1 \(.*levels="):
        raynas.benchmark("hyperband", digits, **{**given, "levels": None})
    with pytest.raises(ConfigError, match="hyperband asks for evaluations that are shorter than a full one"):
        raynas.benchmark("hyperband", digits)
    with pytest.raises(ConfigError, match="a share of a full evaluation is between 0 and 1, got 2"):
        raynas.benchmark("hyperband", digits, fidelities={2: short})


def test_figures(digits: TruthTable) -> None:
    results = [raynas.benchmark("random", digits, **SMALL, **options) for options in ({}, {"batch": 5})]
    assert isinstance(results[0].plot(), Figure)
    axis = plot_regret(results).axes[0]
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["random", "random (batch=5)"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"budget": 0}, "'budget': input should be greater than or equal to 1, got 0"),
        ({"seeds": 0}, "'seeds': input should be greater than or equal to 1, got 0"),
        ({"jobs": 0}, "'jobs': input should be greater"),
        ({"seconds": 0}, "'seconds': input should be greater"),
        ({"sedes": 3}, "unknown key 'sedes', did you mean 'seeds'.*options of the searcher random: batch"),
        ({"batch": 0}, "'batch': input should be greater"),
        ({"metric": "valid_acuracy"}, "did you mean 'valid_accuracy'"),
        ({"metric": "flops_m"}, "'flops_m' is no quality of an architecture but a cost"),
        ({"report": "test_loss"}, "'report' must be an accuracy"),
        (
            {"objectives": ("score", "flops_m")},
            "random looks at the score alone.*searchers of several objectives: .*nsga2",
        ),
        ({"objectives": ("flops_m",)}, "the first objective must be 'score'"),
        ({"constraints": {"flops": (None, 1)}}, "has no cost 'flops', did you mean 'flops_m'"),
        (
            {"constraints": {"latency_ms/pixel3": (None, 1)}},
            r"no cost 'latency_ms/pixel3'.* \(it has: params_m, flops_m",
        ),
        ({"constraints": {"flops_m": (None, 0.01)}}, "satisfies flops_m at most 0.01: its 1,200 architectures have"),
        ({"constraints": {"flops_m": (None, None)}}, "'flops_m' is limited by nothing"),
        ({"constraints": {"flops_m": (2, 1)}}, "the least of 'flops_m' is more than the most"),
        ({"constraints": {"flops_m": 1}}, "the limits of 'flops_m' are the least and the most"),
        ({"fidelities": {0.1: "digits201"}}, "random asks for full evaluations only"),
        ({"initial": ["DS"]}, "is not of the form"),
    ],
)
def test_what_is_refused(digits: TruthTable, given: dict[str, Any], message: str) -> None:
    with pytest.raises(RaynasError, match=message):
        raynas.benchmark("random", digits, **given)


def test_names_are_explained() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'random'"):
        raynas.benchmark("randm", "digits201")
    with pytest.raises(UnknownNameError, match="did you mean 'digits201'"):
        raynas.benchmark("random", "digits20")
    with pytest.raises(TruthError, match="no cost 'flops', did you mean 'flops_m'"):
        raynas.benchmark("nsga2", "digits201", objectives=("score", "flops"))


def test_a_table_of_few_architectures_is_refused(digits: TruthTable) -> None:
    columns = {name: values[:1] for name, values in digits.columns.items()}
    few = TruthTable("few", "nasbench201", digits.texts[:1], columns, {}, "architecture")
    with pytest.raises(TruthError, match="knows 1 architectures of nasbench201 of use here, and among 1,000 random"):
        raynas.benchmark("random", few)


def test_evolution_beats_random_on_the_real_table(cifar: TruthTable) -> None:
    regrets = {
        name: raynas.benchmark(name, cifar, budget=300, seeds=50).regret([300]).iloc[0]
        for name in ("random", "regularized_evolution")
    }
    assert regrets["regularized_evolution"]["regret_high"] < regrets["random"]["regret_low"]
