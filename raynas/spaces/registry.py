"""The registry of search spaces, filled by the modules of this package."""

from __future__ import annotations

from typing import Any

from raynas.registry import Registry
from raynas.spaces.base import Space


class SpaceRegistry(Registry[Space]):
    """Spaces by name; what it makes remembers the options it was made with, so that it can be made again."""

    def make(self, name: str, *args: Any, **options: Any) -> Space:
        """Build the space."""
        made = super().make(name, *args, **options)
        made.options = dict(options)
        return made


SPACES = SpaceRegistry("space")
"""What can be chosen: search spaces over named decisions."""
