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
