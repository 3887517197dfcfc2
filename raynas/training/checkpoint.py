"""Saving and loading states: whole files or none, and no code in them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from raynas.errors import RunError


def save_state(state: dict[str, Any], path: Path) -> None:
    """Write a nested state of tensors and plain values; the file appears whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    torch.save(state, temporary)
    os.replace(temporary, path)


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote.

    Raises:
        RunError: There is no such file.
    """
    if not path.is_file():
        raise RunError(f"no checkpoint at {path}")
    state: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    return state
