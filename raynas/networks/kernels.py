"""The few operations that cells are made of, each by the kernel that was measured fastest for its size.

Everything here works on plain tensors below autograd, forward and backward apart; `program` calls it.
Results equal torch's own operations up to the order of sums. Shapes: (B, C, H, W), best channels-last.

What each is worth stands in the README's table (`benchmarks/kernels.py` measures it):

* Average pooling of 3x3 is a depthwise convolution times a factor at the border, but for small inputs, where a call of
  oneDNN costs more than all the work.
* A 1x1 convolution of channels-last float32 is a matrix product.
* A small 3x3 convolution is a matrix product of its patches, which spares what a call of oneDNN costs however little
  there is to do.
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


def patches(x: Tensor, stride: int = 1) -> Tensor | None:
    """Return what a 3x3 convolution multiplies of a small input; None where `convolution` takes x itself.

    To be made once for all convolutions of x with this stride, and for the way back.

    Args:
        x: (B, C, H, W).
        stride: Of the convolution, 1 or 2.

    Returns:
        (B * H' * W', 9 * C): the 3x3 pixels around each that is kept, zeros outside.
    """
    if x.numel() > SMALL_CONVOLUTION or not _as_product(x):
        return None
    batch, channels, height, width = x.shape
    padded = torch.constant_pad_nd(x, (1, 1, 1, 1))
    image, channel, row, column = padded.stride()
    windows = padded.as_strided(
        (batch, (height - 1) // stride + 1, (width - 1) // stride + 1, 3, 3, channels),
        (image, row * stride, column * stride, row, column, channel),
    )
    return windows.reshape(-1, 9 * channels)


def convolution(x: Tensor, weight: Tensor, stride: int = 1, around: Tensor | None = None) -> Tensor:
    """Return the convolution of kernel 1 or 3, padded by 0 or 1, without bias.

    Args:
        x: (B, C, H, W).
        weight: (C', C, k, k), of x's type.
        stride: 1, or for kernel 3 also 2.
        around: `patches` of x, if it has any and the kernel is 3.
    """
    if around is not None:
        return _image(torch.mm(around, _patch_weight(weight)), x, stride)
    if weight.shape[-1] == 1 and _as_product(x):
        return _image(torch.mm(_rows(x), weight.flatten(1).t()), x)
    return torch.conv2d(x, weight, None, stride, weight.shape[-1] // 2)


def convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, stride: int = 1, around: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the gradients of input and weight of `convolution`.

    Args:
        grad: (B, C', H', W'), of the output.
        x: (B, C, H, W), the input.
        weight: (C', C, k, k).
        stride: As for `convolution`.
        around: As for `convolution`.
    """
    kernel = weight.shape[-1]
    if around is not None:
        of_weight = torch.mm(_rows(grad).t(), around).view(-1, kernel, kernel, x.shape[1]).permute(0, 3, 1, 2)
        # To the input: a convolution too, with the kernel turned round and the channels exchanged.
        apart = grad if stride == 1 else _spread(grad, x.shape)
        return convolution(apart, weight.flip(2, 3).transpose(0, 1), 1, patches(apart)), of_weight
    if kernel == 1 and _as_product(x) and _as_product(grad):
        rows = _rows(grad)
        return _image(torch.mm(rows, weight.flatten(1)), x), torch.mm(rows.t(), _rows(x)).view_as(weight)
    keeps, steps = [kernel // 2] * 2, [stride] * 2
    gradients = _conv_backward(grad, x, weight, None, steps, keeps, [1, 1], False, [0, 0], 1, [True, True, False])
    return gradients[0], gradients[1]


def halve(x: Tensor) -> Tensor:
    """Return the mean of 2x2 pixels, stride 2: (B, C, H, W) -> (B, C, H // 2, W // 2)."""
    return torch.nn.functional.avg_pool2d(x, 2, 2)


def halve_backward(grad: Tensor, x: Tensor) -> Tensor:
    """Return the gradient of the input of `halve`, x, from that of its output."""
    of_x: Tensor = _pool_backward(grad, x, [2, 2], [2, 2], [0, 0], False, True, None)
    return of_x


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


def _image(rows: Tensor, x: Tensor, stride: int = 1) -> Tensor:
    """(B * H' * W', C') -> (B, C', H', W') channels-last, the same memory; of what x became with this stride."""
    batch, _, height, width = x.shape
    return rows.view(batch, (height - 1) // stride + 1, (width - 1) // stride + 1, -1).permute(0, 3, 1, 2)


def _spread(grad: Tensor, shape: torch.Size) -> Tensor:
    """Put a gradient at the pixels that a stride of 2 kept, zeros between: (B, C, H', W') -> (B, C, H, W)."""
    spread = grad.new_zeros(len(grad), *shape[2:], grad.shape[1]).permute(0, 3, 1, 2)
    spread[:, :, ::2, ::2] = grad
    return spread


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
