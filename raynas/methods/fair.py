"""Strict fairness (Chu et al., "FairNAS: Rethinking Evaluation Fairness of Weight Sharing NAS", ICCV 2021, section 3).

A step trains as many paths as the largest number of options m of a decision: path j takes the j-th entry of a
permutation of each decision's options, so that every option is trained equally often in every step. The gradients of
the m paths are summed on the same batch and applied at once; a step costs m batches of the budget. The options of a
decision that has fewer go round, those that come once more being drawn, so that their counts in a step differ by at
most one. With one option a decision there is one path, and this is SPOS.

Where the space refuses combinations (dead cells of nasbench201 with ``connected=true``) the permutations are drawn
again, all of the decisions whose validity hangs together, until every path is valid: what is trained is as fair as
without the rule, and uniform over the sets of paths that are fair and valid. Of such sets 89 % are valid at once in
nasbench201, 38 % in nasbench101 and 10 % for each stage of ofa_mobilenetv3. A subspace may have none, as where one
edge alone leads to the output and can be ``none``. So after 200 refusals that set is taken which had the fewest refused
paths, and plain uniform draws of the space stand in for these; the diagnostics tell the share of the round's steps in
which that happened (`fair_broken`), in which an option's count may be off by the number of such paths.

The paper released no training code. That of landmark regularization (`fairnas_procedure.py`) sums and clips, as we do.
That of aw_nas (``fair: true``) drops refused paths instead of drawing again (`official`); that it also divides each
parameter's gradient by the number of paths that used it, which is a lower learning rate for what all paths share, is
left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from raynas.methods.sampler import SAMPLERS, Sampler
from raynas.methods.view import TrainingView
from raynas.spaces import Architecture, Space

_ATTEMPTS = 200
"""Sets of permutations that are drawn before a set with refused paths is made do with."""

Options = tuple[str, ...]


@SAMPLERS.register("fair")
class FairSampler(Sampler):
    """Every option equally often in every step (FairNAS).

    Args:
        space: The (sub)space that the supernet holds.
        official: Drop the paths that the space refuses, as aw_nas does, which breaks strictness; without it the
            permutations are drawn again.
    """

    def __init__(
        self,
        space: Space,
        *,
        official: Annotated[
            bool, Field(description="drop paths that the space refuses (aw_nas) instead of drawing all again")
        ] = False,
    ) -> None:
        super().__init__(space)
        self.official = official
        self.paths = max(len(decision.options) for decision in space.decisions)
        self._steps = self._broken = 0  # of this round

    def next_step(self, view: TrainingView, rng: np.random.Generator) -> list[Architecture]:
        """Return as many architectures as the largest decision has options (fewer with `official`)."""
        self._steps += 1
        found = self._valid_ones(rng) if self.official else self._all_valid(rng)
        return [self.space.make(options) for options in found]

    def diagnostics(self) -> dict[str, float]:
        """Return the share of the round's steps that were not strictly fair, where the space refuses combinations."""
        share = self._broken / max(self._steps, 1)
        self._steps = self._broken = 0
        return {} if self.space.every_combination_is_valid else {"fair_broken": share}

    def state_dict(self) -> dict[str, Any]:
        """Return the round's counts."""
        return {"steps": self._steps, "broken": self._broken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self._steps, self._broken = state["steps"], state["broken"]

    def _valid_ones(self, rng: np.random.Generator) -> list[Options]:
        """Return those of one set of permutations that the space allows; a set without any is drawn again."""
        while True:
            dealt = self._deal(tuple(range(len(self.space.decisions))), rng)
            valid = [options for options in dealt if self.space.is_valid(options)]
            if valid:
                self._broken += len(valid) < self.paths
                return valid

    def _all_valid(self, rng: np.random.Generator) -> list[Options]:
        paths = [[""] * len(self.space.decisions) for _ in range(self.paths)]
        broken = False
        for index, part in enumerate(self.space.parts):
            dealt, refused = self._least_refused(index, part, rng)
            broken |= bool(refused)
            for row in refused:
                drawn = self.space.sample(rng).options
                dealt[row] = tuple(drawn[place] for place in part)
            for path, chosen in zip(paths, dealt, strict=True):
                for place, option in zip(part, chosen, strict=True):
                    path[place] = option
        self._broken += broken
        return [tuple(path) for path in paths]

    def _least_refused(
        self, index: int, part: tuple[int, ...], rng: np.random.Generator
    ) -> tuple[list[Options], list[int]]:
        """Return a set of permutations of a group of decisions, and which rows the space refuses: none if it can.

        Args:
            index: Which of the space's `parts`.
            part: Its decisions.
            rng: The stream of paths.
        """
        best: tuple[list[Options], list[int]] | None = None
        for _ in range(_ATTEMPTS):
            dealt = self._deal(part, rng)
            refused = [row for row, chosen in enumerate(dealt) if not self.space.is_valid_part(index, chosen)]
            if best is None or len(refused) < len(best[1]):
                best = dealt, refused
            if not refused:
                break
        assert best is not None
        return best

    def _deal(self, part: tuple[int, ...], rng: np.random.Generator) -> list[Options]:
        """Return one option of each of these decisions for each path, every option equally often, or some once more."""
        columns = []
        for place in part:
            options = self.space.decisions[place].options
            rounds, rest = divmod(self.paths, len(options))
            once_more = rng.permutation(len(options))[:rest] if rest else np.empty(0, np.int64)
            entries = rng.permutation(np.concatenate([np.tile(np.arange(len(options)), rounds), once_more]))
            columns.append([options[entry] for entry in entries])
        return list(zip(*columns, strict=True))
