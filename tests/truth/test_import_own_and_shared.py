"""Own results as CSV and JSON, options, and the real files of the shared data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raynas
from raynas.errors import ConfigError, TruthError, UnknownNameError
from raynas.streams import stream
from raynas.truth import load_table
from raynas.truth.importers import IMPORTERS, import_to_file, import_truth, parse_options
from raynas.truth.ranking_set import known_architectures
from tests.conftest import shared_file

SPACE = raynas.space("nasbench201")
CELLS = [SPACE.sample(np.random.default_rng(seed)).text for seed in range(3)]
OPTIONS = {"space": "nasbench201", "dataset": "cifar10", "epochs": "200"}


def test_csv_rows_of_one_architecture_are_its_seeds(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    lines = ["architecture,test_accuracy,params_m,latency_ms/phone", f'"{CELLS[0]}",90,1.5,7', f"{CELLS[0]},92,1.5,7"]
    path.write_text("\n".join([*lines, f"{CELLS[1]},,2,"]) + "\n")
    table = import_truth("csv", path, OPTIONS)
    assert (table.name, table.source["epochs"], table.source["data"]) == ("mine", 200, "cifar10")
    assert table.per_seed(CELLS[0]).tolist() == [90, 92]
    assert table.query(CELLS[0], "latency_ms/phone") == 7
    assert table.knows(SPACE.parse(CELLS[1]))
    assert not table.knows(SPACE.parse(CELLS[1]), "test_accuracy")
    with pytest.raises(TruthError, match="does not know the test_accuracy of"):
        table.query(CELLS[1])
    table.save(tmp_path / "mine.npz")
    again = load_table(tmp_path / "mine.npz")
    assert (again.keyed_by, again.texts, again.source) == ("architecture", table.texts, dict(table.source))
    for metric, column in table.columns.items():
        np.testing.assert_allclose(again.columns[metric], column)


def test_json_lists_are_seeds(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(json.dumps([{"architecture": CELLS[0], "valid_accuracy": [1, 2, 3], "flops_m": 5}]))
    table = import_truth("json", path, {**OPTIONS, "keyed_by": "function"})
    assert table.texts == (SPACE.canonical(SPACE.parse(CELLS[0])).text,)
    assert table.query(CELLS[0], "valid_accuracy") == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("architecture,test_acuracy\n", "no metric is called 'test_acuracy', did you mean 'test_accuracy'"),
        ("arch,test_accuracy\n", "line 1: no 'architecture'"),
        ("architecture\nx\n", "no metric beside"),
        ("architecture,test_accuracy\nDS,1\n", "line 2: not an architecture of nasbench201: 'DS' is not of the form"),
        (f"architecture,test_accuracy\n{CELLS[0].replace('~0', '~5', 1)},1\n", "line 2: .*must take its inputs"),
        (f"architecture,test_accuracy\n{CELLS[0]},good\n", "line 2: test_accuracy is 'good', not a number"),
        (f"architecture,test_accuracy\n{CELLS[0]},50\n{CELLS[0]},140\n", "line 3: test_accuracy is 140; .* 0 to 100"),
        (f"architecture,valid_accuracy\n{CELLS[0]},-3\n", "line 2: valid_accuracy is -3; accuracies are percent"),
        (f"architecture,test_accuracy\n{CELLS[0]},inf\n", "line 2: test_accuracy is inf; leave it empty"),
        (f"architecture,test_accuracy\n{CELLS[0]},1,2\n", "line 2: more fields than the header"),
        (f"architecture,params_m\n{CELLS[0]},1\n{CELLS[0]},2\n", "line 3: .* has params_m 2 here and 1 before"),
        ("architecture,test_accuracy\n", "holds no architecture"),
    ],
)
def test_csv_names_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(TruthError, match=rf"x\.csv.*{message}"):
        import_truth("csv", tmp_path / "x.csv", OPTIONS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "is not a list of results but a dict"),
        ([1], "entry 0: not an object"),
        ([{"architecture": CELLS[0], "test_accuracy": "x"}], "entry 0: test_accuracy is 'x', not a number"),
        ([{"architecture": CELLS[0], "test_accuracy": [90, 9000]}], "entry 0: test_accuracy is 9000; accuracies are"),
        ([{"architecture": CELLS[0], "params_m": [1, 2]}], "entry 0: params_m has 2 values"),
    ],
)
def test_json_names_the_entry(tmp_path: Path, content: Any, message: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(content))
    with pytest.raises(TruthError, match=message):
        import_truth("json", tmp_path / "x.json", OPTIONS)


def write_rows(path: Path, metric: str, *rows: tuple[int, float | str]) -> Path:
    if path.suffix == ".json":
        entries = [{"architecture": CELLS[cell], metric: value} for cell, value in rows]
        path.write_text(json.dumps(entries))
    else:
        path.write_text(
            "\n".join([f"architecture,{metric}", *(f"{CELLS[cell]},{value}" for cell, value in rows)]) + "\n"
        )
    return path


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_fractions_are_not_percent(tmp_path: Path, kind: str) -> None:
    path = write_rows(tmp_path / f"mine.{kind}", "valid_accuracy", (0, 0.91), (1, 1.0), (2, ""))
    with pytest.raises(TruthError, match=r"mine\.\w+: valid_accuracy is at most 1, a fraction; accuracies are percent"):
        import_truth(kind, path, OPTIONS)
    path = write_rows(tmp_path / f"losses.{kind}", "valid_loss", (0, 0.91), (1, 0.5))
    assert import_truth(kind, path, OPTIONS).query(CELLS[1], "valid_loss") == 0.5
    path = write_rows(tmp_path / f"low.{kind}", "test_accuracy", (0, 0.9), (1, 1.1))
    assert import_truth(kind, path, OPTIONS).query(CELLS[0]) == 0.9


@pytest.mark.parametrize(("kind", "here", "before"), [("csv", "line 4", "line 2"), ("json", "entry 2", "entry 0")])
def test_a_row_repeated_by_mistake_is_no_seed(tmp_path: Path, kind: str, here: str, before: str) -> None:
    path = write_rows(tmp_path / f"mine.{kind}", "test_accuracy", (0, 90), (1, 90), (0, 90.0), (0, 91))
    with pytest.raises(TruthError, match=f"{here}: the same architecture and values as {before}; .*repeats=true"):
        import_truth(kind, path, OPTIONS)
    table = import_truth(kind, path, {**OPTIONS, "repeats": "true"})
    assert table.per_seed(CELLS[0]).tolist() == [90, 90, 91]


def test_formats_are_described_by_what_their_files_hold() -> None:
    for name in IMPORTERS.names():
        assert "shared" not in IMPORTERS.describe(name)
        assert "project" not in IMPORTERS.describe(name)


def test_options_and_formats_are_explained(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench101'"):
        import_truth("nasbench11", "x")
    with pytest.raises(ConfigError) as caught:
        import_truth("csv", "x", {"dataste": "a", "space": "darts", "epochs": "many"})
    assert "did you mean 'dataset'" in str(caught.value)
    assert "'dataset': missing" in str(caught.value)
    assert "got 'many'" in str(caught.value)
    with pytest.raises(ConfigError, match="got 100"):
        import_truth("npz-nasbench201", "x", {"epochs": "100"})
    assert parse_options(["a=b=c", "d="]) == {"a": "b=c", "d": ""}
    with pytest.raises(ConfigError, match=r"'a' is not of the form[\s\S]*'b' is given twice"):
        parse_options(["a", "b=1", "b=2"])


@pytest.mark.parametrize("name", IMPORTERS.names())
def test_every_importer_refuses_a_missing_file(tmp_path: Path, name: str) -> None:
    options = OPTIONS if name in ("csv", "json") else {}
    with pytest.raises(TruthError):
        import_truth(name, tmp_path / "nothing", options)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(TruthError, match=r"other\.npz"):
        import_truth(name, tmp_path / "other.npz", options)


@pytest.mark.parametrize("dataset", ["cifar10", "cifar100", "imagenet16"])
@pytest.mark.parametrize("epochs", [12, 200])
def test_the_shared_nasbench201(dataset: str, epochs: int) -> None:
    path = shared_file("nasbench201/nasbench201.npz")
    table = import_truth("npz-nasbench201", path, {"dataset": dataset, "epochs": epochs})
    suffix = "" if epochs == 200 else "_12ep"
    with np.load(path) as stored:
        rows = np.random.default_rng(0).integers(0, len(table), 20)
        for row in rows:
            text = str(stored["arch"][row])
            assert table.query(text) == pytest.approx(stored[f"{dataset}_test{suffix}"][row])
            assert table.query(text, "params_m") == pytest.approx(stored[f"params_{dataset}"][row] / 1e6)
            if dataset == "cifar10":
                assert table.query(text, "flops_m") == pytest.approx(stored["macs_conv_cifar10_M"][row])
        known = np.isfinite(table.values("valid_accuracy")).sum() if "valid_accuracy" in table.columns else None
    expected = {("cifar100", 200): None, ("imagenet16", 200): 9_445}
    assert known == expected.get((dataset, epochs), 15_625)
    best = {"cifar10": 94.3733, "cifar100": 73.5133, "imagenet16": 47.3111}
    if epochs == 200:
        assert table.values().max() == pytest.approx(best[dataset], abs=1e-3)
    assert set(table.source["columns"]) == {metric for metric in table.columns if metric.endswith("accuracy")}


def test_ranking_sets_of_a_table_of_encodings_leave_out_the_unknown() -> None:
    path = shared_file("nasbench201/nasbench201.npz")
    table = import_truth("npz-nasbench201", path, {"dataset": "imagenet16"})
    known = known_architectures(table, SPACE, stream(0, "test"), 300, "valid_accuracy")
    assert len({SPACE.canonical(architecture) for architecture in known}) == len(known) == 300
    assert all(np.isfinite(table.query(architecture, "valid_accuracy")) for architecture in known)
    every = known_architectures(table, SPACE, stream(0, "test"), 10_000)
    assert len(every) == 6_466
    with pytest.raises(TruthError, match="is of space nasbench201, not of darts"):
        known_architectures(table, raynas.space("darts"), stream(0, "test"), 10)


def test_the_shared_macro_and_darts() -> None:
    macro = import_truth("npz-nasbench-macro", shared_file("nasbench_macro/nasbench_macro.npz"))
    assert (len(macro), macro.query("22212202")) == (3_281, pytest.approx(93.1267, abs=1e-3))
    assert macro.ceiling.single == pytest.approx(0.882, abs=2e-3)
    assert macro.ceiling.mean == pytest.approx(3 * macro.ceiling.single / (1 + 2 * macro.ceiling.single))
    darts = import_truth("npz-darts-random", shared_file("other_spaces/darts_random_cifar10.npz"))
    with np.load(shared_file("other_spaces/darts_random_cifar10.npz")) as stored:
        assert darts.values().tolist() == pytest.approx(stored["accuracy"].tolist())
        first = stored["op_names"][stored["op"][0, 0, 0]].tolist()
    assert all(f"'{operation}'" in darts.texts[0].partition("]")[0] for operation in first)


def test_an_import_overwrites_nothing(tmp_path: Path) -> None:
    source = tmp_path / "mine.csv"
    source.write_text(f"architecture,test_accuracy\n{CELLS[0]},90\n")
    table, written = import_to_file("csv", source, OPTIONS, tmp_path / "out.npz")
    assert load_table(written).texts == table.texts
    with pytest.raises(TruthError, match="exists; move it away"):
        import_to_file("csv", source, OPTIONS, tmp_path / "out.npz")
    with pytest.raises(TruthError, match=r"ends in \.npz"):
        import_to_file("csv", source, OPTIONS, tmp_path / "out.txt")
