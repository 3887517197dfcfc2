"""How a supernet is trained; one paper a file."""

from raynas.methods.sampler import SAMPLERS, Sampler

__all__ = ["SAMPLERS", "Sampler"]
