"""A rehearsal: every part of a method really does its work on the run's own network and images, a batch or few of each.

A trial run only passes images forward. Much of a method sets in later: a regularizer after its warm-up, a curriculum at
shares of the budget, alpha on held-out images, children when the root is trained. Here a throw-away supernet is put at
several places of its training, the last one almost its end, and takes a step at each; what each part did there is
measured. Nothing of it is kept, and no stream of the run is moved.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from raynas.cluster.check_done import Done, Rehearsal, told
from raynas.cluster.check_images import few_images
from raynas.cluster.check_watch import place, stand_ins, watch
from raynas.cluster.landmarks import known_in
from raynas.cluster.plan import Plan, split_supernet
from raynas.methods import PARTITIONS, Calibration, Landmark, MethodPlan
from raynas.methods.partition_calibration import yardstick
from raynas.search import Pool
from raynas.streams import stream
from raynas.training.job import SupernetJob
from raynas.training.probe import TrainedProbe
from raynas.training.standalone import StandaloneRecipe, train_standalone
from raynas.training.worker import SupernetWorker

SHARES = (0.0, 0.35, 0.7, 0.999)
"""Places of the training, in shares of the budget, at which a step is taken."""
_SCORED = 4
_LENGTHS: Mapping[str, Mapping[str, Any]] = {"nao": {"epochs": 3}, "gradient_matching": {"repeats": 1}}
"""Options that only say how often the same is done again: one of each is enough here."""
_WORK = {"sampler": "next_step", "regularizer": "add_gradients", "curriculum": "before_step"}
"""The method in which each kind of part does its work in a step."""


def rehearse(plan: Plan, recipes: Sequence[StandaloneRecipe] = ()) -> Rehearsal:
    """Let every part of the plan's method do its work once or a few times.

    Args:
        plan: The checked plan.
        recipes: Of the stand-alone trainings that the run has; the slowest one counts.

    Raises:
        ConfigError: A part fails.
    """
    found = Rehearsal()
    before = torch.get_num_threads()
    torch.set_num_threads(plan.config.ray.cpus_per_trial)
    try:
        with torch.random.fork_rng(devices=[]):
            _Rehearsing(plan, found).all(recipes)
    finally:
        torch.set_num_threads(before)
    return found


class _Rehearsing:
    """A rehearsal in progress."""

    def __init__(self, plan: Plan, found: Rehearsal) -> None:
        self.plan, self.found = plan, found
        self.images = few_images(plan.data, plan.root.optimizer.batch_size, plan.root.protocol.batch_size)
        self.landmarks = stand_ins(plan)

    def all(self, recipes: Sequence[StandaloneRecipe]) -> None:
        worker = self.supernet()
        with told("'score'"):
            self.scores(worker)
        if self.plan.partition is not None:
            with told("'method.partition'"):
                self.partition(worker)
        for recipe in recipes:
            with told("a stand-alone training"):
                self.alone(recipe)

    def supernet(self) -> SupernetWorker:
        """Build the root and take a step at each place of its training."""
        job = self._job(self.plan.root)
        with told("'method'"):
            worker = SupernetWorker(job, self.images)
        parts = worker.parts.by_kind
        names = {"sampler": job.method.sampler, "sharing": job.method.sharing}
        names |= {
            kind: named
            for kind, named in (("regularizer", job.method.regularizer), ("curriculum", job.method.curriculum))
            if named is not None
        }
        for kind, part in parts.items():
            done = Done(kind, names[kind][0])
            self.found.parts.append(done)
            if kind in _WORK:
                watch(worker, part, _WORK[kind], done)
        with told("'method' together"):
            self._steps(worker)
            self._pull(worker)
        self._sharing(worker)
        return worker

    def _steps(self, worker: SupernetWorker) -> None:
        worker.parts.sampler.begin_round(Pool(worker.job.pool_capacity))
        place(worker, 0.0)
        worker.trainer.train(1)  # the first step of a process is slower than all that follow
        view = worker.trainer.view
        spent, began = view.spent, time.perf_counter()
        for share in SHARES:
            place(worker, share)
            worker.trainer.train(1)
        self.found.train = (time.perf_counter() - began) / max(view.spent - spent, 1.0)
        sampler = self.found.part("sampler")
        regularizer = self.found.part("regularizer")
        assert sampler is not None
        sampler.trained = view.images_trained - (0 if regularizer is None else regularizer.trained)

    def _pull(self, worker: SupernetWorker) -> None:
        """Step on until the regularizer has passed images backward: of a pair in the right order it need not."""
        done, part = self.found.part("regularizer"), worker.parts.regularizer
        if done is None or part is None or self.plan.config.method.regularizer is None:
            return
        if self.plan.config.method.regularizer.options.get("coefficient") == 0:
            done.note = "its coefficient is 0, it does nothing"
            return
        turned = tuple(Landmark(one.architecture, 100 - one.quality) for one in self.landmarks)
        for share, order in itertools.product((SHARES[-1], SHARES[-2]), (turned, self.landmarks)):
            if done.trained:
                break
            part.landmarks_changed(order)
            place(worker, share)
            worker.trainer.train(1)
        done.note = "two landmarks, their order turned until it was wrong"

    def _sharing(self, worker: SupernetWorker) -> None:
        """Note how many weights the last step reached."""
        done = self.found.part("sharing")
        assert done is not None
        all_of_them = list(worker.supernet.parameters())
        reached = sum(parameter.numel() for parameter in all_of_them if parameter.grad is not None)
        done.times = worker.trainer.step
        done.changed = int(reached > 0)
        done.note = f"a step reached {reached:,} of {sum(p.numel() for p in all_of_them):,} weights"

    def scores(self, worker: SupernetWorker) -> None:
        """Score a few architectures."""
        rng = stream(worker.job.seed, "check", "scores")
        drawn = [worker.job.space.sample(rng) for _ in range(_SCORED)]
        worker.score(drawn[:1])
        before, began = worker.images_scored, time.perf_counter()
        worker.score(drawn)
        seconds, images = time.perf_counter() - began, worker.images_scored - before
        self.found.score = seconds / max(images, 1)
        self.found.parts.append(Done("scoring", worker.job.protocol.name, 1, 0, images, seconds))

    def partition(self, worker: SupernetWorker) -> None:
        """Split the root, and let one of the children inherit and take a step."""
        settings, plan = self.plan.config.method.partition, self.plan
        assert settings is not None
        done = Done("partition", settings.name)
        self.found.parts.append(done)
        began, state = time.perf_counter(), worker.state_dict()["trainer"]
        if plan.partition is not None and plan.partition.learned:
            short = PARTITIONS.make(settings.name, **{**settings.options, **_LENGTHS.get(settings.name, {})})
            probe = TrainedProbe(worker.job, self.images, state["supernet"])
            split = split_supernet(short, worker.job, 0, probe)
            done.trained, done.scored = probe.images_trained, probe.images_scored
            plan = replace(plan, levels=(), partitions={}, jobs={}).grown({"root": split.parts})
        if not plan.jobs:
            done.note = "the space stays as it is"
            return
        job = self._job(next(iter(plan.jobs.values())))
        fresh = settings.restart == "final" and plan.depth == 1
        child = SupernetWorker(job, self.images, *(() if fresh else (state["supernet"], state["parts"])))
        child.parts.sampler.begin_round(Pool(job.pool_capacity))
        place(child, 0.0)
        child.trainer.train(1)
        if settings.calibration != "none":
            drawn = yardstick(job.space, stream(job.seed, "check", "calibration"), _SCORED)
            values = tuple(score.value(job.protocol.metric) for score in child.score(drawn))
            Calibration(settings.calibration, drawn, values).line(values)
        done.times, done.seconds = 1, time.perf_counter() - began
        done.trained += child.trainer.view.images_trained
        done.scored += child.trainer.view.images_scored + child.images_scored
        done.note = f"{job.label} {'began anew' if fresh else 'inherited'} and took a step"

    def alone(self, recipe: StandaloneRecipe) -> None:
        """Train one architecture stand-alone, for few epochs of a few images."""
        space = self.plan.space
        architecture = space.canonical(space.sample(stream(self.plan.config.seed, "check", "alone")))
        took = []
        for epochs in (1, 3):  # what the longer one takes more is training alone, without building and measuring
            began, short = time.perf_counter(), recipe.model_copy(update={"epochs": epochs})
            trained = train_standalone(space, architecture, self.images, short, 0).images_trained
            took.append((time.perf_counter() - began, trained))
        (shorter, few), (seconds, many) = took
        each = (seconds - shorter) / (many - few) if seconds > shorter else seconds / many
        self.found.alone = max(self.found.alone or 0.0, each)
        self.found.parts.append(Done("stand-alone", "recipe", 2, few + many, 0, shorter + seconds))

    def _job(self, job: SupernetJob) -> SupernetJob:
        """Return the job on the CPU, with shorter lengths and landmarks whose order is made up."""
        method = MethodPlan(
            (job.method.sampler[0], {**job.method.sampler[1], **_LENGTHS.get(job.method.sampler[0], {})}),
            job.method.sharing,
            job.method.regularizer,
            job.method.curriculum,
        )
        return replace(job, device="cpu", method=method, landmarks=known_in(job.space, self.landmarks))
