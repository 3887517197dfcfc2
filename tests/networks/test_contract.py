"""The contract of networks, over the network of every space."""

from __future__ import annotations

import pytest

import raynas
from raynas.spaces import Space
from raynas.testing.networks import NetworkContract


class TestNasbench201(NetworkContract):
    input_shape = (3, 8, 8)
    network = {"channels": 4, "cells": 1}

    def make_space(self) -> Space:
        return raynas.space("nasbench201")


class TestNasbenchMacro(NetworkContract):
    network = {"channels": 4, "head": 16}

    def make_space(self) -> Space:
        return raynas.space("nasbench_macro")


@pytest.mark.parametrize("se", [False, True])
class TestMobilenet(NetworkContract):
    network = {"width": 0.25, "head": 16, "stem_stride": 1}
    input_shape = (3, 32, 32)

    @pytest.fixture(autouse=True)
    def _choose(self, se: bool) -> None:
        self.se = se

    def make_space(self) -> Space:
        return raynas.space("mobilenet", se=self.se)


class Depth(NetworkContract):
    input_shape = (3, 32, 32)
    classes = 1
    output_shape = (1, 32, 32)
    spare = ("encoder.", "project.")  # levels that no cell reads
    network = {
        "features": 8,
        "encoder_channels": (4, 6, 8, 10),
        "encoder_blocks": (1, 1, 1, 1),
        "encoder_stride": 2,
    }


class TestDepthV1(Depth):
    def make_space(self) -> Space:
        return raynas.space("depth_v1")


class TestDepthV1NonSync(Depth):
    def make_space(self) -> Space:
        return raynas.space("depth_v1", sync=False)


class TestDepthV2(Depth):
    def make_space(self) -> Space:
        return raynas.space("depth_v2")


class TestDepthV2NonSync(Depth):
    def make_space(self) -> Space:
        return raynas.space("depth_v2", sync=False)


class TestDarts(NetworkContract):
    input_shape = (3, 8, 8)
    network = {"channels": 4, "cells": 3, "stem_multiplier": 1}

    def make_space(self) -> Space:
        return raynas.space("darts")


def shallow(space: Space) -> Space:
    """The NDS space without its deep stages, for the time they take."""
    return space.subspace({f"stage{number}.depth": ("1", "2", "4") for number in (1, 2, 3)})


class Nds(NetworkContract):
    input_shape = (3, 8, 8)
    network = {"width": 0.25}
    draws = 3


class TestNdsResnet(Nds):
    def make_space(self) -> Space:
        return shallow(raynas.space("nds_resnet"))


class TestNdsResnextA(Nds):
    def make_space(self) -> Space:
        return shallow(raynas.space("nds_resnext_a"))


class TestNasbench101(NetworkContract):
    input_shape = (3, 8, 8)
    network = {"channels": 6, "cells": 1}

    def make_space(self) -> Space:
        return raynas.space("nasbench101")


@pytest.mark.parametrize("resolutions", [(), (12, 16, 20)], ids=["one size", "resolutions"])
class TestOfaMobilenetV3(NetworkContract):
    network = {"width": 0.25, "stem_stride": 1}
    draws = 1

    @pytest.fixture(autouse=True)
    def _choose(self, resolutions: tuple[int, ...]) -> None:
        self.resolutions = resolutions

    def make_space(self) -> Space:
        return raynas.space("ofa_mobilenetv3", resolutions=self.resolutions)
