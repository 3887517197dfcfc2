"""Landmark regularization: architectures of known quality teach the supernet their order.

Yu et al., "Landmark Regularization: Ranking Guided Super-Net Training in Neural Architecture Search" (CVPR 2021). Of a
pair of landmarks the supernet is asked to give the better one the smaller loss,

    R(worse, better) = max(0, L(better) - L(worse)),

L being the mean loss on a batch of held-out training images, the same for both and for all pairs of a step. The
gradients of lambda R are added to those of the task's loss, before both are clipped together, so that a violated pair
pulls the better landmark up and pushes the worse one down. m pairs are summed. Half of the training images are held
out.

Where we differ from the released code (kcyu2014/nas-landmarkreg): pairs are drawn uniformly, lambda follows the paper's
formula continuously in the share of the budget spent, landmarks are ordered by validation accuracy and never by test,
landmarks of equal quality are never a pair, and a pair in the right order is not passed backward, as its gradient is
zero; `official` brings back the code's draw, its lambda, evaluated once an epoch, and the order by test accuracy. The
code's other loss forms are there by name (`landmark_losses`), and so are its schedules (`landmark_schedules`). Which
architectures become landmarks, and when: `landmark_selection`, `landmark_choice`.

A supernet that inherits trained weights, as a partition's does, has neither warm-up nor ramp, and a lambda that would
increase is at its largest from its first step on: that is where the parent's training ended. One that decreases does so
again.

Where training runs an architecture in ways drawn at random and scoring does not (sharing ``glow``), landmarks run as
they are scored: that is the order which counts, and a pair shall not be in the wrong one by the luck of two draws.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import BeforeValidator, Field
from torch import Tensor, nn

from raynas.errors import ConfigError
from raynas.methods.landmark_choice import LandmarkChoice, Select
from raynas.methods.landmark_losses import LossName, ranking_loss, refuse_no_loss
from raynas.methods.landmark_pairs import LandmarkPairs, Pair
from raynas.methods.landmark_schedules import (
    INCREASING,
    Schedule,
    coded_multiplier,
    multiplier,
    refuse_inverse_lr,
)
from raynas.methods.part import Stack
from raynas.methods.regularizer import REGULARIZERS, Landmark, Regularizer
from raynas.methods.view import TrainingView
from raynas.networks import Supernet
from raynas.spaces import Space


@REGULARIZERS.register("landmark")
class LandmarkRegularizer(Regularizer):
    """Asks of the supernet to rank pairs of landmarks as their stand-alone quality does (Yu et al., CVPR 2021).

    Args:
        landmarks: Those there are at first, all in the supernet's space; with fewer than two there is no term.
        loss: The form of a pair's loss; see `landmark_losses`.
        embed: Multiply a pair's loss by the difference of the two qualities, scaled to [0, 1] over the landmarks.
        pairs: m, pairs a step.
        min_gap: Leave out pairs whose qualities differ by less (percent): noise must not decide an order.
        coefficient: lambda's largest value; at 0 nothing is held out, drawn or looked at.
        schedule: How lambda changes after the warm-up.
        warmup: The share of the budget before the term sets in; none where weights are inherited (see the module).
        ramp: The share over which lambda then rises from 0; for the schedules that do not increase by themselves.
        norms_every: Of the steps in which a pair is violated, measure the gradients' norms in one of so many; 0 never.
        official: Draw pairs, change lambda and order landmarks as the released code does.
        epochs: How many epochs `official` takes the budget as: it changes lambda at their beginnings only.
        select: How landmarks are chosen.
        count: How many landmarks in the end.
        tau: Of select=hamming: the distance that landmarks exceed.
        architectures: Of select=fixed: the first landmarks themselves.
        iterations: T: in how many equal lots landmarks are added. All but the first are the best that a search under
            the supernet finds, at equal distances over the root's rounds after the warm-up.
        feedback_budget: Architectures that such a search scores.
        truth: Where their quality comes from: the run's truth, or a training of each before it is used.
        recipe: Of truth=train: as in search.verify.
        seeds: Of truth=train: trainings each, whose mean counts.

    Raises:
        ConfigError: The options contradict each other.
    """

    live = ("coefficient", "pairs")

    def __init__(
        self,
        landmarks: Sequence[Landmark],
        *,
        loss: Annotated[
            LossName, BeforeValidator(refuse_no_loss), Field(description="of a pair; names of the released code")
        ] = "mae_relu",
        embed: Annotated[bool, Field(description="weigh a pair by how far its qualities are apart")] = False,
        pairs: Annotated[int, Field(ge=1, description="pairs a step, summed")] = 1,
        min_gap: Annotated[float, Field(ge=0, description="least difference in quality of a pair, percent")] = 0.0,
        coefficient: Annotated[float, Field(ge=0, description="lambda; 0 is a training without the term")] = 10.0,
        schedule: Annotated[
            Schedule, BeforeValidator(refuse_inverse_lr), Field(description="of lambda, after the warm-up")
        ] = "cosine_increase",
        warmup: Annotated[float, Field(ge=0, lt=1, description="share of the budget before the term sets in")] = 0.375,
        ramp: Annotated[
            float, Field(ge=0, lt=1, description="share of the budget in which lambda then rises; not if it increases")
        ] = 0.0,
        norms_every: Annotated[
            int, Field(ge=0, description="gradient norms are measured in one of so many violated steps; 0: never")
        ] = 20,
        official: Annotated[bool, Field(description="draw, lambda and order of the released code")] = False,
        epochs: Annotated[int, Field(ge=1, description="of official: the budget in epochs")] = 400,
        select: Annotated[Select, Field(description="how landmarks are chosen")] = "random",
        count: Annotated[
            int | None, Field(ge=2, description="landmarks in the end; null: 30, or the list and as many an iteration")
        ] = None,
        tau: Annotated[int, Field(ge=0, description="of select=hamming: the distance landmarks exceed")] = 2,
        architectures: Annotated[
            list[str] | None, Field(min_length=2, description="of select=fixed: the first landmarks; null: by quality")
        ] = None,
        iterations: Annotated[
            int, Field(ge=1, description="lots of landmarks; later ones are the best of a search under the supernet")
        ] = 1,
        feedback_budget: Annotated[int, Field(ge=1, description="architectures such a search scores")] = 100,
        truth: Annotated[
            Literal["table", "train"], Field(description="their quality: the run's truth, or each is trained")
        ] = "table",
        recipe: Annotated[
            dict[str, Any] | None, Field(description="of truth=train; null for the one the truth was made with")
        ] = None,
        seeds: Annotated[int, Field(ge=1, description="of truth=train: trainings each")] = 1,
    ) -> None:
        if warmup + ramp >= 1:
            raise ConfigError([f"with warmup={warmup} ramp must be below {1 - warmup:.4g}, got {ramp}"])
        if ramp and schedule in INCREASING:
            raise ConfigError([f"{schedule} increases by itself, got ramp={ramp}; leave ramp out"])
        self.choice = LandmarkChoice(
            select=select,
            count=count,
            tau=tau,
            architectures=None if architectures is None else tuple(architectures),
            iterations=iterations,
            feedback_budget=feedback_budget,
            truth=truth,
            recipe=recipe,
            seeds=seeds,
            official=official,
        )
        self.pairs, self.min_gap, self.embed, self.official = pairs, min_gap, embed, official
        self.coefficient, self.schedule, self.warmup, self.ramp = coefficient, schedule, warmup, ramp
        self.norms_every, self.epochs = norms_every, epochs
        self._form = ranking_loss(loss)
        self._space: Space | None = None
        self._violated_steps = 0
        self._begin_round()
        self.landmarks_changed(landmarks)

    @property
    def landmarks(self) -> list[Landmark]:
        """The landmarks there are, the worst first."""
        return self._known.landmarks

    def landmarks_changed(self, landmarks: Sequence[Landmark]) -> None:
        """Take in the landmarks there are from now on."""
        self._known = LandmarkPairs(landmarks, min_gap=self.min_gap, official=self.official)

    def objections(self, stack: Stack) -> list[str]:
        """Refuse a run without a truth, unless the landmarks are trained."""
        if not self.coefficient or self.choice.truth == "train" or stack.truth:
            return []
        return [
            "landmarks take their quality from the run's truth, and there is none; give truth, or set "
            "method.regularizer.truth=train and a method.regularizer.recipe"
        ]

    def heldout_images(self, count: int) -> int:
        """Return half of the training images; none where the term never sets in."""
        return count // 2 if self.coefficient else 0

    def inherits(self, state: Mapping[str, Any] | None = None) -> None:
        """Go on with lambda where the parent ended: without warm-up and ramp, at its largest if it increases."""
        del state  # the landmarks are told anew
        if self.schedule in INCREASING:
            self.coefficient, self.schedule = self.weight(1.0), "constant"
        self.warmup = self.ramp = 0.0

    def start(self, supernet: Supernet, seed: int) -> None:
        """Note the space, to read landmarks back from a state."""
        del seed
        self._space = supernet.space

    def weight(self, progress: float) -> float:
        """Return lambda at a share of the budget, 0 to 1."""
        if not self.official:
            share = multiplier(self.schedule, progress, warmup=self.warmup, ramp=self.ramp)
        else:
            epochs = self.epochs
            share = coded_multiplier(
                self.schedule,
                min(int(progress * epochs + 1e-9), epochs - 1),
                epochs=epochs,
                warmup=round(self.warmup * epochs),
                ramp=round(self.ramp * epochs),
            )
        return self.coefficient * share

    def add_gradients(self, view: TrainingView, rng: np.random.Generator) -> None:
        """Draw pairs and add the gradients of those in the wrong order; all see one held-out batch."""
        self._lambda = self.weight(view.step_progress)
        if self._lambda == 0:
            return
        drawn = self._known.draw(self.pairs, rng)
        if not drawn:
            return
        images, targets = view.heldout_batch("landmarks")
        before: list[Tensor | None] | None = None
        pulled = False
        for pair in drawn:
            term, ordered = self._term(pair, view, images, targets)
            passed = 2 * len(images)
            if ordered:
                view.count(scored=passed)
                continue
            if not pulled and self.norms_every and self._violated_steps % self.norms_every == 0:
                before = _gradients(view.supernet, copied=True)
            pulled = True
            (self._lambda * term).backward()  # type: ignore[no-untyped-call]
            view.count(trained=passed)
        self._violated_steps += pulled
        if before is not None:
            self._norms.append(_norms(before, _gradients(view.supernet)))

    def _term(self, pair: Pair, view: TrainingView, images: Tensor, targets: Tensor) -> tuple[Tensor, bool]:
        """Return a pair's loss, and whether its gradient is zero."""
        worse, better = pair
        with view.supernet.as_scored():
            of_worse = view.loss(worse.architecture, images, targets)
            difference = view.loss(better.architecture, images, targets) - of_worse
        gap = better.quality - worse.quality
        term = self._form.value(difference, gap)
        if self.embed:
            term = term * (gap / (self.landmarks[-1].quality - self.landmarks[0].quality))
        d, value = torch.stack((difference.detach(), term.detach())).tolist()
        self._drawn += 1
        self._violated += d > 0
        return term, self._form.hinge and value == 0

    def diagnostics(self) -> dict[str, float]:
        """Return what became of the pairs of the round; NaN where there was none.

        ``landmark_lambda`` is lambda at the round's last step, ``landmark_violations`` the share of the pairs drawn
        whose better landmark had the larger loss, ``landmark_pairs`` how many pairs there are to draw from (none with
        fewer than two landmarks in the space), ``landmark_pairs_skipped`` the share of all pairs that are too close to
        be one. ``landmark_task_norm`` and ``landmark_term_norm`` are the L2 norms of the gradients of the task's loss
        and of lambda times the term, before clipping: means over the steps measured, which are steps with a gradient of
        the term.
        """
        task, term = zip(*self._norms, strict=True) if self._norms else ((), ())
        nan = float("nan")
        told = {
            "landmark_lambda": self._lambda,
            "landmark_count": float(len(self.landmarks)),
            "landmark_pairs": float(len(self._known.usable)),
            "landmark_pairs_skipped": self._known.skipped,
            "landmark_violations": self._violated / self._drawn if self._drawn else nan,
            "landmark_task_norm": statistics.fmean(task) if task else nan,
            "landmark_term_norm": statistics.fmean(term) if term else nan,
        }
        self._begin_round()
        return told if self.coefficient else {}

    def state_dict(self) -> dict[str, Any]:
        """Return the landmarks, the schedule, which another supernet's weights have changed, and the round's counts."""
        return {
            "landmarks": [(list(one.architecture.options), one.quality) for one in self.landmarks],
            "schedule": (self.coefficient, self.schedule, self.warmup, self.ramp),
            "violated_steps": self._violated_steps,
            "lambda": self._lambda,
            "drawn": self._drawn,
            "violated": self._violated,
            "norms": list(self._norms),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken; the landmarks are those of then."""
        if self._space is None:
            raise RuntimeError("start() comes before load_state_dict(): a landmark is read back as one of a space")
        space = self._space
        self.landmarks_changed([Landmark(space.make(options), quality) for options, quality in state["landmarks"]])
        self.coefficient, self.schedule, self.warmup, self.ramp = state["schedule"]
        self._violated_steps, self._lambda = state["violated_steps"], state["lambda"]
        self._drawn, self._violated = state["drawn"], state["violated"]
        self._norms[:] = [(task, term) for task, term in state["norms"]]

    def _begin_round(self) -> None:
        self._lambda = 0.0
        self._drawn = self._violated = 0
        self._norms: list[tuple[float, float]] = []


def _gradients(supernet: nn.Module, *, copied: bool = False) -> list[Tensor | None]:
    """Return the gradient of every parameter; None where there is none."""
    gradients = [parameter.grad for parameter in supernet.parameters()]
    return [None if grad is None else grad.clone() for grad in gradients] if copied else gradients


def _norms(before: Sequence[Tensor | None], after: Sequence[Tensor | None]) -> tuple[float, float]:
    """Return the L2 norms of gradients and of what was added to them."""
    added = [now if old is None or now is None else now - old for old, now in zip(before, after, strict=True)]
    return _norm(before), _norm(added)


def _norm(parts: Sequence[Tensor | None]) -> float:
    """Return the L2 norm of all that is there."""
    squares = [part.double().square().sum() for part in parts if part is not None]
    return torch.stack(squares).sum().sqrt().item() if squares else 0.0
