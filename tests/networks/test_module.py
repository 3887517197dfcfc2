"""A user's own model as a space and as a supernet."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import raynas
from raynas.errors import ArchitectureError, ConfigError, RunError
from raynas.networks.batchnorm import BatchNorm, batch_norms
from raynas.networks.cost import cost, plain_cost
from raynas.networks.derive import derive
from raynas.spaces import Space
from raynas.testing import SpaceContract
from raynas.testing.networks import NetworkContract

MODEL = """
import torch
from torch import nn
from raynas import Choice


def conv(width, kernel):
    return nn.Sequential(nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(width))


class Layer(nn.Module):
    def __init__(self, number, width):
        super().__init__()
        inner = Choice("inner", {"relu": nn.ReLU(), "tanh": nn.Tanh()})
        self.operation = Choice(
            f"layer{number}",
            {"skip": nn.Identity(), "conv3": conv(width, 3), "nested": nn.Sequential(conv(width, 1), inner)},
        )

    def forward(self, x):
        return x + self.operation(x)


class Net(nn.Module):
    def __init__(self, width=4, input_shape=(3, 32, 32), classes=10):
        super().__init__()
        self.scales = torch.linspace(1, 0.5, 2).tolist()  # cannot be done on the meta device
        self.stem = nn.Conv2d(input_shape[0], width, 3, padding=1)
        self.layers = nn.ModuleList(Layer(number, width) for number in range(2))
        self.classifier = nn.Linear(width, classes)

    def forward(self, x):
        x = self.stem(x)
        for layer, scale in zip(self.layers, self.scales):
            x = scale * layer(x)
        return self.classifier(x.mean((2, 3)))


def failing():
    raise RuntimeError("out of luck")


def number():
    return 3


def plain():
    return nn.Linear(2, 2)


def differing():
    return nn.Sequential(Choice("a", {"x": nn.Identity()}), Choice("a", {"y": nn.Identity()}))


def illegal():
    return nn.Sequential(Choice("a=b", {"x,y": nn.Identity(), " z": nn.Identity()}), Choice("empty", {}))
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "my_net.py"
    path.write_text(MODEL)
    return path


class FromFile:
    @pytest.fixture(autouse=True)
    def _write(self, file: Path) -> None:
        self.file = file

    def make_space(self) -> Space:
        return raynas.space("module", path=f"{self.file}:Net")


class TestSpace(FromFile, SpaceContract):
    pass


class TestNetwork(FromFile, NetworkContract):
    input_shape = (3, 8, 8)


def test_decisions_and_size(file: Path) -> None:
    space = raynas.space("module", path=f"{file}:Net")
    assert [d.name for d in space.decisions] == ["layer0", "inner", "layer1"]
    assert space.size == 3 * 2 * 3
    architecture = space.parse("layer1=skip,layer0=nested,inner=tanh")
    assert str(architecture) == "layer0=nested,inner=tanh,layer1=skip"


def test_nested_choices_are_active_where_they_are_chosen(file: Path) -> None:
    space = raynas.space("module", path=f"{file}:Net")
    part = space.subspace({"layer0": ["conv3", "nested"]})
    for one in (space, part, pickle.loads(pickle.dumps(part)), raynas.supernet(space.build((3, 8, 8), 10)).space):
        inner = {
            text: one.active(space.parse(text).options)
            for text in (
                "layer0=conv3,inner=tanh,layer1=skip",
                "layer0=conv3,inner=tanh,layer1=nested",
                "layer0=nested,inner=tanh,layer1=skip",
            )
        }
        assert list(inner.values()) == [(True, False, True), (True, True, True), (True, True, True)]
        same = [one.canonical(space.parse(text)).text for text in inner]
        assert same == ["layer0=conv3,inner=relu,layer1=skip", *list(inner)[1:]]
    assert len(space.classes()) == 4 + 5 * 2


def test_arguments_are_passed_on(file: Path) -> None:
    space = raynas.space("module", path=f"{file}:Net", arguments={"width": 7, "classes": 3})
    net = raynas.supernet(space, input_shape=(1, 8, 8), classes=10)
    assert net.model.stem.weight.shape[:2] == (7, 1)
    assert net.model.classifier.weight.shape == (3, 7)


def test_making_a_space_leaves_the_global_generator_alone(file: Path) -> None:
    before = torch.random.get_rng_state()
    raynas.space("module", path=f"{file}:Net")
    assert torch.equal(torch.random.get_rng_state(), before)


def user_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3),
        raynas.Choice("act", {"relu": nn.ReLU(), "norm": nn.BatchNorm2d(4)}),
        nn.BatchNorm2d(4, affine=False, track_running_stats=False),
        nn.Flatten(),
        nn.Linear(4 * 6 * 6, 3),
    )


def test_supernet_of_a_model_has_a_copy_of_its_weights() -> None:
    model, x = user_model(), torch.randn(5, 1, 8, 8)
    net = raynas.supernet(model, input_shape=(1, 8, 8), classes=3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for option in ("relu", "norm"):
        architecture = net.space.make([option])
        expected = nn.Sequential(model[0], model[1].candidates[option], *model[2:])(x)
        torch.testing.assert_close(net(x, architecture), expected)
    model.load_state_dict(before)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(7.0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert type(model[2]) is nn.BatchNorm2d
    with torch.no_grad():
        model[0].weight.zero_()
    assert bool((net.model[0].weight == 7).all())


def test_a_model_in_memory_takes_no_options_and_is_not_built_anew() -> None:
    net = raynas.supernet(user_model(), input_shape=(1, 8, 8))
    with pytest.raises(ValueError, match="has its options already"):
        raynas.supernet(user_model(), affine=True)
    with pytest.raises(ConfigError, match="read off a model in memory"):
        raynas.supernet(net.space.partition(["act"])[0])


def test_batch_norm_keeps_what_its_owner_set() -> None:
    model = user_model().double()
    model[1].candidates["norm"].weight.requires_grad_(False)
    model[1].candidates["norm"].eps = 1e-2
    model[1].candidates["norm"].running_mean.fill_(3)
    model[1].candidates["norm"].eval()
    norm, bare = batch_norms(raynas.supernet(model, input_shape=(1, 8, 8)))
    assert norm.weight.dtype == torch.float64
    assert (norm.weight.requires_grad, norm.bias.requires_grad, norm.eps) == (False, True, 1e-2)
    assert norm.running_mean.tolist() == [3.0] * 4
    assert not norm.training
    assert (bare.weight, bare.running_mean) == (None, None)


class Tied(nn.Module):
    """One choice and one batch norm, each under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.first = raynas.Choice("act", {"relu": nn.ReLU(), "conv": nn.Conv2d(2, 2, 1)})
        self.second = self.first
        self.norm = nn.BatchNorm2d(2)
        self.inside = nn.Sequential(self.norm)
        self.nothing: nn.Module | None = None
        self.register_module("empty", None)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inside(self.second(self.norm(self.first(x))))


def test_what_stands_in_two_places_stays_one() -> None:
    net = raynas.supernet(Tied(), input_shape=(2, 4, 4))
    assert net.model.norm is net.model.inside[0]
    assert isinstance(net.model.norm, BatchNorm)
    architecture, x = net.space.parse("act=conv"), torch.randn(3, 2, 4, 4)
    alone = derive(net, architecture)
    assert alone.first is alone.second
    assert type(alone.first) is nn.Conv2d
    assert alone.norm is alone.inside[0]
    assert type(alone.norm) is nn.BatchNorm2d
    torch.testing.assert_close(alone(x), net(x, architecture))


def test_cost_of_a_model_that_computes_with_numbers(file: Path) -> None:
    space = raynas.space("module", path=f"{file}:Net")
    wide = type(space)(path=f"{file}:Net", arguments={"width": 8})  # the same decisions, other costs
    for one in (space, wide):
        architecture = one.parse("layer0=conv3,inner=tanh,layer1=skip")
        params, flops = plain_cost(derive(one, architecture), (3, 32, 32))
        found = cost(one, architecture)
        assert (round(found.params_m * 1e6), round(found.flops_m * 1e6)) == (params, flops)


def test_a_choice_outside_a_supernet_explains_itself() -> None:
    with pytest.raises(RunError, match=r"nothing decides 'act': call raynas.supernet\(model\)\(images, architecture\)"):
        user_model()(torch.zeros(1, 1, 8, 8))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("plain", ["Linear has no raynas.Choice"]),
        ("differing", [r"two choices are named 'a' and offer \('x',\) and \('y',\)"]),
        ("illegal", ["'a=b' must not hold", "'x,y' must not hold", "' z' must not .* space", "'empty' has no cand"]),
        ("failing", ["my_net.py:failing cannot be built: RuntimeError: out of luck"]),
        ("number", ["makes a int, not a torch.nn.Module"]),
        ("Nett", ["has no class or function 'Nett', did you mean 'Net'"]),
        ("", ["does not say where"]),
    ],
)
def test_what_cannot_be_a_space_is_explained(file: Path, name: str, words: list[str]) -> None:
    for word in words:
        with pytest.raises(ConfigError, match=word):
            raynas.space("module", path=f"{file}:{name}")


def test_files_that_cannot_be_loaded(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be loaded: FileNotFoundError: no file .*nowhere\.py"):
        raynas.space("module", path=f"{file.parent / 'nowhere.py'}:Net")
    with pytest.raises(ConfigError, match="does not say where"):
        raynas.space("module", path=str(file))
    with pytest.raises(ConfigError, match="cannot be loaded: ModuleNotFoundError"):
        raynas.space("module", path="no_such_package.nets:Net")
    broken = file.parent / "broken.py"
    for text, error in (("x = (", "SyntaxError"), ("x = undefined", "NameError: name 'undefined'")):
        broken.write_text(text)
        with pytest.raises(ConfigError, match=f"cannot be loaded: {error}"):
            raynas.space("module", path=f"{broken}:Net")
    with pytest.raises(ConfigError, match=r"cannot be built: TypeError: .*'widht'"):
        raynas.space("module", path=f"{file}:Net", arguments={"widht": 3})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("layer0=skip", "does not decide inner, layer1"),
        ("layer0=skip,layer0=skip", "'layer0' is taken twice"),
        ("layr0=skip,inner=relu,layer1=skip", "did you mean 'layer0'"),
        ("layer0=skp,inner=relu,layer1=skip", "has no option 'skp'"),
    ],
)
def test_texts_that_are_no_architecture(file: Path, text: str, words: str) -> None:
    with pytest.raises(ArchitectureError, match=words):
        raynas.space("module", path=f"{file}:Net").parse(text)


def test_another_process_in_another_folder_builds_the_same(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Ray's workers do: the space arrives pickled, in a process that starts elsewhere."""
    monkeypatch.chdir(file.parent)
    space = raynas.space("module", path="my_net.py:Net")
    part = space.subspace({"layer0": ["conv3", "nested"]})
    stored = tmp_path / "space.pickle"
    stored.write_bytes(pickle.dumps(part))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    code = (
        "import pickle, pathlib, raynas, torch, numpy\n"
        f"space = pickle.loads(pathlib.Path({str(stored)!r}).read_bytes())\n"
        "net = raynas.supernet(space, input_shape=(3, 8, 8), seed=3)\n"
        "architecture = space.sample(numpy.random.default_rng(0))\n"
        "print(architecture, float(net(torch.ones(2, 3, 8, 8), architecture).sum()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=elsewhere, capture_output=True, text=True, check=True)
    net = raynas.supernet(part, input_shape=(3, 8, 8), seed=3)
    architecture = part.sample(np.random.default_rng(0))
    text, total = done.stdout.split()
    assert text == str(architecture)
    assert float(total) == pytest.approx(net(torch.ones(2, 3, 8, 8), architecture).sum().item(), rel=1e-5)
