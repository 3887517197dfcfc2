"""How the landmarks of a run are chosen: in which lots, by which rule, and where their quality comes from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from raynas.errors import ConfigError

DEFAULT_COUNT = 30
Select = Literal["random", "hamming", "fixed"]


@dataclass(frozen=True)
class LandmarkChoice:
    """What landmark regularization says about its landmarks; the options of the regularizer of the same names.

    Raises:
        ConfigError: The options contradict each other; all that do are told.
    """

    select: Select = "random"
    count: int | None = None
    tau: int = 2
    architectures: tuple[str, ...] | None = None
    iterations: int = 1
    feedback_budget: int = 100
    truth: Literal["table", "train"] = "table"
    recipe: Mapping[str, Any] | None = None
    seeds: int = 1
    official: bool = False

    def __post_init__(self) -> None:
        listed = self.architectures
        problems = []
        if listed is not None and self.select != "fixed":
            problems.append(f"a list of architectures is for select=fixed, got select={self.select}")
        if listed is None and self.select == "fixed" and self.truth == "train":
            problems.append(
                "select=fixed takes the architectures from a table, and truth=train asks none; list them in "
                "architectures, or choose select=random or hamming"
            )
        if listed is not None and self.count is not None:
            least = len(listed) + self.iterations - 1
            if (self.iterations == 1 and self.count != len(listed)) or self.count < least:
                wanted = len(listed) if self.iterations == 1 else f"at least {least}"
                problems.append(
                    f"with {len(listed)} architectures listed and iterations={self.iterations}, count must be "
                    f"{wanted}, got {self.count}; leave it out"
                )
        if not problems and min(self.lots) < 1:
            problems.append(f"count={self.total} landmarks are too few for iterations={self.iterations}")
        elif not problems and self.lots[0] < 2:
            problems.append(
                f"the first of iterations={self.iterations} would have {self.lots[0]} of count={self.total} landmarks, "
                "and a pair needs two; take more landmarks or fewer iterations"
            )
        if not problems and self.iterations > 1 and self.feedback_budget < max(self.lots[1:]):
            problems.append(
                f"feedback_budget={self.feedback_budget} architectures are too few to take the best "
                f"{max(self.lots[1:])} of; give at least as many"
            )
        if problems:
            raise ConfigError(problems, "the landmarks")

    @property
    def total(self) -> int:
        """How many landmarks there will be in the end."""
        if self.count is not None:
            return self.count
        return DEFAULT_COUNT if self.architectures is None else self.iterations * len(self.architectures)

    @property
    def lots(self) -> tuple[int, ...]:
        """How many landmarks each iteration adds, as equal as possible; a list is the first lot."""
        if self.architectures is None:
            return _shares(self.total, self.iterations)
        first = len(self.architectures)
        return (first, *(_shares(self.total - first, self.iterations - 1) if self.iterations > 1 else ()))

    @property
    def metric(self) -> str:
        """What orders the landmarks: the validation accuracy; the released code takes the test accuracy."""
        return "test_accuracy" if self.official else "valid_accuracy"

    def boundaries(self, rounds: int, warmup: float) -> tuple[int, ...]:
        """Return after which rounds of the root the second, third, ... lot is added.

        The rounds after the warm-up are divided equally among the iterations.

        Args:
            rounds: The root's rounds.
            warmup: The share of the budget before the term sets in.

        Raises:
            ConfigError: There are fewer rounds than iterations.
        """
        left = rounds * (1 - warmup)
        if self.iterations > 1 and left < self.iterations - 1e-9:
            raise ConfigError(
                [
                    f"iterations={self.iterations} needs as many rounds after the warm-up, but of "
                    f"train.root_rounds={rounds} only {left:.4g} come after the share warmup={warmup}; set "
                    f"train.root_rounds={math.ceil(self.iterations / (1 - warmup) - 1e-9)} or more"
                ],
                "the landmarks",
            )
        return tuple(
            math.ceil(rounds * warmup + lot * left / self.iterations - 1e-9) for lot in range(1, self.iterations)
        )


def _shares(total: int, parts: int) -> tuple[int, ...]:
    return tuple(total // parts + (part < total % parts) for part in range(parts))
