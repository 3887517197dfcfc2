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

    def plain(self, architecture: Architecture) -> nn.Module:
        """Return a copy of the model in which every choice is replaced by what was chosen."""
        names = (decision.name for decision in self.space.decisions)
        options = dict(zip(names, architecture.options, strict=True))
        return _decided(copy.deepcopy(self.model), options)

    def _adopt(self, affine: bool | None, track: bool | None) -> None:
        allowed = {decision.name: decision.options for decision in self.space.decisions}
        _replace_norms(self.model, affine, track)
        for choice in [part for part in self.model.modules() if isinstance(part, Choice)]:
            for option in set(choice.candidates) - set(allowed[choice.decision]):
                del choice.candidates[option]


def _decided(module: nn.Module, options: dict[str, str]) -> nn.Module:
    """Return the module without choices and shared layers, its children replaced in place."""
    if isinstance(module, Choice):
        return _decided(module.candidates[options[module.decision]], options)
    if isinstance(module, BatchNorm):
        return module.plain(module.channels)
    for name, child in module.named_children():
        setattr(module, name, _decided(child, options))
    return module


def _replace_norms(module: nn.Module, affine: bool | None, track: bool | None) -> None:
    for name, child in module.named_children():
        if type(child) not in _TORCH_NORMS:
            _replace_norms(child, affine, track)
            continue
        assert isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d)
        ours = BatchNorm(
            child.num_features,
            affine=child.affine if affine is None else affine,
            track=child.track_running_stats if track is None else track,
            momentum=0.1 if child.momentum is None else child.momentum,
            eps=child.eps,
            dims=_TORCH_NORMS[type(child)],
        )
        state = {key: value for key, value in child.state_dict().items() if key in ours.state_dict()}
        ours.load_state_dict(state, strict=False)
        setattr(module, name, ours.train(child.training))
