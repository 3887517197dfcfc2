"""Truth tables: what a query answers, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import raynas
from raynas.errors import TruthError, UnknownNameError
from raynas.streams import stream
from raynas.truth import TruthTable, load_table
from raynas.truth.ranking_set import known_architectures
from raynas.truth.show import describe

SPACE = raynas.space("nasbench201")


def small_table() -> TruthTable:
    rng = np.random.default_rng(0)
    texts = tuple(sorted({SPACE.canonical(SPACE.sample(rng)).text for _ in range(30)}))
    n = len(texts)
    columns = {
        "valid_accuracy": rng.normal(90, 2, (n, 3)).astype(np.float32),
        "test_accuracy": rng.normal(90, 2, (n, 3)).astype(np.float32),
        "params_m": rng.random(n).astype(np.float32),
    }
    return TruthTable("small", "nasbench201", texts, columns, {"data": "none"})


def test_queries_are_means_over_seeds_of_the_same_function() -> None:
    table = small_table()
    for row, text in enumerate(table.texts):
        assert table.query(text) == pytest.approx(table.columns["test_accuracy"][row].astype(float).mean())
        assert table.query(text, "params_m") == pytest.approx(float(table.columns["params_m"][row]))
        assert table.per_seed(text, "valid_accuracy").tolist() == table.columns["valid_accuracy"][row].tolist()
    twin = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|"
    same = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"
    assert SPACE.canonical(SPACE.parse(twin)) == SPACE.canonical(SPACE.parse(same))
    canonical = SPACE.canonical(SPACE.parse(twin)).text
    one = TruthTable("one", "nasbench201", (canonical,), {"test_accuracy": np.array([[90.0, 92.0]])}, {})
    assert one.query(twin) == one.query(same) == 91.0


def test_ranks_count_the_better() -> None:
    table = small_table()
    values = table.values()
    for text in table.texts:
        assert table.rank_of(text) == 1 + int((values > table.query(text)).sum())


def test_what_is_not_there_is_refused() -> None:
    table = small_table()
    stranger = next(a for a in SPACE.enumerate() if not table.knows(a))
    with pytest.raises(TruthError, match="does not know"):
        table.query(stranger)
    with pytest.raises(TruthError, match="no metric 'test_acuracy', did you mean 'test_accuracy'"):
        table.query(table.texts[0], "test_acuracy")


def test_saved_and_read_again(tmp_path: Path) -> None:
    table = small_table()
    table.save(tmp_path / "small.npz")
    again = load_table(tmp_path / "small.npz")
    assert again.texts == table.texts
    assert again.source == table.source
    assert all(np.array_equal(again.columns[name], table.columns[name]) for name in table.columns)
    assert raynas.truth(tmp_path / "small.npz").name == "small"
    assert [path.name for path in tmp_path.iterdir()] == ["small.npz"]


def test_unreadable_files_are_explained(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(TruthError, match=r"text\.npz is not a truth table of raynas: no npz file") as caught:
        load_table(tmp_path / "text.npz")
    assert "pickle" not in str(caught.value)
    np.savez(tmp_path / "other.npz", x=np.zeros(3))
    with pytest.raises(
        TruthError, match=r"other\.npz is not a truth table of raynas but an npz of x; 'raynas truth import"
    ):
        load_table(tmp_path / "other.npz")
    table = small_table()
    table.save(tmp_path / "cut.npz")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:200])
    np.save(tmp_path / "array.npy", np.zeros(3))
    for name in ("cut.npz", "array.npy"):
        with pytest.raises(TruthError, match="is not a truth table"):
            load_table(tmp_path / name)
    twice = TruthTable("x", "nasbench201", (*table.texts[:-1], table.texts[0]), table.columns, {})
    twice.save(tmp_path / "twice.npz")
    with pytest.raises(TruthError, match="more than once"):
        load_table(tmp_path / "twice.npz")
    with pytest.raises(TruthError, match="no truth table at"):
        load_table(tmp_path / "nothing.npz")
    with pytest.raises(UnknownNameError, match="did you mean 'digits201'"):
        raynas.truth("digit201")
    table = small_table()
    TruthTable("x", "nasbench201", table.texts[:-1], table.columns, {}).save(tmp_path / "short.npz")
    with pytest.raises(TruthError, match="one row for each architecture"):
        load_table(tmp_path / "short.npz")


def test_what_the_source_leaves_open_is_not_told() -> None:
    table = replace(small_table(), source={"data": "digits", "epochs": None})
    assert [what for what, _ in describe(table) if what.startswith("source")] == ["source: data"]


def test_known_architectures_are_distinct_members() -> None:
    table = raynas.truth("digits201")
    for part in raynas.space("nasbench201", connected=True).partition(["3<-0"]):
        known = known_architectures(table, part, stream(0, "test"), 200)
        assert len(known) == 200
        assert all(a in part and table.knows(a) for a in known)
        assert len({SPACE.canonical(a) for a in known}) == 200
    assert known == known_architectures(table, part, stream(0, "test"), 200)


def table_with_gaps() -> TruthTable:
    texts = tuple(sorted({SPACE.canonical(a).text for a in SPACE.enumerate()}))[:4]
    test = np.array([[90.0, 92.0, np.nan], [np.nan, 80.0, np.nan], [np.nan] * 3, [95.0, 96.0, 97.0]])
    return TruthTable("gaps", "nasbench201", texts, {"test_accuracy": test, "params_m": np.arange(4.0)}, {})


def test_means_are_over_the_seeds_that_are_known(tmp_path: Path) -> None:
    table_with_gaps().save(tmp_path / "gaps.npz")
    for table in (table_with_gaps(), load_table(tmp_path / "gaps.npz")):
        texts = table.texts
        assert [table.query(texts[row]) for row in (0, 1, 3)] == [91, 80, 96]
        assert table.n_seeds().tolist() == [2, 1, 0, 3]
        assert [table.rank_of(texts[row]) for row in (0, 1, 3)] == [2, 3, 1]
        assert np.isnan(table.values()[2])
        nowhere = SPACE.parse(texts[2])
        assert table.knows(nowhere)
        assert table.knows(nowhere, "params_m")
        assert not table.knows(nowhere, "test_accuracy")
        for ask in (table.query, table.per_seed, table.rank_of):
            with pytest.raises(TruthError, match="does not know the test_accuracy of"):
                ask(texts[2])
        with pytest.raises(TruthError, match="one value an architecture"):
            table.per_seed(texts[0], "params_m")


def test_ranking_sets_leave_out_what_is_not_known() -> None:
    table = table_with_gaps()
    known = known_architectures(table, SPACE, stream(0, "test"), 10, "test_accuracy")
    canonical = {SPACE.canonical(architecture).text for architecture in known}
    assert canonical == {table.texts[row] for row in (0, 1, 3)}
    assert len(known_architectures(table, SPACE, stream(0, "test"), 10)) == 4


def test_tables_of_encodings_answer_only_for_these() -> None:
    twin = "|skip_connect~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|skip_connect~2|"
    same = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"
    columns = {"test_accuracy": np.array([[90.0], [91.0]])}
    both = TruthTable("x", "nasbench201", (twin, same), columns, {}, keyed_by="architecture")
    assert [both.query(text) for text in (twin, same)] == [90, 91]
    assert len(known_architectures(both, SPACE, stream(0, "test"), 10)) == 1
    one = TruthTable("x", "nasbench201", (same,), {"test_accuracy": columns["test_accuracy"][1:]}, {}, "architecture")
    assert not one.knows(SPACE.parse(twin))
    with pytest.raises(TruthError, match="each encoding has its own row"):
        one.query(twin)


def test_another_space_is_refused() -> None:
    other = raynas.space("nasbench_macro").parse("22212202")
    table = small_table()
    assert not table.knows(other)
    for architecture in (other, other.text):
        with pytest.raises(TruthError, match=r"truth 'small' is of space nasbench201.*22212202"):
            table.query(architecture)


def test_unknown_columns_are_refused(tmp_path: Path) -> None:
    table = small_table()
    columns = {**table.columns, "top5": table.columns["params_m"]}
    TruthTable("x", "nasbench201", table.texts, columns, {}).save(tmp_path / "x.npz")
    with pytest.raises(TruthError, match=r"columns that are no metrics: top5"):
        load_table(tmp_path / "x.npz")
    TruthTable("x", "nasbench201", table.texts, table.columns, {}, "neither").save(tmp_path / "y.npz")  # type: ignore[arg-type]
    with pytest.raises(TruthError, match="keyed_by is 'neither'"):
        load_table(tmp_path / "y.npz")
