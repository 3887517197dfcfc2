"""How a supernet is trained; one paper a file. A method is a sampler, a sharing, a regularizer and a curriculum."""

from raynas.methods import (  # noqa: F401  (components register themselves)
    balanced,
    close,
    darts,
    fair,
    gdas,
    gradient_matching,
    greedy,
    landmark,
    nao,
    nao_searcher,
    partition_given,
    partition_nonlinear,
    pc_darts,
    sandwich,
    snas,
    uniform,
)
from raynas.methods.curriculum import CURRICULA, Curriculum
from raynas.methods.part import Part, Stack
from raynas.methods.partition import PARTITIONS, Partition, Probe, Split
from raynas.methods.partition_calibration import Calibration, Line
from raynas.methods.plan import MethodParts, MethodPlan
from raynas.methods.regularizer import REGULARIZERS, Landmark, Regularizer
from raynas.methods.sampler import SAMPLERS, Sampler
from raynas.methods.sharing import SHARINGS, Sharing
from raynas.methods.view import Path, TrainingView

__all__ = [
    "CURRICULA",
    "PARTITIONS",
    "REGULARIZERS",
    "SAMPLERS",
    "SHARINGS",
    "Calibration",
    "Curriculum",
    "Landmark",
    "Line",
    "MethodParts",
    "MethodPlan",
    "Part",
    "Partition",
    "Path",
    "Probe",
    "Regularizer",
    "Sampler",
    "Sharing",
    "Split",
    "Stack",
    "TrainingView",
]
