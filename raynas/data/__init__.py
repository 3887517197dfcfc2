"""Data sets: images and targets in named splits, in memory or streamed."""

from raynas.callable_module import make_callable
from raynas.data import cifar as cifar
from raynas.data import depth_folder as depth_folder
from raynas.data import depth_npz as depth_npz
from raynas.data import digits as digits
from raynas.data import imagefolder as imagefolder
from raynas.data import imagenet as imagenet
from raynas.data import npz as npz
from raynas.data.augmentation import Augmentation
from raynas.data.base import DATA, ImageData, TaskName
from raynas.data.split import Split, TensorSplit
from raynas.data.stream_split import StreamSplit

__all__ = ["DATA", "Augmentation", "ImageData", "Split", "StreamSplit", "TaskName", "TensorSplit", "data"]


def data(name: str, **options: object) -> ImageData:
    """Return a data set by name (``raynas ls data`` lists them), or by ``name:path`` where it has a path.

    Raises:
        UnknownNameError: There is no such data set.
        ConfigError: An option is unknown, missing or not allowed.
        DataError: Its files cannot be read.
    """
    return DATA.build(name, **options)


make_callable(__name__, data)
