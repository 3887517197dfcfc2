"""Path searchers through Optuna: codings, what the study is told, that they learn, and that they are quiet and lazy."""

from __future__ import annotations

import itertools
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pytest

import raynas
from raynas.search import SEARCHERS
from raynas.search.optuna_base import OptunaSearcher
from raynas.search.optuna_coding import Categories, Coding, Largest, Shares
from raynas.search.optuna_searcher import divisions
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201", connected=True)
TINY = SPACE.subspace({d.name: ["none", "nor_conv_1x1"] for d in SPACE.decisions[:2]}).subspace(
    {d.name: ["skip_connect"] for d in SPACE.decisions[3:]}
)


def value(architecture: Architecture) -> float:
    return float(sum(option == "nor_conv_3x3" for option in architecture.options))


def make(name: str, seed: int = 0, space: raynas.Space = SPACE, **keys: object) -> OptunaSearcher:
    args = keys.pop("args", ())
    searcher = SEARCHERS.make(name, space, np.random.default_rng(seed), *args, **keys)
    assert isinstance(searcher, OptunaSearcher)
    return searcher


def play(searcher: OptunaSearcher, asks: int) -> list[Architecture]:
    asked: list[Architecture] = []
    for _ in range(asks):
        batch = searcher.ask()
        searcher.tell(batch, [value(architecture) for architecture in batch])
        asked += batch
    return asked


def states(searcher: OptunaSearcher) -> list[str]:
    assert searcher._study is not None
    return [trial.state.name for trial in searcher._study.trials]


@pytest.mark.parametrize("coding", [Categories, Largest, Shares])
@pytest.mark.parametrize("space", [SPACE, TINY])
def test_what_is_written_is_read(coding: type[Coding], space: raynas.Space) -> None:
    rng = np.random.default_rng(0)
    written = coding(space)
    for _ in range(50):
        architecture = space.sample(rng)
        values = written.write(architecture, rng)
        assert list(values) == list(written.parameters)
        assert written.read(values) == architecture.options


def test_the_largest_number_wins() -> None:
    coding = Largest(TINY)
    values = dict.fromkeys(coding.parameters, 0.5)
    first = TINY.decisions[0].name
    assert coding.read(values)[0] == "none"  # the first of equal ones
    assert coding.read({**values, f"{first}=nor_conv_1x1": 0.6})[0] == "nor_conv_1x1"


def test_numbers_are_cut_in_equal_shares() -> None:
    coding = Shares(SPACE)
    name, options = SPACE.decisions[0].name, SPACE.decisions[0].options
    rest = dict.fromkeys(coding.parameters, 0.0)
    read = [coding.read({**rest, name: x})[0] for x in (0.0, 0.19, 0.21, 0.99, 1.0)]
    assert read == [options[0], options[0], options[1], options[-1], options[-1]]


@pytest.mark.parametrize(
    ("name", "options"),
    [("tpe", {}), ("cmaes", {"population": 10, "separable": True}), ("nsga3", {"population": 10})],
)
def test_it_learns(name: str, options: dict[str, object]) -> None:
    means = [np.mean([value(a) for a in play(make(name, seed, **options), 10)[-20:]]) for seed in range(2)]
    chance = np.mean([value(a) for a in play(make("qmc", batch=100), 1)])
    assert np.mean(means) > chance + 0.7


def test_the_gaussian_process_learns_and_continues() -> None:
    whole = make("gp", batch=2, startup=6)
    play(whole, 3)
    continued = make("gp", seed=5, batch=2, startup=6)
    continued.load_state_dict(pickle.loads(pickle.dumps(whole.state_dict())))
    ahead = play(whole, 2)
    assert [value(a) for a in ahead] != []
    assert play(continued, 2) == ahead
    drawn = play(make("gp", batch=2, startup=100), 5)
    assert ahead != drawn[-len(ahead) :]


def test_known_functions_are_told_again_at_no_cost() -> None:
    searcher = make("cmaes", space=TINY, population=4)
    asked: list[Architecture] = []
    for _ in range(12):
        batch = searcher.ask()
        searcher.tell(batch, [value(TINY.canonical(architecture)) for architecture in batch])
        asked += batch
    counted = states(searcher)
    assert len(asked) == len({TINY.canonical(a) for a in TINY.enumerate()}) < counted.count("COMPLETE")
    assert searcher._study is not None
    for trial in searcher._study.trials:
        if trial.state.name == "COMPLETE":
            assert trial.value == value(TINY.canonical(TINY.make(searcher._coding.read(trial.params))))


def test_an_encoding_is_told_once_where_it_is_the_only_one() -> None:
    searcher = make("tpe", batch=4, startup=4)
    play(searcher, 20)
    assert searcher._study is not None
    complete = [tuple(t.params.values()) for t in searcher._study.trials if t.state.name == "COMPLETE"]
    assert "FAIL" in states(searcher)
    assert len(complete) == len(set(complete))


def test_what_may_not_be_is_pruned_and_what_is_no_number_fails() -> None:
    searcher = make("tpe", batch=5, args=((), lambda architecture: value(architecture) <= 1))
    batch = searcher.ask()
    searcher.tell(batch, [1.0, float("nan"), float("inf"), 0.0, -1.0])
    assert states(searcher) == ["COMPLETE", "FAIL", "FAIL", "COMPLETE", "COMPLETE"]
    play(searcher, 4)
    assert "PRUNED" in states(searcher)


@pytest.mark.parametrize("name", ["tpe", "nsga3"])
def test_several_objectives_find_both_ends(name: str) -> None:
    searcher = make(name, **{"tpe": {"batch": 5}, "nsga3": {"population": 10}}[name])
    for _ in range(8):
        batch = searcher.ask()
        searcher.tell(batch, [(value(a), -value(a)) for a in batch])
    assert searcher._study is not None
    assert len(searcher._study.directions) == 2
    assert {direction.name for direction in searcher._study.directions} == {"MAXIMIZE"}
    assert len({value(a) for a, _ in searcher.history[-20:]}) > 2


@pytest.mark.parametrize("name", ["cmaes", "gp", "qmc"])
def test_others_look_at_the_score_only(name: str) -> None:
    searcher = make(name)
    batch = searcher.ask()[:3]  # a budget ends
    searcher.tell(batch, [(value(a), 7.0) for a in batch])
    assert searcher._study is not None
    assert [t.values for t in searcher._study.trials[:3]] == [[value(a)] for a in batch]


def test_quasi_random_is_more_even_than_random() -> None:
    def unevenness(name: str, seed: int) -> float:
        asked = [a.options for a in SEARCHERS.make(name, SPACE, np.random.default_rng(seed), batch=64).ask()]
        pairs = itertools.combinations(range(6), 2)
        counts = [np.unique([f"{o[i]},{o[j]}" for o in asked], return_counts=True)[1] for i, j in pairs]
        return float(np.mean([(count**2).sum() for count in counts]))

    assert np.mean([unevenness("qmc", s) for s in range(5)]) < np.mean([unevenness("random", s) for s in range(5)])


@pytest.mark.parametrize("name", ["tpe", "cmaes", "gp", "nsga3", "qmc"])
def test_it_is_quiet(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        options = {"gp": {"batch": 2, "startup": 2}, "cmaes": {"population": 4}, "nsga3": {"population": 4}}
        play(make(name, **options.get(name, {"batch": 4})), 2)
    assert capfd.readouterr() == ("", "")


def test_optuna_is_imported_when_it_is_needed() -> None:
    code = (
        "import numpy, sys, raynas, raynas.search as s; "
        "t = s.SEARCHERS.make('tpe', raynas.space('nasbench201'), numpy.random.default_rng(0)); "
        "print('optuna' in sys.modules); a = t.ask(); t.tell(a, [0.0] * len(a)); print('optuna' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


def test_reference_points_fit_in_the_population() -> None:
    assert divisions(2, 50) == 49  # p + 1 points
    assert divisions(3, 91) == 12  # the paper's: 91 points
    assert divisions(3, 90) == 11
    assert divisions(1, 50) == divisions(3, 2) == 1
