"""`check` of a configuration with a sweep: every setting, one of each kind on a batch, trials, images, W&B runs."""

from __future__ import annotations

from raynas.cluster.check_costs import Phase, Processes
from raynas.cluster.check_done import Rehearsal
from raynas.cluster.check_parts import rehearse
from raynas.cluster.plan import Plan, checked
from raynas.cluster.resources import Resources
from raynas.cluster.sweep_plan import SweepPlan, kinds_of, plan_sweep
from raynas.config import Config
from raynas.data import data
from raynas.training.scorer import images_an_architecture


def planned(config: Config) -> SweepPlan:
    """Return the plan of a sweep; raises ConfigError with every problem of every setting."""
    return plan_sweep(config, data(config.data.name, **config.data.options))


def rehearsed(plan: SweepPlan) -> tuple[Plan, Rehearsal]:
    """Return the plan of the first setting, and what the parts of every kind of setting did on a batch.

    Settings are of one kind where their parts have the same names.
    """
    seed = plan.sweep.seeds[0]
    drafts = [plan.draft(setting.values, seed) for setting in (*plan.looked_at, *plan.controls)]
    first, *others = [checked(one) for one in kinds_of(drafts)]
    found = rehearse(first, [])
    for other in others:
        found = found.joined(rehearse(other, []))
    return first, found


def processes_of_sweep(plan: SweepPlan) -> list[Processes]:
    """Return the processes that a sweep starts, with what each reserves."""
    bundle = Resources.of(plan.config.ray).bundle
    warm = (
        []
        if plan.sweep.warm_start is None
        else [Processes("warm start: a supernet a seed", len(plan.sweep.seeds), bundle)]
    )
    return [*warm, Processes(f"settings, each with {len(plan.sweep.seeds)} seeds", plan.trials, bundle)]


def phases_of_sweep(plan: SweepPlan, one: Plan) -> list[Phase]:
    """Return what a sweep passes through networks, at most: were nothing stopped early.

    Args:
        plan: The sweep.
        one: The plan of one of its settings, with its truth.
    """
    train, pool = one.config.train, one.config.search.pool
    each = images_an_architecture(one.root.protocol, one.data)
    scored = (len(one.root.ranking.architectures) + pool.candidates + pool.rescore) * each
    batch = min(train.batch_size, len(one.root.split(one.data.train)[0]))
    seeds, warm = len(plan.sweep.seeds), plan.sweep.warm_start
    budget = train.round_steps * batch
    partitions = sum(train.rounds_of_level(last=level == one.depth - 1) for level in range(one.depth))
    before = 0 if warm is None else warm.rounds
    rounds = train.root_rounds - before
    found = (
        [] if warm is None else [Phase("warm start", seeds * before * budget, seeds * before * scored, at_once=seeds)]
    )
    trained = rounds * budget + partitions * train.partition_round_steps * batch
    own = plan.trials * seeds
    return [*found, Phase("settings", own * trained, own * (rounds + partitions) * scored, at_once=plan.trials)]
