"""Random streams: one independent generator for each purpose, so that no part's draws move another's.

The same seed and purpose give the same stream in every process, on Ray or not.
"""

from __future__ import annotations

import hashlib

import numpy as np


def stream_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed that depends on the run's seed and on every word of the purpose.

    Args:
        seed: The run's seed (any non-negative integer).
        purpose: What the stream is for, for example ``"paths", "root"``.
    """
    text = "\x1f".join([str(seed), *map(str, purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def stream(seed: int, *purpose: str | int) -> np.random.Generator:
    """Return a numpy generator for one purpose of a run (see `stream_seed`)."""
    return np.random.default_rng(stream_seed(seed, *purpose))
