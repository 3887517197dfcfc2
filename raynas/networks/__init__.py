"""The spaces as weight-shared modules (torch).

Shape legend of all docstrings: B batch, C channels, H and W height and width, K classes, A architectures.
"""

from raynas.networks import mobilenet as mobilenet
from raynas.networks import module as module
from raynas.networks import nasbench201 as nasbench201
from raynas.networks import nasbench_macro as nasbench_macro
from raynas.networks.build import supernet
from raynas.networks.supernet import NETWORKS, Choice, Supernet

__all__ = ["NETWORKS", "Choice", "Supernet", "supernet"]
