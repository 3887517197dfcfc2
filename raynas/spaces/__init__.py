"""What can be chosen: search spaces over named decisions. Numpy only; one space a file."""

from raynas.spaces import darts as darts
from raynas.spaces import depth as depth
from raynas.spaces import mobilenet as mobilenet
from raynas.spaces import module as module
from raynas.spaces import nasbench101 as nasbench101
from raynas.spaces import nasbench201 as nasbench201
from raynas.spaces import nasbench_macro as nasbench_macro
from raynas.spaces import nds as nds
from raynas.spaces import ofa_mobilenetv3 as ofa_mobilenetv3
from raynas.spaces.architecture import Architecture, Decision
from raynas.spaces.base import Space
from raynas.spaces.registry import SPACES

__all__ = ["SPACES", "Architecture", "Decision", "Space", "space"]


def space(name: str, **options: object) -> Space:
    """Return a search space by name (``raynas ls spaces`` lists them), or by ``module:my_file.py:Name``.

    Raises:
        UnknownNameError: No space has this name.
        ConfigError: An option is unknown, missing or not allowed.
    """
    return SPACES.build(name, **options)
