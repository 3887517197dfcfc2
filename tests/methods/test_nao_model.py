"""NAO's network against its formulas written out, its tokens, and what it learns of a made-up quality."""

from __future__ import annotations

import io
import itertools
import math

import numpy as np
import pytest
import torch

import raynas
from raynas.methods.nao_model import LARGE, SMALL, NaoModel, NaoSizes
from raynas.methods.nao_surrogate import NaoSurrogate
from raynas.methods.nao_tokens import Tokens, as_tensor, tokens_for
from raynas.ranking.metrics import kendall_tau
from raynas.spaces import Architecture, Space

CELLS = raynas.space("nasbench201")
DARTS = raynas.space("darts")
WORTH = {"none": 0.0, "avg_pool_3x3": 0.5, "skip_connect": 1.0, "nor_conv_1x1": 2.0, "nor_conv_3x3": 3.0}


def value(architecture: Architecture) -> float:
    """A quality that knows operations and where they stand."""
    return sum(WORTH[option] * (place + 1) for place, option in enumerate(architecture.options))


def drawn(space: Space, count: int, seed: int = 0) -> list[Architecture]:
    rng = np.random.default_rng(seed)
    return list(dict.fromkeys(space.sample(rng) for _ in range(count)))


# Tokens.


@pytest.mark.parametrize(
    ("name", "options", "length", "vocabulary"),
    [
        ("nasbench201", {}, 6, 5),
        ("nasbench201", {"connected": True}, 6, 5),
        ("darts", {}, 32, 5 + 7),
        ("nasbench_macro", {}, 8, 3),
        ("nasbench101", {}, 26, 2 + 3),
        ("mobilenet", {}, None, None),
        ("nds_resnet", {}, None, None),
    ],
)
def test_tokens_give_the_architecture_back(
    name: str, options: dict[str, bool], length: int | None, vocabulary: int | None
) -> None:
    space = raynas.space(name, **options)
    tokens = tokens_for(space)(space)
    generator = torch.Generator().manual_seed(0)
    for architecture in drawn(space, 30):
        for sequence in (tokens.encode(architecture), tokens.encode_anew(architecture, generator)):
            assert tokens.decode(sequence) == architecture
            for place in range(tokens.length):
                assert tokens.allowed(as_tensor([sequence[:place]]))[0, sequence[place]]
    if length is not None:
        assert (tokens.length, len(tokens.vocabulary)) == (length, vocabulary)


def test_darts_swaps_the_edges_of_one_node_a_cell() -> None:
    tokens, generator = tokens_for(DARTS)(DARTS), torch.Generator().manual_seed(0)
    (architecture,) = drawn(DARTS, 1)
    first = tokens.encode(architecture)
    swapped = set()
    for _ in range(100):
        again = tokens.encode_anew(architecture, generator)
        changed = [node for node in range(8) if again[4 * node : 4 * node + 4] != first[4 * node : 4 * node + 4]]
        assert len(changed) == 2
        assert changed[0] < 4 <= changed[1]
        for node in changed:
            a, op_a, b, op_b = first[4 * node : 4 * node + 4]
            assert again[4 * node : 4 * node + 4] == [b, op_b, a, op_a]
        swapped.add(tuple(changed))
    assert len(swapped) == 16


def test_whatever_is_written_along_the_allowed_tokens_is_in_the_subspace() -> None:
    part = DARTS.subspace(
        {"normal.node3.inputs": ("0,2",), "normal.node3.op1": ("skip_connect",), "reduce.node2.op2": ("sep_conv_3x3",)}
    )
    tokens, generator = tokens_for(part)(part), torch.Generator().manual_seed(0)
    written = torch.empty(50, 0, dtype=torch.long)
    for _ in range(tokens.length):
        chances = tokens.allowed(written).double()
        written = torch.cat([written, torch.multinomial(chances, 1, generator=generator)], 1)
    found = [tokens.decode(sequence) for sequence in written.tolist()]
    assert len(set(found)) > 40
    assert all(architecture in part for architecture in found)


def test_a_validity_rule_is_told_by_none() -> None:
    tokens = Tokens(raynas.space("nasbench201", connected=True))
    none = tokens.vocabulary.index("none")
    assert tokens.decode([none] * 6) is None


# The network.


def lstm(x: torch.Tensor, cell: torch.nn.LSTM, state: tuple[torch.Tensor, torch.Tensor], suffix: str = "l0"):
    """An LSTM written out: x (B, T, I), state (B, H) each."""
    weights = (getattr(cell, f"{kind}_{suffix}") for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
    w_x, w_h, b_x, b_h = weights
    h, c = state
    out = []
    for t in range(x.shape[1]):
        i, f, g, o = (x[:, t] @ w_x.T + b_x + h @ w_h.T + b_h).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        out.append(h)
    return torch.stack(out, 1)


def unit(x: torch.Tensor) -> torch.Tensor:
    return x / x.norm(dim=-1, keepdim=True)


@pytest.mark.parametrize(("sizes", "fold"), [(NaoSizes(8, 3, 12), 2), (NaoSizes(6, 2, 10, residual=True), 1)])
def test_network_equals_its_formulas(sizes: NaoSizes, fold: int) -> None:
    model = NaoModel(5, fold=fold, sizes=sizes, seed=3).double()
    tokens = torch.randint(5, (4, 6), generator=torch.Generator().manual_seed(0))
    zero = torch.zeros(4, sizes.hidden, dtype=torch.double)
    x = model.embedding.weight[tokens].reshape(4, 6 // fold, sizes.hidden)
    out = lstm(x, model.encoder, (zero, zero))
    if sizes.residual:
        back = lstm(x.flip(1), model.encoder, (zero, zero), "l0_reverse").flip(1)
        out = (x + model.both_ways(torch.cat([out, back], 2))) * math.sqrt(0.5)
    vectors = unit(out)
    torch.testing.assert_close(model.encode(tokens), vectors)
    embedding = unit(vectors.mean(1))
    torch.testing.assert_close(model.embed(vectors), embedding)

    x = embedding
    for layer in model.mlp:
        x = torch.relu(x @ layer.weight.T + layer.bias)
    x = (x + embedding) * math.sqrt(0.5) if sizes.residual else x
    torch.testing.assert_close(model.predict(embedding), torch.sigmoid(model.regressor(x))[:, 0])

    before = torch.cat([torch.full((4, 1), 5), tokens[:, :-1]], 1)
    x = model.start_and_tokens.weight[before]
    out = lstm(x, model.decoder, (embedding, embedding))
    out = (out + x) * math.sqrt(0.5) if sizes.residual else out
    expected = []
    for t in range(6):
        state = out[:, t]
        weights = torch.stack([(state @ model.query.weight.T * vectors[:, s]).sum(1) for s in range(6 // fold)], 1)
        weights = weights.exp() / weights.exp().sum(1, keepdim=True)
        mix = sum(weights[:, s, None] * vectors[:, s] for s in range(6 // fold))
        seen = torch.tanh(torch.cat([mix, state], 1) @ model.attended.weight.T)
        seen = (seen + state) * math.sqrt(0.5) if sizes.residual else seen
        expected.append(model.out(seen).log_softmax(1))
    torch.testing.assert_close(model.log_probabilities(vectors, tokens), torch.stack(expected, 1))


def test_sizes_of_the_released_code() -> None:
    assert (LARGE.hidden, LARGE.mlp_layers, LARGE.mlp_hidden, LARGE.residual) == (96, 3, 200, False)
    large, small = NaoModel(12, fold=2, sizes=LARGE), NaoModel(5, sizes=SMALL)
    assert large.embedding.weight.shape == (12, 48)
    assert [tuple(layer.weight.shape) for layer in large.mlp] == [(200, 96), (200, 200), (200, 200)]
    assert [tuple(layer.weight.shape) for layer in small.mlp] == [(64, 16), (16, 64)]
    assert small.encoder.bidirectional
    assert not large.encoder.bidirectional


def test_writing_follows_the_likeliest_allowed_tokens() -> None:
    model = NaoModel(4, sizes=NaoSizes(8, 1, 8)).double()
    vectors = model.encode(torch.randint(4, (3, 5), generator=torch.Generator().manual_seed(1)))

    def not_twice(begun: torch.Tensor) -> torch.Tensor:
        mask = torch.ones(len(begun), 4, dtype=torch.bool)
        if begun.shape[1]:
            mask[torch.arange(len(begun)), begun[:, -1]] = False
        return mask

    with torch.no_grad():
        written = model.write(vectors, 5, not_twice)
        for row in range(3):
            begun = torch.zeros(1, 5, dtype=torch.long)
            for t in range(5):
                scores = model.log_probabilities(vectors[row : row + 1], begun)[0, t]
                scores[~not_twice(begun[:, :t])[0]] = -math.inf
                begun[0, t] = scores.argmax()
            assert torch.equal(begun[0], written[row])


def test_a_step_is_along_the_gradient_of_the_prediction() -> None:
    model = NaoModel(4, sizes=NaoSizes(8, 2, 8)).double()
    tokens = torch.randint(4, (2, 5), generator=torch.Generator().manual_seed(1))
    vectors = model.encode(tokens).detach()
    moved = model.moved(tokens)
    torch.testing.assert_close(moved(0), vectors)
    gradient, eps = torch.zeros_like(vectors), 1e-6
    for place in itertools.product(*map(range, vectors.shape)):  # finite differences
        up, down = vectors.clone(), vectors.clone()
        up[place] += eps
        down[place] -= eps
        with torch.no_grad():
            gradient[place] = (model.predict(model.embed(up)) - model.predict(model.embed(down))).sum() / (2 * eps)
    torch.testing.assert_close(moved(7), unit(vectors + 7 * gradient), atol=1e-7, rtol=1e-6)
    assert (model.predict(model.embed(moved(5))) > model.predict(model.embed(vectors))).all()


def test_dropout_is_drawn_from_the_generator_given() -> None:
    model = NaoModel(5, sizes=SMALL)
    embedding = model.embed(model.encode(torch.randint(5, (400, 6), generator=torch.Generator().manual_seed(0))))
    plain = model.predict(embedding)
    assert torch.equal(plain, model.predict(embedding))
    one, same, other = (model.predict(embedding, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    torch.testing.assert_close(one.mean(), plain.mean(), atol=2e-3, rtol=0)


# What it learns.


@pytest.fixture(scope="module")
def taught() -> tuple[NaoSurrogate, list[Architecture], float]:
    surrogate, seeds = NaoSurrogate(CELLS, seed=0, epochs=500), drawn(CELLS, 100)
    return surrogate, seeds, surrogate.fit(seeds, [value(a) for a in seeds])


def test_it_predicts_what_it_has_not_seen(taught: tuple[NaoSurrogate, list[Architecture], float]) -> None:
    surrogate, seeds, tau = taught
    unseen = [a for a in drawn(CELLS, 200, seed=1) if a not in seeds]
    assert kendall_tau(surrogate.predict(unseen), np.array([value(a) for a in unseen])) > 0.75
    assert tau > 0.6


def test_it_writes_again_what_it_read(taught: tuple[NaoSurrogate, list[Architecture], float]) -> None:
    surrogate, seeds, _ = taught
    again = surrogate.rebuild(seeds)
    right = [1 - CELLS.distance(a, b) / 6 for a, b in zip(seeds, again, strict=True) if b is not None]
    assert len(right) == len(seeds)
    assert np.mean(right) > 0.85


def test_what_it_writes_is_new_and_better(taught: tuple[NaoSurrogate, list[Architecture], float]) -> None:
    surrogate, seeds, _ = taught
    best = sorted(seeds, key=value, reverse=True)[:50]
    written = surrogate.improve(best, 40, seeds)
    forms = {CELLS.canonical(a).text for a in written}
    assert len(written) == len(forms) == 40
    assert not forms & {CELLS.canonical(a).text for a in seeds}
    assert np.mean([value(a) for a in written]) > np.mean([value(a) for a in seeds]) + 5
    assert max(map(value, written)) >= max(map(value, seeds))
    assert surrogate.improve(best, 5, seeds) == written[:5]
    assert surrogate.improve(best, 0, seeds) == surrogate.improve([], 5, seeds) == []


def test_nothing_outside_a_subspace_or_against_its_rule_is_written() -> None:
    few = ("none", "skip_connect")
    part = raynas.space("nasbench201", connected=True).subspace({"3<-2": few, "1<-0": few})
    surrogate, seeds = NaoSurrogate(part, seed=0, epochs=300), drawn(part, 60)
    surrogate.fit(seeds, [-value(a) for a in seeds])  # the worst is best: towards cells with no path
    written = surrogate.improve(seeds, 100, seeds)
    assert len(written) >= 5
    assert all(architecture in part for architecture in written)
    far = surrogate.model.moved(as_tensor([surrogate.tokens.encode(a) for a in seeds]))(20)
    assert None in surrogate._written(far)


def test_it_works_where_nodes_choose_their_inputs() -> None:
    worth = dict(zip(sorted(DARTS.decisions[1].options), range(7), strict=True))
    quality = {a: float(sum(worth.get(o, 0) for o in a.options)) for a in drawn(DARTS, 140)}
    seeds, unseen = list(quality)[:60], list(quality)[60:]
    surrogate = NaoSurrogate(DARTS, seed=0, epochs=10, sizes=NaoSizes(24, 2, 32))
    surrogate.fit(seeds, [quality[a] for a in seeds])
    assert kendall_tau(surrogate.predict(unseen), np.array([quality[a] for a in unseen])) > 0.4
    written = surrogate.improve(seeds, 10, seeds)
    assert len(written) >= 5
    assert all(architecture in DARTS for architecture in written)


def test_equal_scores_and_few_architectures_are_learned_without_failing() -> None:
    surrogate = NaoSurrogate(CELLS, seed=0, epochs=1)
    assert math.isnan(surrogate.fit(drawn(CELLS, 4), [1.0] * 4))
    assert np.isfinite(surrogate.predict(drawn(CELLS, 4))).all()
    assert len(surrogate.predict([])) == 0


def test_it_continues_exactly() -> None:
    seeds = drawn(CELLS, 30)
    scores = [value(a) for a in seeds]
    whole, other = NaoSurrogate(CELLS, seed=0, epochs=3), NaoSurrogate(CELLS, seed=1, epochs=3)
    whole.fit(seeds, scores)
    stored = io.BytesIO()
    torch.save(whole.state_dict(), stored)
    stored.seek(0)
    other.load_state_dict(torch.load(stored, weights_only=True))
    for surrogate in (whole, other):
        surrogate.fit(seeds, scores)
    assert np.array_equal(whole.predict(seeds), other.predict(seeds))
    assert whole.improve(seeds, 10, seeds) == other.improve(seeds, 10, seeds)


def test_global_generators_are_left_alone_and_seeds_matter() -> None:
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    seeds = drawn(CELLS, 20)
    found = []
    for seed in (0, 0, 1):
        surrogate = NaoSurrogate(CELLS, seed=seed, epochs=2)
        surrogate.fit(seeds, [value(a) for a in seeds])
        surrogate.improve(seeds, 5, seeds)
        found.append(surrogate.predict(seeds))
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])
    assert np.array_equal(found[0], found[1])
    assert not np.array_equal(found[0], found[2])
