"""The contract of `raynas.testing.SpaceContract`, over every registered space and its variants."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from raynas.errors import UnknownNameError
from raynas.spaces import SPACES, Architecture, Space, space
from raynas.spaces.nasbench201 import Nasbench201
from raynas.testing import SpaceContract


def needs_no_options(name: str) -> bool:
    return not any(option.is_required() for option in SPACES.options_model(name).model_fields.values())


VARIANTS = [
    *((name, ()) for name in SPACES if needs_no_options(name)),
    ("nasbench201", (("connected", True),)),
    ("mobilenet", (("se", True),)),
    ("ofa_mobilenetv3", (("resolutions", (128, 160, 224)),)),
    ("depth_v1", (("sync", False),)),
    ("depth_v1", (("nodes", 1),)),
    ("depth_v2", (("sync", False), ("nodes", 3))),
]


@functools.cache
def made(name: str, options: tuple[tuple[str, object], ...]) -> Space:
    return space(name, **dict(options))


@pytest.mark.parametrize("variant", VARIANTS, ids=str, scope="class")
class TestRegisteredSpaces(SpaceContract):
    @pytest.fixture(autouse=True)
    def _choose(self, variant: tuple[str, tuple[tuple[str, object], ...]]) -> None:
        self.variant = variant

    def make_space(self) -> Space:
        return made(*self.variant)


def test_unknown_space_names_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'nasbench201'"):
        space("nasbench21")


class Lopsided(Nasbench201):
    """Draws and mutates with a preference."""

    def sample(self, rng: np.random.Generator) -> Architecture:
        return min(super().sample(rng), super().sample(rng))

    def mutate(self, architecture: Architecture, rng: np.random.Generator) -> Architecture:
        return self.neighbours(architecture)[0]


class LopsidedContract(SpaceContract):
    def make_space(self) -> Space:
        return Lopsided()


def test_the_contract_notices_a_broken_space() -> None:
    with pytest.raises(AssertionError, match="not uniform"):
        LopsidedContract().test_draws_are_uniform()
    with pytest.raises(AssertionError, match="not uniform"):
        LopsidedContract().test_mutations_are_uniform()
    LopsidedContract().test_samples_are_members_and_round_trip()


def test_the_contract_asks_for_a_space() -> None:
    with pytest.raises(NotImplementedError, match="must override make_space"):
        SpaceContract().test_distance_is_a_metric()
