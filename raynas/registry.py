"""Components by name: a registry for each kind, filled by a decorator, that explains unknown names.

The options of a component are the keyword-only arguments of its constructor, with their annotations
(``Annotated[int, Field(gt=0)]``); a configuration is validated against them, so an option exists in one place.
"""

from __future__ import annotations

import fnmatch
import inspect
import typing
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import pydantic

from raynas.errors import UnknownNameError, nearest

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Named components of one kind.

    Args:
        kind: The kind in the singular, as it stands in messages ("space", "searcher").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._makers: dict[str, Callable[..., T]] = {}

    def register(self, name: str) -> Callable[[F], F]:
        """Return a decorator that files a class or function under the name."""

        def add(maker: F) -> F:
            if name in self._makers:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._makers[name] = maker
            return maker

        return add

    def get(self, name: str) -> Callable[..., T]:
        """Return the component's class.

        Raises:
            UnknownNameError: No component has this name; the message names the nearest and lists all.
        """
        if name not in self._makers:
            raise UnknownNameError(
                f"unknown {self.kind} '{name}'{nearest(name, self._makers)} (allowed: {', '.join(self.names())})"
            )
        return self._makers[name]

    def make(self, name: str, *args: Any, **options: Any) -> T:
        """Build the component; positional arguments are what the caller supplies, options are the user's."""
        return self.get(name)(*args, **options)

    def split_reference(self, text: str) -> tuple[str, dict[str, str]]:
        """Read ``name:path``, the short spelling for components that have a `path` option, as name and options.

        Any other text is a name without options, so that looking it up explains what is wrong with it.
        """
        name, colon, path = text.partition(":")
        maker = self._makers.get(name)
        if not colon or not path or maker is None or "path" not in inspect.signature(maker).parameters:
            return text, {}
        return name, {"path": path}

    def expand(self, given: object) -> object:
        """Return a component as a configuration gives it (``name``, or a mapping with a name), a path spelled out.

        What is neither is returned as it is, for the check of types to refuse.
        """
        mapping = {"name": given} if isinstance(given, str) else given
        if not isinstance(mapping, dict) or not isinstance(mapping.get("name"), str):
            return given
        name, options = self.split_reference(mapping["name"])
        return {**options, **mapping, "name": name}

    def names(self, pattern: str = "*") -> list[str]:
        """Return the registered names that match a shell pattern, sorted."""
        return sorted(fnmatch.filter(self._makers, pattern))

    def describe(self, name: str) -> str:
        """Return the first line of the component's docstring."""
        return (inspect.getdoc(self.get(name)) or "").partition("\n")[0]

    def options_model(self, name: str) -> type[pydantic.BaseModel]:
        """Return a strict pydantic model of the component's keyword-only arguments."""
        maker = self.get(name)
        target = maker.__init__ if inspect.isclass(maker) else maker
        hints = typing.get_type_hints(target, include_extras=True)
        fields: dict[str, Any] = {
            key: (hints[key], ... if parameter.default is inspect.Parameter.empty else parameter.default)
            for key, parameter in inspect.signature(target).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
        return pydantic.create_model(f"{self.kind}:{name}", __config__=config, **fields)

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())
