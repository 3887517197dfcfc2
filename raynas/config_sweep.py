"""The sweep section of a configuration: which keys are varied, how settings are found, stopped and compared."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from raynas.config_findings import Findings
from raynas.errors import nearest
from raynas.settings import Interval, Range, read_range
from raynas.settings.ranges import is_range

MEASURES = ("kendall_tau", "spearman", "p_at_top5", "kendall_tau_sparse", "kendall_tau_top10")
"""What a sweep can look for: measures of the ranking; higher is better."""
COSTS = ("budget", "images_trained", "images_scored", "seconds_train")
"""What it can look for beside: lower is better."""
LIVE = ("pbt", "pb2")
"""Ways of stopping that change the values of running trials."""


_KEYS = ("network", "data", "train", "method", "scheduler", "score", "search.pool")
"""What can make a difference to a ranking."""
_RULER = ("score.architectures", "score.partition_architectures")
_NAME, _TRIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*"), re.compile(r"t\d+")
_TAKEN = ("warm", "sweep")
_STOP_USES = {
    "halving": ("grace", "reduction"),
    "asha": ("grace", "reduction"),
    "hyperband": ("reduction",),
    "median": ("grace", "least"),
    "pbt": ("every", "quantile"),
    "pb2": ("every", "quantile"),
}
_SEARCH_USES: dict[str, tuple[str, ...]] = {
    "grid": (),
    "random": (),
    "tpe": ("batch", "startup"),
    "bohb": ("batch", "startup"),
}


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SweepSearch(_Part):
    """How settings are found."""

    name: Literal["grid", "random", "tpe", "bohb"]
    batch: Annotated[
        int,
        Field(
            ge=1,
            description="tpe, bohb: settings asked for before results are told, so that these do not hang on speed",
        ),
    ] = 4
    startup: Annotated[int, Field(ge=1, description="tpe, bohb: random settings at first")] = 10


class SweepStop(_Part):
    """How weak settings are stopped early, or changed while they train."""

    name: Literal["halving", "asha", "hyperband", "median", "pbt", "pb2"]
    grace: Annotated[int, Field(ge=1, description="rounds before anything is stopped")] = 1
    reduction: Annotated[float, Field(gt=1, description="one of so many goes on at a rung")] = 3.0
    least: Annotated[int, Field(ge=1, description="median: others to compare with")] = 3
    every: Annotated[int, Field(ge=1, description="pbt, pb2: rounds between two looks at a trial")] = 2
    quantile: Annotated[float, Field(gt=0, le=0.5, description="pbt, pb2: the share that is weak, and strong")] = 0.25


class WarmStart(_Part):
    """One supernet a seed, trained once, from which every trial goes on."""

    rounds: Annotated[int, Field(ge=1, description="rounds of the root that it is trained")]
    values: Annotated[
        dict[str, Any], Field(description="by key, how it is trained: {method.regularizer: null}")
    ] = {}  # fmt: skip


def _named(given: object) -> object:
    return {"name": given} if isinstance(given, str) else given


def _flat(given: object) -> object:
    """Return sections within sections, as the command line writes dotted keys, under dotted keys."""
    if not isinstance(given, dict):
        return given
    found: dict[str, Any] = {}
    for key, one in given.items():
        if "." in str(key) or is_range(one):
            found[str(key)] = one
        else:
            inner = _flat(one)
            found |= {f"{key}.{rest}": value for rest, value in inner.items()} if isinstance(inner, dict) else {}
    return found


class SweepSettings(_Part):
    """What a sweep varies; a setting is one value for each of `keys`, tried with every seed."""

    keys: Annotated[
        dict[str, Any],
        BeforeValidator(_flat),
        Field(min_length=1, description="by dotted key: a list of values, or {loguniform: [0.1, 100]}"),
    ]
    controls: Annotated[
        dict[str, dict[str, Any]],
        Field(description="by name, values that are trained to the end beside: spos: {method.regularizer: null}"),
    ] = {}
    seeds: Annotated[tuple[int, ...], Field(min_length=1, description="every setting is trained with each")] = (0, 1, 2)
    search: Annotated[
        SweepSearch | None,
        BeforeValidator(_named),
        Field(description="grid, random, tpe or bohb; null: grid where all keys have lists, else tpe"),
    ] = None
    trials: Annotated[int | None, Field(ge=1, description="settings; null: all of a grid, else 20")] = None
    stop: Annotated[
        SweepStop | None,
        BeforeValidator(_named),
        Field(description="halving, asha, hyperband, median, pbt or pb2; null trains all to the end"),
    ] = None
    objectives: Annotated[
        tuple[str, ...], Field(min_length=1, description=f"a measure of {', '.join(MEASURES)}; then costs, lowered")
    ] = ("kendall_tau",)
    warm_start: Annotated[
        WarmStart | None, Field(description="one supernet a seed from which all go on; null: each begins anew")
    ] = None

    def problems(self) -> list[str]:
        """Return what is wrong with the section in itself: ranges, objectives, and what does not go together."""
        found = [*self._wrong_ranges(), *self._wrong_objectives()]
        if len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            found.append(f"'sweep.seeds': must be different numbers from 0, got {list(self.seeds)}")
        if "seed" in self.keys:
            found.append("'sweep.keys': seed is not varied, every setting is tried with each of sweep.seeds")
        found += [f"'sweep.keys.{key}' {why}" for key in self.keys if (why := _without_effect(key)) and key != "seed"]
        for name in self.controls:
            if not _NAME.fullmatch(name) or name in _TAKEN or _TRIAL.fullmatch(name):
                found.append(
                    f"'sweep.controls': a control cannot be called '{name}': letters, digits, - and _ make a name, "
                    f"and {', '.join(_TAKEN)} and t000, t001, ... are taken"
                )
        return found or [*self._clashes(), *self._unused()]

    def _unused(self) -> list[str]:
        """Return the options that were set and that nothing looks at."""
        found = []
        for section, given, used in (("stop", self.stop, _STOP_USES), ("search", self.search, _SEARCH_USES)):
            if given is None:
                continue
            changed = [key for key, field in type(given).model_fields.items() if getattr(given, key) != field.default]
            unused = [key for key in changed if key not in ("name", *used[given.name])]
            found += [f"'sweep.{section}.{key}': {given.name} has no use for it" for key in unused]
        if (
            self.stop is not None
            and self.stop.name == "hyperband"
            and self.finder.batch != SweepSearch.model_fields["batch"].default
        ):
            found.append("'sweep.search.batch': with stop=hyperband lots are as large as its brackets; leave it out")
        return found

    def _wrong_ranges(self) -> list[str]:
        problems = []
        for key, given in self.keys.items():
            try:
                read_range(given)
            except ValueError as error:
                problems.append(f"'sweep.keys.{key}' {error}")
        return problems

    def _wrong_objectives(self) -> list[str]:
        first, *costs = self.objectives
        problems = []
        if first not in MEASURES:
            known = f"{nearest(first, MEASURES)} (there are: {', '.join(MEASURES)})"
            problems.append(f"first comes a measure of the ranking, and no trial reports '{first}'{known}")
        for name in costs:
            if name not in COSTS:
                known = f"{nearest(name, COSTS)} (there are: {', '.join(COSTS)})"
                problems.append(f"no trial reports a cost '{name}'{known}")
        if len(set(self.objectives)) < len(self.objectives):
            problems.append(f"one is named more than once: {', '.join(self.objectives)}")
        return [f"'sweep.objectives': {problem}" for problem in problems]

    def _clashes(self) -> list[str]:
        search, stop = self.finder.name, None if self.stop is None else self.stop.name
        lists = [key for key, one in self.ranges.items() if not isinstance(one, Interval)]
        intervals = [key for key in self.keys if key not in lists]
        problems = []
        if search == "grid" and intervals:
            problems.append(f"search=grid needs lists, and {', '.join(intervals)} has none; take random or tpe")
        if stop == "halving" and search not in ("grid", "random"):
            which = f"stop=halving decides over settings known from the start, search={search} finds them as it goes"
            problems.append(f"{which}; take stop=asha, or search=random")
        if search == "bohb" and stop not in ("hyperband", "asha"):
            problems.append("search=bohb learns from what is stopped early; give stop=hyperband or asha")
        if len(self.objectives) > 1 and stop is not None:
            problems.append("with several objectives nothing can be stopped early; leave sweep.stop out")
        if stop in LIVE and (lists or search != "random"):
            which = f"stop={stop} changes the values of running trials"
            problems.append(f"{which}: give every key a range of numbers, and search=random for where they begin")
        return [f"'sweep': {problem}" for problem in problems]

    @property
    def ranges(self) -> dict[str, Range]:
        """The keys' ranges."""
        return {key: read_range(given) for key, given in self.keys.items()}

    @property
    def finder(self) -> SweepSearch:
        """How settings are found, with what is meant where nothing is said."""
        if self.search is not None:
            return self.search
        lists = not any(isinstance(one, Interval) for one in self.ranges.values())
        return SweepSearch(name="grid" if lists else "tpe")

    @property
    def metric(self) -> str:
        """The first objective."""
        return self.objectives[0]


def _without_effect(key: str) -> str:
    """Return why a key is not varied; an empty text where it can be."""
    if key in _RULER:
        return "would change what rankings are measured on, and settings could not be compared"
    if any(key == one or key.startswith(f"{one}.") for one in _KEYS):
        return ""
    allowed = f"what can be varied: {', '.join(_KEYS)}"
    return f"makes no difference to how a supernet ranks, or changes what it is measured by ({allowed})"


def check_sweep(findings: Findings, plain: dict[str, Any]) -> None:
    """Check the sweep section beyond what its types say; whether its values are allowed is for the sweep to say."""
    if plain.get("sweep") is None:
        return
    try:
        settings = SweepSettings.model_validate(plain["sweep"])
    except ValidationError:  # told by the check of types
        return
    findings.problems += settings.problems()
    if plain.get("truth") is None:
        findings.problems.append("'sweep': settings are compared by their rankings, and there is no truth; give truth")
