"""Architectures as sequences of tokens, which NAO's encoder reads and its decoder writes.

One token a decision, its option's name; names that several decisions share are one token. The DARTS space is written as
NAO writes its cells instead: a node is ``input, operation, input, operation``, in either order of its two edges, and
the encoder takes in two tokens at a step, as the released code folds its 40 tokens (five nodes) to 20 steps.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from raynas.spaces import Architecture, Space


class Tokens:
    """The tokens of a (sub)space: one a decision.

    Whatever is decoded along `allowed` has options that the (sub)space allows; only its validity rule may still refuse.

    Args:
        space: The (sub)space. Its vocabulary is that of the whole space.
    """

    fold = 1
    """Tokens that the encoder takes in at a step."""
    ways = 1
    """How often an architecture is written to learn it: more than once where there are several ways to write it."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.vocabulary = self._names(space.root)
        self._index = {name: token for token, name in enumerate(self.vocabulary)}
        groups = self._groups()
        self.length = sum(len(group[0]) for group in groups)
        # Where each position's group begins, and what may follow each beginning of one of its sequences.
        self._begins: list[int] = []
        self._follow: list[dict[tuple[int, ...], Tensor]] = []
        for group in groups:
            follow = self._following(group)
            self._begins += [len(self._begins)] * len(group[0])
            self._follow += [follow] * len(group[0])

    def encode(self, architecture: Architecture) -> list[int]:
        """Return the tokens of an architecture."""
        return [self._index[name] for name in self._written(architecture.options)]

    def encode_anew(self, architecture: Architecture, generator: torch.Generator) -> list[int]:
        """Return another sequence for the same architecture, where there is one; by default there is none."""
        del generator
        return self.encode(architecture)

    def decode(self, tokens: Sequence[int]) -> Architecture | None:
        """Return the architecture that a sequence stands for; None where it breaks the space's validity rule."""
        options = self._read([self.vocabulary[token] for token in tokens])
        return self.space.make(options) if self.space.is_valid(options) else None

    def allowed(self, begun: Tensor) -> Tensor:
        """Return which tokens may come next, (B, vocabulary) of booleans.

        Args:
            begun: The tokens so far, (B, t) with t below `length`.
        """
        place = begun.shape[1]
        follow, begin = self._follow[place], self._begins[place]
        return torch.stack([follow[tuple(row)] for row in begun[:, begin:].tolist()])

    def _names(self, whole: Space) -> tuple[str, ...]:
        return tuple(dict.fromkeys(option for decision in whole.decisions for option in decision.options))

    def _groups(self) -> list[list[tuple[str, ...]]]:
        """Return, for each run of positions that depend on one another, the sequences it may hold."""
        return [[(option,) for option in decision.options] for decision in self.space.decisions]

    def _written(self, options: tuple[str, ...]) -> Sequence[str]:
        return options

    def _read(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(names)

    def _following(self, group: list[tuple[str, ...]]) -> dict[tuple[int, ...], Tensor]:
        follow: dict[tuple[int, ...], Tensor] = {}
        for sequence in group:
            tokens = tuple(self._index[name] for name in sequence)
            for place, token in enumerate(tokens):
                mask = follow.setdefault(tokens[:place], torch.zeros(len(self.vocabulary), dtype=torch.bool))
                mask[token] = True
        return follow


class DartsTokens(Tokens):
    """The tokens of the DARTS space: four a node, its two edges in either order."""

    fold = 2
    ways = 8
    _DECISIONS = 3  # of a node: its pair of inputs and two operations
    _TOKENS = 4

    def encode_anew(self, architecture: Architecture, generator: torch.Generator) -> list[int]:
        """Return the sequence with the two edges of one random node of each cell swapped, as the released code does."""
        tokens = self.encode(architecture)
        nodes = self.length // self._TOKENS // 2
        for cell, node in enumerate(torch.randint(nodes, (2,), generator=generator).tolist()):
            begin = (cell * nodes + node) * self._TOKENS
            tokens[begin : begin + 4] = [*tokens[begin + 2 : begin + 4], *tokens[begin : begin + 2]]
        return tokens

    def _names(self, whole: Space) -> tuple[str, ...]:
        names = super()._names(whole)
        inputs = sorted({node for name in names if "," in name for node in name.split(",")}, key=int)
        return (*inputs, *(name for name in names if "," not in name))

    def _groups(self) -> list[list[tuple[str, ...]]]:
        groups, decisions = [], self.space.decisions
        for place in range(0, len(decisions), self._DECISIONS):
            node = itertools.product(*(decision.options for decision in decisions[place : place + self._DECISIONS]))
            written = [tuple(self._written(options)) for options in node]
            groups.append([*written, *((*names[2:], *names[:2]) for names in written)])
        return groups

    def _written(self, options: tuple[str, ...]) -> Sequence[str]:
        names: list[str] = []
        for place in range(0, len(options), self._DECISIONS):
            pair, first, second = options[place : place + self._DECISIONS]
            a, b = pair.split(",")
            names += [a, first, b, second]
        return names

    def _read(self, names: Sequence[str]) -> tuple[str, ...]:
        options: list[str] = []
        for place in range(0, len(names), self._TOKENS):
            a, first, b, second = names[place : place + self._TOKENS]
            if int(a) > int(b):
                a, first, b, second = b, second, a, first
            options += [f"{a},{b}", first, second]
        return tuple(options)


def tokens_for(space: Space) -> type[Tokens]:
    """Return the kind of tokens that a space is written in."""
    return DartsTokens if space.name == "darts" else Tokens


def as_tensor(sequences: Sequence[Sequence[int]]) -> Tensor:
    """Return sequences of equal length as a tensor (B, L)."""
    return torch.as_tensor(np.array(sequences, np.int64))
