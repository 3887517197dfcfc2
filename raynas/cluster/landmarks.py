"""The landmarks of a run: chosen before it begins, their quality found out, more of them added while the root trains.

The paper (Yu et al., CVPR 2021) says that the best architectures of the search so far become landmarks at the beginning
of each iteration, and that the same supernet goes on; the released code has no such loop. Here a path search with the
run's own searcher, under the present root supernet, scores `feedback_budget` architectures between two rounds, and the
best are added. As they decide what is trained, these scores are charged to the root's budget.

What keeps the evaluation honest: the root's ranking set is drawn once, of functions that are not among the first
landmarks, and no architecture of it can become a landmark later; so it stays the same from the first round to the last,
and nothing in it was ever trained on. The partitions' sets are drawn when all landmarks are known.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from raynas.cluster.resources import Resources
from raynas.cluster.standalone_tasks import Trained, train_all
from raynas.config import Config
from raynas.errors import ConfigError
from raynas.methods import REGULARIZERS, Landmark
from raynas.methods.landmark import LandmarkRegularizer
from raynas.methods.landmark_selection import choose_landmarks
from raynas.report.folder import RunFolder, write_whole
from raynas.report.text import print_line, training_progress
from raynas.search import SEARCHERS
from raynas.spaces import Architecture, Space
from raynas.streams import stream
from raynas.tracking.lines import Lines
from raynas.training.ledger import Ledger
from raynas.training.scorer import images_an_architecture
from raynas.training.standalone import StandaloneRecipe
from raynas.truth import TruthTable
from raynas.truth.ranking_set import known_architectures

if TYPE_CHECKING:
    from ray import ObjectRef

    from raynas.cluster.plan import Plan
    from raynas.cluster.pool_actor import PoolProxy
    from raynas.cluster.supernet_actor import RootSupernet
    from raynas.data import ImageData

UNKNOWN = math.nan
"""The quality of a landmark that is still to be trained."""
_KEY = "'method.regularizer'"


def landmark_part(config: Config) -> LandmarkRegularizer | None:
    """Return the configured landmark regularization; None where there is none, or where its coefficient is 0."""
    component = config.method.regularizer
    if component is None:
        return None
    part = REGULARIZERS.make(component.name, (), **component.options)
    return part if isinstance(part, LandmarkRegularizer) and part.coefficient else None


def first_landmarks(config: Config, space: Space, table: TruthTable | None) -> tuple[Landmark, ...]:
    """Return the first landmarks if they can be chosen by now; none where there are to be none.

    Args:
        config: The run's configuration.
        space: The whole space.
        table: The run's truth; None before it is trained, and where there is none.

    Raises:
        ConfigError: They cannot be had (see `choose_landmarks`).
    """
    part = landmark_part(config)
    if part is None or (part.choice.truth == "table" and table is None):
        return ()
    choice, asked = part.choice, table if part.choice.truth == "table" else None
    try:
        chosen = choose_landmarks(choice, space, stream(config.seed, "landmarks"), asked)
    except ConfigError as error:
        raise ConfigError([f"{_KEY}: {problem}" for problem in error.problems]) from error
    return tuple(Landmark(a, UNKNOWN if asked is None else asked.query(a, choice.metric)) for a in chosen)


def known_in(space: Space, landmarks: Sequence[Landmark]) -> tuple[Landmark, ...]:
    """Return the landmarks of a (sub)space whose quality is known."""
    return tuple(one for one in landmarks if one.architecture in space and math.isfinite(one.quality))


def functions_of(space: Space, architectures: Sequence[Architecture]) -> set[str]:
    """Return the canonical texts of architectures."""
    return {space.canonical(architecture).text for architecture in architectures}


def refuse_crowding(plan: Plan, table: TruthTable) -> None:
    """Refuse landmarks that leave too little of a table: for the ranking, or for the landmarks that are added later.

    Raises:
        ConfigError: Fewer than two architectures are left to measure the root's ranking on, or too few to add.
    """
    part = landmark_part(plan.config)
    if part is None or not plan.landmarks:
        return
    ranked, first = plan.root.ranking.architectures, [one.architecture for one in plan.landmarks]
    if len(ranked) < 2:
        raise ConfigError(
            [
                f"{_KEY}: {len(first)} landmarks leave {len(ranked)} of the architectures that {table.name} knows, and "
                "a ranking needs two that are no landmarks; take fewer, a larger truth, or truth=train"
            ]
        )
    later = part.choice.total - part.choice.lots[0]
    if part.choice.truth == "train" or not later or len(first) > part.choice.lots[0]:
        return
    taken = functions_of(plan.space, [*first, *ranked])
    rng = stream(plan.config.seed, "landmarks left")
    left = known_architectures(table, plan.space, rng, len(table), part.choice.metric, excluded=taken)
    if len(left) < later:
        raise ConfigError(
            [
                f"{_KEY}: {later} landmarks are to be added of what {table.name} knows, but beside the first "
                f"{len(first)} and the {len(ranked)} on which the ranking is measured it knows {len(left)}; lower "
                "score.architectures, take fewer landmarks, or set truth=train"
            ]
        )


class LandmarkSurvey:
    """Finds out the quality of landmarks in the course of a run, and adds to them.

    Args:
        plan: The run's plan, measured against its truth.
        data: A reference to the images in the object store.
        folder: Where they are written to (``landmarks.json``).
        ledger: Where time and images are booked.
        console: Where they are told.

    Attributes:
        plan: The plan with the landmarks known by now.
    """

    def __init__(
        self, plan: Plan, data: ObjectRef[ImageData], folder: RunFolder, ledger: Ledger, console: Console
    ) -> None:
        self.plan, self._data, self._folder = plan, data, folder
        self._ledger, self._console = ledger, console
        self._resources = Resources.of(plan.config.ray)
        self._part = part = landmark_part(plan.config)
        self._boundaries = () if part is None else part.choice.boundaries(plan.config.train.root_rounds, part.warmup)
        self._rows: list[dict[str, Any]] = []
        self._kept = folder.records / "landmarks.jsonl"

    def begin(self) -> Plan:
        """Train the first landmarks where they are to be trained, and return the plan that knows their quality."""
        first = self.plan.landmarks
        if self._part is None or not first:
            return self.plan
        self._warn_of_cost()
        unknown = [one.architecture for one in first if not math.isfinite(one.quality)]
        if unknown:
            self._take_in([], self._trained(unknown, None))
        else:
            self._tell(first)
        return self.plan

    def _warn_of_cost(self) -> None:
        """Say so where searches leave little of the budget to train on what they find."""
        assert self._part is not None
        job, choice = self.plan.root, self._part.choice
        scored = choice.feedback_budget * images_an_architecture(job.protocol, self.plan.data)
        cost = job.optimizer.scoring_cost * scored
        batch = min(job.optimizer.batch_size, len(job.split(self.plan.data.train)[0]))
        between = job.total_rounds * job.round_steps * batch * (1 - self._part.warmup) / choice.iterations
        if self._boundaries and cost > between / 2:
            print_line(
                self._console,
                "landmarks",
                f"a search for more of them costs up to {cost:,.0f} images of the budget, and between two searches "
                f"there are {between:,.0f}: lower method.regularizer.feedback_budget or score.images",
            )

    def after_round(self, done: int, actor: RootSupernet, pool: PoolProxy) -> tuple[Landmark, ...] | None:
        """Add a lot of landmarks if one is due, and return all there are; None if none is due.

        Args:
            done: The rounds that the root has trained.
            actor: Its actor, which waits.
            pool: The candidate pool.
        """
        if self._part is None or done not in self._boundaries:
            return None
        import ray

        choice, plan = self._part.choice, self.plan
        lot = 1 + self._boundaries.index(done)
        before = ray.get(actor.call("landmarks_after", done))
        if before is not None:  # found by an earlier process of this run
            known = [Landmark(plan.space.parse(text), quality) for text, quality in before]
            self._take_in(plan.landmarks, known[len(plan.landmarks) :])
            return self.plan.landmarks
        found = self._best(lot, choice.lots[lot], actor, pool)
        if choice.truth == "train":
            new = self._trained(found, actor)
        else:
            assert plan.truth is not None  # a choice from a table without one is refused
            new = [Landmark(architecture, plan.truth.query(architecture, choice.metric)) for architecture in found]
        self._take_in(plan.landmarks, new)
        ray.get(actor.call("keep_landmarks", done, self.plan.landmarks))
        return self.plan.landmarks

    def stopped(self, done: int) -> None:
        """Tell of the landmarks that are never added, as the root stopped after so many rounds: its sampler asked to.

        A search for landmarks that the root does not train on any more would be spent for nothing.
        """
        if self._part is None:
            return
        missed = [self._part.choice.lots[lot] for lot, due in enumerate(self._boundaries, 1) if due >= done]
        if missed:
            rounds = ", ".join(str(due) for due in self._boundaries[-len(missed) :])
            which = f"{sum(missed)} are not added: they were due after round {rounds}"
            print_line(self._console, "landmarks", f"{which}, and the sampler ended the training after round {done}")

    def _best(self, lot: int, wanted: int, actor: RootSupernet, pool: PoolProxy) -> list[Architecture]:
        """Return the best that a search under the root finds: no landmarks, and nothing the ranking is measured on."""
        import ray

        assert self._part is not None
        config, choice, space = self.plan.config, self._part.choice, self.plan.space
        table = self.plan.truth if choice.truth == "table" else None
        ranked = self.plan.root.ranking.architectures
        taken = functions_of(space, [*(one.architecture for one in self.plan.landmarks), *ranked])
        rng = stream(config.seed, "landmarks", lot)
        initial = list(dict.fromkeys(entry.architecture for entry in pool.entries()))
        if table is not None:  # draws alone would hardly meet what a small table knows of a large space
            initial += known_architectures(table, space, rng, choice.feedback_budget, choice.metric, excluded=taken)

        def free(architecture: Architecture) -> bool:
            known = table is None or table.knows(architecture, choice.metric)
            return known and space.canonical(architecture).text not in taken

        searcher = SEARCHERS.make(config.search.name, space, rng, initial, free, **config.search.options)
        scored = 0
        with self._ledger.span("score"):
            while scored < choice.feedback_budget:
                asked = searcher.ask()[: choice.feedback_budget - scored]
                if not asked:
                    break
                scores = ray.get(actor.call("score_to_train", asked))
                searcher.tell(asked, [score.value(config.score.metric) for score in scores])
                scored += len(asked)
        return [architecture for architecture, score in searcher.ranked if math.isfinite(score)][:wanted]

    def _trained(self, architectures: Sequence[Architecture], idle: Any) -> list[Landmark]:
        """Return architectures with the quality they have when trained alone; each is trained in its canonical form.

        Args:
            architectures: No two of them the same function.
            idle: The root's actor, which trains them where nothing else has room beside it; None where there is none.
        """
        assert self._part is not None
        space, choice = self.plan.space, self._part.choice
        forms = {space.canonical(architecture): architecture for architecture in architectures}
        lines = Lines(self._kept)  # what was trained by an earlier process of this run
        before = {row["architecture"]: row for row in lines.before}
        qualities: dict[Architecture, float] = {}
        for form in (one for one in forms if one.text in before):
            qualities[form] = before[form.text]["quality"]
            self._ledger.add([], standalone=before[form.text]["images"])
        missing = [form for form in forms if form not in qualities]
        with training_progress(self._console) as progress:
            task = progress.add_task(f"{'landmarks':<9}", total=len(missing))
            for form, results, span in self._trainings(missing, idle):
                images = sum(result.images_trained for result in results)
                self._ledger.add([span], standalone=images)
                qualities[form] = float(np.mean([getattr(result, choice.metric) for result in results]))
                lines.append({"architecture": form.text, "quality": qualities[form], "images": images})
                progress.advance(task)
        lines.close()
        return [Landmark(architecture, qualities[form]) for form, architecture in forms.items()]

    def _trainings(self, forms: list[Architecture], idle: Any) -> Iterator[Trained]:
        import ray

        assert self._part is not None
        seeds, recipe = tuple(range(self._part.choice.seeds)), self._recipe()
        if idle is None or self._resources.slots() > 1:
            yield from train_all(self.plan.space, forms, self._data, recipe, seeds, resources=self._resources)
            return
        for form in forms:
            results, span = ray.get(idle.call("train_alone", self.plan.space, form, recipe, seeds))
            yield form, results, span

    def _recipe(self) -> StandaloneRecipe:
        assert self._part is not None
        given = self._part.choice.recipe
        if given is None:
            assert self.plan.truth is not None  # without either, a configuration is refused
            given = self.plan.truth.source["recipe"]
        return StandaloneRecipe.model_validate(given)

    def _take_in(self, old: Sequence[Landmark], new: Sequence[Landmark]) -> None:
        self.plan = self.plan.with_landmarks([*old, *new])
        self._tell(new)

    def _tell(self, new: Sequence[Landmark]) -> None:
        """Write down the landmarks of a new iteration, and print a line on them."""
        assert self._part is not None
        choice, number = self._part.choice, 1 + max((row["iteration"] for row in self._rows), default=0)
        self._rows += [
            {
                "architecture": one.architecture.text,
                choice.metric: one.quality,
                "iteration": number,
                "chosen": choice.select if number == 1 else "search",
            }
            for one in new
        ]
        write_whole(self._folder.path / "landmarks.json", json.dumps(self._rows, indent=2) + "\n")
        qualities = [one.quality for one in new]
        how = f"{choice.select} choice" if number == 1 else f"the best of a search, iteration {number}"
        span = f", {choice.metric} {min(qualities):.2f} to {max(qualities):.2f} %" if new else ""
        short = "" if len(new) == choice.lots[number - 1] else f" instead of {choice.lots[number - 1]}: no others found"
        print_line(self._console, "landmarks", f"{len(new)} by {how}{span}{short}")
