"""The candidate pool against a plain list, and the door in front of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import raynas
from raynas.search import CandidatePool, Pool, PoolEntry

SPACE = raynas.space("nasbench201")
ARCHITECTURES = [SPACE.sample(np.random.default_rng(i)) for i in range(60)]


def entry(
    index: int, score: float, scorer: str = "root", version: int = 0, protocol: str = "loss/batch/float32"
) -> PoolEntry:
    return PoolEntry(ARCHITECTURES[index], score, protocol, scorer, version)


def test_keeps_the_newest_score_of_the_best() -> None:
    rng = np.random.default_rng(0)
    pool, reference = Pool(10), {}
    for _ in range(30):
        batch = [entry(int(i), float(rng.normal())) for i in rng.integers(60, size=7)]
        pool.add(batch)
        reference.update({e.architecture: e for e in batch})
        reference = {e.architecture: e for e in sorted(reference.values(), key=lambda e: -e.score)[:10]}
        assert pool.entries == list(reference.values())


def test_ties_are_in_the_order_of_the_strings() -> None:
    a, b = Pool(5), Pool(5)
    a.add([entry(i, 1.0) for i in range(9)])
    b.add([entry(i, 1.0) for i in reversed(range(9))])
    assert a.entries == b.entries


def test_diverged_scores_stay_out() -> None:
    pool = Pool(5)
    pool.add([entry(0, float("nan")), entry(1, float("inf")), entry(2, -1.0)])
    assert [e.architecture for e in pool.entries] == [ARCHITECTURES[2]]


def test_overlap_is_the_share_that_stayed() -> None:
    pool = Pool(4)
    assert pool.overlap([]) == 1.0
    pool.add([entry(i, float(i)) for i in range(4)])
    before = pool.entries
    news = [entry(10, 9.0), entry(11, 8.0), entry(12, -5.0)]
    assert pool.overlap_after(news) == 0.5
    assert pool.entries == before
    pool.add(news)
    assert pool.overlap(before) == 0.5


def test_a_score_that_is_none_takes_the_entry_out() -> None:
    pool = Pool(5)
    pool.add([entry(0, 1.0), entry(1, 2.0)])
    pool.add([entry(1, float("nan"))])
    assert pool.entries == [entry(0, 1.0)]


def test_each_protocol_has_a_ranking_and_room_of_its_own() -> None:
    pool, alone = Pool(3), {name: Pool(3) for name in "ab"}
    rng = np.random.default_rng(0)
    for _ in range(20):
        batch = [
            entry(int(i), float(rng.normal()), protocol=str(rng.choice(["a", "b"]))) for i in rng.integers(9, size=4)
        ]
        pool.add(batch)
        for name, one in alone.items():
            one.add(e for e in batch if e.protocol == name)
            assert pool.ranking(name) == one.entries
    assert pool.ranking("c") == []
    a, b = alone["a"].entries, alone["b"].entries
    assert pool.entries == [e for pair in zip(a, b, strict=True) for e in pair]
    assert len(pool) == 6
    again = Pool(1)
    again.load_state_dict(pool.state_dict())
    assert (again.entries, again.capacity) == (pool.entries, 3)


def test_rankings_of_different_length_and_overlap_by_protocol() -> None:
    pool = Pool(3)
    pool.add([entry(0, 1.0, protocol="b"), entry(0, 5.0, protocol="a"), entry(1, 3.0, protocol="b"), entry(2, 2.0)])
    assert [(e.protocol[0], e.score) for e in pool.entries] == [("a", 5.0), ("b", 3.0), ("l", 2.0), ("b", 1.0)]
    assert pool.overlap([entry(0, 0.0, protocol="b"), entry(1, 0.0, protocol="a")]) == 0.25


def test_duplicates_stand_beside_each_other() -> None:
    pool = Pool(4, duplicates=True)
    pool.add([entry(0, 1.0, version=10), entry(1, 3.0, version=10)])
    pool.add([entry(0, 2.0, version=20), entry(0, 1.0, version=10)])
    assert [(e.score, e.version) for e in pool.entries] == [(3.0, 10), (2.0, 20), (1.0, 10)]
    before = pool.entries
    assert pool.overlap_after([entry(0, 9.0, version=30), entry(2, 8.0)]) == 0.75
    assert pool.entries == before
    pool.add([entry(0, float("nan"), version=10)])
    assert [e.version for e in pool.entries] == [10, 20]


def test_the_gain_is_what_the_mean_of_the_best_rises_by() -> None:
    pool, name = Pool(30), entry(0, 0.0).protocol
    assert pool.gain_after([entry(0, 1.0)], name) == 0.0
    pool.add([entry(i, float(i)) for i in range(4)])
    before = pool.entries
    assert pool.gain_after([entry(7, 9.0), entry(8, 3.0)], name) == pytest.approx((9 + 3 + 3 + 2) / 4 - 1.5)
    assert pool.gain_after([entry(7, -9.0)], name) == 0.0
    assert pool.gain_after([entry(3, 5.0)], name) == pytest.approx(0.5)  # scored anew
    assert pool.gain_after([entry(3, 0.0)], name) == 0.0
    assert pool.gain_after([entry(7, float("nan"))], name) == 0.0
    assert pool.gain_after([entry(i, float("nan")) for i in range(4)], name) == 0.0
    assert pool.gain_after([entry(7, 9.0, protocol="other")], name) == pool.gain_after([], name) == 0.0
    assert pool.gain_after([entry(7, 9.0)], "other") == 0.0
    assert pool.entries == before


def test_the_gain_looks_at_the_best_twenty() -> None:
    pool, name = Pool(30), entry(0, 0.0).protocol
    pool.add([entry(i, 1.0) for i in range(5)] + [entry(10 + i, 10.0) for i in range(20)])
    assert pool.gain_after([entry(7, 30.0)], name) == pytest.approx(1.0)
    assert pool.gain_after([entry(7, 9.0)], name) == 0.0


def test_staleness_is_the_mean_age() -> None:
    pool = Pool(5)
    pool.add([entry(0, 1.0, "a", 100), entry(1, 2.0, "b", 50), entry(2, 3.0, "gone", 10)])
    assert pool.staleness({"a": 160, "b": 50}) == pytest.approx((60 + 0 + 0) / 3)
    assert Pool(3).staleness({}) == 0


class TestCandidatePool:
    def test_a_turns_entries_come_in_together(self) -> None:
        pool = CandidatePool(5)
        assert pool.overlap_after([entry(0, 1.0, "b")]) == 0.0
        assert pool.entries() == []
        assert pool.commit({"b": [entry(0, 1.0, "b")], "a": []}) == 0.0
        assert [e.scorer for e in pool.entries()] == ["b"]
        assert pool.staleness({"b": 30}) == 30

    def test_order_of_arrival_does_not_matter_and_twice_is_once(self) -> None:
        a, b = CandidatePool(3), CandidatePool(3)
        mine, yours = [entry(0, 1.0, "x"), entry(1, 2.0, "x")], [entry(0, 5.0, "y"), entry(2, 0.0, "y")]
        a.commit({"x": mine, "y": yours})
        b.commit({"y": yours, "x": mine})
        assert a.entries() == b.entries()
        assert b.commit({"y": yours, "x": mine}) == 1.0
        assert a.entries() == b.entries()

    def test_comes_back_from_its_file(self, tmp_path: Path) -> None:
        file = tmp_path / "pool.pkl"
        pool = CandidatePool(3, file)
        pool.commit({"x": [entry(0, 1.0, "x", 640)]})
        again = CandidatePool(3, file)
        assert again.rows() == [
            {"architecture": ARCHITECTURES[0].text, "score": 1.0, "protocol": "loss/batch/float32", "scorer": "x",
             "version": 640}
        ]  # fmt: skip
        assert [path.name for path in tmp_path.iterdir()] == ["pool.pkl"]


def test_what_leaves_the_pool_is_no_gain() -> None:
    pool = Pool(5)
    pool.add([entry(0, 1.0), entry(1, 3.0)])
    assert pool.gain_after([entry(0, float("nan"))], "loss/batch/float32") == 0.0
    assert pool.gain_after([entry(0, float("nan")), entry(2, 2.0)], "loss/batch/float32") == pytest.approx(0.5)
