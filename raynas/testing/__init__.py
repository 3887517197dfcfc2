"""Test classes for components of one's own: subclass one in a test file, say how to make the component, run pytest."""

from raynas.testing.networks import NetworkContract
from raynas.testing.spaces import SpaceContract

__all__ = ["NetworkContract", "SpaceContract"]
