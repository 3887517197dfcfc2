"""Building a truth table: many stand-alone trainings as Ray tasks, kept as they finish, continued if interrupted."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from raynas.cluster.session import ray_session
from raynas.cluster.standalone_tasks import train_all
from raynas.config import RaySettings
from raynas.data import data
from raynas.errors import TruthError, UnknownNameError, nearest
from raynas.networks.cost import cost
from raynas.spaces import Architecture, Space, space
from raynas.streams import stream
from raynas.training.settings import OptimizerSettings
from raynas.training.standalone import StandaloneRecipe, StandaloneResult
from raynas.truth import PER_SEED, TruthTable


@dataclass(frozen=True)
class TruthPlan:
    """What a built table holds: so many distinct canonical architectures of a space, each trained with every seed.

    Args:
        name: The table's name.
        space: The space drawn from.
        data: The data set's name.
        recipe: The stand-alone recipe.
        architectures: How many distinct canonical architectures to draw, uniformly.
        seeds: The training seeds.
        draw_seed: Seed of the draw.
    """

    name: str
    space: Space
    data: str
    recipe: StandaloneRecipe
    architectures: int
    seeds: tuple[int, ...]
    draw_seed: int = 0

    def draw(self) -> list[Architecture]:
        """Return the architectures: a uniform draw without replacement from the space's canonical forms."""
        canonical = sorted({self.space.canonical(architecture) for architecture in self.space.enumerate()})
        chosen = stream(self.draw_seed, "truth", self.name).permutation(len(canonical))[: self.architectures]
        return [canonical[index] for index in chosen]


PLANS: dict[str, Callable[[], TruthPlan]] = {
    "digits201": lambda: TruthPlan(
        name="digits201",
        space=space("nasbench201", connected=True),
        data="digits",
        recipe=StandaloneRecipe(network={"channels": 8, "cells": 2}, epochs=4, optimizer=OptimizerSettings(lr=0.1)),
        architectures=1200,
        seeds=(0, 1, 2, 3),
    )
}
"""The tables this project ships, each with everything needed to make it again."""


def plan_named(name: str) -> TruthPlan:
    """Return the plan of a shipped table; raises UnknownNameError."""
    if name not in PLANS:
        raise UnknownNameError(f"no plan for truth '{name}'{nearest(name, PLANS)} (allowed: {', '.join(PLANS)})")
    return PLANS[name]()


def build_truth(
    plan: TruthPlan, out: Path, settings: RaySettings, progress: Callable[[int, int], None] = lambda done, total: None
) -> TruthTable:
    """Train what the plan asks for and is not yet in ``<out>.partial.jsonl``, and write the table to `out`.

    Every finished architecture is appended to the partial file at once, so an interrupted build continues.

    Args:
        plan: What to build.
        out: The table's file; refused if it exists.
        settings: Where to run.
        progress: Called with the architectures done and the total.

    Raises:
        TruthError: The file exists, or the partial file belongs to another plan.
    """
    if out.exists():
        raise TruthError(f"{out} exists; move it away, or give another --out")
    partial = out.with_name(out.name + ".partial.jsonl")
    partial.parent.mkdir(parents=True, exist_ok=True)
    images = data(plan.data)
    wanted = plan.draw()
    heading = {
        "plan": plan.name,
        "data": plan.data,
        "recipe": plan.recipe.model_dump(),
        "seeds": list(plan.seeds),
        "architectures": len(wanted),
        "space": {"name": plan.space.name, "size": plan.space.size},
        "draw_seed": plan.draw_seed,
        "versions": {p: importlib.metadata.version(p) for p in ("torch", "numpy", "scikit-learn", "raynas")},
    }
    done = _read_partial(partial, heading)
    progress(len(done), len(wanted))
    missing = [architecture for architecture in wanted if architecture.text not in done]
    if missing:
        with ray_session(settings), partial.open("a") as log:
            if partial.stat().st_size == 0:
                log.write(json.dumps(heading) + "\n")
            trained = train_all(plan.space, missing, images, plan.recipe, plan.seeds, cpus=settings.cpus_per_trial)
            for architecture, results, _ in trained:
                done[architecture.text] = _rows(results)
                log.write(json.dumps({"architecture": architecture.text, **done[architecture.text]}) + "\n")
                log.flush()
                progress(len(done), len(wanted))
    table = _assemble(plan, wanted, done, heading)
    table.save(out)
    partial.unlink()
    return table


def processor() -> str:
    """Return which processor this is, finely enough that equal ones compute equal sums."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return ", ".join(f"{key} {found[key]}" for key in ("model name", "cpu family", "model", "stepping") if key in found)


def _rows(results: Iterable[StandaloneResult]) -> dict[str, list[float]]:
    listed = list(results)
    return {metric: [getattr(result, metric) for result in listed] for metric in PER_SEED}


def _read_partial(partial: Path, heading: dict[str, object]) -> dict[str, dict[str, list[float]]]:
    """Return what is done, and cut off the line that was being written when the build was interrupted."""
    if not partial.exists():
        return {}
    text = partial.read_text()
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        partial.write_text(whole)
    if not whole:
        return {}
    first, *lines = whole.splitlines()
    if json.loads(first) != json.loads(json.dumps(heading)):
        raise TruthError(f"{partial} was begun with another plan; move it away to start anew")
    rows = [json.loads(line) for line in lines]
    return {row.pop("architecture"): row for row in rows}


def _assemble(
    plan: TruthPlan,
    wanted: list[Architecture],
    done: dict[str, dict[str, list[float]]],
    heading: dict[str, object],
) -> TruthTable:
    import torch

    images = data(plan.data)
    costs = [
        cost(
            plan.space,
            architecture,
            input_shape=images.input_shape,
            classes=images.classes,
            **plan.recipe.network,
        )
        for architecture in wanted
    ]
    columns = {
        metric: np.array([done[architecture.text][metric] for architecture in wanted], np.float32)
        for metric in PER_SEED
    }
    columns["params_m"] = np.array([c.params_m for c in costs], np.float32)
    columns["flops_m"] = np.array([c.flops_m for c in costs], np.float32)
    source = {
        **heading,
        "draw": f"uniform over canonical connected cells, seed {plan.draw_seed}",
        "command": f"raynas truth build {plan.name}",
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "processor": processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "threads": 1,
    }
    return TruthTable(plan.name, plan.space.name, tuple(a.text for a in wanted), columns, source)
