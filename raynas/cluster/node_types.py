"""Kinds of machines, and what fits on them; plain arithmetic, the same for a cluster file and for a Ray that runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Bundle = Mapping[str, float]
"""What one process or trial reserves together on one node: ``{"CPU": 2, "GPU": 0.5}``."""
_KNOWN = ("CPU", "GPU")


@dataclass(frozen=True)
class NodeType:
    """A kind of machine.

    Args:
        name: Its name.
        cpus: CPUs that processes can reserve on one.
        gpus: GPUs of one.
        most: How many of them there can be at the same time.
        is_head: Whether it is the head, of which there is always one.
    """

    name: str
    cpus: int
    gpus: int
    most: int
    is_head: bool = False

    @property
    def resources(self) -> dict[str, float]:
        """What one has, as Ray names it."""
        return {"CPU": self.cpus, "GPU": self.gpus}


@dataclass(frozen=True)
class Fit:
    """A kind of machine that can hold a bundle.

    Args:
        node_type: The kind.
        each: How many such bundles one machine holds at the same time.
    """

    node_type: NodeType
    each: int

    @property
    def at_once(self) -> int:
        """How many all machines of the kind hold at the same time."""
        return self.each * self.node_type.most


@dataclass(frozen=True)
class Fitting:
    """Where a bundle fits.

    Args:
        fits: The kinds of machines that hold it, in the order in which they were given.
        reason: Why no kind ever holds it; None where one does.
        most_nodes: The most machines of all kinds together; None where each kind's own limit is all.
    """

    fits: tuple[Fit, ...]
    reason: str | None = None
    most_nodes: int | None = None

    @property
    def at_once(self) -> int:
        """How many there can be at the same time, those machines being started that hold most."""
        total, left = 0, self.most_nodes
        for fit in sorted(self.fits, key=lambda fit: -fit.each):
            nodes = fit.node_type.most if left is None else min(left, fit.node_type.most)
            total, left = total + nodes * fit.each, None if left is None else left - nodes
        return total


def places(node: Bundle, bundle: Bundle) -> int:
    """Return how many bundles one node holds at the same time; a fraction of a GPU lies on one GPU.

    Args:
        node: What the node has.
        bundle: What each reserves; of CPUs and GPUs, not both nothing.
    """
    limits = []
    cpus, gpus = bundle.get("CPU", 0), bundle.get("GPU", 0)
    if cpus:
        limits.append(int(node.get("CPU", 0) / cpus + 1e-9))
    if gpus:
        there = int(node.get("GPU", 0))
        whole = gpus == int(gpus)
        limits.append(there * int(1 / gpus + 1e-9) if gpus < 1 else there // int(gpus) if whole else 0)
    limits += [int(node.get(name, 0) / wanted) for name, wanted in bundle.items() if name not in _KNOWN and wanted]
    if not limits:
        raise ValueError("a bundle that reserves nothing fits anywhere")
    return min(limits)


def fits(bundle: Bundle, node_types: Sequence[NodeType], most_nodes: int | None = None) -> Fitting:
    """Return which kinds of machines hold a bundle, or why none ever does.

    Args:
        bundle: What a trial reserves; see `Resources.bundle`.
        node_types: The kinds there are; one of which there can be none counts as none.
        most_nodes: The most machines of all kinds together; None where each kind's own limit is all.
    """
    there = [kind for kind in node_types if kind.most > 0]
    found = tuple(
        Fit(kind, each) for kind, each in ((kind, places(kind.resources, bundle)) for kind in there) if each > 0
    )
    return Fitting(found, most_nodes=most_nodes) if found else Fitting((), _reason(bundle, there))


def _reason(bundle: Bundle, there: Sequence[NodeType]) -> str:
    """Return why no kind holds a bundle, with what the largest has."""
    wanted = bundle_text(bundle)
    if not there:
        return f"{wanted} fits nowhere: there can be no node of any kind (max_workers)"
    for name, amount in bundle.items():
        most = max(kind.resources.get(name, 0) for kind in there)
        if amount > most:
            owner = max(there, key=lambda kind: kind.resources.get(name, 0)).name
            return f"{wanted} fits nowhere: the largest node ({owner}) has {most:g} {name}{'s' if most != 1 else ''}"
        if name == "GPU" and amount > 1 and amount != int(amount):
            return f"{wanted} fits nowhere: above one GPU Ray gives whole ones only"
    kinds = "; ".join(f"{kind.name} has {bundle_text(kind.resources)}" for kind in there)
    return f"{wanted} fits nowhere: no node has all of it together ({kinds})"


def bundle_text(bundle: Bundle) -> str:
    """Return a bundle in words: ``2 CPUs + 0.5 GPU``."""
    named = [(amount, name) for name, amount in bundle.items() if amount]
    return " + ".join(f"{amount:g} {name}{'s' if amount > 1 else ''}" for amount, name in named) or "nothing"
