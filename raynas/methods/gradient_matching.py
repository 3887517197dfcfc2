"""Splits chosen by gradients: GM-NAS (Hu et al., "Generalizing Few-Shot NAS with Gradient Matching", ICLR 2022).

Options that want the shared weights to change in the same direction can stay together. For each decision that is not
yet split, `repeats` times: one training batch, one random path that reaches the output; for each option o the path with
o, the gradient g_o of the training loss by all shared weights, without the decision's own modules (in all cells), and
without stem and head, which hold no choices (`shared_parameters`). D[o, p] = 1 - cos(g_o, g_p), averaged. The options
are parted into groups of at least two with the smallest sum of D inside the groups, all such partitions being tried;
the rest of D is the cut. The decision with the largest cut is split (the released NAS-Bench-201 rule), or the one with
the smallest sum inside (their DARTS rule). Each part is trained, then chooses a decision of its own: S levels of 2
groups are 2^S leaves. The authors' settings: 100 repeats; 2 levels in the released NAS-Bench-201 scripts, 4 for the
ranking table. Parts inherit weights; after the last split the released scripts begin anew
(``method.partition.restart=final``).

Differences from the released code: a path through which no gradient comes has cosine 0 with one that has a gradient and
1 with its like (they add 1e-6 to all numbers instead); paths that are equal under shared weights are run once; batches
follow each other without replacement; a child inherits weights, and begins with momentum and a schedule of its own,
where theirs goes on with the parent's. Contexts are single paths for every sampler: the mixtures that the released
code takes for DARTS are not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from raynas.methods.part import Stack
from raynas.methods.partition import PARTITIONS, Partition, Probe, Split, needs, split_by, unsplit
from raynas.networks import Supernet
from raynas.networks.supernet import Choice
from raynas.spaces import Architecture, Space

_ATTEMPTS = 1_000
"""Draws of a context in which every option of the decision is valid, before the decision is left alone."""
_DIGITS = 12
"""Of a distance: beyond them is rounding, which must not part what is the same."""

Distances = Mapping[frozenset[str], float]
"""D of each pair of options."""


@dataclass(frozen=True)
class Cut:
    """The best way to part a decision's options.

    Args:
        groups: The groups, options in the order in which they were given.
        within: The sum of distances inside the groups.
        across: The sum of distances between groups: the cut.
    """

    groups: tuple[tuple[str, ...], ...]
    within: float
    across: float


@PARTITIONS.register("gradient_matching")
class GradientMatching(Partition):
    """Decision and groups by how well the options' gradients agree, after each supernet's training (GM-NAS).

    Args:
        levels: How often the parts are split again.
        groups: Groups a split.
        repeats: Batches, each with a context of its own, that distances are averaged over.
        choose: Split the decision with the largest cut (their NAS-Bench-201), or the smallest sum inside the groups
            (their DARTS).
        smallest: A group has at least so many options, where there are enough for all.
    """

    learned = True

    def __init__(
        self,
        *,
        levels: Annotated[int, Field(ge=1, description="how often the parts are split again")] = 2,
        groups: Annotated[int, Field(ge=2, description="groups of options a split")] = 2,
        repeats: Annotated[int, Field(ge=1, description="batches that gradients are compared on")] = 100,
        choose: Annotated[
            Literal["largest_cut", "smallest_within"], Field(description="which decision is split")
        ] = "largest_cut",
        smallest: Annotated[int, Field(ge=1, description="options of a group, where there are enough")] = 2,
    ) -> None:
        self._levels, self.groups, self.repeats = levels, groups, repeats
        self.choose, self.smallest = choose, smallest

    @property
    def levels(self) -> int:
        """As given."""
        return self._levels

    def most(self, space: Space) -> list[int]:
        """Return the powers of the number of groups."""
        del space
        return [self.groups ** (level + 1) for level in range(self.levels)]

    def objections(self, stack: Stack) -> list[str]:
        """Refuse more levels than there are decisions with options enough."""
        able = [name for name in unsplit(stack.space) if len(stack.space.decision(name).options) >= self.groups]
        return self._too_few(stack.space, len(able), f"decisions of {self.groups} options or more")

    def network_objections(self, supernet: Supernet) -> list[str]:
        """Refuse networks in which too few decisions choose between modules of their own."""
        problem = (
            "decisions whose options are modules of their own in its network (options that are parts of one module, or "
            "that depend on other decisions, have no gradients to compare)"
        )
        return self._too_few(supernet.space, len(self._candidates(supernet)), problem)

    def describe(self) -> str:
        """Return how it is chosen."""
        return "chosen by gradients"

    def split(self, space: Space, level: int, rng: np.random.Generator, probe: Probe | None = None) -> Split:
        """Return the parts by the decision whose options disagree most; the space itself where no decision is left."""
        del level
        probe = needs(probe)
        cuts: dict[str, Cut] = {}
        for name in self._candidates(probe.supernet):
            distances = option_distances(probe, name, self.repeats, rng)
            if distances is not None:
                cuts[name] = best_cut(space.decision(name).options, distances, self.groups, self.smallest)
        if not cuts:
            return Split((space,))
        largest = self.choose == "largest_cut"
        chosen = max(cuts, key=lambda name: cuts[name].across if largest else -cuts[name].within)
        why = {
            "decision": chosen,
            "groups": [list(group) for group in cuts[chosen].groups],
            "cuts": {name: cut.across for name, cut in cuts.items()},
            "within": {name: cut.within for name, cut in cuts.items()},
        }
        return Split(tuple(split_by(space, {chosen: cuts[chosen].groups})), why)

    def _candidates(self, supernet: Supernet) -> list[str]:
        space = supernet.space
        with_modules = {module.decision for module in supernet.modules() if isinstance(module, Choice)}
        return [n for n in unsplit(space) if n in with_modules and len(space.decision(n).options) >= self.groups]

    def _too_few(self, space: Space, count: int, what: str) -> list[str]:
        if count >= self.levels:
            return []
        cure = "lower levels or groups" if count else "split by decisions (name=given)"
        return [f"{self.levels} levels need as many decisions, but {space.name} has {count} {what}; {cure}"]


def option_distances(probe: Probe, name: str, repeats: int, rng: np.random.Generator) -> Distances | None:
    """Return 1 - cos of the gradients of each two options of a decision, averaged over batches and contexts.

    Args:
        probe: The trained supernet.
        name: The decision.
        repeats: How many batches.
        rng: The stream of the contexts.

    Returns:
        The distances; None where no context is valid with every option.
    """
    supernet, space = probe.supernet, probe.supernet.space
    options, parameters = space.decision(name).options, shared_parameters(probe.supernet, name)
    found: dict[frozenset[str], list[float]] = {frozenset(pair): [] for pair in itertools.combinations(options, 2)}
    for _ in range(repeats):
        paths = _context(space, name, rng)
        if paths is None:
            return None
        images, targets = probe.next_batch()
        forms = supernet.shared_forms(paths)
        gradients: dict[Hashable, Tensor] = {}
        for form, path in zip(forms, paths, strict=True):
            if form not in gradients:
                gradients[form] = _gradient(probe, path, images, targets, parameters)
                probe.count(trained=len(images))
        for (one, a), (other, b) in itertools.combinations(zip(options, forms, strict=True), 2):
            found[frozenset((one, other))].append(distance(gradients[a], gradients[b]))
    return {pair: math.fsum(values) / len(values) for pair, values in found.items()}


def distance(a: Tensor, b: Tensor) -> float:
    """Return 1 - cos of two gradients (P,), 0 to 2; 0 of two that vanish, 1 where only one does."""
    a, b = a.double(), b.double()
    aa, bb, ab = (float(torch.dot(x, y)) for x, y in ((a, a), (b, b), (a, b)))
    if aa == 0 or bb == 0:
        return float(aa != bb)
    return max(0.0, round(1.0 - ab / math.sqrt(aa * bb), _DIGITS))


def best_cut(options: Sequence[str], distances: Distances, groups: int = 2, smallest: int = 2) -> Cut:
    """Return the partition of options with the smallest sum of distances inside the groups.

    All partitions are tried. Of equal ones that of the first names is taken, whatever the order of the options.

    Args:
        options: At least as many as groups.
        distances: Of each pair.
        groups: How many groups.
        smallest: Options that a group has at least; fewer where there are not enough.
    """
    least = min(smallest, len(options) // groups)

    def within(parted: Sequence[Sequence[str]]) -> float:
        return math.fsum(distances[frozenset(pair)] for group in parted for pair in itertools.combinations(group, 2))

    allowed = (parted for parted in _set_partitions(sorted(options), groups) if min(map(len, parted)) >= least)
    best = min(allowed, key=lambda parted: (within(parted), parted))
    total = math.fsum(distances[frozenset(pair)] for pair in itertools.combinations(options, 2))
    in_order = sorted((sorted(group, key=options.index) for group in best), key=lambda group: options.index(group[0]))
    return Cut(tuple(map(tuple, in_order)), within(best), max(0.0, total - within(best)))


def shared_parameters(supernet: Supernet, name: str) -> list[nn.Parameter]:
    """Return the weights that all options of a decision share, stem and head left out.

    Stem and head are the outermost modules that hold no `Choice`; where nothing else is shared, they count after all.
    """
    own = {
        parameter
        for module in supernet.modules()
        if isinstance(module, Choice) and module.decision == name
        for parameter in module.parameters()
    }
    body: nn.Module = supernet
    while len(inner := list(body.children())) == 1 and not isinstance(inner[0], Choice):
        body = inner[0]  # a module wrapped as a whole
    inside = [child for child in body.children() if any(isinstance(module, Choice) for module in child.modules())]
    shared = [parameter for child in inside for parameter in child.parameters() if parameter not in own]
    return shared or [parameter for parameter in supernet.parameters() if parameter not in own]


def _context(space: Space, name: str, rng: np.random.Generator) -> list[Architecture] | None:
    """Return a random path that reaches the output, once with each option of a decision."""
    place = [decision.name for decision in space.decisions].index(name)
    for _ in range(_ATTEMPTS):
        options = space.sample(rng).options
        if not any(space.active(options)):
            continue
        paths = [(*options[:place], option, *options[place + 1 :]) for option in space.decisions[place].options]
        if all(map(space.is_valid, paths)):
            return [space.make(path) for path in paths]
    return None


def _gradient(
    probe: Probe, path: Architecture, images: Tensor, targets: Tensor, parameters: Sequence[nn.Parameter]
) -> Tensor:
    """Return the gradient (P,) of a path's training loss; 0 where the path does not use a weight."""
    probe.supernet.zero_grad(set_to_none=True)
    probe.loss(path, images, targets).backward()  # type: ignore[no-untyped-call]
    flat = [torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in parameters]
    probe.supernet.zero_grad(set_to_none=True)
    return torch.cat(flat)


def _set_partitions(things: Sequence[str], groups: int) -> Iterator[list[list[str]]]:
    """Yield every way to part things into so many groups that are not empty; groups in order of their first things."""

    def extend(parted: list[list[str]], rest: Sequence[str]) -> Iterator[list[list[str]]]:
        if len(parted) + len(rest) < groups:
            return
        if not rest:
            yield parted
            return
        for place in range(len(parted)):
            yield from extend([*parted[:place], [*parted[place], rest[0]], *parted[place + 1 :]], rest[1:])
        if len(parted) < groups:
            yield from extend([*parted, [rest[0]]], rest[1:])

    return extend([], things)
