"""The monocular depth spaces of landmark regularisation (Yu et al., CVPR 2021, supplementary experiments).

Four fusion cells in a cascade, deepest first, decode a fixed encoder's features. A cell is like NAS-Bench-201's: node
0 is the previous fusion, node 1 the encoder's feature, and every inner node sums one operation on each earlier node;
the last node is the output, upsampled by two. V2 chooses the upsampling too. The cells share one choice (sync) or have
their own. Notation: ``|op~0|op~1|+|op~0|op~1|op~2|`` a cell, in V2 with ``@upsampling`` after it, cells by ``;``.
"""

from __future__ import annotations

import functools
import math
from typing import Annotated

from pydantic import Field

from raynas.errors import ArchitectureError, ConfigError
from raynas.spaces.architecture import Architecture, Decision
from raynas.spaces.base import Space
from raynas.spaces.nasbench201 import OPERATIONS
from raynas.spaces.notation import cell_edges, checked, edges_on_paths, format_nodes, parse_nodes
from raynas.spaces.registry import SPACES

CELLS = 4
FIRST_INNER = 2
"""The first node that sums inputs; 0 is the previous fusion, 1 the encoder's feature."""
UPSAMPLINGS = ("bilinear", "bicubic", "transposed_conv", "pixel_shuffle")
INTERPOLATIONS = UPSAMPLINGS[:2]
"""The upsamplings that leave zeros as they are; the others have a bias."""


class DepthSpace(Space):
    """Fusion cells of a depth decoder; see the module's docstring.

    Args:
        sync: One cell is shared by the four places; otherwise each place has its own (``cell1`` is the deepest).
        nodes: Inner nodes of a cell.

    Raises:
        ConfigError: There is no inner node.
    """

    chooses_upsampling: bool

    def __init__(self, *, sync: bool = True, nodes: Annotated[int, Field(ge=1)] = 2) -> None:
        if nodes < 1:
            raise ConfigError([f"nodes must be at least 1, got {nodes}"], self.name)
        self.sync = sync
        self.nodes = nodes
        self.last_node = FIRST_INNER + nodes - 1
        self.edges = cell_edges(FIRST_INNER, self.last_node)
        self.cells = 1 if sync else CELLS
        cell = [Decision(f"{target}<-{source}", OPERATIONS) for target, source in self.edges]
        if self.chooses_upsampling:
            cell.append(Decision("upsample", UPSAMPLINGS))
        self._width = len(cell)
        prefixes = [""] if sync else [f"cell{number}." for number in range(1, CELLS + 1)]
        super().__init__(
            [Decision(prefix + decision.name, decision.options) for prefix in prefixes for decision in cell]
        )

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """One group a cell."""
        return tuple(tuple(range(cell * self._width, (cell + 1) * self._width)) for cell in range(self.cells))

    def is_valid_part(self, part: int, options: tuple[str, ...]) -> bool:
        """Refuse the cell that takes the first option everywhere, in the upsampling too where it is chosen."""
        del part
        return options != self._refused

    def count_part(self, part: int) -> int:
        """Return how many cells there are: all combinations but, where it is allowed, the one refused."""
        allowed = [self.decisions[index].options for index in self.parts[part]]
        refused = all(option in options for option, options in zip(self._refused, allowed, strict=True))
        return math.prod(map(len, allowed)) - refused

    def active(self, options: tuple[str, ...]) -> tuple[bool, ...]:
        """Say of each edge whether it lies on a path from an input of its cell to the last node, and the cell is read.

        The last cell is, and so is one whose next cell is and has an active edge from node 0. A cell that is read has
        an active upsampling; shared cells are judged by the last one.
        """
        said: list[bool] = []
        is_read = True
        for cell in reversed(self.split(options)):
            carries = tuple(option != OPERATIONS[0] for option in cell[: len(self.edges)])
            live = live_edges(self.edges, carries)
            said = [*(is_read and edge for edge in live), *[is_read] * (len(cell) - len(live)), *said]
            is_read = is_read and any(edge and source == 0 for edge, (_, source) in zip(live, self.edges, strict=True))
        return tuple(said)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the architecture whose inactive decisions all take their first option.

        A cell that is zero everywhere (no path leads to its last node) counts as enlarged by the first upsampling where
        it is enlarged by interpolation. Where only the cell that is refused would remain, its last decision takes the
        second option: the first valid cell in order of enumeration, which is never read or has no path either.
        Two encodings of the same sum (a skip before or after an operation) are not recognised as one.
        """
        options, active = architecture.options, self.active(architecture.options)
        cells = []
        for place, cell in enumerate(self.split(options)):
            live = active[place * self._width : (place + 1) * self._width]
            kept = [option if keeps else OPERATIONS[0] for option, keeps in zip(cell, live, strict=True)]
            if self.chooses_upsampling:
                is_zero = not any(live[:-1]) and cell[-1] in INTERPOLATIONS
                kept[-1] = UPSAMPLINGS[0] if is_zero or not live[-1] else cell[-1]
            if tuple(kept) == self._refused:
                kept[-1] = self._all_decisions[self._width - 1].options[1]
            cells += kept
        return self._architecture(tuple(cells))

    def split(self, options: tuple[str, ...]) -> list[tuple[str, ...]]:
        """Return the options of each cell: one where the cells are shared, else four, deepest first."""
        return [options[place : place + self._width] for place in range(0, len(options), self._width)]

    def format_options(self, options: tuple[str, ...]) -> str:
        """Return ``|op~0|op~1|+|op~0|op~1|op~2|@upsampling;...``."""
        return ";".join(self._format_cell(cell) for cell in self.split(options))

    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return one option a decision; raises ArchitectureError naming the cell's text and the node or edge."""
        cells = text.strip().split(";")
        if len(cells) != self.cells:
            raise ArchitectureError(f"'{text}' has {len(cells)} cells joined by ';' instead of {self.cells}")
        return tuple(option for cell in cells for option in self._parse_cell(cell))

    @property
    def _refused(self) -> tuple[str, ...]:
        return tuple(decision.options[0] for decision in self._all_decisions[: self._width])

    def _format_cell(self, cell: tuple[str, ...]) -> str:
        text = format_nodes(cell, FIRST_INNER, self.last_node)
        return f"{text}@{cell[-1]}" if self.chooses_upsampling else text

    def _parse_cell(self, text: str) -> tuple[str, ...]:
        if not self.chooses_upsampling:
            return parse_nodes(text, FIRST_INNER, self.last_node, OPERATIONS)
        nodes, at, upsampling = text.partition("@")
        options = parse_nodes(nodes, FIRST_INNER, self.last_node, OPERATIONS)
        if not at:
            raise ArchitectureError(f"'{text}' lacks its upsampling, as in '{text}@{UPSAMPLINGS[0]}'")
        return (*options, checked(upsampling.strip(), UPSAMPLINGS, "at the end", text, "upsampling"))


@functools.cache
def live_edges(edges: tuple[tuple[int, int], ...], carries: tuple[bool, ...]) -> tuple[bool, ...]:
    """Say of each edge of a cell whether it lies on a path from node 0 or 1 to the last node.

    Args:
        edges: (target, source) of each edge.
        carries: Whether its operation lets anything through.
    """
    return edges_on_paths(edges, carries, {0, 1}, edges[-1][0])


@SPACES.register("depth_v1")
class DepthV1(DepthSpace):
    """Depth decoder V1: the operations of the fusion cells; 3,124 cells with two inner nodes."""

    name = "depth_v1"
    chooses_upsampling = False


@SPACES.register("depth_v2")
class DepthV2(DepthSpace):
    """Depth decoder V2: the operations of the fusion cells and their upsampling; 12,499 cells with two inner nodes."""

    name = "depth_v2"
    chooses_upsampling = True
