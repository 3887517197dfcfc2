"""How a supernet is trained; one paper a file. A method is a sampler, a sharing, a regularizer and a curriculum."""

from raynas.methods import uniform  # noqa: F401  (components register themselves)
from raynas.methods.curriculum import CURRICULA, Curriculum
from raynas.methods.part import Part, Stack
from raynas.methods.plan import MethodParts, MethodPlan
from raynas.methods.regularizer import REGULARIZERS, Landmark, Regularizer
from raynas.methods.sampler import SAMPLERS, Sampler
from raynas.methods.sharing import SHARINGS, Sharing
from raynas.methods.view import Path, TrainingView

__all__ = [
    "CURRICULA",
    "REGULARIZERS",
    "SAMPLERS",
    "SHARINGS",
    "Curriculum",
    "Landmark",
    "MethodParts",
    "MethodPlan",
    "Part",
    "Path",
    "Regularizer",
    "Sampler",
    "Sharing",
    "Stack",
    "TrainingView",
]
