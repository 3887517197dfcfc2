"""What parts of a method did in a rehearsal, and how a failure among them is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from raynas.errors import ConfigError, RaynasError

_SOURCE = "the method, tried on a batch"


@dataclass
class Done:
    """What a part of a method did in the rehearsal.

    Args:
        kind: ``sampler``, ``sharing``, ``regularizer``, ``curriculum``, ``partition``, ``scoring`` or ``stand-alone``.
        name: The component's name.
        times: How often it was asked to work.
        trained: Images it passed forward and backward itself; of the sampler also those of the paths it chose.
        scored: Images it passed forward only.
        seconds: How long that took on this machine.
        changed: How often it changed the supernet, by itself.
        note: What else there is to say.
    """

    kind: str
    name: str
    times: int = 0
    trained: int = 0
    scored: int = 0
    seconds: float = 0.0
    changed: int = 0
    note: str = ""

    @property
    def worked(self) -> bool:
        """Whether it left a mark: images passed, or a supernet changed."""
        return bool(self.trained or self.scored or self.changed)


@dataclass
class Rehearsal:
    """What was done, and how long an image takes on this machine's CPUs.

    Args:
        parts: What each part did.
        train: Seconds per image of the budget.
        score: Seconds per image scored.
        alone: Seconds per image of a stand-alone training; None where there is none in the run.
    """

    parts: list[Done] = field(default_factory=list)
    train: float = 0.0
    score: float = 0.0
    alone: float | None = None

    def joined(self, other: Rehearsal) -> Rehearsal:
        """Return both as one: all parts of different names, and the longer times."""
        known = {(done.kind, done.name) for done in self.parts}
        parts = [*self.parts, *(done for done in other.parts if (done.kind, done.name) not in known)]
        alone = max((one for one in (self.alone, other.alone) if one is not None), default=None)
        return Rehearsal(parts, max(self.train, other.train), max(self.score, other.score), alone)

    def part(self, kind: str) -> Done | None:
        """Return what the part of a kind did; None if there is none."""
        return next((done for done in self.parts if done.kind == kind), None)


@contextmanager
def told(what: str) -> Iterator[None]:
    """Tell any failure inside as a problem of the configuration, once, by the innermost place."""
    try:
        yield
    except ConfigError as error:
        raise error if error.source == _SOURCE else _failed([f"{what}: {one}" for one in error.problems]) from error
    except RaynasError as error:
        raise _failed([f"{what}: {error}"]) from error
    except Exception as error:  # whatever a network, or code of the user's, raises
        raise _failed([f"{what} fails on a batch: {type(error).__name__}: {error}"]) from error


def _failed(problems: list[str]) -> ConfigError:
    return ConfigError(problems, _SOURCE)
