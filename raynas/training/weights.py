"""`Weights`: a supernet's tensors in one block of memory that processes can share; `Version`: their name."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

_ALIGNMENT = 64
"""Bytes: every tensor begins at a multiple, as it would in memory of its own."""


class Version(NamedTuple):
    """Which weights: a supernet's label, and the images it had been trained on when they were taken."""

    label: str
    images_trained: int


class Place(NamedTuple):
    """Where a tensor lies in the block: its first byte, and how its elements follow each other (in elements)."""

    begin: int
    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Weights:
    """The tensors of a ``state_dict()``, in one array.

    One array is sent at the price of one, where a thousand tensors cost their number (`benchmarks/orchestration.py`);
    and what Ray keeps of an array is the same memory for all processes of a machine.

    Args:
        block: (bytes,) uint8.
        places: Where each tensor lies in it, by name.
    """

    def __init__(self, block: NDArray[np.uint8], places: Mapping[str, Place]) -> None:
        self.block, self.places = block, places

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> Weights:
        """Return a copy of a network's ``state_dict()``; each tensor's memory format stays."""
        places: dict[str, Place] = {}
        size = 0
        for name, tensor in state.items():
            dense = torch.empty_like(tensor, device="meta")  # the strides of a copy: without gaps, in the same order
            places[name] = Place(size, dense.dtype, tuple(dense.shape), dense.stride())
            size += -(-dense.nbytes // _ALIGNMENT) * _ALIGNMENT
        weights = cls(np.zeros(size, np.uint8), places)
        for name, tensor in weights.tensors().items():
            tensor.copy_(state[name])
        return weights

    @property
    def nbytes(self) -> int:
        """Bytes of the block."""
        return int(self.block.nbytes)

    def tensors(self) -> dict[str, Tensor]:
        """Return the tensors, by name: views of the block, not to be written to."""
        with warnings.catch_warnings():  # shared memory cannot be written to, and who reads weights does not
            warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
            block = torch.from_numpy(self.block)
        return {name: _view(block, place) for name, place in self.places.items()}

    def attach(self, network: nn.Module) -> None:
        """Let a network use these tensors in place of its own; it must not be trained then.

        On a CPU none is copied; a network on a GPU gets copies there.

        Args:
            network: The network whose ``state_dict()`` was taken, or one built like it.
        """
        on_cpu = all(tensor.device.type == "cpu" for tensor in network.state_dict().values())
        network.load_state_dict(self.tensors(), assign=on_cpu)
        network.requires_grad_(False)


def _view(block: Tensor, place: Place) -> Tensor:
    count = torch.Size(place.shape).numel()
    flat = block[place.begin : place.begin + count * place.dtype.itemsize].view(place.dtype)
    return flat.as_strided(place.shape, place.stride)
