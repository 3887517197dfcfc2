"""Random search: the control."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from raynas.search.searcher import SEARCHERS, Searcher
from raynas.spaces import Architecture


@SEARCHERS.register("random")
class RandomSearcher(Searcher):
    """Uniform draws without repetition; the initial architectures come first.

    Args:
        args: As for `Searcher`.
        batch: Architectures an ask.
    """

    def __init__(self, *args: Any, batch: Annotated[int, Field(ge=1)] = 50) -> None:
        super().__init__(*args)
        self.batch = batch

    def ask(self) -> list[Architecture]:
        """Return the initial architectures, then draws."""
        first = self._next_initial(self.batch)
        return first + self._draw(self.batch - len(first))
