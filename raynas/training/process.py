"""A process of a run, made ready to compute."""

from __future__ import annotations

import torch

from raynas.training.allocator import keep_memory


def prepare_process(threads: int) -> None:
    """Give the process its torch threads, and let it keep the memory that it frees (see `keep_memory`)."""
    torch.set_num_threads(threads)
    keep_memory()
