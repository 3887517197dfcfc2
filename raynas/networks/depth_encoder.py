"""The encoder of depth networks: a residual network of basic blocks (He et al., CVPR 2016) that returns four levels.

Landmark regularisation (Yu et al., CVPR 2021) uses ResNeXt-101-WSL, whose weights are its own story; here it is the
family of ResNet-18 and ResNet-34 in any size. Its tensors are named as torchvision names them, so that a file of
torchvision's weights can be loaded as it is.
"""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from raynas.errors import ConfigError, nearest

LEVELS = 4


class FrozenBatchNorm(nn.Module):
    """Batch norm that is a constant: its statistics, scale and shift stay as they are loaded, in training too.

    Args:
        channels: C.
        eps: Added to the variance.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels), requires_grad=False)
        self.bias = nn.Parameter(torch.zeros(channels), requires_grad=False)
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C, H, W)."""
        return functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut, which is a 1x1 convolution where the shape changes."""

    def __init__(self, channels_in: int, channels: int, stride: int, norm: Callable[[int], nn.Module]) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels, 3, stride, 1, bias=False)
        self.bn1 = norm(channels)
        self.relu = nn.ReLU()
        self.conv2 = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.bn2 = norm(channels)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels:
            self.downsample = nn.Sequential(nn.Conv2d(channels_in, channels, 1, stride, bias=False), norm(channels))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H', W')."""
        body = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out: Tensor = self.relu(body + self.downsample(x))
        return out


class Encoder(nn.Module):
    """A 7x7 stem and four stages; the first stage keeps the stem's size, the others halve it.

    Args:
        channels_in: Channels of the images.
        channels: Channels of each level.
        blocks: Basic blocks of each stage.
        stride: Total stride of the stem: 4 as in ResNet, or 2, which leaves out the pooling, for small images.
        norm: Makes the batch norm of so many channels.
    """

    def __init__(
        self,
        channels_in: int,
        channels: Sequence[int],
        blocks: Sequence[int],
        stride: int,
        norm: Callable[[int], nn.Module],
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels[0], 7, 2, 3, bias=False)
        self.bn1 = norm(channels[0])
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if stride == 4 else nn.Identity()
        before = channels[0]
        for number, (width, depth) in enumerate(zip(channels, blocks, strict=True), start=1):
            strides = [1 if number == 1 else 2] + [1] * (depth - 1)
            widths = [before] + [width] * (depth - 1)
            stage = (BasicBlock(c, width, s, norm) for c, s in zip(widths, strides, strict=True))
            self.add_module(f"layer{number}", nn.Sequential(*stage))
            before = width
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def levels(self, images: Tensor, count: int) -> list[Tensor]:
        """Return the first levels, shallowest first: (B, C, H, W) -> `count` tensors (B, C_i, H_i, W_i).

        Not `forward`: costs are counted part by part, and parts that are not called must not count.
        """
        x, found = images, []
        if count:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, count + 1):
            x = self.get_submodule(f"layer{number}")(x)
            found.append(x)
        return found


def level_sizes(height: int, width: int, stride: int) -> list[tuple[int, int]]:
    """Return (H_i, W_i) of the four levels of an image, shallowest first; halves are rounded up, as its layers do."""
    strides = [stride * 2**level for level in range(LEVELS)]
    return [(math.ceil(height / step), math.ceil(width / step)) for step in strides]


def load_encoder(encoder: Encoder, path: str) -> None:
    """Load a state dict that torch saved; torchvision's classifier (``fc``) and counters of batches are left out.

    A relative path is looked up by the process that makes the network, in the folder that the run was started in, as
    trials stay there (see `raynas.cluster.session`). For a cluster of several machines give the absolute path of a file
    that all of them have.

    Raises:
        ConfigError: The file cannot be read, or its tensors are not exactly the encoder's; all differences are named.
    """
    file = Path(path).expanduser().resolve()
    source = f"encoder_weights {file}"
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        raise ConfigError([f"the file cannot be read: {type(error).__name__}: {error}"], source) from error
    if not isinstance(state, Mapping) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ConfigError([f"the file holds no state dict (names and tensors) but a {type(state).__name__}"], source)
    given = {n: t for n, t in state.items() if not n.startswith("fc.") and not n.endswith(".num_batches_tracked")}
    own = encoder.state_dict()
    problems = [f"no tensor '{name}'{nearest(name, set(given) - set(own))}" for name in own if name not in given]
    for name, tensor in given.items():
        if name not in own:
            problems.append(f"the encoder has no '{name}'")
        elif own[name].shape != tensor.shape:
            problems.append(f"'{name}' is {tuple(tensor.shape)}, the encoder's is {tuple(own[name].shape)}")
    if problems:
        raise ConfigError(problems, source)
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])
