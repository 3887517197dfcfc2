"""`Findings`: reads the components that a configuration names, and gathers what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pydantic

from raynas.config_errors import Owner, explain
from raynas.data import DATA
from raynas.errors import ConfigError, RaynasError
from raynas.methods import CURRICULA, PARTITIONS, REGULARIZERS, SAMPLERS, SHARINGS
from raynas.networks import NETWORKS
from raynas.registry import Registry
from raynas.search import SCHEDULERS, SEARCHERS
from raynas.spaces import SPACES

T = TypeVar("T")


def component_mapping(given: object, registry: Registry[Any], default: str | None = None) -> object:
    """Return a component, however it is written, as a mapping; what cannot be one is returned as it is.

    Args:
        given: ``name``, ``name:path`` for components with a path, or options with or without a name.
        registry: Where it is registered.
        default: The component meant where only options are given.
    """
    if isinstance(given, dict) and default is not None:
        given = {"name": default, **given}
    return registry.expand(given)


PLACES: dict[str, Registry[Any]] = {
    "space": SPACES,
    "data": DATA,
    "method.sampler": SAMPLERS,
    "method.sharing": SHARINGS,
    "method.regularizer": REGULARIZERS,
    "method.curriculum": CURRICULA,
    "method.partition": PARTITIONS,
    "scheduler": SCHEDULERS,
    "search": SEARCHERS,
}
"""Which components can stand at which key."""


def _misplaced(key: str, registry: Registry[Any], name: str) -> str | None:
    """Return what is told of a name that only components of other kinds have; None where that is not so."""
    others = [(place, other.kind) for place, other in PLACES.items() if name in other and other is not registry]
    if name in registry or registry is NETWORKS or not others:
        return None
    known = " and ".join(f"a {kind} ({place}={name})" for place, kind in others)
    return f"'{key}': '{name}' is no {registry.kind}, but {known} (allowed: {', '.join(registry.names())})"


def _owner(key: str, registry: Registry[Any], name: str) -> Owner:
    """Return the component whose options a section holds; a network is the space's, and has no other in its place."""
    if registry is NETWORKS:
        return Owner(f"the network of {name}", lambda _: "")

    def elsewhere(option: str) -> str:
        having = [other for other in registry if other != name and option in registry.options_model(other).model_fields]
        choice = f"={having[0]}" if len(having) == 1 else " to one of them"
        return f": '{option}' is an option of {', '.join(having)}; set {key}.name{choice}" if having else ""

    return Owner(f"the {registry.kind} {name}", elsewhere)


@dataclass
class Findings:
    """What a check found: each component's options with defaults filled in, by dotted key, and all problems."""

    options: dict[str, dict[str, Any]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def attempt(self, key: str, action: Callable[[], T]) -> T | None:
        """Return the action's result, or note its error under the key."""
        try:
            return action()
        except ConfigError as error:
            self.problems += [f"'{key}': {problem}" for problem in error.problems]
        except RaynasError as error:
            self.problems.append(f"'{key}': {error}")
        return None

    def component(
        self,
        key: str,
        registry: Registry[Any],
        given: object,
        *,
        default: str | None = None,
        other_keys: Sequence[str] = (),
    ) -> str | None:
        """Check a component's name and options; return its name if it exists.

        What cannot be read as a component at all is left to the check of types.

        Args:
            key: Where it stands in the configuration.
            registry: Where it is registered.
            given: What stands there.
            default: The component meant where only options are given.
            other_keys: Keys of the section that are not the component's.
        """
        mapping = component_mapping(given, registry, default)
        if not isinstance(mapping, dict) or not isinstance(mapping.get("name"), str):
            return None
        name: str = mapping["name"]
        misplaced = _misplaced(key, registry, name)
        if misplaced is not None:
            self.problems.append(misplaced)
            return None
        model = self.attempt(key, lambda: registry.options_model(name))
        if model is None:
            return None
        own = {option: value for option, value in mapping.items() if option not in ("name", *other_keys)}
        try:
            self.options[key] = model.model_validate(own).model_dump()
        except pydantic.ValidationError as error:
            self.problems += explain(error, model, key, other_keys, _owner(key, registry, name))
        return name

    def recipe_network(self, key: str, recipe: dict[str, Any], space_name: str | None) -> None:
        """Check the network of a stand-alone recipe, which is the space's and may be left out."""
        network = recipe.get("network")
        if isinstance(network, dict) and space_name in NETWORKS:
            self.component(f"{key}.network", NETWORKS, {**network, "name": space_name})
