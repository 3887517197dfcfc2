"""NAO's network (Luo et al., "Neural Architecture Optimization", NeurIPS 2018): encoder, predictor and decoder.

Architectures are sequences of tokens (`raynas.methods.nao_tokens`). The encoder, an LSTM, makes unit vectors of them,
one a step; the unit vector along their mean is the architecture's embedding. From it an MLP predicts the quality in
(0, 1), and with it as initial state a second LSTM, which attends to the encoder's vectors, writes the sequence again.
Two layouts of the released code of landmark regularization (kcyu2014/nas-landmarkreg, ``nao_policy``): the plain one
(NAO's own, for DARTS), and that of NAS-Bench-101 and 201: smaller, the encoder's LSTM runs both ways, and what an LSTM,
the MLP or the attention returns is averaged with what it was given (times the square root of 1/2).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

_DROPOUT = 0.1


@dataclass(frozen=True)
class NaoSizes:
    """How large the network is, and which of the two layouts it has.

    Args:
        hidden: H: the size of states and vectors.
        mlp_layers: Hidden layers of the predictor.
        mlp_hidden: Their width.
        residual: The layout of NAS-Bench-101 and 201: both ways, averages, and dropout of all that is embedded too.
    """

    hidden: int = 96
    mlp_layers: int = 3
    mlp_hidden: int = 200
    residual: bool = False


LARGE = NaoSizes()
SMALL = NaoSizes(hidden=16, mlp_layers=2, mlp_hidden=64, residual=True)


class NaoModel(nn.Module):
    """Encoder, predictor and decoder.

    Dropout draws from the generator that a call is given; without one there is none, as for evaluation.

    Args:
        vocabulary: V: how many tokens there are.
        fold: Tokens that the encoder takes in at a step; L tokens are S = L / fold steps.
        sizes: How large it is; `fold` must divide its `hidden`.
        seed: Of the initial weights; torch's global generator is left alone.
    """

    def __init__(self, vocabulary: int, *, fold: int = 1, sizes: NaoSizes = LARGE, seed: int = 0) -> None:
        super().__init__()
        self.vocabulary, self.fold, self.sizes = vocabulary, fold, sizes
        hidden, width = sizes.hidden, sizes.mlp_hidden
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.embedding = nn.Embedding(vocabulary, hidden // fold)
            self.encoder = nn.LSTM(hidden, hidden, batch_first=True, bidirectional=sizes.residual)
            self.both_ways = nn.Linear(2 * hidden, hidden) if sizes.residual else None
            widths = [hidden, *[width] * sizes.mlp_layers]
            if sizes.residual:
                widths[-1] = hidden
            self.mlp = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(widths))
            self.regressor = nn.Linear(widths[-1], 1)
            self.start_and_tokens = nn.Embedding(vocabulary + 1, hidden)
            self.decoder = nn.LSTM(hidden, hidden, batch_first=True)
            self.query = nn.Linear(hidden, hidden, bias=False)
            self.attended = nn.Linear(2 * hidden, hidden, bias=False)
            self.out = nn.Linear(hidden, vocabulary)

    def encode(self, tokens: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the encoder's unit vectors (B, S, H) of sequences (B, L)."""
        x: Tensor = self.embedding(tokens)
        x = self._thinned(x, generator).reshape(len(tokens), -1, self.sizes.hidden)
        out: Tensor = self.encoder(x)[0]
        if self.both_ways is not None:
            out = self._averaged(x, self.both_ways(out))
        return functional.normalize(out, dim=-1)

    @staticmethod
    def embed(vectors: Tensor) -> Tensor:
        """Return the architectures' embeddings (B, H): the unit vectors along the means of (B, S, H)."""
        return functional.normalize(vectors.mean(dim=1), dim=-1)

    def predict(self, embedding: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return the predicted qualities (B,), in (0, 1), of embeddings (B, H)."""
        x = embedding
        for layer in self.mlp:
            x = _dropout(functional.relu(layer(x)), generator)
        return torch.sigmoid(self.regressor(self._averaged(embedding, x))).squeeze(1)

    def log_probabilities(self, vectors: Tensor, tokens: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return what the decoder thinks of every token, given those before it: (B, L, V) log-probabilities.

        Args:
            vectors: The encoder's, (B, S, H).
            tokens: The true sequences, (B, L); with them it is taught.
            generator: Of the dropout.
        """
        start = torch.full_like(tokens[:, :1], self.vocabulary)
        state = self._first_state(vectors)
        return self._decoded(torch.cat([start, tokens[:, :-1]], 1), state, vectors, generator)[0]

    def write(self, vectors: Tensor, length: int, allowed: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the sequences (B, L) that the decoder writes, at each step the likeliest token that is allowed.

        Args:
            vectors: The encoder's, or others of their kind, (B, S, H).
            length: L.
            allowed: Of the tokens so far (B, t), which may come next: (B, V) of booleans.
        """
        written = torch.empty(len(vectors), 0, dtype=torch.long)
        last = torch.full((len(vectors), 1), self.vocabulary)
        state = self._first_state(vectors)
        for _ in range(length):
            scores, state = self._decoded(last, state, vectors, None)
            last = scores[:, 0].masked_fill(~allowed(written), -math.inf).argmax(1, keepdim=True)
            written = torch.cat([written, last], 1)
        return written

    def moved(self, tokens: Tensor) -> Callable[[float], Tensor]:
        """Return, for sequences (B, L), their vectors (B, S, H) after a step of a given size up the predicted quality.

        The step is along the gradient of the prediction by the encoder's vectors, which are normalised again after it.
        """
        with torch.enable_grad():
            vectors = self.encode(tokens)
            (gradient,) = torch.autograd.grad(self.predict(self.embed(vectors)).sum(), vectors)
        vectors = vectors.detach()
        return lambda size: functional.normalize(vectors + size * gradient, dim=-1)

    def _first_state(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        embedding = self.embed(vectors).unsqueeze(0)
        return embedding, embedding

    def _decoded(
        self, given: Tensor, state: tuple[Tensor, Tensor], vectors: Tensor, generator: torch.Generator | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return log-probabilities (B, T, V) of what follows each of the tokens given (B, T), and the state after."""
        x = self._thinned(self.start_and_tokens(given), generator)
        out, state = self.decoder(x, state)
        out = self._averaged(x, out)
        out = self._averaged(out, self._attend(out, vectors))
        return functional.log_softmax(self.out(out), dim=-1), state

    def _attend(self, states: Tensor, vectors: Tensor) -> Tensor:
        """Return states (B, T, H) after a look at the encoder's vectors (B, S, H), by dot products."""
        weights = torch.softmax(self.query(states) @ vectors.transpose(1, 2), dim=-1)
        attended: Tensor = self.attended(torch.cat([weights @ vectors, states], dim=-1))
        return torch.tanh(attended)

    def _averaged(self, given: Tensor, made: Tensor) -> Tensor:
        return (given + made) * math.sqrt(0.5) if self.sizes.residual else made

    def _thinned(self, embedded: Tensor, generator: torch.Generator | None) -> Tensor:
        return _dropout(embedded, generator) if self.sizes.residual else embedded


def _dropout(x: Tensor, generator: torch.Generator | None) -> Tensor:
    if generator is None:
        return x
    kept = torch.rand(x.shape, generator=generator) >= _DROPOUT
    return x * kept / (1 - _DROPOUT)
