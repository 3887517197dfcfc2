"""The spaces as weight-shared modules (torch).

Shape legend of all docstrings: B batch, C channels, H and W height and width, K classes, A architectures.
"""

from raynas.networks import darts as darts
from raynas.networks import darts_glow as darts_glow
from raynas.networks import depth as depth
from raynas.networks import mobilenet as mobilenet
from raynas.networks import module as module
from raynas.networks import nasbench101 as nasbench101
from raynas.networks import nasbench201 as nasbench201
from raynas.networks import nasbench201_glow as nasbench201_glow
from raynas.networks import nasbench_macro as nasbench_macro
from raynas.networks import nds as nds
from raynas.networks import nds_glow as nds_glow
from raynas.networks import ofa_mobilenetv3 as ofa_mobilenetv3
from raynas.networks.build import supernet
from raynas.networks.supernet import NETWORKS, Choice, Supernet

__all__ = ["NETWORKS", "Choice", "Supernet", "supernet"]
