"""`NaoSurrogate`: NAO's network over a space; learns scores of architectures and writes better architectures.

Source: Luo et al., "Neural Architecture Optimization", NeurIPS 2018, sections 3.2 to 3.4, with the settings of the
released code of landmark regularization (``nao_policy``): loss 0.8 * squared error of the min-max normalised scores
+ 0.2 * negative log-likelihood of the sequences, Adam at 1e-3 with L2 1e-4, gradients clipped at 5, batches of 100,
1,000 epochs a fit (long on a CPU where, as in DARTS, each architecture is written eight times); the network goes on
from where the fit before left it, Adam begins anew.
Where we differ: a space whose architectures can be written in one way only is not written eight times (which is but
more epochs), architectures that are the same function count as seen, and decoding is kept to the (sub)space's options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from raynas.errors import ConfigError
from raynas.methods.nao_model import LARGE, SMALL, NaoModel, NaoSizes
from raynas.methods.nao_tokens import as_tensor, tokens_for
from raynas.ranking.metrics import kendall_tau
from raynas.spaces import Architecture, Space

_BATCH, _LR, _L2, _CLIP = 100, 1e-3, 1e-4, 5.0
_PREDICTION = 0.8
"""The share of the prediction's squared error in the loss; the rest is the decoder's."""
_LONGEST_STEP = 50
_TESTED = 0.1
"""The share of the architectures that a fit leaves out, to say how well it predicts."""


def sizes_for(space: Space, hidden: int | None = None) -> NaoSizes:
    """Return the layout for a space, with another hidden size where one is given.

    NAO's own, but for NAS-Bench-101 and 201 that of landmark regularization (which for DARTS uses a smaller one, too:
    48, two layers of 64, and nothing folded).

    Raises:
        ConfigError: The hidden size cannot be divided among the tokens of a step.
    """
    sizes = SMALL if space.name in ("nasbench101", "nasbench201") else LARGE
    fold = tokens_for(space).fold
    if hidden is None:
        return sizes
    if hidden % fold:
        problem = f"must be a multiple of {fold}, as so many tokens of {space.name} share a step of the encoder"
        raise ConfigError([f"'hidden': {problem}; got {hidden}"], "NAO's network (option hidden)")
    return replace(sizes, hidden=hidden)


class NaoSurrogate:
    """Learns to predict scores and to write architectures, and writes new ones of higher predicted score.

    It lives on the CPU; all its draws come from a generator of its own.

    Args:
        space: The (sub)space; nothing outside it is written.
        seed: Of the initial weights and of all draws.
        epochs: Epochs of a fit.
        sizes: How large the network is; None for `sizes_for` the space.
    """

    def __init__(self, space: Space, *, seed: int, epochs: int = 1000, sizes: NaoSizes | None = None) -> None:
        self.space, self.epochs = space, epochs
        self.tokens = tokens_for(space)(space)
        sizes = sizes_for(space) if sizes is None else sizes
        self.model = NaoModel(len(self.tokens.vocabulary), fold=self.tokens.fold, sizes=sizes, seed=seed)
        self._generator = torch.Generator().manual_seed(seed)

    def fit(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> float:
        """Learn from scored architectures; a tenth of them is left out to test the predictions.

        Args:
            architectures: What was scored.
            scores: Finite, higher is better; scaled to [0, 1] here.

        Returns:
            Kendall's tau of predictions and scores among those left out; NaN where they are fewer than two or equal.
        """
        order = torch.randperm(len(architectures), generator=self._generator).tolist()
        tested = order[: round(_TESTED * len(order))]
        learned = order[len(tested) :]
        values = np.array(scores, float)
        spread = float(np.ptp(values))
        quality = (values - values.min()) / spread if spread > 0 else np.full(len(values), 0.5)
        sequences = [self.tokens.encode(architectures[i]) for i in learned]
        targets = [quality[i] for i in learned]
        for _ in range(self.tokens.ways - 1):
            sequences += [self.tokens.encode_anew(architectures[i], self._generator) for i in learned]
            targets += [quality[i] for i in learned]
        self._learn(as_tensor(sequences), torch.tensor(np.array(targets), dtype=torch.float32))
        return kendall_tau(self.predict([architectures[i] for i in tested]), values[tested])

    @torch.no_grad()
    def predict(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """Return the predicted qualities (A,) of architectures, in (0, 1) on the scale of the last fit."""
        if not architectures:
            return np.empty(0)
        vectors = self.model.encode(self._sequences(architectures))
        return self.model.predict(self.model.embed(vectors)).double().numpy()

    @torch.no_grad()
    def rebuild(self, architectures: Sequence[Architecture]) -> list[Architecture | None]:
        """Return what the decoder writes of the architectures' own encodings; None where it is no architecture."""
        return self._written(self.model.encode(self._sequences(architectures)))

    @torch.no_grad()
    def improve(
        self, architectures: Sequence[Architecture], count: int, known: Sequence[Architecture]
    ) -> list[Architecture]:
        """Return new architectures, written from encodings that were moved up the predicted quality.

        All are moved by a step of size 1, then 2, and so on, until there are enough or the step is 50. What is no
        architecture of the space, or the same function as a known or written one, is left out.

        Args:
            architectures: Where to begin, best first.
            count: At most so many are returned.
            known: Architectures that are not new.
        """
        seen = {self.space.canonical(architecture).text for architecture in known}
        found: list[Architecture] = []
        if count == 0 or not architectures:
            return found
        moved = self.model.moved(self._sequences(architectures))
        first = 1
        while first <= _LONGEST_STEP:
            sizes = range(first, min(2 * first, _LONGEST_STEP + 1))  # twice as many at once, each time: that is faster
            for architecture in self._written(torch.cat([moved(size) for size in sizes])):
                if architecture is None or (form := self.space.canonical(architecture).text) in seen:
                    continue
                seen.add(form)
                found.append(architecture)
                if len(found) == count:
                    return found
            first = sizes.stop
        return found

    def state_dict(self) -> dict[str, Any]:
        """Return what is needed to continue exactly here."""
        return {"model": self.model.state_dict(), "generator": self._generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
        self.model.load_state_dict(state["model"])
        self._generator.set_state(state["generator"])

    def _learn(self, sequences: Tensor, targets: Tensor) -> None:
        model = self.model
        optimizer = torch.optim.Adam(model.parameters(), lr=_LR, weight_decay=_L2)
        for _ in range(self.epochs):
            for batch in torch.randperm(len(sequences), generator=self._generator).split(_BATCH):  # type: ignore[no-untyped-call]
                optimizer.zero_grad(set_to_none=True)
                self._loss(sequences[batch], targets[batch]).backward()  # type: ignore[no-untyped-call]
                torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
                optimizer.step()

    def _loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        model, generator = self.model, self._generator
        vectors = model.encode(tokens, generator)
        error = functional.mse_loss(model.predict(model.embed(vectors), generator), targets)
        written = model.log_probabilities(vectors, tokens, generator)
        return _PREDICTION * error + (1 - _PREDICTION) * functional.nll_loss(written.flatten(0, 1), tokens.flatten())

    def _written(self, vectors: Tensor) -> list[Architecture | None]:
        sequences = self.model.write(vectors, self.tokens.length, self.tokens.allowed)
        return [self.tokens.decode(sequence) for sequence in sequences.tolist()]

    def _sequences(self, architectures: Sequence[Architecture]) -> Tensor:
        return as_tensor([self.tokens.encode(architecture) for architecture in architectures])
