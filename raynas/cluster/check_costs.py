"""What a run will start and pass through its networks, counted from its plan; nothing is run for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from raynas.cluster.landmarks import landmark_part
from raynas.cluster.path_search import LEAST_SHARE
from raynas.cluster.plan import Plan
from raynas.cluster.resources import Resources
from raynas.training.scorer import images_an_architecture
from raynas.training.standalone import StandaloneRecipe


@dataclass(frozen=True)
class Processes:
    """Processes of one kind.

    Args:
        what: What they do.
        count: The most of them that wait or run at the same time.
        bundle: What each reserves on a node; empty where it reserves nothing.
    """

    what: str
    count: int
    bundle: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Phase:
    """What a phase of a run passes through networks, in images.

    Args:
        name: The phase.
        budget: Images of the counted budget: trained, and scored by the method at their cost.
        scored: Images scored beside it, at most: architectures that are equal under shared weights count once.
        alone: Images of stand-alone trainings.
        at_once: How many processes can share the work.
    """

    name: str
    budget: int = 0
    scored: int = 0
    alone: int = 0
    at_once: int = 1


def recipes_of(plan: Plan) -> dict[str, StandaloneRecipe]:
    """Return the recipes of the run's stand-alone trainings, by phase: ``truth``, ``landmarks``, ``verify``."""
    config, found = plan.config, dict[str, StandaloneRecipe]()
    if config.truth is not None and config.truth.train is not None:
        found["truth"] = config.truth.train.recipe
    landmarks = landmark_part(config)
    if landmarks is not None and landmarks.choice.truth == "train":
        found["landmarks"] = _recipe(plan, landmarks.choice.recipe)
    if config.search.verify.top:
        found["verify"] = _recipe(plan, config.search.verify.recipe)
    return found


def phases_of(plan: Plan) -> list[Phase]:
    """Return the phases of a run, in order."""
    config, recipes = plan.config, recipes_of(plan)
    each = images_an_architecture(plan.root.protocol, plan.data)
    found = []
    if config.truth is not None and config.truth.train is not None:
        training = config.truth.train
        alone = training.architectures * training.seeds * _epochs(plan, recipes["truth"])
        found.append(Phase("truth", alone=alone, at_once=training.architectures))
    landmarks = landmark_part(config)
    if landmarks is not None and "landmarks" in recipes:
        total = landmarks.choice.total
        alone = total * landmarks.choice.seeds * _epochs(plan, recipes["landmarks"])
        found.append(Phase("landmarks", alone=alone, at_once=landmarks.choice.lots[0]))
    ranked = len(plan.root.ranking.architectures) or (config.score.architectures if config.truth is not None else 0)
    found += supernet_phases(plan, ranked)
    found.append(Phase("search", scored=config.search.budget * each, at_once=_scorers(plan)))
    if "verify" in recipes:
        verify = config.search.verify
        alone = verify.top * verify.seeds * _epochs(plan, recipes["verify"])
        found.append(Phase("verify", alone=alone, at_once=verify.top))
    return found


def processes_of(plan: Plan) -> list[Processes]:
    """Return the processes that a run starts, beside Ray's own, with what each reserves."""
    bundle = Resources.of(plan.config.ray).bundle
    found = [Processes("candidate pool", 1)]
    at_once = {phase.name: phase.at_once for phase in phases_of(plan)}
    for name, what in (("truth", "truth: stand-alone trainings"), ("landmarks", "landmarks: stand-alone trainings")):
        found += [Processes(what, at_once[name], bundle)] if name in at_once else []
    found.append(Processes("root supernet", 1, bundle))
    for level, count in enumerate(_partitions(plan), 1):
        deeper = f", level {level}" if plan.depth > 1 else ""
        found.append(Processes(f"partition trials{deeper}", count, bundle))
    found.append(Processes("search: scoring actors", _scorers(plan), bundle))
    found += [Processes("verify: stand-alone trainings", at_once["verify"], bundle)] if "verify" in at_once else []
    return found


def supernets_of(plan: Plan) -> int:
    """Return how many supernets are trained at most, each a W&B run."""
    return 1 + sum(_partitions(plan))


def _partitions(plan: Plan) -> list[int]:
    """Return the most partitions of each level; nothing where the space is not split."""
    if plan.partition is None:
        return []
    return [count for count in plan.partition.most(plan.space) if count > 1]


def supernet_phases(plan: Plan, ranked: int) -> list[Phase]:
    """Return the phases in which supernets are trained and measured: the root first.

    Args:
        plan: The plan of a run, or of a setting of a sweep.
        ranked: How many architectures the root ranks.
    """
    config, train = plan.config, plan.config.train
    each = images_an_architecture(plan.root.protocol, plan.data)
    batch = min(train.batch_size, len(plan.root.split(plan.data.train)[0]))
    pool = config.search.pool.candidates + config.search.pool.rescore
    rounds = train.root_rounds
    found = [Phase("root", rounds * train.round_steps * batch, rounds * (ranked + pool) * each)]
    ranked = config.score.partition_architectures or ranked
    split = config.method.partition
    yardstick = 0 if split is None or split.calibration == "none" else split.calibration_architectures
    for level, count in enumerate(_partitions(plan), 1):
        rounds = train.rounds_of_level(last=level == plan.depth)
        # each is measured once as it inherits; yardsticks are scored by the root, and every round
        scored = (rounds * (ranked + pool + yardstick) + count * (ranked + yardstick)) * each
        name = "partitions" if plan.depth == 1 else f"level {level}"
        found.append(Phase(name, rounds * train.partition_round_steps * batch, scored, at_once=count))
    return found


def _scorers(plan: Plan) -> int:
    return max(1, plan.config.search.budget // LEAST_SHARE)


def _recipe(plan: Plan, given: object) -> StandaloneRecipe:
    """Return a recipe, by default that of the truth, which without one is refused when the configuration is read."""
    if isinstance(given, StandaloneRecipe):
        return given
    if given is None:
        config = plan.config.truth
        if plan.truth is None and config is not None and config.train is not None:
            return config.train.recipe
        assert plan.truth is not None
        given = plan.truth.source["recipe"]
    return StandaloneRecipe.model_validate(given)


def _epochs(plan: Plan, recipe: StandaloneRecipe) -> int:
    """Return the images of one stand-alone training."""
    count = len(plan.data.train)
    batch = min(recipe.optimizer.batch_size, count)
    return recipe.epochs * (count // batch) * batch
