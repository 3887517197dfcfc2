"""`check`: everything about a run that can be known before it runs; starts no Ray and writes nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from raynas.cluster.check_costs import Phase, Processes, phases_of, processes_of, recipes_of, supernets_of
from raynas.cluster.check_done import Rehearsal
from raynas.cluster.check_parts import rehearse
from raynas.cluster.check_sweep import drafts_of, phases_of_sweep, planned, processes_of_sweep, rehearsed
from raynas.cluster.cluster_file import ClusterFile, read_cluster
from raynas.cluster.header import plan_lines
from raynas.cluster.node_types import Fitting, NodeType, fits
from raynas.cluster.plan import checked, draft_plan
from raynas.cluster.storage import refuse_url
from raynas.config import Config, RaySettings, load_config
from raynas.errors import ConfigError
from raynas.report.folder import refuse_existing
from raynas.report.sweep_text import sweep_lines
from raynas.tracking.wandb import choose_mode
from raynas.training.standalone import StandaloneRecipe

HERE = "this machine"


@dataclass(frozen=True)
class Machines:
    """Where processes can be placed.

    Args:
        where: In words.
        node_types: The kinds of machines; None where they are not known before the run connects.
        most_workers: The most workers of all kinds together; None where each kind's own limit is all.
    """

    where: str
    node_types: tuple[NodeType, ...] | None
    most_workers: int | None = None

    def fitting(self, bundle: Mapping[str, float]) -> Fitting | None:
        """Return where a bundle fits; None where nothing is known, or nothing is reserved."""
        if self.node_types is None or not any(bundle.values()):
            return None
        return fits(bundle, self.node_types, self.most_workers)


@dataclass(frozen=True)
class CheckReport:
    """What a check found.

    Args:
        lines: What is searched, on what, how: a key and a text each.
        rehearsal: What each part of the method did on a batch, and how long images take here.
        machines: Where processes can be placed.
        processes: What will run, with what each reserves.
        phases: What is passed through networks, phase by phase.
        wandb: ``online``, ``offline`` or ``disabled``.
        wandb_runs: How many W&B runs there will be, at most.
        warnings: What is no mistake, and should be known.
    """

    lines: tuple[tuple[str, str], ...]
    rehearsal: Rehearsal
    machines: Machines
    processes: tuple[Processes, ...]
    phases: tuple[Phase, ...]
    wandb: str
    wandb_runs: int
    warnings: tuple[str, ...] = ()

    def seconds(self, phase: Phase) -> float:
        """Return the estimated seconds of a phase were one process to do it, on a CPU of this machine."""
        took = self.rehearsal
        return phase.budget * took.train + phase.scored * took.score + phase.alone * (took.alone or 0.0)

    def places_of(self, phase: Phase) -> int:
        """Return how many processes can share a phase: there are places for so many, and so much to share."""
        known = [self.machines.fitting(process.bundle) for process in self.processes]
        places = [fitting.at_once for fitting in known if fitting is not None]
        return max(1, min([phase.at_once, *places]))

    @property
    def process_hours(self) -> float:
        """The estimated hours of all phases, one process at a time."""
        return sum(self.seconds(phase) for phase in self.phases) / 3600

    @property
    def hours(self) -> float:
        """The same with as many processes at the same time as there are places for."""
        return sum(self.seconds(phase) / self.places_of(phase) for phase in self.phases) / 3600


def check(
    config: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str] = (),
    *,
    cluster: str | Path | None = None,
) -> CheckReport:
    """Check a run or sweep: its settings, a batch through every part of its method, and where it has a place.

    Args:
        config: A YAML file, a mapping of the same shape, or a checked configuration.
        overrides: ``key=value`` texts with dotted keys.
        cluster: A file for `ray up`, on whose machines it shall run.

    Raises:
        ConfigError: With the problems found.
        RunError: ``out`` exists, or is a URL.
    """
    source = config.model_dump(mode="json") if isinstance(config, Config) else config
    config = load_config(source, overrides)
    refuse_url(config.out)
    refuse_existing(config)
    file = None if cluster is None else read_cluster(cluster)
    machines = machines_of(config.ray, file)
    if config.sweep is not None:
        whole = planned(config)
        processes = processes_of_sweep(whole)
        refuse_what_fits_nowhere(processes, machines)
        drafts = drafts_of(whole)
        plan, rehearsal = rehearsed(drafts)
        phases = phases_of_sweep(whole, drafts, len(plan.root.ranking.architectures))
        lines, runs = sweep_lines(config, whole.trials), whole.trials + 1
    else:
        plan = checked(draft_plan(config))
        processes = processes_of(plan)
        refuse_what_fits_nowhere(processes, machines)
        rehearsal = rehearse(plan, _distinct(recipes_of(plan).values()))
        lines, phases, runs = [], phases_of(plan), supernets_of(plan)
    mode = choose_mode(config.wandb.mode)
    return CheckReport(
        (*plan_lines(plan), *lines),
        rehearsal,
        machines,
        tuple(processes),
        tuple(phases),
        mode,
        0 if mode == "disabled" else runs,
        (*_warnings(config, file), *_idle(rehearsal)),
    )


def machines_of(settings: RaySettings, cluster: ClusterFile | None) -> Machines:
    """Return where processes can be placed.

    Args:
        settings: Of the configuration: a local Ray is this machine.
        cluster: A cluster file, which stands for any address.
    """
    if cluster is not None:
        return Machines(f"{cluster.path}, all workers started", cluster.node_types, cluster.most_workers)
    if settings.address != "local":
        return Machines(f"the Ray at {settings.address}: not known before the run connects", None)
    here = NodeType(HERE, settings.cpus or os.cpu_count() or 1, torch.cuda.device_count(), 1)
    return Machines(HERE, (here,))


def refuse_what_fits_nowhere(processes: Sequence[Processes], machines: Machines) -> None:
    """Refuse processes for which there never is a place.

    Raises:
        ConfigError: With a reason for each.
    """
    reasons: dict[str, list[str]] = {}
    for process in processes:
        fitting = machines.fitting(process.bundle)
        if fitting is not None and fitting.reason is not None:
            reasons.setdefault(fitting.reason, []).append(process.what)
    if reasons:
        advice = "lower ray.cpus_per_trial or ray.gpus_per_trial, or take larger machines"
        raise ConfigError(
            [f"{reason}; {advice} (needed by: {', '.join(whats)})" for reason, whats in reasons.items()],
            f"what processes reserve, on {machines.where}",
        )


def _warnings(config: Config, file: ClusterFile | None) -> list[str]:
    found = [] if file is None else [f"{file.path}: {warning}" for warning in file.warnings]
    if file is not None and config.ray.address == "local":
        found.append("ray.address is local: on the cluster submit the run with ray.address=auto")
    if (file is not None or config.ray.address != "local") and not Path(config.out or "runs").is_absolute():
        found.append(
            f"out is {config.out or 'runs/...'}: on a cluster it must be an absolute path on storage that all nodes "
            "share, such as out=/shared/runs/NAME"
        )
    return found


def _idle(rehearsal: Rehearsal) -> list[str]:
    """Return which parts of the method did nothing, though they were asked to at all places of the training."""
    return [
        f"'method.{done.kind}' ({done.name}) did nothing in {done.times} steps, from the first to almost the last"
        f"{f': {done.note}' if done.note else ''}"
        for done in rehearsal.parts
        if done.kind in ("sampler", "regularizer", "curriculum") and not done.worked
    ]


def _distinct(recipes: Iterable[StandaloneRecipe]) -> list[StandaloneRecipe]:
    return list({recipe.model_dump_json(): recipe for recipe in recipes}.values())
