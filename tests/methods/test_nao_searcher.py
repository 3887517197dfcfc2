"""NAO as a path searcher: generations, that it climbs, that it continues, and that it leaves torch's draws alone."""

from __future__ import annotations

import math
import pickle

import numpy as np
import torch

import raynas
from raynas.methods.nao_searcher import NaoSearcher
from raynas.search import SEARCHERS
from raynas.spaces import Architecture

SPACE = raynas.space("nasbench201", connected=True)


def value(architecture: Architecture) -> float:
    return float(sum(option == "nor_conv_3x3" for option in architecture.options))


def make(seed: int = 0, **keys: object) -> NaoSearcher:
    options: dict[str, object] = {"seeds": 30, "generated": 15, "random": 5, "top": 10, "epochs": 60}
    args = keys.pop("args", ())
    searcher = SEARCHERS.make("nao", SPACE, np.random.default_rng(seed), *args, **{**options, **keys})
    assert isinstance(searcher, NaoSearcher)
    return searcher


def play(searcher: NaoSearcher, asks: int) -> list[list[Architecture]]:
    batches = []
    for _ in range(asks):
        batch = searcher.ask()
        searcher.tell(batch, [value(a) for a in batch])
        batches.append(batch)
    return batches


def test_seeds_then_written_then_random_ones() -> None:
    batches = play(make(), 3)
    assert [len(batch) for batch in batches] == [30, 20, 20]


def test_what_it_writes_is_better_than_chance() -> None:
    batches = play(make(seeds=60, epochs=200), 3)
    seeds, written = batches[0], [a for batch in batches[1:] for a in batch[:15]]
    assert np.mean([value(a) for a in written]) > np.mean([value(a) for a in seeds]) + 1


def test_broken_and_continued_is_unbroken_and_does_not_touch_torch() -> None:
    before = torch.random.get_rng_state()
    whole = make(epochs=5)
    play(whole, 2)
    state = whole.state_dict()
    kept = pickle.dumps(state)
    ahead = play(whole, 2)
    for saved in (state, pickle.loads(kept)):
        continued = make(seed=4, epochs=5)
        continued.load_state_dict(saved)
        assert play(continued, 2) == ahead
    assert torch.equal(before, torch.random.get_rng_state())


def test_written_again_for_what_is_infeasible() -> None:
    searcher = make(epochs=20, args=((), lambda architecture: value(architecture) <= 2))
    batches = play(searcher, 3)
    assert [len(batch) for batch in batches] == [30, 20, 20]
    assert all(value(a) <= 2 for batch in batches for a in batch)


def test_initial_ones_that_the_seeds_have_no_room_for_come_next() -> None:
    rng = np.random.default_rng(1)
    initial = list({SPACE.canonical(a): a for a in (SPACE.sample(rng) for _ in range(14))}.values())
    first, second = play(make(seeds=4, epochs=2, args=(initial,)), 2)
    assert first + second[: len(initial) - 4] == initial


def test_without_finite_scores_it_draws() -> None:
    searcher = make(epochs=2)
    batch = searcher.ask()
    searcher.tell(batch, [1.0, 2.0, 3.0] + [math.nan] * (len(batch) - 3))
    assert len(searcher.ask()) == 20
