"""What can be chosen, and one choice: `Decision` and `Architecture`."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Decision:
    """One thing to choose: a name and the names of its options, in the space's own order."""

    name: str
    options: tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Architecture:
    """An immutable architecture: one option a decision.

    Its string is the field's own notation (``|nor_conv_3x3~0|+...``) and is what equality, order and hash go by.
    Spaces make architectures (`Space.make`, `Space.parse`, `Space.sample`); nothing else should.
    """

    text: str
    options: tuple[str, ...] = field(compare=False)

    def __str__(self) -> str:
        return self.text
