"""NAS-Bench-Macro, NDS, NATS-Bench and NAS-Bench-301 from small files in their official formats."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import raynas
from raynas.errors import TruthError
from raynas.truth.importers import import_truth
from tests.truth.formats import nds_training

MACRO = {"test_acc": [90.0, 91.0, 92.0], "mean_acc": 91.0, "std": 0.816, "params": 1_200_000, "flops": 21_000_000}
OPTIMIZER = {"base_lr": 0.1, "max_ep": 100}
RESNET = {"block_type": "res_basic_block", "ds": [1, 1, 4, 24], "ws": [16, 16, 64, 256], "bot_muls": [], "num_gs": []}
RESNEXT = {
    "block_type": "res_bottleneck_block",
    "ds": [1, 1, 4, 16],
    "ws": [16, 16, 64, 256],
    "bot_muls": [0.0, 0.25, 1.0, 0.5],
    "num_gs": [1, 1, 2, 4],
}


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_macro(tmp_path: Path) -> None:
    path = write(tmp_path / "macro.json", {"22212202": MACRO, "01000000": {**MACRO, "test_acc": [90, 90, 93]}})
    table = import_truth("nasbench-macro", path)
    assert table.texts == ("22212202", "01000000")
    assert table.per_seed("01000000").tolist() == [90, 90, 93]
    assert table.query("22212202", "flops_m") == pytest.approx(21)
    with pytest.raises(TruthError, match="each encoding has its own row"):
        table.query("22212220")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"2221220": MACRO}, "entry '2221220': not an architecture of nasbench_macro: .* has 7 digits"),
        ({"22212203": MACRO}, "'3' in layer 8"),
        ({"22212202": {"test_acc": [90.0]}}, "entry '22212202': not an entry"),
        ({"22212202": {**MACRO, "mean_acc": 80.0}}, "is not the mean"),
        ([1, 2], "a list, not an object"),
        ({}, "holds no architecture"),
    ],
)
def test_macro_names_what_is_wrong(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(TruthError, match=rf"x\.json.*{message}"):
        import_truth("nasbench-macro", write(tmp_path / "x.json", content))


def test_nds_resnet_with_seeds_of_several_files(tmp_path: Path) -> None:
    other = {**RESNET, "ds": [1, 2, 2, 2]}
    for seed in (1, 2, 3):
        trainings = [nds_training(RESNET, 6.0 + seed / 10), *([nds_training(other, 9.0)] if seed == 1 else [])]
        write(tmp_path / f"ResNet_rng{seed}.json", trainings)
    table = import_truth("nds", tmp_path)
    text = "ds=1,4,24 ws=16,64,256"
    assert table.per_seed(text) == pytest.approx([93.9, 93.8, 93.7])
    assert table.n_seeds().tolist() == [3, 1]
    assert table.query("ds=2,2,2 ws=16,64,256") == pytest.approx(91)
    assert np.isnan(table.per_seed("ds=2,2,2 ws=16,64,256")[1:]).all()
    assert (table.query(text, "params_m"), table.query(text, "flops_m")) == (1, 20)
    assert table.source["epochs"] == 100
    assert "best epoch" in table.source["columns"]["test_accuracy"]


def test_nds_columns_are_of_one_file_each(tmp_path: Path) -> None:
    """A network that is there twice in one file must not move its trainings of later files to other columns."""
    other = {**RESNET, "ds": [1, 2, 2, 2]}
    write(
        tmp_path / "ResNet_rng1.json", [nds_training(RESNET, 1.0), nds_training(RESNET, 2.0), nds_training(other, 3.0)]
    )
    write(tmp_path / "ResNet_rng2.json", [nds_training(other, 4.0), nds_training(RESNET, 5.0)])
    write(tmp_path / "ResNet_rng3.json", [nds_training(other, 6.0)])
    table = import_truth("nds", tmp_path)
    np.testing.assert_allclose(table.per_seed("ds=1,4,24 ws=16,64,256"), [99, 98, 95, np.nan])
    np.testing.assert_allclose(table.per_seed("ds=2,2,2 ws=16,64,256"), [97, np.nan, 96, 94])


def test_nds_resnext(tmp_path: Path) -> None:
    path = write(tmp_path / "ResNeXt-A.json", [nds_training(RESNEXT, 5.0)])
    table = import_truth("nds", path, {"space": "nds_resnext_a"})
    assert table.texts == ("ds=1,4,16 ws=16,64,256 bot_muls=0.25,1,0.5 num_gs=1,2,4",)
    with pytest.raises(TruthError, match="give space=nds_resnext_a"):
        import_truth("nds", path)


@pytest.mark.parametrize(
    ("trainings", "message"),
    [
        ([nds_training({**RESNET, "ds": [1, 5, 4, 24]}, 5.0)], r"training 0: not an architecture .* number '5'"),
        ([nds_training({**RESNET, "ds": [1, 4, 24]}, 5.0)], "training 0: not a training of NDS.*stem and 3 stages"),
        ([nds_training(RESNET, 5.0), nds_training(RESNET, 5.0, optim={**OPTIMIZER, "wd": 0})], "training 1: trained"),
        ([nds_training({"genotype": {}}, 5.0)], "cell spaces"),
        ([{"net": RESNET}], "training 0: not a training of NDS: KeyError"),
        ({"net": 1}, "not a list of trainings"),
    ],
)  # fmt: skip
def test_nds_names_what_is_wrong(tmp_path: Path, trainings: Any, message: str) -> None:
    with pytest.raises(TruthError, match=rf"x\.json.*{message}"):
        import_truth("nds", write(tmp_path / "x.json", trainings))


CELLS = (
    "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    "|avg_pool_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
)
EPOCHS = 12


def nats_trial(package: Any, accuracy: float, seed: int, sets: tuple[str, ...]) -> Any:
    """One training by the package's own class, with its curve rising to the accuracy at the last epoch."""
    trial = package.ResultsCount(
        "x", None, {i: accuracy + i - 11 for i in range(EPOCHS)}, dict.fromkeys(range(EPOCHS), 0.1),
        0.8, 113.95, {"arch_str": ""}, seed, EPOCHS, [0.01],
    )  # fmt: skip
    trial.train_times = dict.fromkeys(range(EPOCHS), 2.0)
    for place, name in enumerate(sets):
        keys = [f"{name}@{epoch}" for epoch in range(EPOCHS)]
        accuracies = {key: accuracy - 10 * (place + 1) + epoch - 11 for epoch, key in enumerate(keys)}
        trial.update_eval(accuracies, dict.fromkeys(keys, 0.5), dict.fromkeys(keys, 1.0))
    return trial


def nats_folder(folder: Path) -> Path:
    """Two cells in the format of ``NATS-tss-v1_0-3ffb9-simple``, written with the package; the second has one seed."""
    package = pytest.importorskip("nats_bench.api_utils", reason="needs the extra 'nats': pip install raynas[nats]")
    folder.mkdir()
    package.pickle_save({"meta_archs": list(CELLS)}, folder / "meta", ".pickle.pbz2")
    for index, cell in enumerate(CELLS):
        results = package.ArchResults(index, cell)
        for seed in (777, 888) if index == 0 else (888,):
            full = nats_trial(package, 90.0 + index + seed / 1000, seed, ("ori-test",))
            results.update("cifar10", seed, full)
        results.update("cifar10-valid", 777, nats_trial(package, 80.0 + index, 777, ("x-valid", "ori-test")))
        package.pickle_save({str(EPOCHS): results.state_dict()}, folder / f"{index:06d}", ".pickle.pbz2")
    return folder


def test_nats_bench_keeps_seeds_and_protocols_apart(tmp_path: Path) -> None:
    path = nats_folder(tmp_path / "simple")
    table = import_truth("nats-bench", path, {"epochs": 12})
    assert (table.texts, table.source["seeds"]) == (CELLS, [777, 888])
    assert table.per_seed(CELLS[0]) == pytest.approx([80.777, 80.888])
    assert table.n_seeds().tolist() == [2, 1]
    assert table.per_seed(CELLS[1])[1] == pytest.approx(81.888)
    assert table.query(CELLS[1], "valid_accuracy") == pytest.approx(71)
    assert table.query(CELLS[0], "train_seconds") == pytest.approx(24)
    half = import_truth("nats-bench", path, {"epochs": 12, "dataset": "cifar10-valid"})
    assert half.query(CELLS[0]) == pytest.approx(60)
    with pytest.raises(TruthError, match="cell 0: no results on cifar10 of 200 epochs"):
        import_truth("nats-bench", path)
    (path / "000001.pickle.pbz2").unlink()
    with pytest.raises(TruthError, match="cell 1: no results"):
        import_truth("nats-bench", path, {"epochs": 12})
    (tmp_path / "file").write_text("text")
    with pytest.raises(TruthError, match="file is not the topology part of NATS-Bench"):
        import_truth("nats-bench", tmp_path / "file")


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nats_bench", None)
    monkeypatch.setitem(sys.modules, "nasbench301", None)
    with pytest.raises(TruthError, match=r"pip install 'raynas\[nats\]'"):
        import_truth("nats-bench", tmp_path)
    with pytest.raises(TruthError, match=r"needs the package nasbench301.*raynas truth import json"):
        import_truth("nasbench301", tmp_path)


def test_nasbench301_asks_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a stand-in for the package, of its documented interface: the package does not declare what it imports."""
    asked: list[Any] = []

    class Ensemble:
        def predict(self, config: Any, representation: str, with_noise: bool) -> float:
            assert (representation, with_noise) == ("genotype", False)
            assert config._fields == ("normal", "normal_concat", "reduce", "reduce_concat")
            asked.append(config)
            return 90.0 + len(asked)

    stand_in = types.SimpleNamespace(load_ensemble=lambda folder: Ensemble())
    monkeypatch.setitem(sys.modules, "nasbench301", stand_in)
    table = import_truth("nasbench301", tmp_path, {"architectures": "5"})
    assert table.values("valid_accuracy").tolist() == [91, 92, 93, 94, 95]
    space = raynas.space("darts")
    assert [space.parse(str(genotype)).text for genotype in asked] == list(table.texts)
    again = import_truth("nasbench301", tmp_path, {"architectures": 5})
    assert again.texts == table.texts
