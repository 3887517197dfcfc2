"""Checking what a configuration names: components, their options, and whether the parts fit each other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any, get_args

import pydantic

from raynas.config_errors import explain
from raynas.config_findings import Findings
from raynas.config_landmarks import check_landmarks
from raynas.config_partition import check_partition, check_partition_keys
from raynas.config_search import check_search
from raynas.config_sections import (
    DEFAULT_METRIC,
    DEFAULT_PARTITION,
    DEFAULT_SAMPLER,
    DEFAULT_SCHEDULER,
    DEFAULT_SEARCHER,
    DEFAULT_SHARING,
    PARTITION_KEYS,
    SEARCH_KEYS,
    Metric,
    component_name,
    data_task,
    section,
)
from raynas.config_sweep import check_sweep
from raynas.data import DATA
from raynas.methods import CURRICULA, PARTITIONS, REGULARIZERS, SAMPLERS, SHARINGS, Part, Stack
from raynas.methods.landmark import LandmarkRegularizer
from raynas.networks import NETWORKS
from raynas.search import SCHEDULERS, SEARCHERS
from raynas.spaces import SPACES, Space, space
from raynas.training.standalone import StandaloneRecipe
from raynas.truth import TruthTable, truth

_MANY_IMAGES = 1_000_000
"""As many images as make every part that wants any held out ask for some."""
_CURE = "give search.verify.recipe, or set search.verify.top=0"


def check_components(plain: dict[str, Any]) -> Findings:
    """Check every component that can be read, even where other keys are wrong."""
    findings = Findings()
    space_name = findings.component("space", SPACES, plain.get("space"))
    if space_name is not None:
        network = plain.get("network") or {}
        findings.component("network", NETWORKS, {**network, "name": space_name} if isinstance(network, dict) else None)
    data_name = findings.component("data", DATA, plain.get("data"))
    method = section(plain, "method")
    findings.component("method.sampler", SAMPLERS, method.get("sampler", {}), default=DEFAULT_SAMPLER)
    findings.component("method.sharing", SHARINGS, method.get("sharing", {}), default=DEFAULT_SHARING)
    findings.component("method.regularizer", REGULARIZERS, method.get("regularizer"))
    findings.component("method.curriculum", CURRICULA, method.get("curriculum"))
    scheduler = findings.component("scheduler", SCHEDULERS, plain.get("scheduler", {}), default=DEFAULT_SCHEDULER)
    findings.component("search", SEARCHERS, plain.get("search", {}), default=DEFAULT_SEARCHER, other_keys=SEARCH_KEYS)
    findings.component(
        "method.partition", PARTITIONS, method.get("partition"), default=DEFAULT_PARTITION, other_keys=PARTITION_KEYS
    )
    chosen: Space | None = None
    if space_name is not None and "space" in findings.options:
        name, options = space_name, findings.options["space"]
        chosen = findings.attempt("space", lambda: space(name, **options))
    if chosen is not None:
        stack = _stack(findings, plain, chosen, data_name)
        _check_stack(findings, plain, stack)
        check_partition(findings, plain, stack, str(scheduler))
    check_partition_keys(findings, plain, method)
    _check_truth(findings, plain, chosen, data_name)
    for key in ("search.verify.recipe", "truth.train.recipe"):
        findings.recipe_network(key, section(plain, key), space_name)
    check_search(findings, plain)
    check_landmarks(findings, plain, space_name)
    check_sweep(findings, plain)
    _check_batch_norm(findings, plain)
    _check_label_smoothing(findings, plain, data_name)
    _check_cpus(findings, plain)
    return findings


def _stack(findings: Findings, plain: dict[str, Any], chosen: Space, data_name: str | None) -> Stack:
    """Return what the method is made of, by name."""
    method = section(plain, "method")
    return Stack(
        chosen,
        component_name(method.get("sampler"), DEFAULT_SAMPLER) or DEFAULT_SAMPLER,
        component_name(method.get("sharing"), DEFAULT_SHARING) or DEFAULT_SHARING,
        component_name(method.get("regularizer"), None),
        component_name(method.get("curriculum"), None),
        component_name(method.get("partition"), DEFAULT_PARTITION if method.get("partition") else None),
        data_task(data_name),
        plain.get("truth") is not None,
        findings.options.get("method.sharing", {}).get("blocks"),
    )


def _check_stack(findings: Findings, plain: dict[str, Any], stack: Stack) -> None:
    """Ask each part of the method whether it goes together with the others, the space and the task."""
    chosen = stack.space
    kinds: dict[str, Callable[[str, dict[str, Any]], Part]] = {
        "sampler": lambda name, options: SAMPLERS.make(name, chosen, **options),
        "sharing": lambda name, options: SHARINGS.make(name, **options),
        "regularizer": lambda name, options: REGULARIZERS.make(name, (), **options),
        "curriculum": lambda name, options: CURRICULA.make(name, **options),
    }
    names: dict[str, str | None] = {kind: getattr(stack, kind) for kind in kinds}
    for kind, make in kinds.items():
        key, name = f"method.{kind}", names[kind]
        if name is None or key not in findings.options:
            continue
        part = findings.attempt(key, lambda make=make, name=name, key=key: make(name, findings.options[key]))  # type: ignore[misc]
        if part is not None:
            findings.problems += [f"'{key}': {objection}" for objection in part.objections(stack)]
            _check_heldout(findings, plain, f"{kind} {name}", part)


def _check_heldout(findings: Findings, plain: dict[str, Any], part_name: str, part: Part) -> None:
    """Check that there are held-out images if a part asks for some; of landmarks it is told where they are checked."""
    heldout = section(plain, "train").get("heldout")
    wanted = part.heldout_images(_MANY_IMAGES) + part.scored_images(_MANY_IMAGES)
    if heldout == 0 and wanted and not isinstance(part, LandmarkRegularizer):
        use = "draws batches of" if part.heldout_images(_MANY_IMAGES) else "scores architectures on"
        findings.problems.append(
            f"'train.heldout': the {part_name} {use} held-out images, got {heldout}; leave it out (null) for as many "
            "as it asks for, or give a share above 0"
        )


def _check_truth(findings: Findings, plain: dict[str, Any], chosen: Space | None, data_name: str | None) -> None:
    """Check the truth table against space, metric and data, and that there is a recipe for verification."""
    verify, given = section(plain, "search.verify"), plain.get("truth")
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


def _check_label_smoothing(findings: Findings, plain: dict[str, Any], data_name: str | None) -> None:
    for key in ("train", "truth.train.recipe.optimizer", "search.verify.recipe.optimizer"):
        smoothing = section(plain, key).get("label_smoothing")
        if smoothing and data_task(data_name) == "depth":
            findings.problems.append(f"'{key}.label_smoothing': depths are no labels to smooth, got {smoothing}; set 0")
