"""`BatchStream`: endless batches of indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class BatchStream:
    """Endless batches of indices: each epoch is a new permutation, its incomplete last batch is dropped.

    Args:
        count: The number of images.
        batch_size: Images a batch; at most `count` of them are taken.
        rng: The stream of permutations.
    """

    def __init__(self, count: int, batch_size: int, rng: np.random.Generator) -> None:
        self.count, self.batch_size, self.rng = count, min(batch_size, count), rng
        self._order = np.empty(0, np.int64)
        self._position = 0

    def next(self) -> Tensor:
        """Return the indices (B,) of the next batch."""
        if self._position + self.batch_size > len(self._order):
            self._order, self._position = self.rng.permutation(self.count), 0
        batch = self._order[self._position : self._position + self.batch_size]
        self._position += self.batch_size
        return torch.as_tensor(batch)

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {
            "order": torch.as_tensor(self._order),
            "position": self._position,
            "rng": self.rng.bit_generator.state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._order, self._position = state["order"].numpy(), state["position"]
        self.rng.bit_generator.state = state["rng"]
