"""Letting ``raynas.truth`` be both the package and the function of that name.

Importing a subpackage puts it into its parent's namespace under its own name, over a function that stands there. So the
name means the package, and the package can be called like its main function.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any


def make_callable(module: str, function: Callable[..., Any]) -> None:
    """Make calling an imported module call the function."""

    class CallableModule(types.ModuleType):
        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return function(*args, **kwargs)

    sys.modules[module].__class__ = CallableModule
