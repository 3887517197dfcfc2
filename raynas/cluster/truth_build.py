"""Building a truth table: many stand-alone trainings as Ray tasks, kept as they finish, continued if interrupted."""

from __future__ import annotations

import datetime
import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from raynas.cluster.resources import Resources
from raynas.cluster.session import ray_session
from raynas.cluster.standalone_tasks import Trained, train_all
from raynas.cluster.truth_plan import PLANS, TruthPlan
from raynas.config import RaySettings
from raynas.data import ImageData, data
from raynas.data.split import TensorSplit
from raynas.errors import TruthError
from raynas.networks.cost import cost
from raynas.spaces import SPACES, Architecture, Space
from raynas.training.standalone import StandaloneResult
from raynas.truth import PER_SEED, TruthTable
from raynas.truth.partial import BEGUN, Row, cut_off_half_a_line, read_partial

if TYPE_CHECKING:
    from ray import ObjectRef

__all__ = ["PARTIAL", "PLANS", "Building", "TruthPlan", "build_truth", "fingerprint", "processor"]

PARTIAL = ".partial.jsonl"
"""What a table's file name is followed by while the table is being made."""
_SAMPLED = 32
"""So many images of a split that is decoded on demand stand for all of them."""


class Building:
    """A table in the making: every architecture that is trained is appended to a partial file at once.

    Args:
        plan: What to build.
        images: The plan's data.
        out: The table's file; the partial file is ``<out>.partial.jsonl``.
        resources: What a training reserves.
        others: Partial files of earlier attempts; rows made alike (same plan, data, threads, processor and versions)
            are taken over. `skipped` says which files could not be read, or hold the same plan made otherwise.

    Raises:
        TruthError: The partial file belongs to another plan, was made in other circumstances, or is damaged.
    """

    def __init__(
        self, plan: TruthPlan, images: ImageData, out: Path, *, resources: Resources, others: Iterable[Path] = ()
    ) -> None:
        self.plan, self.images, self.out, self.resources = plan, images, out, resources
        self.wanted = plan.draw()
        self.heading = _heading(plan, images, self.wanted, resources)
        self.partial = out.with_name(out.name + PARTIAL)
        own = read_partial(self.partial, self.heading)
        if own.differs:
            raise TruthError(
                f"{self.partial} was begun with another plan or in other circumstances (another "
                f"{', '.join(own.differs)}); move it away to start anew"
            )
        cut_off_half_a_line(self.partial)
        self.done: dict[str, Row] = {}
        self.skipped: list[str] = []
        self.begun = own.begun or datetime.date.today().isoformat()
        for path in others:
            try:
                other = read_partial(path, self.heading)
            except TruthError as error:
                self.skipped.append(str(error))
                continue
            if other.differs and not {"plan", "data"} & set(other.differs):
                self.skipped.append(f"{path}: made otherwise (another {', '.join(other.differs)})")
            if other.rows:
                self.done |= other.rows
                self.begun = min(self.begun, other.begun or self.begun)
        self.taken_over = len(self.done)
        self.done |= own.rows

    @property
    def missing(self) -> list[Architecture]:
        """What is still to be trained."""
        return [architecture for architecture in self.wanted if architecture.text not in self.done]

    def train(self, stored: ObjectRef[ImageData] | None = None) -> Iterator[Trained]:
        """Train what is missing on the Ray there is, and yield each architecture with its results as it is done.

        Args:
            stored: A reference to the images in the object store, where there is one.
        """
        self.out.parent.mkdir(parents=True, exist_ok=True)
        plan, missing = self.plan, self.missing
        with self.partial.open("a") as log:
            if self.partial.stat().st_size == 0:
                log.write(json.dumps({**self.heading, BEGUN: self.begun}) + "\n")
                for text, row in self.done.items():
                    log.write(json.dumps({"architecture": text, **row}) + "\n")
                log.flush()
            shared = self.images if stored is None else stored
            for trained in train_all(plan.space, missing, shared, plan.recipe, plan.seeds, resources=self.resources):
                architecture, results, _ = trained
                self.done[architecture.text] = _rows(results)
                log.write(json.dumps({"architecture": architecture.text, **self.done[architecture.text]}) + "\n")
                log.flush()
                yield trained

    def finish(self, command: str) -> TruthTable:
        """Write the table and remove the partial file.

        Args:
            command: The command that makes the table again, for its record.
        """
        table = TruthTable(
            self.plan.name,
            self.plan.space.name,
            tuple(architecture.text for architecture in self.wanted),
            _columns(self.plan, self.images, self.wanted, self.done),
            {
                **self.heading,
                "python": platform.python_version(),
                BEGUN: self.begun,
                "date": datetime.date.today().isoformat(),
                "command": command,
            },
        )
        table.save(self.out)
        self.partial.unlink(missing_ok=True)
        return table


def build_truth(
    plan: TruthPlan,
    out: Path,
    settings: RaySettings,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    command: str = "",
) -> TruthTable:
    """Train what the plan asks for and is not yet in ``<out>.partial.jsonl``, and write the table to `out`.

    Every finished architecture is appended to the partial file at once, so an interrupted build continues.

    Args:
        plan: What to build.
        out: The table's file; refused if it exists.
        settings: Where to run.
        progress: Called with the architectures done and the total.
        command: The command that makes the table again, for its record; ``raynas truth build NAME`` if empty.

    Raises:
        TruthError: The file exists, or the partial file cannot be continued (see `Building`).
    """
    if out.exists():
        raise TruthError(f"{out} exists; move it away, or give another --out")
    building = Building(plan, data(plan.data, **plan.data_options), out, resources=Resources.of(settings))
    progress(len(building.done), len(building.wanted))
    if building.missing:
        with ray_session(settings, building.images):
            for _ in building.train():
                progress(len(building.done), len(building.wanted))
    return building.finish(command or f"raynas truth build {plan.name}")


def _heading(
    plan: TruthPlan, images: ImageData, wanted: Sequence[Architecture], resources: Resources
) -> dict[str, Any]:
    """Return what tells rows made alike from others: everything that the numbers depend on.

    With other threads, another instruction set or a GPU sums are taken in another order, and training amplifies that.
    """
    heading = {
        "plan": plan.name,
        "data": plan.data,
        "data_options": dict(plan.data_options),
        "data_fingerprint": fingerprint(images),
        "recipe": plan.recipe.model_dump(),
        "seeds": list(plan.seeds),
        "architectures": len(wanted),
        "space": {"name": plan.space.name, "size": plan.space.size, "options": _needed_options(plan.space, wanted)},
        "draw": f"uniform over {plan.drawn}{_options_text(plan.space)}, no function twice, seed {plan.draw_seed}",
        "versions": {p: importlib.metadata.version(p) for p in ("torch", "numpy", "scikit-learn", "raynas")},
        "threads": resources.cpus,
        **({"device": resources.device} if resources.gpus else {}),
        "processor": processor(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
    }
    plain: dict[str, Any] = json.loads(json.dumps(heading, default=str))
    return plain


def fingerprint(images: ImageData) -> str:
    """Return a digest of the data's content: sizes, all targets, and all images of splits that are in memory.

    Of a split that is decoded on demand, images spread evenly from the first to the last stand for all.
    """
    digest = hashlib.blake2b(digest_size=16)
    for split in (images.train, images.valid, images.test):
        if isinstance(split, TensorSplit):
            pixels, scale = split.images, (split.mean, split.std)
        else:
            index = np.unique(np.linspace(0, len(split) - 1, _SAMPLED).round().astype(np.int64))
            pixels, scale = split.take(torch.from_numpy(index))[0], None
        digest.update(repr((len(split), split.image_shape, scale, pixels.dtype)).encode())
        for part in (pixels, split.targets):
            digest.update(part.cpu().contiguous().numpy().data.cast("B"))
    return digest.hexdigest()


def processor() -> str:
    """Return which processor this is, finely enough that equal ones compute equal sums."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return ", ".join(f"{key} {found[key]}" for key in ("model name", "cpu family", "model", "stepping") if key in found)


def _rows(results: Iterable[StandaloneResult]) -> Row:
    listed = list(results)
    return {metric: [getattr(result, metric) for result in listed] for metric in PER_SEED}


def _needed_options(space: Space, wanted: Sequence[Architecture]) -> dict[str, Any]:
    """Return the options without which the space would not hold these architectures: those that the table needs.

    An option that only left some architectures out of the draw must not keep the table from wider spaces.
    """
    try:
        plain = SPACES.make(space.name)
    except TypeError:  # it has options that must be given
        return dict(space.options)
    return {} if all(architecture in plain for architecture in wanted) else dict(space.options)


def _options_text(space: Space) -> str:
    given = ", ".join(f"{key}={value}" for key, value in space.options.items())
    return f" of {space.name} with {given}" if given else ""


def _columns(
    plan: TruthPlan,
    images: ImageData,
    wanted: Sequence[Architecture],
    done: Mapping[str, Mapping[str, Sequence[float]]],
) -> dict[str, NDArray[np.floating]]:
    """Return the table's columns: what was trained, seed by seed, and what each architecture costs."""
    options = {"input_shape": images.input_shape, "classes": images.classes, **plan.recipe.network}
    costs = [cost(plan.space, architecture, **options) for architecture in wanted]
    columns: dict[str, NDArray[np.floating]] = {
        metric: np.array([done[architecture.text][metric] for architecture in wanted], np.float32)
        for metric in PER_SEED
    }
    columns["params_m"] = np.array([c.params_m for c in costs], np.float32)
    columns["flops_m"] = np.array([c.flops_m for c in costs], np.float32)
    return columns
