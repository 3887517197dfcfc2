"""Scores of a path search, kept as they are measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from raynas.spaces import Architecture
from raynas.tracking.lines import Lines
from raynas.training.ledger import Ledger
from raynas.training.scoring import Score
from raynas.training.weights import Version


class KeptScores:
    """Scores of a search as they are measured, in a file, so that a run that was killed does not measure them again.

    Args:
        path: The file; scores are kept in memory only if None.
        ledger: Where the images of what it holds are booked.
    """

    def __init__(self, path: Path | None, ledger: Ledger) -> None:
        self._lines = None if path is None else Lines(path)
        self._scores: dict[tuple[Version, str, float], Score] = {}
        for row in self._lines.before if self._lines is not None else ():
            ledger.add([], scored=row["images"])
            for label, images, text, loss, accuracy in row["scores"]:
                self._scores[Version(label, images), text, row["fidelity"]] = Score(loss, accuracy)

    def __contains__(self, wanted: tuple[Version, Architecture, float]) -> bool:
        version, architecture, fidelity = wanted
        return (version, architecture.text, fidelity) in self._scores

    def get(self, version: Version, architecture: Architecture, fidelity: float) -> Score:
        """Return the score that a supernet gave."""
        return self._scores[version, architecture.text, fidelity]

    def keep(
        self, owned: Sequence[tuple[Version, Architecture]], fidelity: float, scores: Sequence[Score], images: int
    ) -> None:
        """Keep what supernets gave to architectures, and how many images that took."""
        found = {(version, a.text, fidelity): score for (version, a), score in zip(owned, scores, strict=True)}
        self._scores |= found
        if self._lines is not None and found:
            rows = [[*version, text, score.loss, score.accuracy] for (version, text, _), score in found.items()]
            self._lines.append({"fidelity": fidelity, "images": images, "scores": rows})

    def close(self) -> None:
        """Close the file."""
        if self._lines is not None:
            self._lines.close()
