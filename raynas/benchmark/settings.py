"""What a benchmark is asked for, checked before anything starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast

import pydantic
from pydantic import BaseModel, ConfigDict, Field, field_validator

from raynas.config_errors import explain
from raynas.errors import ConfigError, nearest
from raynas.search import SCORE, SEARCHERS, Searcher

PLACE = "the benchmark"
"""Where the problems are, as errors tell it."""
BESIDE = ("initial", "scores", "fidelities")
"""What a benchmark takes beside its settings and the searcher's own options."""

Seconds = Annotated[float, Field(gt=0)]
Limit = tuple[float | None, float | None]


class BenchmarkSettings(BaseModel):
    """The settings of `raynas.benchmark`, which says what they are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    metric: str = "valid_accuracy"
    report: str = "test_accuracy"
    budget: Annotated[int, Field(ge=1)] = 300
    seconds: Seconds | None = None
    seeds: Annotated[int, Field(ge=1)] = 100
    objectives: Annotated[tuple[str, ...], Field(min_length=1)] = (SCORE,)
    constraints: dict[str, Limit] = Field(default_factory=dict)
    jobs: Annotated[int, Field(ge=1)] | None = None

    @field_validator("constraints", mode="before")
    @classmethod
    def _limits_are_pairs(cls, given: Any) -> Any:
        for name, limit in given.items() if isinstance(given, Mapping) else ():
            if not isinstance(limit, list | tuple) or len(limit) != 2:
                raise ValueError(f"the limits of '{name}' are the least and the most, such as [null, 60]")
        return {} if given is None else given

    @field_validator("objectives")
    @classmethod
    def _score_comes_first(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if given[0] != SCORE:
            raise ValueError(f"the first objective must be '{SCORE}', costs come after it")
        if len(set(given)) < len(given):
            raise ValueError("an objective is named more than once")
        return given

    @field_validator("constraints")
    @classmethod
    def _limits_are_in_order(cls, given: dict[str, Limit]) -> dict[str, Limit]:
        for name, (least, most) in given.items():
            if least is None and most is None:
                raise ValueError(f"'{name}' is limited by nothing: give the least, the most, or both")
            if least is not None and most is not None and least > most:
                raise ValueError(f"the least of '{name}' is more than the most")
        return given

    @property
    def costs(self) -> tuple[str, ...]:
        """The costs that are looked at: objectives, then those that are only limited."""
        return tuple(dict.fromkeys((*self.objectives[1:], *self.constraints)))


def checked_settings(given: Mapping[str, Any]) -> BenchmarkSettings:
    """Return the settings; raises ConfigError naming every one that is not allowed."""
    try:
        return BenchmarkSettings.model_validate(dict(given))
    except pydantic.ValidationError as error:
        raise ConfigError(explain(error, BenchmarkSettings), PLACE) from error


def searcher_class(name: str) -> Callable[..., Searcher]:
    """Return a searcher's class; those that need torch are looked for only where the name is none of the others.

    Raises:
        UnknownNameError: There is no such searcher.
    """
    if name not in SEARCHERS:
        import raynas.methods  # noqa: F401  (registers its own)
    return SEARCHERS.get(name)


def checked_searcher(
    name: str, options: Mapping[str, Any], settings: BenchmarkSettings, fidelities: bool
) -> dict[str, Any]:
    """Return a searcher's options, checked, and whether it can play by these settings.

    Args:
        name: The searcher.
        options: What was given beside the settings.
        settings: The settings.
        fidelities: Whether it is known what short evaluations say.

    Raises:
        UnknownNameError: There is no such searcher.
        ConfigError: An option does not exist or has a wrong value, or the searcher cannot play by these settings.
    """
    made = cast(type[Searcher], searcher_class(name))
    own = list(SEARCHERS.options_model(name).model_fields)
    beside = [*BenchmarkSettings.model_fields, *BESIDE]
    listed = f"options of the searcher {name}: {', '.join(own) or 'none'}; allowed besides: {', '.join(beside)}"
    problems = [f"unknown key '{key}'{nearest(key, [*own, *beside])} ({listed})" for key in options if key not in own]
    if len(settings.objectives) > 1 and not made.multi_objective:
        able = [other for other in SEARCHERS if getattr(SEARCHERS.get(other), "multi_objective", False)]
        problems.append(
            f"'objectives': {name} looks at the score alone, got {', '.join(settings.objectives)} "
            f"(searchers of several objectives: {', '.join(able) or 'none'}; or limit a cost with 'constraints')"
        )
    if made.uses_fidelity and not fidelities:
        problems.append(
            f"'fidelities': {name} asks for evaluations that are shorter than a full one, and this truth knows none; "
            "give what they would say, each a table by its share of a full evaluation: {0.06: 12-epoch table}"
        )
    if fidelities and not made.uses_fidelity:
        problems.append(f"'fidelities': {name} asks for full evaluations only")
    if problems:
        raise ConfigError(problems, PLACE)
    return SEARCHERS.checked(name, options)
