"""Data sets as tensors."""

from raynas.callable_module import make_callable
from raynas.data import digits as digits
from raynas.data.base import DATA, ImageData, Split

__all__ = ["DATA", "ImageData", "Split", "data"]


def data(name: str, **options: object) -> ImageData:
    """Return a data set by name (``raynas ls data`` lists them); raises UnknownNameError."""
    return DATA.make(name, **options)


make_callable(__name__, data)
