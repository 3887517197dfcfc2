"""Searches under the supernets of a finished run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raynas
from raynas.cluster.run_search import search_run
from raynas.errors import ConfigError, RunError
from raynas.report.search_result import SearchResult
from tests.cluster.test_run import TINY

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def run(local_ray: None, tmp_path_factory: pytest.TempPathFactory) -> raynas.Run:
    search = {**TINY["search"], "budget": 10, "verify": {"top": 0, "recipe": TINY["search"]["verify"]["recipe"]}}
    out = tmp_path_factory.mktemp("runs") / "searched"
    return raynas.run({**TINY, "search": search, "wandb": {"mode": "disabled"}, "out": str(out)})


@pytest.fixture(scope="module")
def found(run: raynas.Run) -> SearchResult:
    return run.search("evolution", budget=24, population=8, constraints={"flops_m": (None, 0.02)}, verify=2)


def test_scores_are_those_of_the_supernets_that_own_them(run: raynas.Run, found: SearchResult) -> None:
    rows = found.dataframe()
    assert len(rows) == found.summary["evaluations"] == 24
    assert set(rows["scorer"]) <= set(run.summary["survivors"])
    own = rows.merge(run.searched, on="architecture", suffixes=("", "_own"))
    assert len(own) >= 3  # both begin with the pool
    assert own["score"].tolist() == own["score_own"].tolist()


def test_what_is_equal_under_shared_weights_is_not_proposed_again(run: raynas.Run) -> None:
    rows, space = run.search("regularized_evolution", budget=60, population=5).dataframe(), run.space
    forms = [(row.scorer, space.shared_form(space.parse(row.architecture))) for row in rows.itertuples()]
    first = {form: place for place, form in reversed(list(enumerate(forms)))}
    assert all(place - first[form] < 5 for place, form in enumerate(forms))  # but within the first population


def test_each_network_is_verified_once(run: raynas.Run) -> None:
    found, space = run.search("random", budget=40, batch=40, verify=3), run.space
    forms = {space.shared_form(space.parse(text)) for text in found.verified["architecture"]}
    assert len(forms) == 3


def test_constraints_hold_and_are_recorded(run: raynas.Run, found: SearchResult) -> None:
    rows, images = found.dataframe(), raynas.data("digits")
    assert (rows["flops_m"] <= 0.02).all()
    shape = {"input_shape": images.input_shape, "classes": images.classes}
    for text, flops in zip(rows["architecture"][:3], rows["flops_m"][:3], strict=True):
        assert raynas.cost("nasbench201", text, **shape, channels=2, cells=1).flops_m == pytest.approx(flops)
    assert found.summary["constraints"] == {"flops_m": [None, 0.02]}


def test_best_is_the_best_of_those_trained_stand_alone(found: SearchResult) -> None:
    assert found.verified.groupby("architecture").size().tolist() == [4, 4]
    assert set(found.verified["architecture"]) == set(found.top(2)["architecture"])
    means = found.verified.groupby("architecture")["valid_accuracy"].mean()
    assert means[found.best] == means.max()
    assert str(found.best) in repr(found)


def test_it_is_kept_beside_the_run(run: raynas.Run, found: SearchResult) -> None:
    kept = run.searches[found.path.name]
    assert kept.dataframe().equals(found.dataframe())
    assert kept.best == found.best
    assert raynas.load(run.path).summary == run.summary


def test_regret_is_that_of_the_best_by_score(run: raynas.Run, found: SearchResult) -> None:
    rows, table = found.dataframe(), raynas.truth("digits201")
    best, regrets, known = table.values().max(), [], np.nan
    for place in range(len(rows)):
        leader = rows.iloc[: place + 1].sort_values("score", ascending=False, kind="stable").iloc[0]
        architecture = table.space.parse(leader["architecture"])
        known = table.query(architecture) if table.knows(architecture) else known
        regrets.append(best - known)
    assert rows["regret"].to_numpy() == pytest.approx(np.array(regrets), nan_ok=True)


def test_several_objectives_give_a_front(run: raynas.Run) -> None:
    found = run.search("nsga2", budget=20, population=8, objectives=["score", "params_m"])
    front, rows = found.pareto(), found.dataframe()
    for _, one in front.iterrows():
        better = (rows["score"] >= one["score"]) & (rows["params_m"] <= one["params_m"])
        strictly = (rows["score"] > one["score"]) | (rows["params_m"] < one["params_m"])
        assert not (better & strictly).any()
    assert len(front) >= 1
    assert found.plot().axes[0].get_xlabel() == "params_m"


def test_the_same_seed_gives_the_same_search(run: raynas.Run) -> None:
    one, again, other = (run.search("evolution", budget=12, population=6, seed=s).dataframe() for s in (3, 3, 4))
    assert one.equals(again)
    assert not one["architecture"].equals(other["architecture"])


def test_short_evaluations_are_on_fewer_images(run: raynas.Run) -> None:
    found = run.search("hyperband", budget=4, min_fidelity=0.25, eta=2)
    rows = found.dataframe()
    assert set(rows["fidelity"]) > {1.0}
    assert rows["spent"].iloc[-1] == pytest.approx(rows["fidelity"].sum())
    assert found.summary["images_scored"] <= 64 * (rows["fidelity"].sum() + 1)
    assert set(found.top(3)["fidelity"]) == {1.0}


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"budget": 0}, "'search.budget': input should be greater than or equal to 1, got 0"),
        ({"searcher": "evolutoin"}, "did you mean 'evolution'?"),
        ({"objectives": ["score", "latency_ms/pixel3"], "searcher": "nsga2"}, "'latency_ms/pixel3' has no source"),
        ({"objectives": ["score", "flops_m"]}, "the searcher evolution looks at the score only"),
        ({"constraints": {"flops_m": (None, 1e-6)}}, "nothing was found that satisfies flops_m at most 1e-06"),
        ({"constraints": {"flop_m": (None, 1)}}, "'flop_m' is no cost, did you mean 'flops_m'?"),
        ({"poulation": 5}, "did you mean 'population'?"),
    ],
)
def test_what_cannot_be_searched_is_refused_before_anything_starts(
    run: raynas.Run, keys: dict[str, Any], sentence: str
) -> None:
    before = sorted(run.searches)
    with pytest.raises(ConfigError) as caught:
        run.search(**keys)
    assert sentence in str(caught.value)
    assert sorted(run.searches) == before


def test_words_without_a_key_are_told(run: raynas.Run) -> None:
    with pytest.raises(ConfigError) as caught:
        search_run(run, None, ["random", "lots", "budget=5"])
    assert caught.value.problems == [
        "'random' is not of the form key=value; a searcher is named by searcher=random",
        "'lots' is not of the form key=value",
    ]


def test_a_run_without_weights_is_told(run: raynas.Run, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(run.path, tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare" / "checkpoints")
    with pytest.raises(RunError, match="kept no weights of"):
        raynas.load(tmp_path / "bare").search(budget=4)
