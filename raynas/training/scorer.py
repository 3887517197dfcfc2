"""`Scorer`: scores architectures with weights that belong to somebody else; no optimizer, no training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raynas.data import ImageData
from raynas.networks import Supernet
from raynas.spaces import Architecture
from raynas.training.job import SupernetJob
from raynas.training.scoring import Score, ScoreProtocol, score_architectures
from raynas.training.weights import Version, Weights


class Scorer:
    """Holds the networks of several supernets, each with one version of its weights.

    Args:
        jobs: What can be scored, by label.
        data: The images.
    """

    def __init__(self, jobs: Mapping[str, SupernetJob], data: ImageData) -> None:
        (device,) = {job.device for job in jobs.values()}
        self._jobs, self._data = jobs, data.to(device)
        self._networks: dict[str, Supernet] = {}
        self._versions: dict[str, Version] = {}

    def hold(self, version: Version, weights: Weights) -> None:
        """Score this version from now on, and no other of its supernet; the weights are used where they lie."""
        label = version.label
        if label not in self._networks:
            self._networks[label] = self._jobs[label].build(self._data)
        weights.attach(self._networks[label])
        self._versions[label] = version

    def holds(self, version: Version) -> bool:
        """Say whether it can score this version."""
        return self._versions.get(version.label) == version

    def score(self, version: Version, architectures: Sequence[Architecture], fidelity: float = 1.0) -> list[Score]:
        """Return the scores of architectures, in order, under the supernet's protocol.

        Args:
            version: The weights to score with.
            architectures: What to score.
            fidelity: The share of the protocol's images, in (0, 1]: see `shortened`.

        Raises:
            KeyError: It holds no such version.
        """
        if not self.holds(version):
            raise KeyError(version)
        protocol = shortened(self._jobs[version.label].protocol, self._data, fidelity)
        return score_architectures(self._networks[version.label], self._data, architectures, protocol)

    def different(self, label: str, architectures: Sequence[Architecture]) -> int:
        """Return how many architectures a supernet has to evaluate to score these: equal functions count once."""
        return len(set(self._networks[label].shared_forms(architectures)))


def shortened(protocol: ScoreProtocol, data: ImageData, fidelity: float) -> ScoreProtocol:
    """Return the protocol of a short evaluation: this share of its images, at least two, of those that calibrate too.

    Args:
        protocol: That of a full evaluation.
        data: The images.
        fidelity: The share, in (0, 1].
    """
    if fidelity == 1.0:
        return protocol
    images, again = (max(2, round(fidelity * count)) for count in images_scored_on(protocol, data))
    return protocol.model_copy(update={"images": images, "recalibrate_images": again})


def images_an_architecture(protocol: ScoreProtocol, data: ImageData) -> int:
    """Return how many images are passed forward to score one architecture."""
    return sum(images_scored_on(protocol, data))


def images_scored_on(protocol: ScoreProtocol, data: ImageData) -> tuple[int, int]:
    """Return on how many images an architecture is scored, and on how many its batch norm is calibrated before."""
    images = min(len(data.valid), protocol.images or len(data.valid))
    again = min(len(data.train), protocol.recalibrate_images) if protocol.batch_norm == "recalibrate" else 0
    return images, again
