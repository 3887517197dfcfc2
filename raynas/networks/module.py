"""A user's own `nn.Module` as a supernet: its `Choice` modules are told which option to run."""

from __future__ import annotations

import copy

from torch import Tensor, nn

from raynas.networks.batchnorm import BatchNorm
from raynas.networks.supernet import NETWORKS, Choice, Supernet, chosen_options
from raynas.spaces import Architecture, Space
from raynas.spaces.module import ModuleSpace

_TORCH_NORMS = {nn.BatchNorm1d: 1, nn.BatchNorm2d: 2, nn.BatchNorm3d: 3}


@NETWORKS.register("module")
class ModuleSupernet(Supernet):
    """A user's model; its batch norms are replaced by ours, so that scores choose their statistics.

    Args:
        space: The (sub)space; candidates that it does not allow are dropped.
        input_shape: (C, H, W) of the images.
        classes: The number of classes.
        affine: Whether batch norm has scale and shift; None for what each layer of the model says.
        track: Whether batch norm keeps running averages; None for what each layer of the model says.
    """

    measured_by_meter = False

    def __init__(
        self,
        space: Space,
        input_shape: tuple[int, int, int],
        classes: int,
        *,
        affine: bool | None = None,
        track: bool | None = None,
    ) -> None:
        super().__init__(space, input_shape, classes)
        assert isinstance(space, ModuleSpace)
        self.model: nn.Module = space.build(input_shape, classes)
        self._adopt(affine, track)

    @classmethod
    def of(cls, model: nn.Module, input_shape: tuple[int, int, int], classes: int) -> ModuleSupernet:
        """Return the supernet of a copy of this model, its weights included."""
        network = cls.__new__(cls)
        Supernet.__init__(network, ModuleSpace.of(model), input_shape, classes)
        network.model = copy.deepcopy(model)
        network._adopt(None, None)
        return network

    def forward_path(self, images: Tensor, architecture: Architecture) -> Tensor:
        """(B, C, H, W) -> what the model returns."""
        names = (decision.name for decision in self.space.decisions)
        with chosen_options(dict(zip(names, architecture.options, strict=True))):
            out: Tensor = self.model(images)
        return out

    def plain(self, architecture: Architecture, *, fresh: bool = False) -> nn.Module:
        """Return a copy of the model in which every choice is replaced by what was chosen."""
        del fresh  # no layer of a model is a part of another
        names = (decision.name for decision in self.space.decisions)
        options = dict(zip(names, architecture.options, strict=True))
        return _decided(copy.deepcopy(self.model), options, {})

    def _adopt(self, affine: bool | None, track: bool | None) -> None:
        allowed = {decision.name: decision.options for decision in self.space.decisions}
        _replace_norms(self.model, affine, track, {})
        for choice in [part for part in self.model.modules() if isinstance(part, Choice)]:
            for option in set(choice.candidates) - set(allowed[choice.decision]):
                del choice.candidates[option]


def _decided(module: nn.Module, options: dict[str, str], done: dict[nn.Module, nn.Module]) -> nn.Module:
    """Return the module without choices and shared layers, its children replaced in place.

    Args:
        module: The module.
        options: The option of each decision.
        done: What became of the modules seen so far: one that stands in several places stays one.
    """
    if module not in done:
        done[module] = module
        if isinstance(module, Choice):
            done[module] = _decided(module.candidates[options[module.decision]], options, done)
        elif isinstance(module, BatchNorm):
            done[module] = module.plain(module.channels)
        else:
            for name, child in module._modules.items():
                if child is not None:
                    module._modules[name] = _decided(child, options, done)
    return done[module]


def _replace_norms(
    module: nn.Module, affine: bool | None, track: bool | None, done: dict[nn.Module, nn.Module]
) -> nn.Module:
    """Return the module with our batch norms in place of torch's; `done` as in `_decided`."""
    if module not in done:
        done[module] = module
        if type(module) in _TORCH_NORMS:
            done[module] = _our_norm(module, affine, track)
        else:
            for name, child in module._modules.items():
                if child is not None:
                    module._modules[name] = _replace_norms(child, affine, track, done)
    return done[module]


def _our_norm(norm: nn.Module, affine: bool | None, track: bool | None) -> BatchNorm:
    assert isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
    ours = BatchNorm(
        norm.num_features,
        affine=norm.affine if affine is None else affine,
        track=norm.track_running_stats if track is None else track,
        momentum=0.1 if norm.momentum is None else norm.momentum,
        eps=norm.eps,
        dims=_TORCH_NORMS[type(norm)],
    )
    theirs = norm.state_dict()
    for tensor in (norm.weight, norm.running_mean):
        if tensor is not None:
            ours = ours.to(tensor.device, tensor.dtype)
    ours.load_state_dict({key: value for key, value in theirs.items() if key in ours.state_dict()}, strict=False)
    for name, parameter in ours.named_parameters():
        if name in theirs:
            parameter.requires_grad_(norm.get_parameter(name).requires_grad)
    return ours.train(norm.training)
