"""Errors a user can cause, and how they are told: what failed, the value got, what is allowed, how to fix it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class RaynasError(Exception):
    """Any failure that raynas can explain; the command line prints it without a traceback."""

    exit_code = 1


class ConfigError(RaynasError):
    """A configuration that cannot be run; holds every problem found, not only the first.

    Args:
        problems: One sentence a problem, each naming the key, the value got and what is allowed.
        source: Where the configuration came from (a file name), for the first line of the message.
    """

    exit_code = 2

    def __init__(self, problems: Sequence[str], source: str = "the configuration") -> None:
        self.problems = list(problems)
        self.source = source
        count = f"{len(self.problems)} problem{'s' if len(self.problems) != 1 else ''}"
        super().__init__("\n".join([f"{count} in {source}:", *(f"  - {problem}" for problem in self.problems)]))

    def __reduce__(self) -> tuple[type[ConfigError], tuple[list[str], str]]:
        return type(self), (self.problems, self.source)


class UnknownNameError(ConfigError):
    """A name that no registered component, file or key carries."""

    def __init__(self, problem: str) -> None:
        super().__init__([problem], "the names given")

    def __str__(self) -> str:
        return self.problems[0]

    def __reduce__(self) -> tuple[type[UnknownNameError], tuple[str]]:  # type: ignore[override]
        return type(self), (self.problems[0],)


class DataError(ConfigError):
    """Data that cannot be read as images and targets; holds every problem found, each with its field and index."""


class ArchitectureError(RaynasError):
    """A text or a set of options that is not an architecture of the space."""

    exit_code = 2


class TruthError(RaynasError):
    """A truth table that cannot be read, or that does not know what it is asked."""

    exit_code = 2


class RunError(RaynasError):
    """A run folder that is missing, incomplete, or in the way."""

    exit_code = 2


def nearest(value: str, allowed: Iterable[str]) -> str:
    """Return ``", did you mean 'x'?"`` for the closest allowed name, or an empty string."""
    matches = difflib.get_close_matches(value, list(allowed), n=1, cutoff=0.5)
    return f", did you mean '{matches[0]}'?" if matches else ""
