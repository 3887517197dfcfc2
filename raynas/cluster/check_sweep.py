"""`check` of a configuration with a sweep: every setting, one of each kind on a batch, trials, images, W&B runs."""

from __future__ import annotations

from collections.abc import Sequence

from raynas.cluster.check_costs import Phase, Processes, supernet_phases
from raynas.cluster.check_done import Rehearsal
from raynas.cluster.check_parts import rehearse
from raynas.cluster.plan import Plan, checked
from raynas.cluster.resources import Resources
from raynas.cluster.sweep_plan import SweepPlan, kinds_of, plan_sweep
from raynas.config import Config
from raynas.data import data


def planned(config: Config) -> SweepPlan:
    """Return the plan of a sweep; raises ConfigError with every problem of every setting."""
    return plan_sweep(config, data(config.data.name, **config.data.options))


def drafts_of(plan: SweepPlan) -> list[Plan]:
    """Return the plans of the settings that were looked at, then those of the controls, each with the first seed."""
    seed = plan.sweep.seeds[0]
    return [plan.draft(setting.values, seed) for setting in (*plan.looked_at, *plan.controls)]


def rehearsed(drafts: Sequence[Plan]) -> tuple[Plan, Rehearsal]:
    """Return the plan of the first setting, and what the parts of every kind of setting did on a batch.

    Settings are of one kind where their parts have the same names.
    """
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


def phases_of_sweep(plan: SweepPlan, drafts: Sequence[Plan], ranked: int) -> list[Phase]:
    """Return what a sweep passes through networks, at most: were nothing stopped early.

    Of settings that a search finds as it goes, each is counted as the dearest that was looked at.

    Args:
        plan: The sweep.
        drafts: The plans of its settings (`drafts_of`).
        ranked: How many architectures each ranks.
    """
    seeds, warm = len(plan.sweep.seeds), plan.sweep.warm_start
    before = 0 if warm is None else warm.rounds
    costs = [_cost(one, ranked, before) for one in drafts]
    settings, controls = costs[: len(plan.looked_at)], costs[len(plan.looked_at) :]
    if plan.known is None:
        dearest = max(cost[0] for cost in settings), max(cost[1] for cost in settings)
        settings = [dearest] * (plan.trials - len(controls))
    budget, scored = (seeds * sum(cost[place] for cost in (*settings, *controls)) for place in range(2))
    found = [Phase("settings", budget, scored, at_once=plan.trials)]
    if warm is None:
        return found
    begun = supernet_phases(plan.draft(warm.values, plan.sweep.seeds[0]), ranked)[0]
    rounds = drafts[0].config.train.root_rounds
    share = seeds * before
    return [Phase("warm start", share * begun.budget // rounds, share * begun.scored // rounds, at_once=seeds), *found]


def _cost(one: Plan, ranked: int, before: int) -> tuple[int, int]:
    """Return what a setting takes with one seed: images of its budget, and scored beside it."""
    root, *levels = supernet_phases(one, ranked)
    rounds = one.config.train.root_rounds
    left = [root.budget * (rounds - before) // rounds, root.scored * (rounds - before) // rounds]
    return left[0] + sum(level.budget for level in levels), left[1] + sum(level.scored for level in levels)
