"""The depth network against its definition."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import raynas
from raynas.errors import ConfigError
from raynas.networks.batchnorm import scoring_statistics
from raynas.networks.cost import cost, plain_cost
from raynas.networks.depth import DepthSupernet, FusionCell, upsampling
from raynas.networks.depth_encoder import Encoder, level_sizes
from raynas.networks.derive import derive
from raynas.spaces import Architecture, Space
from raynas.spaces.depth import UPSAMPLINGS
from tests.conftest import shared_file

SMALL: dict[str, Any] = {
    "input_shape": (3, 32, 32),
    "classes": 1,
    "features": 8,
    "encoder_channels": (4, 6, 8, 10),
    "encoder_blocks": (1, 1, 1, 2),
}
LIVELY = "|nor_conv_3x3~0|nor_conv_1x1~1|+|skip_connect~0|avg_pool_3x3~1|nor_conv_3x3~2|"
DEAD = "|nor_conv_3x3~0|nor_conv_3x3~1|+|none~0|none~1|none~2|"
ONLY_PREVIOUS = "|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"
ONLY_FEATURE = "|none~0|none~1|+|none~0|nor_conv_3x3~1|none~2|"


def network(name: str = "depth_v1", *, sync: bool = True, **options: Any) -> DepthSupernet:
    net = raynas.supernet(raynas.space(name, sync=sync), **{**SMALL, **options})
    assert isinstance(net, DepthSupernet)
    return net


def images(net: DepthSupernet, count: int = 3) -> torch.Tensor:
    return torch.randn(count, *net.input_shape, generator=torch.Generator().manual_seed(0))


def reference(net: DepthSupernet, x: torch.Tensor, architecture: Architecture) -> torch.Tensor:
    """Every level, cell and edge, dead or alive, as the paper defines it."""
    levels, out = net.encoder.levels(x, 4), None
    options = net.space.split(architecture.options) * (4 if net.space.sync else 1)
    for place, cell in enumerate(net.cells):
        feature = net.project[place](levels[3 - place])
        if out is None:
            out = torch.zeros_like(feature) if net.official else feature
        nodes = [out, feature]
        chosen = dict(zip(net.space.edges, zip(cell.edges, options[place], strict=False), strict=True))
        for target in range(2, 2 + net.space.nodes):
            terms = [chosen[target, source][0](nodes[source], chosen[target, source][1]) for source in range(target)]
            nodes.append(sum(terms[1:], terms[0]))
        out = nodes[-1]
        if net.space.chooses_upsampling:
            out = cell.upsample.candidates[options[place][-1]](out)
        else:
            out = nn.functional.interpolate(out, scale_factor=2, mode="bilinear", align_corners=True)
        if place < 3 and out.shape[2:] != levels[2 - place].shape[2:]:
            out = nn.functional.interpolate(out, levels[2 - place].shape[2:], mode="bilinear", align_corners=True)
    head = net.head
    out = nn.functional.interpolate(head[0](out), x.shape[2:], mode="bilinear", align_corners=True)
    return head[4](head[2](out).relu()).relu()


@pytest.mark.parametrize("official", [False, True])
@pytest.mark.parametrize(("name", "sync"), [("depth_v1", True), ("depth_v2", True), ("depth_v2", False)])
def test_output_is_that_of_the_definition(name: str, sync: bool, official: bool) -> None:
    net = network(name, sync=sync, official=official, input_shape=(3, 30, 42)).eval()
    rng = np.random.default_rng(0)
    for _ in range(6):
        architecture = net.space.sample(rng)
        found = net(images(net), architecture)
        torch.testing.assert_close(found, reference(net, images(net), architecture), atol=1e-4, rtol=1e-4)
        assert found.shape == (3, 1, 30, 42)
        assert bool((found >= 0).all())


def test_zeros_for_the_first_cell_are_another_network() -> None:
    paper, code = network(), network(official=True)
    architecture = paper.space.parse(LIVELY)
    assert not torch.allclose(paper(images(paper), architecture), code(images(code), architecture))
    unfed = paper.space.parse(ONLY_FEATURE)  # reads no previous fusion anywhere
    torch.testing.assert_close(paper(images(paper), unfed), code(images(code), unfed))


@pytest.mark.parametrize("name", UPSAMPLINGS)
def test_upsamplings_double_odd_and_even_sizes(name: str) -> None:
    layer = upsampling(name, 6)
    for size in ((4, 6), (3, 5), (1, 1), (1, 2)):
        assert layer(torch.randn(2, 6, *size)).shape == (2, 6, 2 * size[0], 2 * size[1])
    assert (not list(layer.parameters())) == (name in ("bilinear", "bicubic"))


@pytest.mark.parametrize("stride", [2, 4])
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (106, 140), (9, 5)])
def test_sizes_of_levels_are_known_beforehand(size: tuple[int, int], stride: int) -> None:
    encoder = Encoder(3, (2, 3, 4, 5), (1, 1, 1, 1), stride, nn.BatchNorm2d)
    levels = encoder.levels(torch.randn(2, 3, *size), 4)
    assert [tuple(level.shape[2:]) for level in levels] == level_sizes(*size, stride)
    assert [level.shape[1] for level in levels] == [2, 3, 4, 5]


def test_encoder_has_the_tensors_of_resnet18() -> None:
    with torch.device("meta"):
        encoder = Encoder(3, (64, 128, 256, 512), (2, 2, 2, 2), 4, nn.BatchNorm2d)
    assert sum(p.numel() for p in encoder.parameters()) == 11_689_512 - 513_000  # torchvision's, without its classifier
    names = set(encoder.state_dict())
    assert {"conv1.weight", "bn1.running_var", "layer2.0.downsample.1.bias", "layer4.1.conv2.weight"} <= names


def test_only_what_reaches_the_output_is_run() -> None:
    net = network(sync=False)
    space = net.space
    x = images(net)

    def trained(*cells: str) -> set[str]:
        net.zero_grad(set_to_none=True)
        net(x, space.parse(";".join(cells))).sum().backward()
        return {".".join(name.split(".")[:2]) for name, p in net.named_parameters() if p.grad is not None}

    everything = trained(LIVELY, LIVELY, LIVELY, LIVELY)
    assert {"cells.0", "cells.3", "project.0", "project.3", "encoder.layer4"} <= everything
    last = trained(LIVELY, LIVELY, LIVELY, ONLY_FEATURE)
    assert {name for name in last if name[:4] in ("cell", "proj")} == {"cells.3", "project.3"}
    assert not {f"encoder.layer{number}" for number in (2, 3, 4)} & last
    through = trained(ONLY_PREVIOUS, ONLY_PREVIOUS, ONLY_PREVIOUS, ONLY_PREVIOUS)
    assert {name for name in through if name.startswith("project")} == {"project.0"}


@pytest.mark.parametrize("name", ["depth_v1", "depth_v2"])
def test_a_cell_without_a_path_gives_zeros(name: str) -> None:
    net = network(name, sync=False, affine=True)
    ends = ["@pixel_shuffle", "@bilinear"] if name == "depth_v2" else ["", ""]
    nothing = net.space.parse(";".join([DEAD + ends[1]] * 4))
    constant = net(images(net), nothing)
    torch.testing.assert_close(constant, constant[:1].expand(3, -1, -1, -1))
    for dead_place in range(4):
        cells = [LIVELY + ends[0]] * 4
        cells[dead_place] = DEAD + ends[0]
        architecture = net.space.parse(";".join(cells))
        found = net.eval()(images(net), architecture)
        torch.testing.assert_close(found, reference(net, images(net), architecture), atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(derive(net, architecture)(images(net)), found, atol=1e-5, rtol=1e-5)


def test_a_frozen_encoder_is_not_trained() -> None:
    net = network(freeze_encoder=True, track=True).train()
    architecture = net.space.parse(LIVELY)
    before = {name: tensor.clone() for name, tensor in net.encoder.state_dict().items()}
    for trained in (net, derive(net, architecture).train()):
        optimiser = torch.optim.SGD([p for p in trained.parameters() if p.requires_grad], lr=0.1, weight_decay=0.1)
        out = trained(images(net), architecture) if trained is net else trained(images(net))
        out.sum().backward()
        optimiser.step()
        assert all(p.grad is None for name, p in trained.named_parameters() if name.startswith("encoder."))
        after = trained.state_dict()
        assert all(torch.equal(after[f"encoder.{name}"], tensor) for name, tensor in before.items())
    x = images(net)
    levels = net.encoder.levels(x, 4)
    with scoring_statistics(net, "batch"):  # the policies are about what is trained
        assert all(torch.equal(a, b) for a, b in zip(net.encoder.levels(x, 4), levels, strict=True))


@pytest.mark.parametrize("frozen", [False, True])
def test_cost_of_levels_that_are_not_read(frozen: bool) -> None:
    space = raynas.space("depth_v1", sync=False)
    for cells in ([LIVELY] * 4, [LIVELY, LIVELY, ONLY_FEATURE, LIVELY], [DEAD] * 4):
        architecture = space.parse(";".join(cells))
        options = {**SMALL, "freeze_encoder": frozen}
        params, flops = plain_cost(derive(space, architecture, **options), SMALL["input_shape"])
        found = cost(space, architecture, **options)
        assert round(found.flops_m * 1e6) == flops
        assert round(found.params_m * 1e6) >= params
        if cells == [LIVELY] * 4:
            assert round(found.params_m * 1e6) == params


@pytest.mark.parametrize("name", ["depth_v1", "depth_v2"])
@pytest.mark.parametrize("sync", [True, False])
def test_equal_canonical_encodings_give_equal_outputs(name: str, sync: bool) -> None:
    """Exactly, since only what is dead differs, and without a change of cost's multiply-adds."""
    net, rng = network(name, sync=sync, affine=True), np.random.default_rng(0)
    few = [d.name for d in net.space.decisions if d.name.endswith(("3<-0", "3<-1"))]
    part, changed = net.space.subspace({decision: ["none", "skip_connect"] for decision in few}), 0
    for architecture in (part.sample(rng) for _ in range(12)):
        canonical = net.space.canonical(architecture)
        changed += canonical != architecture
        assert torch.equal(net(images(net), architecture), net(images(net), canonical))
        found, same = (cost(net.space, one, **SMALL) for one in (architecture, canonical))
        assert found.flops_m == same.flops_m
        assert found.params_m >= same.params_m or not sync
    assert changed >= 3


@pytest.mark.parametrize("name", ["depth_v1", "depth_v2"])
@pytest.mark.parametrize("cell", [LIVELY, DEAD, ONLY_PREVIOUS, ONLY_FEATURE])
def test_shared_cells_cost_what_the_same_cells_cost_unshared(name: str, cell: str) -> None:
    """Operations on dead edges and of unread cells are counted in all four places."""
    text = f"{cell}@pixel_shuffle" if name == "depth_v2" else cell
    one = cost(raynas.space(name), text, **SMALL)
    assert one == cost(raynas.space(name, sync=False), ";".join([text] * 4), **SMALL)
    if cell == ONLY_FEATURE:
        alone = derive(raynas.space(name), text, **SMALL)
        operations = 8 * 8 * 9 + 2 * 8 + (8 * 32 + 32 if name == "depth_v2" else 0)
        expected = plain_cost(alone, SMALL["input_shape"])[0] + 3 * operations
        assert round(one.params_m * 1e6) == expected


class TestWeights:
    def saved(self, folder: Path, **changes: Any) -> Path:
        encoder = Encoder(3, (4, 6, 8, 10), (1, 1, 1, 2), 4, nn.BatchNorm2d)
        for module in encoder.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.uniform_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2)
        state = {**encoder.state_dict(), "fc.weight": torch.zeros(2, 10), "fc.bias": torch.zeros(2), **changes}
        torch.save({name: tensor for name, tensor in state.items() if tensor is not None}, folder / "encoder.pt")
        return folder / "encoder.pt"

    @pytest.mark.parametrize("freeze", [False, True])
    def test_are_loaded_and_their_statistics_kept(self, tmp_path: Path, freeze: bool) -> None:
        path = self.saved(tmp_path)
        stored = torch.load(path, weights_only=True)
        net = network(encoder_weights=str(path), freeze_encoder=freeze).train()
        net(images(net), net.space.parse(LIVELY)).sum().backward()
        for name, tensor in net.encoder.state_dict().items():
            assert torch.equal(tensor, stored[name]), name
        assert (net.encoder.conv1.weight.grad is None) == freeze
        assert net.encoder.bn1.weight.grad is None
        assert raynas.cost("depth_v1", LIVELY, **SMALL, encoder_weights=str(path)).params_m > 0

    def test_that_do_not_fit_are_explained(self, tmp_path: Path) -> None:
        path = self.saved(tmp_path, **{"conv1.weight": torch.zeros(4, 1, 7, 7), "bn1.bias": None, "odd": torch.ones(1)})
        with pytest.raises(ConfigError) as caught:
            network(encoder_weights=str(path))
        assert sorted(caught.value.problems) == [
            "'conv1.weight' is (4, 1, 7, 7), the encoder's is (4, 3, 7, 7)",
            "no tensor 'bn1.bias'",
            "the encoder has no 'odd'",
        ]
        assert str(path) in str(caught.value)

    def test_that_cannot_be_read_are_explained(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="cannot be read: FileNotFoundError"):
            network(encoder_weights=str(tmp_path / "nowhere.pt"))
        (tmp_path / "text.pt").write_text("no weights")
        with pytest.raises(ConfigError, match="cannot be read"):
            network(encoder_weights=str(tmp_path / "text.pt"))
        torch.save([1, 2], tmp_path / "list.pt")
        with pytest.raises(ConfigError, match=r"no state dict .* but a list"):
            network(encoder_weights=str(tmp_path / "list.pt"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": 10}, "classes must be 1"),
        ({"encoder_channels": (4, 6, 8)}, "'encoder_channels.3' is missing"),
        ({"encoder_blocks": (1, 0, 1, 1)}, "'encoder_blocks.1': input should be greater than or equal to 1, got 0"),
        ({"encoder_stride": 8}, "'encoder_stride': input should be 2 or 4, got 8"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        network(**options)


def test_real_photographs(tmp_path: Path) -> None:
    from PIL import Image

    with np.load(shared_file("depth/nyuv2_160x120.npz"), allow_pickle=False) as stored:
        ends = stored["offsets"][:3].tolist()
        pictures = [stored["jpeg"][a:b].tobytes() for a, b in itertools.pairwise(ends)]
    batch = []
    for number, picture in enumerate(pictures):
        (tmp_path / f"{number}.jpg").write_bytes(picture)
        pixels = np.asarray(Image.open(tmp_path / f"{number}.jpg"))[12:118, 11:151]  # without the white border
        batch.append(torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1))
    space: Space = raynas.space("depth_v2", sync=False)
    net = raynas.supernet(space, **{**SMALL, "input_shape": (3, 106, 140)})
    rng = np.random.default_rng(0)
    for _ in range(3):
        disparity = net(torch.stack(batch), space.sample(rng))
        assert disparity.shape == (2, 1, 106, 140)
        assert bool(torch.isfinite(disparity).all())
        assert bool((disparity >= 0).all())


def test_training_is_not_dead_from_the_start() -> None:
    """The last ReLU lets most pixels through; with torch's usual bias, two of these are zero nearly everywhere."""
    for seed in range(12):
        net = network(seed=seed)
        coarse = torch.rand(3, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
        smooth = nn.functional.interpolate(coarse, (32, 32), mode="bicubic")
        out = net(smooth, net.space.sample(np.random.default_rng(seed)))
        assert (out > 0).float().mean().item() > 0.5


def test_cells_have_weights_of_their_own() -> None:
    net = network(sync=True)
    cells = [cell for cell in net.cells if isinstance(cell, FusionCell)]
    assert len({id(p) for cell in cells for p in cell.parameters()}) == sum(len(list(c.parameters())) for c in cells)
    assert len(cells) == 4
