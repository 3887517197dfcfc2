"""From a configuration with a sweep to what will be tried; every problem of every setting is told before anything is.

A setting is a configuration of its own: the sweep's, with the setting's values in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from raynas.cluster.landmarks import landmark_part
from raynas.cluster.local_run import local_objections
from raynas.cluster.plan import Plan, checked, draft_plan, with_truth
from raynas.config import Config, load_config
from raynas.config_sweep import LIVE, SweepSettings
from raynas.data import ImageData
from raynas.errors import ConfigError
from raynas.settings import Choices, Setting, every_setting, random_settings
from raynas.settings.halving import bracket_sizes, rungs
from raynas.settings.setting import column_names, short
from raynas.streams import stream

DEFAULT_TRIALS = 20
MOST_WAITING = 500
"""How many trials wait for a place at the same time at most: Tune looks at each again and again."""
_WAITS = ("halving", "hyperband")
"""Ways of stopping under which trials wait for each other, and so all must have begun."""
_DRAWN = 30
"""Random settings looked at before a search that finds them as it goes."""
_TRIED = 8
"""So many networks and methods are run on two images, each kind once."""
_SAME = ("space", "network", "data", "score.batch_norm", "method.sharing")
"""What a supernet that is trained once for all settings must have in common with each of them."""
_SAME_TRAINING = (
    "batch_size", "round_images", "root_rounds", "heldout", "precision", "schedule", "warmup", "scoring_cost",
)  # fmt: skip
_KINDS = ("sampler", "regularizer", "curriculum", "sharing")


@dataclass(frozen=True)
class SweepPlan:
    """A sweep, ready to go.

    Args:
        config: The resolved configuration, with its sweep.
        images: The data.
        controls: What the settings are compared with.
        known: The settings to try, where they are known from the start; None where a search finds them.
        looked_at: Settings that stand for all: the known ones, or the ends of ranges and random ones.
        steps: Steps of a trial that is not stopped: rounds of the root, and turns of partitions; the most there are.
    """

    config: Config
    images: ImageData
    controls: tuple[Setting, ...]
    known: tuple[Setting, ...] | None
    looked_at: tuple[Setting, ...]
    steps: int

    @property
    def sweep(self) -> SweepSettings:
        """The sweep section."""
        assert self.config.sweep is not None
        return self.config.sweep

    @property
    def trials(self) -> int:
        """How many settings are tried, the controls among them."""
        return len(self.controls) + ((self.sweep.trials or DEFAULT_TRIALS) if self.known is None else len(self.known))

    @property
    def at_once(self) -> int:
        """How many trials wait for a place, for each other or train at the same time at most."""
        stop = self.sweep.stop
        return self.trials if stop is not None and stop.name in _WAITS else min(self.trials, MOST_WAITING)

    @property
    def lots(self) -> tuple[int, ...]:
        """How many settings a search that learns is asked for at a time, in turn.

        Where HyperBand stops, as many as a bracket holds: it halves whom it has as soon as all of them have reported.
        """
        stop = self.sweep.stop
        if stop is not None and stop.name == "hyperband":
            return bracket_sizes(self.steps, stop.reduction)
        return (self.sweep.finder.batch,)

    @cached_property
    def names(self) -> dict[str, str]:
        """The swept keys' short names."""
        return column_names(self.sweep.keys)

    def config_of(self, values: Mapping[str, Any], seed: int) -> Config:
        """Return the configuration of a setting with one seed."""
        return setting_config(self.config, values, seed)

    def draft(self, values: Mapping[str, Any], seed: int) -> Plan:
        """Return the plan of a setting with one seed, not yet measured against the truth."""
        return draft_plan(self.config_of(values, seed), self.images)

    @property
    def warm_values(self) -> dict[str, Any]:
        """What the supernet from which all trials go on is trained with."""
        warm = self.sweep.warm_start
        return {} if warm is None else dict(warm.values)


def setting_config(base: Config, values: Mapping[str, Any], seed: int) -> Config:
    """Return the configuration of a setting with one seed.

    Raises:
        ConfigError: With every problem of it.
    """
    plain = base.model_dump(mode="json")
    return load_config({**plain, "sweep": None, "out": None}, **dict(values), seed=seed)


def plan_sweep(config: Config, images: ImageData) -> SweepPlan:
    """Return the plan of a sweep, whose settings were all looked at.

    Args:
        config: The configuration.
        images: The data.

    Raises:
        ConfigError: With every problem found in any setting.
    """
    sweep = config.sweep
    if sweep is None:
        raise ConfigError(
            ["there is no sweep section: it says which keys are varied; `raynas run` is for a single run"]
        )
    controls = tuple(Setting(name, values, control=True) for name, values in sweep.controls.items())
    known = _known(config, sweep)
    searched = tuple(_examples(config, sweep)) if known is None else known
    looked_at = [*controls, *searched]
    names = column_names(sweep.keys)
    problems: dict[str, list[str]] = {}
    plans: dict[Setting, Plan] = {}
    for setting in looked_at:
        try:
            plans[setting] = draft_plan(setting_config(config, setting.values, sweep.seeds[0]), images)
            found = local_objections(plans[setting])
        except ConfigError as error:
            found = error.problems
        for problem in found:
            problems.setdefault(problem, []).append(setting.text(names))
    told = [f"{problem} ({_which(where)})" for problem, where in problems.items()]
    if not told:
        told += _warm_problems(config, sweep, plans, images)
        told += _trial_runs(list(plans.values()))
    steps = max((steps_of(plan, sweep) for plan in plans.values()), default=0)
    count = len(known) if known is not None else sweep.trials or DEFAULT_TRIALS
    told += _stop_problems(sweep, steps, count, list(plans.values())) if plans else []
    if told:
        raise ConfigError(told, "the sweep")
    return SweepPlan(config, images, controls, known, searched, steps)


def steps_of(plan: Plan, sweep: SweepSettings) -> int:
    """Return the steps of a trial: rounds of the root that are left for it, and the most turns of partitions."""
    before = 0 if sweep.warm_start is None else sweep.warm_start.rounds
    settings, turns = plan.config.train, 0
    for level in range(plan.depth):
        known = plan.rule is not None and level == 0
        turns += (
            plan.rule.most_turns() if known and plan.rule else settings.rounds_of_level(last=level == plan.depth - 1)
        )
    return settings.root_rounds - before + turns


def _known(config: Config, sweep: SweepSettings) -> tuple[Setting, ...] | None:
    """Return the settings of a grid or of random draws; None where a search finds them."""
    name, rng = sweep.finder.name, stream(config.seed, "settings")
    if name == "grid":
        every = every_setting({key: one for key, one in sweep.ranges.items() if isinstance(one, Choices)})
        if sweep.trials is None or sweep.trials >= len(every):
            return tuple(every)
        return tuple(every[place] for place in sorted(rng.choice(len(every), sweep.trials, replace=False).tolist()))
    if name == "random":
        return tuple(random_settings(sweep.ranges, sweep.trials or DEFAULT_TRIALS, rng))
    return None


def _examples(config: Config, sweep: SweepSettings) -> list[Setting]:
    """Return settings that show whether a search's are allowed: every key's ends or options, and random ones."""
    ranges = sweep.ranges
    first = {key: one.examples[0] for key, one in ranges.items()}
    ends = [{**first, key: value} for key, one in ranges.items() for value in one.examples]
    drawn = random_settings(ranges, _DRAWN, stream(config.seed, "settings looked at"))
    return [Setting(f"e{place}", values) for place, values in enumerate([*ends, *(one.values for one in drawn)])]


def _which(where: list[str]) -> str:
    return f"at {where[0]}" if len(where) == 1 else f"at {where[0]} and {len(where) - 1} more"


def _warm_problems(config: Config, sweep: SweepSettings, plans: Mapping[Setting, Plan], images: ImageData) -> list[str]:
    """Return why trials could not go on from one supernet."""
    warm = sweep.warm_start
    if warm is None:
        return []
    try:
        base = draft_plan(setting_config(config, warm.values, sweep.seeds[0]), images)
    except ConfigError as error:
        return [f"'sweep.warm_start': {problem}" for problem in error.problems]
    problems = []
    if warm.rounds >= base.config.train.root_rounds:
        problems.append(
            f"'sweep.warm_start.rounds': of the root's {base.config.train.root_rounds} rounds {warm.rounds} would be "
            "over, and no schedule would come to its end; take fewer"
        )
    problems += [f"'sweep.warm_start': {problem}" for problem in local_objections(base)]
    late: dict[str, list[str]] = {}
    for setting, mine in plans.items():
        part = landmark_part(mine.config)
        before = warm.rounds / mine.config.train.root_rounds
        if part is not None and part.warmup < before - 1e-9:
            late.setdefault(f"{part.warmup:g}", []).append(setting.text(column_names(sweep.keys)))
    problems += [
        f"'sweep.warm_start': the landmarks' term would set in at {warmup} of the budget, and its first "
        f"{warm.rounds / base.config.train.root_rounds:g} is trained without ({_which(where)}); take fewer rounds"
        for warmup, where in late.items()
    ]
    different: dict[str, list[str]] = {}
    names = column_names(sweep.keys)
    for setting, mine in plans.items():
        for key, ours, theirs in _differences(base, mine):
            different.setdefault(f"{key}: {theirs} there, {ours} in the warm start", []).append(setting.text(names))
    problems += [
        f"'sweep.warm_start': its supernet has another {what} ({_which(where)}); leave warm_start out, or set the same "
        "in warm_start.values"
        for what, where in different.items()
    ]
    return problems


def _differences(base: Plan, mine: Plan) -> list[tuple[str, str, str]]:
    """Return what a supernet must have in common with one that goes on from it, and has not."""
    found = []
    for key in _SAME:
        ours, theirs = (_at(plan.config, key) for plan in (base, mine))
        if ours != theirs:
            found.append((key, short(ours), short(theirs)))
    for key in _SAME_TRAINING:
        ours, theirs = (getattr(plan.config.train, key) for plan in (base, mine))
        if ours != theirs:
            found.append((f"train.{key}", short(ours), short(theirs)))
    images = [len(plan.root.split(plan.data.train)[0]) for plan in (base, mine)]
    if images[0] != images[1] and not any(key == "train.heldout" for key, _, _ in found):
        found.append(("number of training images (set train.heldout)", str(images[0]), str(images[1])))
    return found


def _at(config: Config, key: str) -> Any:
    plain: Any = config.model_dump(mode="json")
    for part in key.split("."):
        plain = plain[part]
    return plain


def alike(base: Config, mine: Config) -> tuple[str, ...]:
    """Return the kinds of method parts that two configurations have alike, name and options."""
    return tuple(kind for kind in _KINDS if getattr(base.method, kind) == getattr(mine.method, kind))


def _trial_runs(plans: list[Plan]) -> list[str]:
    """Run each kind of network and method on two images, measure all against the truth, and return what fails."""
    problems: list[str] = []
    tried = {id(plan) for plan in kinds_of(plans)[:_TRIED]}
    rulers: set[str] = set()
    for plan in plans:
        ruler = short([_at(plan.config, key) for key in ("truth", "score")] + [_choice(plan)])
        if id(plan) not in tried and ruler in rulers:
            continue
        rulers.add(ruler)
        try:
            (checked if id(plan) in tried else with_truth)(plan)
        except ConfigError as error:
            problems += error.problems
    return list(dict.fromkeys(problems))


def _choice(plan: Plan) -> str:
    """Return how a plan's landmarks are chosen, in words that are the same where they are the same."""
    part = landmark_part(plan.config)
    return "" if part is None else repr(part.choice)


def kinds_of(plans: Sequence[Plan]) -> list[Plan]:
    """Return one plan of each kind: with another network or data, or parts of the method with other names."""
    kinds: dict[str, Plan] = {}
    for plan in plans:
        method = plan.config.method
        parts = [getattr(getattr(method, kind), "name", None) for kind in (*_KINDS, "partition")]
        kinds.setdefault(short([_at(plan.config, key) for key in _SAME] + parts), plan)
    return list(kinds.values())


def _stop_problems(sweep: SweepSettings, steps: int, count: int, plans: Sequence[Plan]) -> list[str]:
    """Return why the way of stopping could never stop anything, or no trial ever come to its end."""
    stop = sweep.stop
    if stop is None:
        return []
    if count < 2:
        return ["'sweep.stop': one setting is tried, and there is none to compare it with; leave stop out"]
    if stop.name == "median" and stop.least > count - 1:
        beside = f"each of {count} settings has {count - 1} beside it"
        return [f"'sweep.stop.least': is {stop.least}, and {beside}: none would ever be stopped"]
    fixed = [key for key in sweep.keys if stop.name in LIVE and key not in _live_keys(plans)]
    if fixed:
        allowed = ", ".join(sorted(_live_keys(plans)))
        return [
            f"'sweep.keys': {', '.join(fixed)} cannot change in the course of a training, as stop={stop.name} has it "
            f"(here these can: {allowed}); take stop=asha or halving"
        ]
    if stop.name in LIVE and stop.every >= steps:
        return [f"'sweep.stop.every': is {stop.every}, and a trial has {steps} rounds: none would ever be changed"]
    if stop.name == "hyperband" and stop.reduction > steps:
        return [f"'sweep.stop.reduction': is {stop.reduction:g}, and a trial has {steps} rounds: none would be stopped"]
    if stop.name not in LIVE and not rungs(steps, stop.grace, stop.reduction):
        return [f"'sweep.stop.grace': is {stop.grace}, and a trial has {steps} rounds: none would ever be stopped"]
    return []


def _live_keys(plans: Sequence[Plan]) -> set[str]:
    """Return the keys whose values may change in the course of a training, in some of the plans."""
    found = {"train.lr", "train.lr_min"}
    for plan in plans:
        for kind, part in plan.root.parts().by_kind.items():
            found |= {f"method.{kind}.{name}" for name in part.live}
    return found
