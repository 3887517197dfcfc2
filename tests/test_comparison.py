"""The comparisons of experiments/tables: equal budgets, configurations that can be run, the arithmetic of tables."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import raynas
from raynas.config import validate
from raynas.errors import ConfigError, UnknownNameError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "experiments"))

import compare  # noqa: E402
import comparison  # noqa: E402
import measuring  # noqa: E402
import writing  # noqa: E402

TABLES = sorted((ROOT / "experiments" / "tables").glob("*.yaml"))


def present(keys: dict[str, object]) -> dict[str, object]:
    """Return keys without a truth that experiments/prepare_data.py has not made here."""
    name = keys.get("truth")
    name = name.get("name") if isinstance(name, dict) else name
    absent = isinstance(name, str) and name.startswith("data/") and not Path(name).exists()
    return {**keys, "truth": None} if absent else keys


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("scale", comparison.SCALES)
def test_every_row_can_be_run_at_the_budget_of_the_others(
    path: Path, scale: comparison.Scale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    table = comparison.Table(path)
    if not table.comparison.rows(scale):
        with pytest.raises(ConfigError, match=f"no method is a row at {scale} scale"):
            table.check(scale)
        return
    if any(present(table.comparison.keys(name, scale)).get("truth") is None for name in table.comparison.rows(scale)):
        pytest.skip("experiments/prepare_data.py has not made the truth tables here")
    table.check(scale)
    assert len(table.comparison.seeds) >= 3


def small(**methods: dict[str, object]) -> comparison.Comparison:
    plain = {"space": "nasbench201", "data": "digits", "search": {"verify": {"top": 0}}}
    rows = {name: {"about": name, **keys} for name, keys in methods.items()}
    return comparison.Comparison.model_validate(
        {
            "about": "a test",
            "source": "none",
            "base": plain,
            "paper": {"train": {"batch_size": 64}},
            "reduced": {"train": {"batch_size": 32}},
            "controls": ["spos"],
            "methods": rows,
        }
    )


def test_layers_are_merged_in_order() -> None:
    one = small(spos={"config": {"train": {"lr": 0.3}}, "reduced": {"train": {"lr": 0.2}}})
    assert one.config("spos", "paper").train.lr == 0.3
    assert one.config("spos", "reduced").train.lr == 0.2
    assert one.config("spos", "reduced").train.batch_size == 32
    with pytest.raises(UnknownNameError, match="did you mean 'spos'"):
        one.keys("sps", "paper")


def test_rows_of_one_scale() -> None:
    one = small(spos={}, big={"only": "paper"})
    assert list(one.rows("reduced")) == ["spos"]
    assert list(one.rows("paper")) == ["spos", "big"]


def test_a_finished_run_is_known_again_and_one_of_other_settings_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = small(close={"config": {"method": {"sharing": "glow", "curriculum": "close"}}})
    path = tmp_path / "one.yaml"
    path.write_text(rows.model_dump_json())
    table = comparison.Table(path)
    monkeypatch.chdir(tmp_path)
    assert not compare.is_finished(table, "reduced", "close", 0)
    folder = compare.run_folder(table, "reduced", "close", 0)
    folder.mkdir(parents=True)
    (folder / "summary.json").touch()
    for lr, finished in ((0.1, True), (0.2, False)):
        written = rows.config("close", "reduced").model_dump(mode="json")
        config = validate({**written, "train": {**written["train"], "lr": lr}, "seed": 7})
        monkeypatch.setattr("raynas.load", lambda folder, config=config: SimpleNamespace(config=config))
        assert compare.is_finished(table, "reduced", "close", 0) == finished


def test_an_unequal_budget_is_refused(tmp_path: Path) -> None:
    more = small(spos={}, more={"config": {"train": {"root_rounds": 5}}})
    (sentence,) = more.unequal_budgets("reduced")
    assert sentence == "more has a budget of 48,000 images, spos of 38,400"
    split = small(
        spos={"config": {"train": {"root_rounds": 24}}},
        split={"config": {"method": {"partition": {"decisions": ["1<-0"]}}, "train": {"partition_rounds": 20}}},
    )
    assert split.unequal_budgets("reduced") == []
    path = tmp_path / "wrong.yaml"
    path.write_text(more.model_copy(update={"controls": ["nobody"]}).model_dump_json())
    with pytest.raises(ConfigError, match="control 'nobody' is no method"):
        comparison.Table(path).check("reduced")


def test_gain_against_scipy_and_by_hand() -> None:
    a, b = [0.5, 0.6, 0.7], [0.2, 0.3, 0.4]
    found = measuring.gain(a, b, "kendall_tau")
    assert found["difference"] == pytest.approx(0.3)
    assert found["separate"]
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval()
    assert found["interval"] == pytest.approx([expected.low, expected.high])
    assert not measuring.gain([0.5, 0.6, 0.35], b, "kendall_tau")["separate"]
    assert measuring.gain([1, 2, 3], [10, 20, 30], "best_rank")["difference"] == pytest.approx(18)
    assert measuring.gain([1, 2, 3], [10, 20, 30], "best_rank")["separate"]
    assert not measuring.gain([0.5, 0.6], b, "kendall_tau")["separate"]  # two runs say nothing of a spread


def test_what_was_found_is_the_best_by_score_that_truth_knows() -> None:
    table = raynas.truth("digits201")
    known = [architecture.text for architecture in table.architectures[:3]]
    space = raynas.space("nasbench201")
    keys = {a.text for a in map(space.canonical, table.architectures)}
    stranger = next(a.text for a in space.enumerate() if space.canonical(a).text not in keys)
    search = pd.DataFrame({"architecture": [known[0], stranger, *known[1:]], "score": [-3.0, -1.0, -2.0, -2.5]})
    truth = SimpleNamespace(name="digits201", metric="valid_accuracy")
    run = SimpleNamespace(config=SimpleNamespace(truth=truth), space=space, searched=search)
    found = measuring.found_best(run)  # type: ignore[arg-type]
    assert found["found_accuracy"] == table.query(known[1], "valid_accuracy")
    assert found["best_rank"] == 1 + sum(table.values("valid_accuracy") > found["found_accuracy"])
    run.searched = search.iloc[1:2]
    assert measuring.found_best(run) == {"best_rank": None, "found_accuracy": None}  # type: ignore[arg-type]


def test_table_of_results() -> None:
    rng = np.random.default_rng(0)

    def runs(tau: float) -> dict[int, dict[str, float]]:
        return {
            seed: {
                **dict.fromkeys(measuring.MEASURES, tau + 0.01 * rng.random()),
                "budget": 38_400,
                "images_standalone": 0,
                "seconds": 10,
            }
            for seed in range(3)
        }

    one = small(spos={}, good={"reported": {"tau": "0.8"}}, bad={})
    summary = measuring.summarise({"spos": runs(0.3), "good": runs(0.5), "bad": runs(0.2)}, one.controls)
    table = comparison.Table(Path("small.yaml"))
    table.__dict__["comparison"] = one
    lines = writing.markdown(table, "reduced", {"summary": summary}).splitlines()
    assert lines[0].startswith("| method | tau | sparse tau | P@top5% |")
    assert "| (control) |" in lines[2]
    assert lines[3].startswith("| good: good | 0.50")
    assert "| tau, sparse tau, P@top5%, tau in the true top 10 %, accuracy found, % |" in lines[3]
    assert lines[3].endswith("| 38k | tau 0.8 |")
    assert "| rank found |" in lines[4]  # a smaller rank is better
