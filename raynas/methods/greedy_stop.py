"""When GreedyNAS's training ends: its pool of candidates has settled (You et al., CVPR 2020, section 3.2).

The change of the pool is u = 1 - |P_t & P| / |P|, P_t the pool one check before, and training ends when u <= alpha.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


class PoolSettled:
    """Compares a pool with what it was one check before.

    Args:
        alpha: The pool has settled when at most this share of it is new; None: it never has.
        every: Images trained between checks; None for an epoch, or longer, until as many paths were scored as the pool
            holds: of a small data set an epoch is a few rounds, too few to change a pool.
    """

    def __init__(self, alpha: float | None, every: int | None) -> None:
        self.alpha, self.every = alpha, every
        self.settled = False
        self._earlier: list[str] = []
        self._checked_at = 0
        self._scored = 0

    def scored(self, paths: int) -> None:
        """Take note of paths that were scored for the pool."""
        self._scored += paths

    def check(
        self, pool: Sequence[str], capacity: int, *, images_trained: int, epoch_images: int, in_use: bool
    ) -> float | None:
        """Return the change of the pool since the last check; None if it is not time for one.

        Args:
            pool: The texts of the pool's architectures.
            capacity: How many a full one holds; one that is not full has not settled.
            images_trained: Images trained on so far.
            epoch_images: Images of an epoch.
            in_use: Whether paths are drawn from the pool; one that serves nothing yet has not settled.
        """
        patient = self.every is not None or self._scored >= capacity
        if not pool or not patient or images_trained - self._checked_at < (self.every or epoch_images):
            return None
        earlier = set(self._earlier)
        change = 1 - sum(text in earlier for text in pool) / len(pool)
        if self.alpha is not None and in_use and len(pool) >= capacity:
            self.settled = change <= self.alpha
        self._earlier, self._checked_at, self._scored = list(pool), images_trained, 0
        return change

    def state_dict(self) -> dict[str, Any]:
        """Return the last check."""
        return {
            "settled": self.settled,
            "earlier": list(self._earlier),
            "checked_at": self._checked_at,
            "scored": self._scored,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.settled, self._earlier = state["settled"], list(state["earlier"])
        self._checked_at, self._scored = state["checked_at"], state["scored"]
