"""Checking what a configuration names: components, their options, and whether the parts fit each other."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import pydantic

from raynas.config_errors import explain
from raynas.config_findings import Findings
from raynas.data import DATA
from raynas.errors import ConfigError, RaynasError
from raynas.methods import CURRICULA, PARTITIONS, REGULARIZERS, SAMPLERS, SHARINGS, Part, Stack
from raynas.methods.landmark import LandmarkRegularizer
from raynas.methods.landmark_choice import LandmarkChoice
from raynas.methods.partition import Partition
from raynas.methods.partition_given import GivenPartition
from raynas.networks import NETWORKS
from raynas.search import SCHEDULERS, SEARCHERS
from raynas.spaces import SPACES, Space, space
from raynas.training.standalone import StandaloneRecipe
from raynas.truth import TruthTable, truth

DEFAULT_SAMPLER = "uniform"
DEFAULT_SHARING = "positions"
DEFAULT_SCHEDULER = "greedy"
DEFAULT_SEARCHER = "evolution"
DEFAULT_PARTITION = "given"
DEFAULT_PARTITION_ROUNDS = 20
DEFAULT_ROOT_ROUNDS = 4
DEFAULT_TRUTH_ARCHITECTURES = 20
DEFAULT_RANKED = 250
"""Architectures on which a ranking is measured."""
PARTITION_KEYS = ("restart", "calibration", "calibration_architectures")
"""Keys of the partition's section that are not the partition's options."""
SEARCH_KEYS = ("budget", "pool", "verify")
"""Keys of the search section that are not the searcher's options."""
Metric = Literal["test_accuracy", "valid_accuracy"]
"""What can count as quality in a truth table."""
DEFAULT_METRIC: Metric = "test_accuracy"
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
    method = _section(plain, "method")
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
        _check_partition(findings, plain, stack, str(scheduler))
    _check_partition_keys(findings, plain, method)
    _check_truth(findings, plain, chosen, data_name)
    for key in ("search.verify.recipe", "truth.train.recipe"):
        _check_recipe(findings, key, _section(plain, key), space_name)
    _check_landmarks(findings, plain, space_name)
    _check_batch_norm(findings, plain)
    _check_label_smoothing(findings, plain, data_name)
    _check_cpus(findings, plain)
    return findings


def _check_partition(findings: Findings, plain: dict[str, Any], stack: Stack, scheduler: str) -> None:
    """Check that the space can be split like that, and that every level has rounds enough, for its scheduler too."""
    key, name = "method.partition", stack.partition
    if name is None or key not in findings.options or "method.sampler" not in findings.options:
        return
    partition = findings.attempt(key, lambda: PARTITIONS.make(name, **findings.options[key]))
    if partition is None:
        return
    objections = partition.objections(stack)
    findings.problems += [f"'{key}': {objection}" for objection in objections]
    levels = [_rounds(_section(plain, "train"), level == partition.levels - 1) for level in range(partition.levels)]
    _check_levels(findings, plain, partition)
    counts = None if objections else findings.attempt(key, lambda: _part_counts(partition, stack.space, levels))
    for (rounds_key, rounds), count in zip(levels, counts or (), strict=False):
        if count == 1 or not isinstance(rounds, int):
            continue
        if rounds < count:
            findings.problems.append(
                f"'train.{rounds_key}': {rounds} rounds are too few for {count} partitions (at least {count})"
            )
        elif "scheduler" in findings.options:
            _check_scheduler(findings, scheduler, tuple(map(str, range(count))), rounds)


def _part_counts(partition: Partition, space: Space, levels: Sequence[tuple[str, object]]) -> list[int]:
    """Return the most parts of each level; where there are surely more than rounds, without making them all.

    Raises:
        ConfigError: There are, or the space cannot be split like that.
    """
    if not isinstance(partition, GivenPartition):
        return partition.most(space)
    for level, (rounds_key, rounds) in enumerate(levels):
        if isinstance(rounds, int) and partition.surely_exceeds(space, level, rounds):
            raise ConfigError(
                [
                    f"train.{rounds_key}={rounds} rounds are too few for its partitions, which are more than {rounds} "
                    f"(up to {math.prod(map(len, partition.groups(space)[level].values())):,}); split by fewer "
                    "decisions, or keep options together in groups"
                ]
            )
    return partition.most(space)


def _check_levels(findings: Findings, plain: dict[str, Any], partition: Partition) -> None:
    """Refuse rounds for the inner levels of a tree that has none."""
    rounds = _section(plain, "train").get("level_rounds")
    if rounds is not None and partition.levels == 1:
        findings.problems.append(
            f"'train.level_rounds': the partition has one level, whose rounds are train.partition_rounds, got "
            f"{rounds}; leave it out"
        )


def _check_partition_keys(findings: Findings, plain: dict[str, Any], method: dict[str, Any]) -> None:
    """Refuse settings of the partitions' training where nothing is said of a partition.

    Who writes ``partition: null`` over a configuration that has one need not know what else it sets for it.
    """
    if "partition" in method:
        return
    for key in ("level_rounds", "partition_lr", "partition_round_images"):
        given = _section(plain, "train").get(key)
        if given is not None:
            findings.problems.append(
                f"'train.{key}': there is no partition whose training it could set, got {given}; leave it out (null), "
                "or give method.partition"
            )


def _check_scheduler(findings: Findings, scheduler: str, labels: tuple[str, ...], rounds: int) -> None:
    """Check that the scheduler can spend so many rounds on these partitions; a problem of two levels is told once."""
    found = Findings()
    options = findings.options["scheduler"]
    found.attempt("scheduler", lambda: SCHEDULERS.make(scheduler, labels, rounds, **options))
    findings.problems += [problem for problem in found.problems if problem not in findings.problems]


def _rounds(train: dict[str, Any], last: bool) -> tuple[str, object]:
    """Return the rounds of a level of the partition tree, and the key that says so."""
    inner = train.get("level_rounds")
    if last or inner is None:
        return "partition_rounds", train.get("partition_rounds", DEFAULT_PARTITION_ROUNDS)
    return "level_rounds", inner


def _stack(findings: Findings, plain: dict[str, Any], chosen: Space, data_name: str | None) -> Stack:
    """Return what the method is made of, by name."""
    method = _section(plain, "method")
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
    heldout = _section(plain, "train").get("heldout")
    wanted = part.heldout_images(_MANY_IMAGES) + part.scored_images(_MANY_IMAGES)
    if heldout == 0 and wanted and not isinstance(part, LandmarkRegularizer):
        use = "draws batches of" if part.heldout_images(_MANY_IMAGES) else "scores architectures on"
        findings.problems.append(
            f"'train.heldout': the {part_name} {use} held-out images, got {heldout}; leave it out (null) for as many "
            "as it asks for, or give a share above 0"
        )


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


def _check_landmarks(findings: Findings, plain: dict[str, Any], space_name: str | None) -> None:
    """Check that landmarks find a quality, a recipe if they are trained, held-out images, and rounds to be added in."""
    key, options = "method.regularizer", findings.options.get("method.regularizer")
    name = component_name(_section(plain, "method").get("regularizer"), None)
    truth_name = component_name(plain.get("truth"), None)
    try:
        part = None if options is None or name is None else REGULARIZERS.make(name, (), **options)
        table = None if truth_name is None or not isinstance(part, LandmarkRegularizer) else truth(truth_name)
    except RaynasError:  # told where the stack, or the truth, is checked
        return
    if not isinstance(part, LandmarkRegularizer) or not part.coefficient:
        return
    choice, train = part.choice, _section(plain, "train")
    if train.get("heldout") == 0:
        findings.problems.append(
            "'train.heldout': landmarks are compared on held-out images, got 0; leave it out for half of the images"
        )
    rounds = train.get("root_rounds", DEFAULT_ROOT_ROUNDS)
    if isinstance(rounds, int):
        findings.attempt(key, lambda: choice.boundaries(rounds, part.warmup))
    training = _section(plain, "truth.train")
    if choice.truth == "table" and choice.recipe is not None:
        findings.problems.append(
            f"'{key}.recipe': with truth=table nothing is trained for the landmarks; leave recipe out, or set "
            f"{key}.truth=train"
        )
    if choice.truth == "train":
        recipe = choice.recipe
        if recipe is not None:
            _check_recipe_of(findings, f"{key}.recipe", dict(recipe), space_name)
        elif not training and (table is None or "recipe" not in table.source):
            findings.problems.append(
                f"'{key}.recipe': landmarks are to be trained, and there is no truth whose recipe could be taken; give "
                f"{key}.recipe ({{}} for the defaults)"
            )
    elif table is not None and choice.metric not in table.columns:
        findings.problems.append(
            f"'{key}': landmarks are ordered by {choice.metric}, which {table.name} does not hold; take another truth, "
            f"or set {key}.truth=train and {key}.recipe"
        )
    elif training:
        _check_trained_for_landmarks(findings, plain, training, choice)


def _check_trained_for_landmarks(
    findings: Findings, plain: dict[str, Any], training: dict[str, Any], choice: LandmarkChoice
) -> None:
    """Check that a truth trained at the run's start has architectures for the landmarks beside those of the ranking."""
    trained = training.get("architectures", DEFAULT_TRUTH_ARCHITECTURES)
    ranked = _section(plain, "score").get("architectures", DEFAULT_RANKED) if choice.iterations > 1 else 2
    if isinstance(trained, int) and isinstance(ranked, int) and trained < choice.total + ranked:
        findings.problems.append(
            f"'truth.train.architectures': {trained} are too few for {choice.total} landmarks and the {ranked} others "
            f"on which the ranking is measured; train at least {choice.total + ranked}, take fewer landmarks "
            "(method.regularizer.count), or set method.regularizer.truth=train"
        )


def _check_recipe_of(findings: Findings, key: str, recipe: dict[str, Any], space_name: str | None) -> None:
    """Check a stand-alone recipe that is a component's option; its network may be null."""
    given = {name: value for name, value in recipe.items() if name != "network" or value is not None}
    try:
        StandaloneRecipe.model_validate(given)
    except pydantic.ValidationError as error:
        findings.problems += explain(error, StandaloneRecipe, key)
    else:
        _check_recipe(findings, key, given, space_name)


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


def _check_label_smoothing(findings: Findings, plain: dict[str, Any], data_name: str | None) -> None:
    for key in ("train", "truth.train.recipe.optimizer", "search.verify.recipe.optimizer"):
        smoothing = _section(plain, key).get("label_smoothing")
        if smoothing and data_task(data_name) == "depth":
            findings.problems.append(f"'{key}.label_smoothing': depths are no labels to smooth, got {smoothing}; set 0")
