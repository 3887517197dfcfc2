"""The first phase of a run whose truth is trained: stand-alone trainings, kept one by one."""

from __future__ import annotations

import time

from ray import ObjectRef
from rich.console import Console

from raynas.cluster.header import truth_text
from raynas.cluster.plan import Plan
from raynas.cluster.resources import Resources
from raynas.cluster.truth_build import PARTIAL, Building
from raynas.cluster.truth_plan import plan_configured
from raynas.data import ImageData
from raynas.report.folder import RunFolder
from raynas.report.text import print_line, training_progress
from raynas.tracking.lines import Lines
from raynas.training.ledger import Ledger
from raynas.truth import truth


class TruthPhase:
    """The training of the truth that a configuration asks for.

    Args:
        plan: The run's plan; nothing is trained where its configuration has no ``truth.train``.
        folder: Where the table is kept.
        resources: What each training gets.
        ledger: Where its cost is noted.
        console: Where to print.
    """

    def __init__(self, plan: Plan, folder: RunFolder, resources: Resources, ledger: Ledger, console: Console) -> None:
        self._plan, self._folder, self._resources = plan, folder, resources
        self._ledger, self._console = ledger, console
        self._building: Building | None = None

    def go(self, data: ObjectRef[ImageData]) -> Plan:
        """Train the truth, and return the plan that is measured against it from now on.

        What earlier runs beside this one left unfinished of the same truth is taken over; files among it that cannot
        be read are told, and left alone.

        Args:
            data: A reference to the images in the object store.
        """
        plan, folder, settings = self._plan, self._folder, self._plan.config.truth
        if settings is None or settings.train is None:
            return plan
        if folder.truth.is_file():  # the run goes on, and an earlier process of it trained the truth
            for row in Lines(folder.records / "truth.jsonl").before:
                self._ledger.add([], standalone=row["images"])
            return plan.measured_against(truth(folder.truth), settings.metric)
        others = sorted(folder.path.parent.glob(f"*/{folder.truth.name}{PARTIAL}"))
        building = self._building = Building(
            plan_configured(plan.config), plan.data, folder.truth, resources=self._resources, others=others
        )
        for problem in building.skipped:
            print_line(self._console, "truth", f"not taken over: {problem}")
        if building.taken_over:
            taken = f"{building.taken_over} of {len(building.wanted)}"
            print_line(self._console, "truth", f"{taken} architectures taken over from earlier runs")
        self._train(building, data)
        table = building.finish(f"truth.train of {folder.config}")
        measured = plan.measured_against(table, settings.metric)
        print_line(self._console, "truth", truth_text(measured, table, settings.metric))
        return measured

    def _train(self, building: Building, data: ObjectRef[ImageData]) -> None:
        launched, spent = time.time(), Lines(self._folder.records / "truth.jsonl")
        self._ledger.add([], standalone=sum(row["images"] for row in spent.before))
        with training_progress(self._console) as progress:
            task = progress.add_task(f"{'truth':<9}", completed=len(building.done), total=len(building.wanted))
            for _, results, span in building.train(data):
                images = sum(result.images_trained for result in results)
                self._ledger.add([span], standalone=images)
                spent.append({"images": images})
                progress.update(task, completed=len(building.done))
        spent.close()
        self._ledger.close_gap("startup", launched)

    @property
    def kept(self) -> str:
        """What becomes of a truth whose training was broken off; nothing where none was."""
        return "" if self._building is None else kept_text(self._building, self._plan.config.out)


def kept_text(building: Building, out: str | None) -> str:
    """Return what becomes of a truth's training that is broken off; nothing where it was over.

    Args:
        building: The training.
        out: The run folder as configured.
    """
    if not building.missing:
        return ""
    done, total = len(building.done), len(building.wanted)
    if not done:
        return f"; none of the truth's {total} architectures was trained to the end"
    again = "the same command" if out is None else "the same command with another out= beside it"
    return f"; {done} of the truth's {total} architectures are trained, {again} continues with the others"
