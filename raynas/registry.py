"""Components by name: a registry for each kind, filled by a decorator, that explains unknown names.

The options of a component are the keyword-only arguments of its constructor, with their annotations
(``Annotated[int, Field(gt=0)]``); a configuration is validated against them, so an option exists in one place.
"""

from __future__ import annotations

import fnmatch
import inspect
import os
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar

import pydantic

from raynas.config_errors import explain
from raynas.errors import ConfigError, UnknownNameError, nearest

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
        self._models: dict[tuple[str, Callable[..., T]], type[pydantic.BaseModel]] = {}

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
        plain, colon, _ = name.partition(":")
        if colon and plain in self._makers and not self._takes_path(plain):
            raise UnknownNameError(f"{self.kind} '{plain}' takes no path, got '{name}'")
        if name not in self._makers:
            raise UnknownNameError(
                f"unknown {self.kind} '{name}'{nearest(name, self._makers)} (allowed: {', '.join(self.names())})"
            )
        return self._makers[name]

    def make(self, name: str, *args: Any, **options: Any) -> T:
        """Build the component; positional arguments are what the caller supplies, options are the user's."""
        return self.get(name)(*args, **options)

    def build(self, name: str, **options: Any) -> T:
        """Build the component as a user gives it: ``name`` or ``name:path``, and options, which are checked.

        Raises:
            UnknownNameError: No component has this name.
            ConfigError: An option is unknown, missing or not allowed; all such are told.
        """
        plain, path = self.split_reference(name)
        if path and "path" in options:
            raise ConfigError([f"'path' is given twice: in '{name}' and as {options['path']!r}"], self._label(plain))
        return self.make(plain, **self.checked(plain, {**path, **options}))

    def checked(self, name: str, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options given, each as its type (a list for a tuple, a path for a text), none added.

        Raises:
            UnknownNameError: No component has this name.
            ConfigError: An option is unknown, missing or not allowed; all such are told.
        """
        model = self.options_model(name)
        given = {key: os.fspath(value) if isinstance(value, os.PathLike) else value for key, value in options.items()}
        try:
            read = model.model_validate(given)
            slips = [k for k, v in given.items() if isinstance(v, str) and isinstance(getattr(read, k), int | float)]
        except pydantic.ValidationError as error:
            raise ConfigError(explain(error, model), self._label(name)) from error
        if slips:  # a configuration's texts may come from a command line; here "8" for 8, or "no" for False, is a slip
            problems = [f"'{key}': must be {_kind(getattr(read, key))}, got {given[key]!r}" for key in slips]
            raise ConfigError(problems, self._label(name))
        return {key: getattr(read, key) for key in given}

    def split_reference(self, text: str) -> tuple[str, dict[str, str]]:
        """Read ``name:path``, the short spelling for components that have a `path` option, as name and options.

        Any other text is a name without options, so that looking it up explains what is wrong with it.
        """
        name, colon, path = text.partition(":")
        if not colon or not path or name not in self._makers or not self._takes_path(name):
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
        if (name, maker) in self._models:
            return self._models[name, maker]
        target = maker.__init__ if inspect.isclass(maker) else maker
        hints = typing.get_type_hints(target, include_extras=True)
        fields: dict[str, Any] = {
            key: (hints.get(key, Any), ... if parameter.default is inspect.Parameter.empty else parameter.default)
            for key, parameter in inspect.signature(target).parameters.items()
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY
        }
        config = pydantic.ConfigDict(extra="forbid", arbitrary_types_allowed=True)
        model: type[pydantic.BaseModel] = pydantic.create_model(f"{self.kind}:{name}", __config__=config, **fields)
        self._models[name, maker] = model
        return model

    def _takes_path(self, name: str) -> bool:
        return "path" in inspect.signature(self._makers[name]).parameters

    def _label(self, name: str) -> str:
        return f"the {self.kind} {name}"

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())


def _kind(value: object) -> str:
    return "True or False" if isinstance(value, bool) else "a number, not a text"
