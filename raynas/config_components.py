"""Checking what a configuration names: components, their options, and whether the parts fit each other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar, get_args

import pydantic

from raynas.config_errors import explain
from raynas.data import DATA
from raynas.errors import ConfigError, RaynasError
from raynas.methods import CURRICULA, REGULARIZERS, SAMPLERS, SHARINGS, Part, Stack
from raynas.networks import NETWORKS
from raynas.registry import Registry
from raynas.search import SCHEDULERS, SEARCHERS
from raynas.spaces import SPACES, Space, space
from raynas.training.standalone import StandaloneRecipe
from raynas.truth import TruthTable, truth

T = TypeVar("T")

DEFAULT_SAMPLER = "uniform"
DEFAULT_SHARING = "positions"
DEFAULT_SCHEDULER = "greedy"
DEFAULT_SEARCHER = "evolution"
DEFAULT_PARTITION_ROUNDS = 20
SEARCH_KEYS = ("budget", "pool", "verify")
"""Keys of the search section that are not the searcher's options."""
Metric = Literal["test_accuracy", "valid_accuracy"]
"""What can count as quality in a truth table."""
DEFAULT_METRIC: Metric = "test_accuracy"
_CURE = "give search.verify.recipe, or set search.verify.top=0"


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
        model = self.attempt(key, lambda: registry.options_model(name))
        if model is None:
            return None
        own = {option: value for option, value in mapping.items() if option not in ("name", *other_keys)}
        try:
            self.options[key] = model.model_validate(own).model_dump()
        except pydantic.ValidationError as error:
            self.problems += explain(error, model, key, other_keys)
        return name


def check_components(plain: dict[str, Any]) -> Findings:
    """Check every component that can be read, even where other keys are wrong."""
    findings = Findings()
    space_name = findings.component("space", SPACES, plain.get("space"))
    if space_name is not None:
        network = plain.get("network") or {}
        findings.component("network", NETWORKS, {**network, "name": space_name} if isinstance(network, dict) else None)
    data_name = findings.component("data", DATA, plain.get("data"))
    method = _section(plain, "method")
    findings.component("method.sampler", SAMPLERS, method.get("sampler", {}), default=DEFAULT_SAMPLER)
    findings.component("method.sharing", SHARINGS, method.get("sharing", {}), default=DEFAULT_SHARING)
    findings.component("method.regularizer", REGULARIZERS, method.get("regularizer"))
    findings.component("method.curriculum", CURRICULA, method.get("curriculum"))
    scheduler = findings.component("scheduler", SCHEDULERS, plain.get("scheduler", {}), default=DEFAULT_SCHEDULER)
    findings.component("search", SEARCHERS, plain.get("search", {}), default=DEFAULT_SEARCHER, other_keys=SEARCH_KEYS)

    decisions = _section(plain, "method.partition").get("decisions")
    chosen: Space | None = None
    if space_name is not None and "space" in findings.options:
        name, options = space_name, findings.options["space"]
        chosen = findings.attempt("space", lambda: space(name, **options))
    if chosen is not None and isinstance(decisions, list) and decisions and all(isinstance(d, str) for d in decisions):
        _check_partition(findings, plain, chosen, decisions, str(scheduler))
    if chosen is not None:
        _check_stack(findings, plain, chosen, data_name)
    _check_truth(findings, plain, chosen, data_name)
    for key in ("search.verify.recipe", "truth.train.recipe"):
        _check_recipe(findings, key, _section(plain, key), space_name)
    _check_batch_norm(findings, plain)
    _check_cpus(findings, plain)
    return findings


def _check_partition(
    findings: Findings, plain: dict[str, Any], chosen: Space, decisions: list[str], scheduler: str
) -> None:
    parts = findings.attempt("method.partition.decisions", lambda: chosen.partition(decisions))
    train = plain.get("train", {})
    rounds = train.get("partition_rounds", DEFAULT_PARTITION_ROUNDS) if isinstance(train, dict) else None
    if parts is not None and isinstance(rounds, int) and rounds < len(parts):
        findings.problems.append(
            f"'train.partition_rounds': {rounds} rounds are too few for {len(parts)} partitions (at least {len(parts)})"
        )
    elif parts is not None and isinstance(rounds, int) and "scheduler" in findings.options:
        labels, options = tuple(part.label for part in parts), findings.options["scheduler"]
        findings.attempt("scheduler", lambda: SCHEDULERS.make(scheduler, labels, rounds, **options))


def _check_stack(findings: Findings, plain: dict[str, Any], chosen: Space, data_name: str | None) -> None:
    """Ask each part of the method whether it goes together with the others, the space and the task."""
    kinds: dict[str, Callable[[str, dict[str, Any]], Part]] = {
        "sampler": lambda name, options: SAMPLERS.make(name, chosen, **options),
        "sharing": lambda name, options: SHARINGS.make(name, **options),
        "regularizer": lambda name, options: REGULARIZERS.make(name, (), **options),
        "curriculum": lambda name, options: CURRICULA.make(name, **options),
    }
    defaults = {"sampler": DEFAULT_SAMPLER, "sharing": DEFAULT_SHARING}
    names = {kind: component_name(_section(plain, "method").get(kind), defaults.get(kind)) for kind in kinds}
    stack = Stack(
        chosen,
        names["sampler"] or DEFAULT_SAMPLER,
        names["sharing"] or DEFAULT_SHARING,
        names["regularizer"],
        names["curriculum"],
        "given" if _section(plain, "method").get("partition") else None,
        data_task(data_name),
        plain.get("truth") is not None,
    )
    for kind, make in kinds.items():
        key, name = f"method.{kind}", names[kind]
        if name is None or key not in findings.options:
            continue
        part = findings.attempt(key, lambda make=make, name=name, key=key: make(name, findings.options[key]))  # type: ignore[misc]
        if part is not None:
            findings.problems += [f"'{key}': {objection}" for objection in part.objections(stack)]


def component_name(given: object, default: str | None) -> str | None:
    """Return the name of a component as a configuration gives it; the default where it gives none."""
    name = given.get("name", default) if isinstance(given, dict) else given
    return name if isinstance(name, str) else default


def data_task(name: str | None) -> str:
    """Return the task of a data set, by its name."""
    return "depth" if name is not None and name.startswith("depth") else "classification"


def _check_truth(findings: Findings, plain: dict[str, Any], chosen: Space | None, data_name: str | None) -> None:
    """Check the truth table against space, metric and data, and that there is a recipe for verification."""
    verify, given = _section(plain, "search.verify"), plain.get("truth")
    needs_recipe = verify.get("top") != 0 and not isinstance(verify.get("recipe"), dict)
    if given is None and needs_recipe:
        findings.problems.append(f"'search.verify.recipe': there is no truth whose recipe could be taken; {_CURE}")
    name = given.get("name") if isinstance(given, dict) else given
    if not isinstance(name, str):
        return
    table: TruthTable | None = findings.attempt("truth", lambda: truth(name))
    if table is None:
        return
    if chosen is not None:
        _check_space(findings, table, chosen)
    metric = given.get("metric", DEFAULT_METRIC) if isinstance(given, dict) else DEFAULT_METRIC
    if metric in get_args(Metric) and metric not in table.columns:
        kept = ", ".join(other for other in get_args(Metric) if other in table.columns)
        findings.problems.append(f"'truth.metric': {table.name} does not hold {metric} (it holds: {kept or 'neither'})")
    if needs_recipe and data_name is not None and "data" in findings.options:
        _check_source(findings, table, data_name)


def _check_space(findings: Findings, table: TruthTable, chosen: Space) -> None:
    if table.space_name != chosen.name:
        findings.problems.append(f"'truth': {table.name} is about {table.space_name}, the space is {chosen.name}")
        return
    its_space = findings.attempt("truth", lambda: table.space)
    if its_space is not None and its_space.decisions != chosen.decisions:
        findings.problems.append(
            f"'truth': {table.name} is about {chosen.name} with {dict(its_space.options)}, the space has "
            f"{dict(chosen.options)}: other architectures"
        )


def _check_source(findings: Findings, table: TruthTable, data_name: str) -> None:
    """Check that the table's recipe can serve for verification: it is known, and was used on the run's data."""
    source, options = table.source, json.loads(json.dumps(findings.options["data"], default=str))
    if "recipe" not in source:
        findings.problems.append(f"'search.verify.recipe': {table.name} does not tell how it was trained; {_CURE}")
    elif source.get("data") != data_name:
        findings.problems.append(
            f"'truth': {table.name} was trained on {source.get('data')}, the data are {data_name}; {_CURE}"
        )
    elif source.get("data_options", options) != options:
        findings.problems.append(
            f"'truth': {table.name} was trained on {data_name} with {source['data_options']}, the data are {data_name} "
            f"with {options}; {_CURE}"
        )
    else:
        try:
            StandaloneRecipe.model_validate(source["recipe"])
        except pydantic.ValidationError as error:
            told = "; ".join(explain(error, StandaloneRecipe, "recipe"))
            findings.problems.append(f"'truth': {table.name} records a recipe that cannot be repeated: {told}; {_CURE}")


def _check_recipe(findings: Findings, key: str, recipe: dict[str, Any], space_name: str | None) -> None:
    network = recipe.get("network")
    if not isinstance(network, dict) or space_name not in NETWORKS:
        return
    findings.component(f"{key}.network", NETWORKS, {**network, "name": space_name})


def _section(plain: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the section at a dotted key; an empty one where there is none, or something else."""
    section: object = plain
    for part in key.split("."):
        section = section.get(part) if isinstance(section, dict) else None
    return section if isinstance(section, dict) else {}


def _check_cpus(findings: Findings, plain: dict[str, Any]) -> None:
    settings = plain.get("ray")
    if not isinstance(settings, dict) or settings.get("address", "local") != "local":
        return
    available, wanted = settings.get("cpus") or os.cpu_count() or 1, settings.get("cpus_per_trial", 1)
    if isinstance(available, int) and isinstance(wanted, int) and wanted > available:
        findings.problems.append(f"'ray.cpus_per_trial': {wanted} CPUs a trial, but this Ray will have {available}")


def _check_batch_norm(findings: Findings, plain: dict[str, Any]) -> None:
    score = plain.get("score")
    running = isinstance(score, dict) and score.get("batch_norm") == "running"
    if running and not findings.options.get("network", {}).get("track", True):
        findings.problems.append("'score.batch_norm': running needs running averages; set network.track=true")
