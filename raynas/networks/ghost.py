"""Walking through a network without data: `Meter` counts what one path would do, and remembers every layer it has seen.

A `Ghost` takes the place of a tensor: it is a shape and nothing else. A layer is really run once for each input shape,
on the meta device under torch's FLOP counter; after that it is looked up. Thousands of paths share few such layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.flop_counter import FlopCounterMode

from raynas.networks.batchnorm import BatchNorm
from raynas.networks.shared import SharedLayer
from raynas.networks.supernet import Choice


class Ghost:
    """A tensor's shape, in the tensor's place."""

    __slots__ = ("meter", "shape")

    def __init__(self, shape: torch.Size, meter: Meter) -> None:
        self.shape, self.meter = shape, meter

    @classmethod
    def __torch_function__(
        cls, function: Callable[..., Any], types: object, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        del types
        meter = next(leaf.meter for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, cls))
        return meter.call(function, args, kwargs or {})

    def __add__(self, other: object) -> Ghost:
        """Return the shape itself where nothing is broadcast: sums of equal shapes are most of what networks do."""
        if isinstance(other, Ghost) and other.shape == self.shape:
            return self
        added: Ghost = self.meter.call(torch.add, (self, other), {})
        return added

    __radd__ = __add__

    def __mul__(self, other: object) -> Any:
        return self.meter.call(torch.mul, (self, other), {})

    __rmul__ = __mul__

    def __getitem__(self, index: Any) -> Any:
        return self.meter.call(Tensor.__getitem__, (self, index), {})

    def __getattr__(self, name: str) -> Any:
        method = getattr(Tensor, name)
        if not callable(method):
            raise AttributeError(f"a ghost has a shape and no '{name}'")
        return lambda *args, **kwargs: self.meter.call(method, (self, *args), kwargs)


class Meter:
    """Counts parameters and multiply-adds of paths through a network.

    Args:
        network: A network on the meta device; its layers are made to count, so that it is good for nothing else after.
    """

    def __init__(self, network: nn.Module) -> None:
        self.params = self.flops = 0
        self._seen: set[int] = set()
        self._known: dict[Any, tuple[Any, int]] = {}
        self._sizes: dict[Any, int] = {}
        self._watch(network)

    def start(self, shape: tuple[int, ...]) -> Ghost:
        """Begin a new path and return its input: (1, C, H, W)."""
        self.params = self.flops = 0
        self._seen = set()
        return Ghost(torch.Size(shape), self)

    def has_run(self, module: nn.Module) -> bool:
        """Say whether the path has called a module that counts as a whole."""
        return id(module) in self._seen

    def call(self, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return a function's output as ghosts, its inputs being ghosts; parameters among them are counted once."""
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, nn.Parameter) and id(leaf) not in self._seen:
                self._seen.add(id(leaf))
                self.params += leaf.numel()
        return self._recall((function, _signature(args), _signature(kwargs)), function, args, kwargs)

    def _recall(self, key: Any, function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        known = self._known.get(key)
        if known is None:
            real = tree_map(_real, (tuple(args), dict(kwargs)), is_leaf=_is_ghost)
            with FlopCounterMode(display=False) as counter:
                out = function(*real[0], **real[1])
            shapes = tree_map(lambda leaf: Ghost(leaf.shape, self) if isinstance(leaf, Tensor) else leaf, out)
            known = self._known[key] = shapes, counter.get_total_flops()
        self.flops += known[1]
        return known[0]

    def _watch(self, module: nn.Module) -> None:
        """Make every part that has no choice inside count its calls as a whole; what chooses is run as it is."""
        if isinstance(module, SharedLayer) or _is_fixed(module):
            self._count(module)
            return
        if isinstance(module, Choice):
            for candidate in module.candidates.values():
                self._watch(candidate) if _chooses(candidate) else self._count(candidate)
            if not any(map(_chooses, module.candidates.values())):
                self._call_directly(module)
        else:
            for child in module.children():
                self._watch(child)

    def _call_directly(self, choice: nn.Module) -> None:
        """Let a choice reach its counting candidates past nn.Module's machinery, which is most of the time."""
        assert isinstance(choice, Choice)
        calls = {option: candidate.forward for option, candidate in choice.candidates.items()}
        setattr(choice, "forward", lambda x, option: calls[option](x))  # noqa: B010 - mypy forbids methods to be set

    def _count(self, module: nn.Module) -> None:
        forward, own = module.forward, id(module)

        def counted(*args: Any) -> Any:
            key = (own, *[leaf.shape if type(leaf) is Ghost else leaf for leaf in args])
            if own not in self._seen or isinstance(module, SharedLayer):
                self._seen.add(own)
                if key not in self._sizes:
                    self._sizes[key] = _parameters(module, args)
                self.params += self._sizes[key]
            known = self._known.get(key)
            if known is None:
                if not isinstance(module, SharedLayer):
                    return self._recall(key, forward, args, {})
                # What it does alone: making a small kernel out of the shared one is no part of a path's cost.
                alone = _plain(module, args)
                return self._recall(key, lambda x, *choices: alone(x), args, {})
            self.flops += known[1]
            return known[0]

        module.forward = counted


def _plain(layer: SharedLayer, args: Sequence[Any]) -> nn.Module:
    return layer.plain(args[0].shape[1], *args[1:])


def _parameters(module: nn.Module, args: Sequence[Any]) -> int:
    """Return how many parameters the stand-alone form of a module has."""
    alone = _plain(module, args) if isinstance(module, SharedLayer) else module
    return sum(p.numel() for p in alone.parameters())


def _is_fixed(module: nn.Module) -> bool:
    """Say whether a module is the same for every architecture; a batch norm behind a plain layer has all channels."""
    return not any(isinstance(m, Choice | SharedLayer) and not isinstance(m, BatchNorm) for m in module.modules())


def _chooses(module: nn.Module) -> bool:
    return any(isinstance(inner, Choice) for inner in module.modules())


def _is_ghost(leaf: object) -> bool:
    return isinstance(leaf, Ghost)


def _real(leaf: Any) -> Any:
    return torch.empty(leaf.shape, device="meta") if isinstance(leaf, Ghost) else leaf


def _signature(tree: Any) -> Any:
    """Return a key of a function's arguments: of ghosts and tensors only the shape counts."""
    leaves = tree_leaves(tree, is_leaf=_is_ghost)
    return tuple(("shape", tuple(leaf.shape)) if isinstance(leaf, Ghost | Tensor) else repr(leaf) for leaf in leaves)
