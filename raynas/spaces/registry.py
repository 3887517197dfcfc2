"""The registry of search spaces, filled by the modules of this package."""

from __future__ import annotations

from raynas.registry import Registry
from raynas.spaces.base import Space

SPACES: Registry[Space] = Registry("space")
