"""A space read off a user's own model: one decision for each name among its `raynas.Choice` modules.

Notation: ``decision=option,decision=option``. Choices of the same name are one decision and must offer the same
options.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from raynas.errors import ArchitectureError, ConfigError, nearest
from raynas.spaces.architecture import Architecture, Decision
from raynas.spaces.base import Space
from raynas.spaces.registry import SPACES


@SPACES.register("module")
class ModuleSpace(Space):
    """Your own model: the product of the options of its Choice modules.

    A choice inside a candidate of another takes part only where that candidate is chosen.

    Args:
        path: Where the model's class (or a function that builds it) is: ``my_file.py:Name`` or ``package.module:Name``.
        arguments: Keyword arguments to build it with.
    """

    name = "module"

    def __init__(self, *, path: str, arguments: dict[str, Any] | None = None) -> None:
        place, colon, maker = path.rpartition(":")
        # A worker's current folder is another one.
        self.path = f"{Path(place).resolve()}{colon}{maker}" if place.endswith(".py") else path
        self.arguments = dict(arguments or {})
        _load(self.path)
        torch = sys.modules.get("torch")  # spaces do without torch, but the file that holds a model has loaded it
        with torch.random.fork_rng(devices=[]) if torch else contextlib.nullcontext():
            model = self.build((3, 32, 32), 10)
        super().__init__(decisions_of(model))
        self._places = _places(model)

    @classmethod
    def of(cls, model: Any) -> ModuleSpace:
        """Return the space of a model that is there already; it cannot be built anew from this space."""
        space = cls.__new__(cls)
        space.path, space.arguments = "", {}
        Space.__init__(space, decisions_of(model))
        space._places = _places(model)
        return space

    def build(self, input_shape: tuple[int, int, int], classes: int) -> Any:
        """Return a new model; ``input_shape`` and ``classes`` are passed on where it takes them.

        Raises:
            ConfigError: There is no such file or name, or the model cannot be built so.
        """
        if not self.path:
            raise ConfigError(["this space was read off a model in memory; give its file: module:my_file.py:Name"])
        maker = _load(self.path)
        offered = {"input_shape": input_shape, "classes": classes}
        try:
            accepted = inspect.signature(maker).parameters
            given = {key: value for key, value in offered.items() if key in accepted and key not in self.arguments}
            model = maker(**given, **self.arguments)
        except Exception as error:  # whatever the user's code raises
            raise ConfigError([f"{self.path} cannot be built: {type(error).__name__}: {error}"], "the space") from error
        if not hasattr(model, "modules"):
            raise ConfigError([f"{self.path} makes a {type(model).__name__}, not a torch.nn.Module"], "the space")
        return model

    def active(self, options: tuple[str, ...]) -> tuple[bool, ...]:
        """Say of each decision whether one of its choices is in the model once the options around it are chosen."""
        names = [decision.name for decision in self._all_decisions]
        chosen = set(zip(names, options, strict=True))
        return tuple(any(around <= chosen for around in self._places[name]) for name in names)

    def canonical(self, architecture: Architecture) -> Architecture:
        """Return the architecture whose inactive decisions take their first option."""
        said = zip(self._all_decisions, architecture.options, self.active(architecture.options), strict=True)
        return self._architecture(tuple(option if live else d.options[0] for d, option, live in said))

    def format_options(self, options: tuple[str, ...]) -> str:
        """Return ``decision=option,decision=option``."""
        return ",".join(f"{d.name}={option}" for d, option in zip(self._all_decisions, options, strict=True))

    def parse_options(self, text: str) -> tuple[str, ...]:
        """Return the options of ``decision=option,...``, in any order; raises ArchitectureError naming the place."""
        names = [decision.name for decision in self._all_decisions]
        chosen: dict[str, str] = {}
        for term in text.strip().split(","):
            name, equals, option = term.partition("=")
            if not equals or name not in names:
                raise ArchitectureError(f"'{term}' in '{text}' is not decision=option{nearest(name, names)}")
            if name in chosen:
                raise ArchitectureError(f"decision '{name}' is taken twice in '{text}'")
            chosen[name] = option
        missing = [name for name in names if name not in chosen]
        if missing:
            raise ArchitectureError(f"'{text}' does not decide {', '.join(missing)}")
        return tuple(chosen[name] for name in names)


def decisions_of(model: Any) -> list[Decision]:
    """Return the decisions of a model in the order in which its Choice modules were made.

    Raises:
        ConfigError: It has none, two of one name differ, or a name cannot be written in the notation.
    """
    found: dict[str, tuple[str, ...]] = {}
    problems = []
    for part in model.modules():
        name, candidates = getattr(part, "decision", None), getattr(part, "candidates", None)
        if not isinstance(name, str) or candidates is None:
            continue
        options = tuple(candidates)
        if found.setdefault(name, options) != options:
            problems.append(f"two choices are named '{name}' and offer {found[name]} and {options}")
        if not options:
            problems.append(f"the choice '{name}' has no candidates")
        problems += [
            f"'{word}' must not hold ',' or '=', be empty, or begin or end with a space"
            for word in (name, *options)
            if {",", "="} & set(word) or not word or word != word.strip()
        ]
    if not found:
        problems.append(f"{type(model).__name__} has no raynas.Choice")
    if problems:
        raise ConfigError(problems, f"the model {type(model).__name__}")
    return [Decision(name, options) for name, options in found.items()]


def _places(model: Any) -> dict[str, list[frozenset[tuple[str, str]]]]:
    """Return, for each decision, the (decision, option) pairs around each of its choices: all must be chosen."""
    found: dict[str, list[frozenset[tuple[str, str]]]] = {}

    def walk(part: Any, around: frozenset[tuple[str, str]]) -> None:
        name, candidates = getattr(part, "decision", None), getattr(part, "candidates", None)
        if not isinstance(name, str) or candidates is None:
            for child in part.children():
                walk(child, around)
            return
        found.setdefault(name, []).append(around)
        for option, candidate in candidates.items():
            walk(candidate, around | {(name, option)})

    walk(model, frozenset())
    return found


def _load(path: str) -> Callable[..., Any]:
    place, _, name = path.rpartition(":")
    if not place or not name:
        raise ConfigError([f"'{path}' does not say where: my_file.py:Name or package.module:Name"], "the space")
    try:
        module = _module_of_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except Exception as error:  # whatever the user's file raises
        raise ConfigError([f"'{path}' cannot be loaded: {type(error).__name__}: {error}"], "the space") from error
    if not callable(getattr(module, name, None)):
        others = _names(vars(module).items(), module.__name__)
        raise ConfigError([f"{place} has no class or function '{name}'{nearest(name, others)}"], "the space")
    maker: Callable[..., Any] = getattr(module, name)
    return maker


def _module_of_file(file: Path) -> Any:
    """Load a file as a module, once a process, under a name that other processes find again."""
    file = file.resolve()
    name = f"raynas_user_{file.stem}_{hashlib.blake2b(str(file).encode(), digest_size=4).hexdigest()}"
    if name not in sys.modules:
        if not file.is_file():
            raise FileNotFoundError(f"no file {file}")
        spec = importlib.util.spec_from_file_location(name, file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _names(items: Iterable[tuple[str, Any]], module: str) -> list[str]:
    return [name for name, value in items if callable(value) and getattr(value, "__module__", "") == module]
