"""`derive`: one architecture as a stand-alone network of plain torch modules.

The path is traced through the supernet (`torch.fx`), every layer with shared weights is replaced by the torch layer
that it amounts to, and what comes out is a `torch.fx.GraphModule`: its modules are torch's own, it is saved, loaded and
exported without raynas, and ``network.code`` shows what it does. Modules keep their names in the supernet.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from raynas.errors import ArchitectureError
from raynas.networks.build import fresh_network, supernet
from raynas.networks.inherit import inherit
from raynas.networks.shared import SharedLayer, start_anew_where_cut
from raynas.networks.supernet import Supernet
from raynas.spaces import SPACES, Architecture, Space


def derive(
    space_or_supernet: Space | Supernet | str,
    architecture: Architecture | str,
    *,
    weights: Mapping[str, Tensor] | None = None,
    **options: object,
) -> nn.Module:
    """Return the stand-alone network of one architecture.

    Derived from a supernet it has copies of the supernet's weights and gives the same output; derived from a space it
    is a fresh network as it is trained alone: batch norm affine and with running averages, and every layer initialised
    as torch initialises one of its own size.

    Args:
        space_or_supernet: Where the architecture lives; a space's name will do.
        architecture: The architecture, or its string.
        weights: A supernet's ``state_dict()`` to take the weights from instead.
        options: For a space, as for `raynas.supernet`: input shape, classes, seed and the network's options.

    Raises:
        ArchitectureError: The architecture is not in the space.
        ValueError: The weights are of another network.
    """
    if isinstance(space_or_supernet, Supernet):
        if options:
            raise ValueError(f"a supernet has its options already; got {', '.join(options)}")
        source = space_or_supernet
        if weights is not None:
            source = copy.deepcopy(source)
            inherit(source, weights)
        return source.plain(_member(source.space, architecture))
    whole = SPACES.build(space_or_supernet) if isinstance(space_or_supernet, str) else space_or_supernet
    chosen = _member(whole, architecture)
    if weights is None:
        return fresh_network(whole, chosen, **options)  # type: ignore[arg-type]
    alone = supernet(whole.only(chosen), **{"affine": True, "track": True, **options})  # type: ignore[arg-type]
    inherit(alone, weights)
    return alone.plain(chosen)


def _member(space: Space, architecture: Architecture | str) -> Architecture:
    chosen = space.parse(architecture) if isinstance(architecture, str) else architecture
    if chosen not in space:
        raise ArchitectureError(f"{chosen} is not in {space.name} ({space.label})")
    return chosen


def trace_path(network: Supernet, architecture: Architecture, *, fresh: bool = False) -> fx.GraphModule:
    """Return the graph of one path with plain layers (`fresh`: see `Supernet.plain`); the supernet stays as it is."""
    path = _Path(network, architecture)
    graph = _Tracer().trace(path)
    layers = _plain_layers(path, graph, network.input_shape, fresh=fresh)
    own = _layers_of_their_own(network, graph) | layers.keys()
    calls = Counter(node.target for node in graph.nodes if node.name in own)
    seen: Counter[Any] = Counter()
    modules: dict[str, Any] = {}
    for node in graph.nodes:
        node.type = None  # annotations are texts here, which a saved graph could not be read with
        if node.name in own:
            # A layer that a path uses twice becomes two layers: alone, each has weights of its own.
            name = node.target if calls[node.target] == 1 else f"{node.target}_{seen[node.target]}"
            seen[node.target] += 1
            if node.name in layers:
                modules[name] = layers[node.name]
                node.args, node.kwargs = node.args[:1], {}
            else:
                modules[name] = copy.deepcopy(path.get_submodule(node.target))
            node.target = name
        elif node.op == "call_module":
            modules[node.target] = copy.deepcopy(path.get_submodule(node.target))
        elif node.op == "get_attr":
            parent, _, name = node.target.rpartition(".")
            modules[node.target] = copy.deepcopy(getattr(path.get_submodule(parent), name))
    derived = fx.GraphModule(modules, graph, class_name=type(network).__name__.removesuffix("Supernet"))
    derived.graph.eliminate_dead_code()
    derived.delete_all_unused_submodules()
    derived.recompile()
    _order_like(derived, path)
    return derived.train(network.training)


def _layers_of_their_own(network: Supernet, graph: fx.Graph) -> set[str]:
    """Return the names of the calls of plain layers, each of which is a layer of its own in the derived network."""
    if not network.reuses_layers:
        return set()
    calls = (node for node in graph.nodes if node.op == "call_module")
    return {node.name for node in calls if any(True for _ in network.get_submodule(node.target).parameters())}


def _order_like(module: nn.Module, reference: nn.Module) -> None:
    """Put the modules, and so the parameters, into the order that they have in the supernet."""
    order = {name: place for place, name in enumerate(reference._modules)}
    known = sorted(module._modules, key=lambda name: order.get(name, len(order)))
    module._modules = {name: module._modules[name] for name in known}
    for name, child in module.named_children():
        if name in order:
            _order_like(child, reference.get_submodule(name))


class _Path(nn.Module):
    """A supernet's modules under their own names, with one of its paths as the forward function."""

    def __init__(self, network: Supernet, architecture: Architecture) -> None:
        super().__init__()
        self._modules, self._parameters, self._buffers = network._modules, network._parameters, network._buffers
        self.__dict__["path"] = network, architecture  # past nn.Module, which would file the network as a part

    def forward(self, images: Tensor) -> Tensor:
        """(B, C, H, W) -> the path's output."""
        network, architecture = self.__dict__["path"]
        out: Tensor = network.forward_path(images, architecture)
        return out


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, SharedLayer) or super().is_leaf_module(m, module_qualified_name)


def _plain_layers(
    path: _Path, graph: fx.Graph, input_shape: tuple[int, int, int], *, fresh: bool
) -> dict[str, nn.Module]:
    """Return the plain layer of every call of a shared one, by the name of its node.

    How many channels arrive there is seen in a run on the meta device, which computes shapes and touches no data.
    """
    layers: dict[str, nn.Module] = {}

    class Run(fx.Interpreter):
        def run_node(self, n: fx.Node) -> Any:
            if n.op == "call_module":
                layer = path.get_submodule(str(n.target))
                args, kwargs = self.fetch_args_kwargs_from_env(n)
                if isinstance(layer, SharedLayer):
                    layers[n.name] = layer.plain(args[0].shape[1], *args[1:], **kwargs)
                    if fresh:
                        start_anew_where_cut(layers[n.name], layer)
            return super().run_node(n)

    ghost = copy.deepcopy(fx.GraphModule(path, copy.deepcopy(graph))).to("meta").eval()
    Run(ghost).run(torch.empty(2, *input_shape, device="meta"))
    return layers
