"""CLOSE: when levels rise and what a new block begins with, what learns then, and that all of it continues."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import raynas
from raynas.config import load_config
from raynas.data import ImageData
from raynas.errors import ConfigError
from raynas.methods import CURRICULA, SAMPLERS, SHARINGS, MethodPlan, Sampler, Stack, TrainingView
from raynas.methods.close import CloseCurriculum
from raynas.networks.nasbench201_glow import Nasbench201Glow
from raynas.ranking import rank
from raynas.search import CandidatePool
from raynas.spaces import Architecture
from raynas.training.job import RankingSet, SupernetJob
from raynas.training.scoring import ScoreProtocol, score_architectures
from raynas.training.settings import OptimizerSettings
from raynas.training.trainer import Trainer
from raynas.training.worker import SupernetWorker

SPACE = raynas.space("nasbench201", connected=True)
DIGITS = raynas.data("digits")
SETTINGS = OptimizerSettings(batch_size=16, lr=0.1, lr_min=0.001)
ALL_CONVOLUTIONS = SPACE.parse(
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|nor_conv_1x1~0|nor_conv_3x3~1|nor_conv_1x1~2|"
)


class Convolutions(Sampler):
    """A cell of convolutions, so that every step has a gradient for the GATE."""

    def next_step(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
        return [ALL_CONVOLUTIONS]


def curriculum(**options: Any) -> CloseCurriculum:
    made = CURRICULA.make("close", **CURRICULA.checked("close", options))
    assert isinstance(made, CloseCurriculum)
    return made


def make_trainer(
    close: CloseCurriculum | None,
    *,
    steps: int = 20,
    seed: int = 0,
    settings: OptimizerSettings = SETTINGS,
    network: dict[str, Any] | None = None,
    sampler: type[Sampler] | None = None,
    sharing: str = "glow",
    **options: Any,
) -> Trainer:
    shared = SHARINGS.make(sharing, **SHARINGS.checked(sharing, options))
    small = {"channels": 2, "cells": 1, **(network or {})}
    net = shared.supernet(SPACE, input_shape=(1, 8, 8), classes=10, seed=seed, **small)
    chosen = sampler(SPACE) if sampler else SAMPLERS.make("uniform", SPACE)
    keys: dict[str, Any] = {"total_steps": steps, "seed": seed, "name": "root", "curriculum": close}
    return Trainer(net, DIGITS.train.first(100), chosen, settings, **keys)


def glow(trainer: Trainer) -> Nasbench201Glow:
    assert isinstance(trainer.supernet, Nasbench201Glow)
    return trainer.supernet


def head(trainer: Trainer) -> torch.nn.Linear:
    gate = glow(trainer).gate
    assert gate is not None
    return gate.head


def tensors(trainer: Trainer, block: int) -> dict[str, Tensor]:
    """Return copies of a block's weights and buffers."""
    return {
        f"{layer}.{name}": tensor.clone()
        for layer, bank in enumerate(glow(trainer).bank(block))
        for name, tensor in bank.state_dict().items()
    }


@pytest.mark.parametrize("norm", [{}, {"affine": True, "track": True}], ids=["plain norm", "affine, tracked"])
def test_a_block_an_edge_is_spos_bit_for_bit(norm: dict[str, bool]) -> None:
    """Uniform paths, no curriculum: the same losses, weights and scores after ten steps."""
    spos = make_trainer(None, sharing="positions", network=norm)
    ours = make_trainer(None, blocks=6, gate="positions", network=norm)
    assert ours.train(10).loss == spos.train(10).loss
    state = ours.supernet.state_dict()
    for name, tensor in spos.supernet.state_dict().items():
        assert torch.equal(tensor, state[name.replace("edges", "banks")]), name
    some = [SPACE.sample(np.random.default_rng(seed)) for seed in range(20)]
    scores = [score_architectures(one.supernet, DIGITS, some, ScoreProtocol(images=50)) for one in (ours, spos)]
    assert scores[0] == scores[1]


def test_one_level_of_the_curriculum_is_one_block() -> None:
    """Later blocks, the GATE and what is drawn change nothing before they are reached."""
    several = make_trainer(curriculum(levels=(0.0, 0.9), restarts=()), blocks=4)
    one = make_trainer(None, blocks=1, gate="fixed")
    begin = {name: tensor.clone() for name, tensor in several.supernet.state_dict().items()}
    one.supernet.load_state_dict({name: begin.get(name, own) for name, own in one.supernet.state_dict().items()})
    assert several.train(10).loss == one.train(10).loss
    state = several.supernet.state_dict()
    for name, tensor in one.supernet.state_dict().items():
        assert torch.equal(tensor, state[name]) or name.startswith(("router.", "reached")), name
    assert all(torch.equal(tensor, begin[name]) for name, tensor in state.items() if ".gate." in name)


def test_levels_rise_at_shares_of_the_budget() -> None:
    found = {}
    for name, options, blocks in [
        ("default", {}, 4),
        ("all five", {}, 5),
        ("as it has blocks", {}, 2),
        ("nds", {"first": 5, "step": 2, "levels": (0.0, 0.25, 0.5)}, 8),
        ("never all", {"levels": (0.0, 0.5)}, 4),
    ]:
        trainer = make_trainer(curriculum(**options), blocks=blocks)
        levels = []
        for _ in range(20):
            trainer.train(1)
            levels.append(glow(trainer).level)
        found[name] = levels
    assert found["default"] == [1] * 4 + [2] * 4 + [3] * 4 + [4] * 8
    assert found["all five"] == [1] * 4 + [2] * 4 + [3] * 4 + [4] * 4 + [5] * 4
    assert found["as it has blocks"] == [1] * 4 + [2] * 16
    assert found["nds"] == [5] * 5 + [7] * 5 + [8] * 10
    assert found["never all"] == [1] * 10 + [2] * 10
    assert glow(make_trainer(None, blocks=3)).level == 3  # without a curriculum all from the start


@pytest.mark.parametrize(("wit", "official"), [("copy", False), ("sum", True), ("off", False)])
def test_what_a_new_block_begins_with(wit: str, official: bool) -> None:
    options = {"wit_noise": 0.25, **({"official": True} if official else {"wit": wit})}
    trainer = make_trainer(curriculum(**options), blocks=4, network={"affine": True, "track": True})
    for new in (1, 2, 3):
        fresh = tensors(trainer, new)
        trainer.train(4 if new == 1 else 3)
        assert glow(trainer).level == new
        assert all(torch.equal(tensor, fresh[name]) for name, tensor in tensors(trainer, new).items())
        previous = tensors(trainer, new - 1)
        assert trainer.curriculum is not None
        trainer.view._trained = round(0.2 * new * trainer.view.total)
        trainer.curriculum.before_step(trainer.view, np.random.default_rng(0))
        assert glow(trainer).level == new + 1
        now = tensors(trainer, new)
        for name, tensor in now.items():
            if wit == "sum":
                expected = fresh[name] + previous[name]
            elif wit == "off":
                expected = fresh[name]
            else:
                expected = previous[name] + (0.25 * fresh[name] if tensor.ndim > 1 else 0)
            torch.testing.assert_close(tensor, expected, atol=1e-7, rtol=1e-6, msg=name)
        assert all(torch.equal(tensor, previous[name]) for name, tensor in tensors(trainer, new - 1).items())
        trainer.train(1)


def test_a_copy_without_noise_is_exact_and_of_the_block_that_was_drawn() -> None:
    for wit_from in ("previous", "random"):
        sources = set()
        for seed in range(6):
            trainer = make_trainer(curriculum(wit_noise=0.0, wit_from=wit_from, restarts=()), blocks=3)
            trainer.train(8)
            supernet, close = glow(trainer), trainer.curriculum
            assert isinstance(close, CloseCurriculum)
            assert supernet.level == 2
            blocks = [tensors(trainer, block) for block in (0, 1)]
            close._raise(supernet, np.random.default_rng(seed))
            new = tensors(trainer, 2)
            same = [all(torch.equal(new[name], block[name]) for name in new) for block in blocks]
            assert sum(same) == 1
            sources.add(same.index(True))
        assert sources == ({1} if wit_from == "previous" else {0, 1})


@pytest.mark.parametrize("inherit_gate", [True, False])
def test_the_gates_row_for_a_new_block(inherit_gate: bool) -> None:
    trainer = make_trainer(curriculum(inherit_gate=inherit_gate), blocks=4)
    trainer.train(7)
    before = [tensor.detach().clone() for tensor in (head(trainer).weight, head(trainer).bias)]
    assert isinstance(trainer.curriculum, CloseCurriculum)
    trainer.curriculum._raise(glow(trainer), np.random.default_rng(0))
    for old, new in zip(before, (head(trainer).weight, head(trainer).bias), strict=True):
        expected = old.clone()
        expected[2] += old[1] if inherit_gate else 0
        assert torch.equal(new, expected)


@pytest.mark.parametrize("estimator", ["chosen", "all"])
def test_the_last_layer_stays_with_the_optimizer(estimator: str) -> None:
    """At every level from the second on it is the parameter that it was, and moves; so does the rest of the GATE."""
    trainer = make_trainer(curriculum(restarts=()), blocks=4, estimator=estimator, sampler=Convolutions)
    first = {name: id(p) for name, p in trainer.supernet.named_parameters()}
    known = {id(p) for group in trainer._optimizer.param_groups for p in group["params"]}
    for level in (1, 2, 3, 4):
        trainer.train(4 if level == 1 else 3)
        assert glow(trainer).level == level
        before = {name: p.detach().clone() for name, p in trainer.supernet.named_parameters()}
        trainer.train(1 if level < 4 else 2)
        gate = {name: p for name, p in trainer.supernet.named_parameters() if ".gate." in name}
        still = {name for name, p in gate.items() if torch.equal(p, before[name])}
        if level == 1:
            assert {name: id(p) for name, p in gate.items()}.items() <= first.items()
            continue
        # What two layers of the embedder tell of operations is gone before the output: see test_nasbench201_glow.
        assert {name for name in still if "attention" not in name} == set()
        assert not torch.equal(head(trainer).weight[:level], before["router.gate.head.weight"][:level])
        assert {id(head(trainer).weight), id(head(trainer).bias)} <= known
        assert {name: id(p) for name, p in trainer.supernet.named_parameters()} == first


def test_as_released_the_last_layer_learns_from_the_restart_on() -> None:
    trainer = make_trainer(curriculum(official=True), blocks=5, official=True, sampler=Convolutions)
    moved = []
    for _ in range(20):
        before, rest = head(trainer).weight.detach().clone(), glow(trainer).gate.layers[0].weight.detach().clone()  # type: ignore[union-attr, union-attr]
        level = glow(trainer).level
        trainer.train(1)
        if glow(trainer).level == level:
            moved.append(not torch.equal(head(trainer).weight, before))
        else:
            moved.append(glow(trainer).level == 3)  # only the third level comes with a restart
        assert not torch.equal(glow(trainer).gate.layers[0].weight, rest)  # type: ignore[union-attr]
    # Five steps of a GATE that decays, the second level without the last layer, the third with it, the rest without.
    assert moved == [True] * 4 + [False] * 4 + [True] * 4 + [False] * 8


@pytest.mark.parametrize("official", [False, True])
def test_the_gate_waits_for_the_second_level(official: bool) -> None:
    """With a single block it is left alone; as released it decays all that time."""
    settings = OptimizerSettings(batch_size=16, lr=0.1, lr_min=0.1, momentum=0, weight_decay=0.01, grad_clip=None)
    trainer = make_trainer(
        curriculum(official=official), blocks=4, official=official, settings=settings, sampler=Convolutions
    )
    gate = glow(trainer).gate
    assert gate is not None
    before = [p.detach().clone() for p in gate.parameters()]
    trainer.train(4)
    factor = (1 - 0.1 * 0.01) ** 4 if official else 1.0
    for old, new in zip(before, gate.parameters(), strict=True):
        torch.testing.assert_close(new.detach(), old * factor, atol=1e-8, rtol=1e-6 if official else 0)
    assert int(glow(trainer).router.draws) == (4 if official else 0)


def test_the_gate_never_decays() -> None:
    """Also where it learns: a GATE whose gradients are zeros stays what it is."""
    trainer = make_trainer(curriculum(), blocks=4)
    groups = {id(p): group["weight_decay"] for group in trainer._optimizer.param_groups for p in group["params"]}
    for name, parameter in trainer.supernet.named_parameters():
        assert groups[id(parameter)] == (0.0 if ".gate." in name else SETTINGS.weight_decay)


def test_restarts_begin_the_schedule_anew() -> None:
    trainer = make_trainer(curriculum(restarts=(0.4, 0.75)), blocks=2)
    rates, kept = [], []
    for step in range(20):
        if step in (8, 15):
            assert trainer._optimizer.state
        before = {p: state["momentum_buffer"].clone() for p, state in trainer._optimizer.state.items()}
        trainer.train(1)
        rates.append(trainer._optimizer.param_groups[0]["lr"])
        kept.append(before.keys() <= trainer._optimizer.state.keys())
    spans = [(0, 20), (8, 12), (15, 5)]
    expected = [SETTINGS.lr_at(step, 20) for step in range(8)]
    expected += [SETTINGS.lr_at(step - 8, 12) for step in range(8, 15)]
    expected += [SETTINGS.lr_at(step - 15, 5) for step in range(15, 20)]
    assert rates == pytest.approx(expected)
    assert [step for step, (first, _) in zip((0, 8, 15), spans, strict=True) if rates[step] == SETTINGS.lr] == [
        0,
        8,
        15,
    ]
    assert [step for step, keeps in enumerate(kept) if not keeps] == [8, 15]


def test_a_level_rises_before_the_schedule_restarts() -> None:
    """As released: level, then restart, so that a new block has no momentum and the first rate is the highest."""
    order = []
    trainer = make_trainer(curriculum(levels=(0.0, 0.4), restarts=(0.4,)), blocks=2)
    supernet, restart = glow(trainer), trainer.view._restart
    raised = supernet.set_level
    setattr(supernet, "set_level", lambda level: (order.append("level"), raised(level)))  # noqa: B010
    trainer.view._restart = lambda: (order.append("restart"), restart())  # type: ignore[assignment, return-value]
    trainer.train(9)
    assert order == ["level", "restart"]


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize("at", [3, 4, 8, 9])
def test_broken_and_continued_is_unbroken(at: int, official: bool) -> None:
    """Before, at and after a level and a restart that are due: both happen once."""

    def make(seed: int = 0) -> Trainer:
        options = {"official": official, "wit_from": "random"}
        return make_trainer(curriculum(**options), blocks=4, official=official, seed=seed)

    whole, first, second = make(), make(), make()
    whole.train(at)
    expected = whole.train(14 - at).loss
    first.train(at)
    stored = io.BytesIO()
    torch.save(first.state_dict(), stored)
    stored.seek(0)
    second.train(2)  # whatever it did before is overwritten
    second.load_state_dict(torch.load(stored, weights_only=True))
    assert second.train(14 - at).loss == expected
    for (name, a), b in zip(whole.supernet.state_dict().items(), second.supernet.state_dict().values(), strict=True):
        assert torch.equal(a, b), name
    some = [SPACE.sample(np.random.default_rng(seed)) for seed in range(20)]
    assert glow(whole).eval().routes(some) == glow(second).eval().routes(some)


def test_a_level_that_was_reached_is_not_begun_again() -> None:
    """A state taken in the very step of a level (F.1.7), loaded into a new trainer: no block is inherited twice."""
    first, second = (make_trainer(curriculum(wit="sum"), blocks=4) for _ in range(2))
    first.train(5)
    assert glow(first).level == 2
    second.load_state_dict(first.state_dict())
    before = tensors(second, 1)
    assert second.curriculum is not None
    second.curriculum.before_step(second.view, np.random.default_rng(0))
    assert glow(second).level == 2
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(second, 1).items())


def job(method: MethodPlan, **options: Any) -> SupernetJob:
    keys: dict[str, Any] = {
        "label": "root",
        "space": SPACE,
        "network": {"channels": 2, "cells": 1},
        "method": method,
        "optimizer": SETTINGS,
        "round_steps": 5,
        "total_rounds": 4,
        "protocol": ScoreProtocol(images=40),
        "ranking": RankingSet(
            tuple(SPACE.sample(np.random.default_rng(s)) for s in range(9)), tuple(map(float, range(9)))
        ),
        "candidates": 4,
        "rescore": 2,
        "seed": 0,
    }
    return SupernetJob(**{**keys, **options})


def test_sub_supernets_begin_at_the_level_of_the_root() -> None:
    """A worker with inherited weights is the root on its part of the space, and its blocks stay in reach."""
    method = MethodPlan(sharing=("glow", {"blocks": 3}), curriculum=("close", {}))
    root = SupernetWorker(job(method), small_data())
    root.trainer.train(15)
    part = SPACE.subspace({"3<-0": ["nor_conv_3x3", "skip_connect"]})
    child = SupernetWorker(job(method, label="child", space=part), small_data(), root.supernet.state_dict())
    assert isinstance(child.supernet, Nasbench201Glow)
    assert child.supernet.level == 3
    some = [part.sample(np.random.default_rng(seed)) for seed in range(10)]
    assert child.score(some) == root.score(some)
    child.trainer.train(1)
    assert child.supernet.level == 3


def small_data() -> ImageData:
    train, valid = DIGITS.train.first(100), DIGITS.valid.first(60)
    return ImageData("digits", train, valid, valid, 10, "classification")


def test_rounds_report_levels_and_count_what_is_evaluated() -> None:
    """What routes differently is evaluated apart, and counted so."""
    rises = {"levels": (0.0, 0.25, 0.5)}
    worker = SupernetWorker(job(MethodPlan(sharing=("glow", {"blocks": 3}), curriculum=("close", rises))), small_data())
    reports = [worker.run_round(CandidatePool(10)) for _ in range(4)]
    assert [report.metrics["level"] for report in reports] == [1, 2, 3, 3]
    assert [report.metrics["gate_gradient"] > 0 for report in reports] == [False, True, True, True]
    for report in reports:
        assert 0 <= report.metrics["gate_information"] <= report.metrics["gate_entropy"] + 1e-9
        assert report.metrics["gate_entropy"] <= np.log(report.metrics["level"]) + 1e-6
    some = [SPACE.sample(np.random.default_rng(seed)) for seed in range(40)]
    before = worker.images_scored
    found = worker.score(some)
    assert worker.images_scored - before == 40 * len(set(worker.supernet.shared_forms(some)))
    assert found == [worker.score([architecture])[0] for architecture in some]
    assert len(rank([score.loss for score in found], list(range(40))).to_dict()) > 3


def test_batch_sizes_of_scoring_change_no_route() -> None:
    worker = SupernetWorker(job(MethodPlan(sharing=("glow", {"score": "sample"}))), small_data())
    worker.trainer.train(3)
    some = [SPACE.sample(np.random.default_rng(seed)) for seed in range(10)]
    forms = worker.supernet.shared_forms(some)
    for batch_size in (10, 40):
        score_architectures(worker.supernet, small_data(), some, ScoreProtocol(images=40, batch_size=batch_size))
    assert worker.supernet.shared_forms(some) == forms


def test_equality_that_holds_whatever_the_weights_are() -> None:
    """What a process without the supernet may take for equal: see `ScoringService`."""
    nothing_reads = [
        SPACE.parse(f"|none~0|+|none~0|{o}~1|+|nor_conv_3x3~0|none~1|none~2|") for o in ("none", "skip_connect")
    ]
    for options, equal in [({}, False), ({"gate": "random"}, False), ({"gate": "fixed"}, True)]:
        sharing = SHARINGS.make("glow", **options)
        a, b = (sharing.shared_form(SPACE, architecture) for architecture in nothing_reads)
        assert (a == b) == equal
        net = sharing.supernet(SPACE, input_shape=(1, 8, 8), classes=10, seed=0, channels=2, cells=1)
        if equal:
            assert len(set(net.shared_forms(nothing_reads))) == 1


def test_what_does_not_go_together_is_told() -> None:
    no_levels = curriculum().objections(Stack(SPACE))
    assert no_levels == ["sharing 'positions' has no levels that could rise; set method.sharing to glow"]
    assert not curriculum().objections(Stack(SPACE, sharing="glow"))
    assert not SHARINGS.make("glow").objections(Stack(SPACE, sharing="glow"))
    (problem,) = SHARINGS.make("glow").objections(Stack(raynas.space("nasbench_macro")))
    assert "no blocks for the space nasbench_macro" in problem
    assert "nasbench201" in problem
    (problem,) = SHARINGS.make("glow", blocks=7, gate="positions").objections(Stack(SPACE))
    assert "at most 6" in problem
    with pytest.raises(ConfigError, match="growing shares"):
        curriculum(levels=(0.1, 0.2))
    with pytest.raises(ConfigError, match="growing shares"):
        curriculum(levels=(0.0, 0.4, 0.4))
    with pytest.raises(ConfigError, match="no levels that could rise"):
        make_trainer(curriculum(), sharing="positions")


def test_a_configuration_of_it_is_read_and_checked() -> None:
    plain: dict[str, Any] = {
        "space": "nasbench201",
        "data": "digits",
        "network": {"channels": 2, "cells": 1},
        "method": {"sharing": {"name": "glow", "blocks": 3}, "curriculum": {"name": "close", "restarts": [0.3, 0.6]}},
        "search": {"verify": {"top": 0}},
    }
    config = load_config(plain)
    assert config.method.curriculum is not None
    assert config.method.curriculum.options["levels"] == (0.0, 0.2, 0.4, 0.6, 0.8)
    with pytest.raises(ConfigError, match="to glow"):
        load_config({**plain, "method": {"curriculum": "close"}})
    with pytest.raises(ConfigError, match="gate"):
        load_config({**plain, "method": {"sharing": {"name": "glow", "gate": "nodes"}}})
