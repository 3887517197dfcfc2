"""The few operations that cells are made of, each by the kernel that was measured fastest for its size.

Everything here works on plain tensors below autograd, forward and backward apart; `fused_cell` calls it.
Results equal torch's own operations up to the order of sums. Shapes: (B, C, H, W), best channels-last.

What was measured (two cores with AVX512 and AMX; `benchmarks/step.py`, `benchmarks/not_taken.py`):

* Average pooling of 3x3 is a depthwise convolution times a factor at the border: 3 to 40 times faster than torch's
  pooling with what it does backward, but for small inputs, where a call of oneDNN costs more than all the work.
* A 1x1 convolution of channels-last float32 is a matrix product: 1.2 to 1.5 times faster forward.
* A small 3x3 convolution is a matrix product of its patches: 2 to 4 times faster than a call of oneDNN (50 to 150 us).
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

SMALL_CONVOLUTION = 16_384
"""Inputs of at most so many numbers are convolved as a matrix product of patches."""
SMALL_POOL = 65_536
"""Inputs of at most so many numbers are pooled by torch's own kernel."""

_conv_backward = torch.ops.aten.convolution_backward.default
_pool_backward = torch.ops.aten.avg_pool2d_backward.default


def convolution(x: Tensor, weight: Tensor) -> Tensor:
    """Return the convolution of kernel 1 or 3, stride 1, that keeps height and width, without bias.

    Args:
        x: (B, C, H, W).
        weight: (C', C, k, k), of x's type.
    """
    if _as_product(x):
        if weight.shape[-1] == 1:
            return _image(torch.mm(_rows(x), weight.flatten(1).t()), x)
        if x.numel() <= SMALL_CONVOLUTION:
            return _image(torch.mm(_patches(x), _patch_weight(weight)), x)
    return torch.conv2d(x, weight, None, 1, weight.shape[-1] // 2)


def convolution_backward(grad: Tensor, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of input and weight of `convolution`.

    Args:
        grad: (B, C', H, W), of the output.
        x: (B, C, H, W), the input.
        weight: (C', C, k, k).
    """
    kernel = weight.shape[-1]
    if _as_product(x) and _as_product(grad):
        rows = _rows(grad)
        if kernel == 1:
            return _image(torch.mm(rows, weight.flatten(1)), x), torch.mm(rows.t(), _rows(x)).view_as(weight)
        if x.numel() <= SMALL_CONVOLUTION:
            # To the input: a convolution too, with the kernel turned round and the channels exchanged.
            turned = _patch_weight(weight.flip(2, 3).transpose(0, 1))
            of_weight = torch.mm(rows.t(), _patches(x)).view(-1, kernel, kernel, weight.shape[1]).permute(0, 3, 1, 2)
            return _image(torch.mm(_patches(grad), turned), x), of_weight
    keeps = [kernel // 2] * 2
    gradients = _conv_backward(grad, x, weight, None, [1, 1], keeps, [1, 1], False, [0, 0], 1, [True, True, False])
    return gradients[0], gradients[1]


def average_pool(x: Tensor) -> Tensor:
    """Return the mean of 3x3 pixels, stride 1; at the border of those that there are. (B, C, H, W) to the same."""
    if _pools_by_torch(x):
        return torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    return _raise_border(_ninth_of_sum(x))


def average_pool_backward(grad: Tensor) -> Tensor:
    """Return the gradient of `average_pool`'s input from that of its output, (B, C, H, W) both."""
    if _pools_by_torch(grad):
        pooled: Tensor = _pool_backward(grad, grad, [3, 3], [1, 1], [1, 1], False, False, None)
        return pooled
    return _ninth_of_sum(_raise_border(grad.clone()))


def _as_product(x: Tensor) -> bool:
    """Say whether the pixels of x are rows of a matrix, of a type that the product is fast in."""
    fast = x.dtype in (torch.float32, torch.float64) and x.device.type == "cpu"
    return fast and x.is_contiguous(memory_format=torch.channels_last)


def _rows(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B * H * W, C), the same memory."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _image(rows: Tensor, like: Tensor) -> Tensor:
    """(B * H * W, C') -> (B, C', H, W) channels-last, the same memory."""
    batch, _, height, width = like.shape
    return rows.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _patches(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B * H * W, 9 * C): the 3x3 pixels around each, zeros outside."""
    batch, channels, height, width = x.shape
    padded = torch.constant_pad_nd(x, (1, 1, 1, 1))
    image, channel, row, column = padded.stride()
    windows = padded.as_strided((batch, height, width, 3, 3, channels), (image, row, column, row, column, channel))
    return windows.reshape(batch * height * width, 9 * channels)


def _patch_weight(weight: Tensor) -> Tensor:
    """(C', C, 3, 3) -> (9 * C, C')."""
    return weight.permute(2, 3, 1, 0).reshape(-1, weight.shape[0])


def _pools_by_torch(x: Tensor) -> bool:
    """Say whether torch's kernel is the faster one (on GPUs it always is), or the image a single line of pixels."""
    return x.device.type != "cpu" or x.numel() <= SMALL_POOL or min(x.shape[2:]) < 2


def _ninth_of_sum(x: Tensor) -> Tensor:
    """Return a ninth of the sum of the 3x3 pixels around each, zeros outside."""
    channels = x.shape[1]
    if x.dtype == torch.bfloat16:  # has no ninth: the factor would be a fifth of a percent off
        return torch.conv2d(x, _kernel(channels, 1.0, x.dtype), None, 1, 1, 1, channels).mul_(1 / 9)
    return torch.conv2d(x, _kernel(channels, 1 / 9, x.dtype), None, 1, 1, 1, channels)


def _raise_border(x: Tensor) -> Tensor:
    """Multiply the border in place by 9/6, corners by 9/4: so many pixels of nine are there."""
    factor = _factor(x.dtype)
    for line in (x[:, :, 0], x[:, :, -1], x[..., 0], x[..., -1]):
        line.mul_(factor)
    return x


@functools.cache
def _kernel(channels: int, value: float, dtype: torch.dtype) -> Tensor:
    return torch.full((channels, 1, 3, 3), value, dtype=dtype).contiguous(memory_format=torch.channels_last)


@functools.cache
def _factor(dtype: torch.dtype) -> Tensor:
    """Return 1.5 as a tensor: a Python number would be converted to one at each use."""
    return torch.tensor(1.5, dtype=dtype)
