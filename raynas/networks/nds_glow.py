"""The design spaces' networks with weights in banks (CLOSE; Zhou et al., ECCV 2022).

A stage has its private first block, which changes width and size, and banks of one block each for the positions behind
it; an `IntervalMap` says which positions share a bank. Each of the three stages has banks of its own, the map is the
same in all, and a narrower layer uses the first channels of the widest, as in the plain network.

There is no GATE: the released code has none here, and a chain of positions has no graph for one to look at. Its map
begins with 9 groups, and grows by 2 (ResNet, to 17) or 1 (ResNeXt-A, to 13) at a time: that is ``blocks: 17`` of the
sharing with ``first: 9, step: 2`` of the curriculum, or 13, 9 and 1.

A bank is the block of its group's first position, which a split never moves. So a network with a bank a position (23
or 15) is the plain one to the last bit, from the same seed as well.
"""

from __future__ import annotations

import functools
from typing import Any, ClassVar

from torch import nn

from raynas.networks.gate_router import GlowSettings
from raynas.networks.glow import GLOWS, GlowSupernet
from raynas.networks.interval_map import Criterion, IntervalMap
from raynas.networks.nds import NdsResnetSupernet, NdsResnextASupernet, NdsSupernet
from raynas.spaces import Space

CRITERIA: dict[str, Criterion] = {"positions": "pre", "longest": "max"}
"""Which group is split next, by the settings' `gate`: the leftmost, as released, or the longest."""


@functools.lru_cache(maxsize=256)
def interval_map(positions: int, groups: int, criterion: Criterion) -> IntervalMap:
    """Return the map of so many positions in so many groups, which is always the same."""
    if groups == 1:
        return IntervalMap.whole(positions)
    return interval_map(positions, groups - 1, criterion).split(criterion)


def repeated_positions(space: Space) -> int:
    """Return how many positions the deepest stage of the whole space has behind its first block."""
    depths = (d for d in space.root.decisions if d.name.endswith(".depth"))
    return max(int(option) for depth in depths for option in depth.options) - 1


class NdsGlow(GlowSupernet, NdsSupernet):
    """The network of a network design space with weights in banks.

    A subspace has the banks of the positions that its deepest architecture has, of the whole space's map.

    Args:
        space: The (sub)space.
        input_shape: (C, H, W) of the images.
        classes: The number of classes.
        settings: How banks are shared: the groups of the finest map are its `blocks`.
        seed: Of nothing: no bank is assigned at random.
        options: Of the plain supernet.
    """

    gates: ClassVar[tuple[str, ...]] = tuple(CRITERIA)

    def __init__(
        self,
        space: Space,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        settings: GlowSettings,
        seed: int,
        **options: Any,
    ) -> None:
        del seed
        super().__init__(space, input_shape, classes, **options)
        self.set_up(settings)
        self.positions = repeated_positions(space)
        self.depths = tuple(len(list(stage.children())) for stage in self.stages)
        kept = [0, *(1 + left for left, _ in self._map(settings.blocks).groups)]
        # In the order of their places, as in the plain network.
        self.stages = nn.ModuleList(
            nn.ModuleDict({str(place): block for place, block in enumerate(stage.children()) if place in kept})
            for stage in self.stages
        )

    @classmethod
    def refusals(cls, space: Space, settings: GlowSettings) -> list[str]:
        """Refuse more banks than there are positions."""
        found, most = super().refusals(space, settings), repeated_positions(space)
        if settings.blocks > most:
            found.append(f"'blocks': {space.name} takes at most {most}, one a position, got {settings.blocks}")
        return found

    @property
    def map(self) -> IntervalMap:
        """Which positions share a bank now."""
        return self._map(self.level)

    def bank(self, number: int) -> list[nn.Module]:
        """Return a group's block of every stage; an empty module where no architecture gets so deep."""
        place = str(1 + self._map(self.settings.blocks).groups[number][0])
        return [dict(stage.named_children()).get(place, nn.Module()) for stage in self.stages]

    def source(self, number: int) -> int:
        """Return the group that is split when this one begins."""
        return self._map(number).next_split(CRITERIA[self.settings.gate])

    def stage_blocks(self, stage: int) -> list[nn.Module]:
        """Return the blocks that the deepest architecture runs in a stage (0 to 2), one after another."""
        banks, now = dict(self.stages[stage].named_children()), self.map
        lefts = (now.left(position) for position in range(self.depths[stage] - 1))
        return [banks["0"], *(banks[str(1 + left)] for left in lefts)]

    def _map(self, groups: int) -> IntervalMap:
        return interval_map(self.positions, groups, CRITERIA[self.settings.gate])


@GLOWS.register("nds_resnet")
class NdsResnetGlow(NdsGlow, NdsResnetSupernet):
    """NDS ResNet with weights in banks; see `NdsGlow`."""


@GLOWS.register("nds_resnext_a")
class NdsResnextAGlow(NdsGlow, NdsResnextASupernet):
    """NDS ResNeXt-A with weights in banks; see `NdsGlow`."""
