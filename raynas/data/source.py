"""Where images come from: files, JPEG blobs, arrays; and how each is made to fit the network."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from raynas.errors import DataError

Box = tuple[int, int, int, int]
"""Left, top, right, bottom, in pixels."""


class ImageSource(ABC):
    """Images that can be read by index, in any process: pickled it stays small, or shares its memory."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def open(self, index: int) -> Image.Image:
        """Return an image; reading its pixels may still fail."""

    def size(self, index: int) -> tuple[int, int]:
        """Return an image's (width, height) without decoding it.

        Raises:
            DataError: It cannot be read.
        """
        try:
            with self.open(index) as image:
                return image.size
        except (OSError, ValueError, SyntaxError) as error:
            raise unreadable(self.where(index), error) from error

    @abstractmethod
    def where(self, index: int) -> str:
        """Say in a message which image this is."""


@dataclass(frozen=True)
class FileSource(ImageSource):
    """Image files.

    Args:
        paths: (N,) their absolute paths, as an array of text: another process may work in another folder.
    """

    paths: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def open(self, index: int) -> Image.Image:
        """Return the image of a file."""
        return Image.open(str(self.paths[index]))

    def where(self, index: int) -> str:
        """Return the path."""
        return str(self.paths[index])


@dataclass(frozen=True)
class BlobSource(ImageSource):
    """Encoded images one after another.

    Args:
        blob: (bytes,) uint8.
        offsets: (N + 1,); image i is ``blob[offsets[i]:offsets[i + 1]]``.
        name: Of the field, for messages.
    """

    blob: np.ndarray
    offsets: np.ndarray
    name: str

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def open(self, index: int) -> Image.Image:
        """Return the image of a piece of the blob."""
        return Image.open(io.BytesIO(self.blob[self.offsets[index] : self.offsets[index + 1]].tobytes()))

    def where(self, index: int) -> str:
        """Return field and index."""
        return f"{self.name} at index {index}"


@dataclass(frozen=True)
class ArraySource(ImageSource):
    """Images in an array.

    Args:
        images: (N, H, W) or (N, H, W, 3) uint8.
        name: Of the field, for messages.
    """

    images: np.ndarray
    name: str

    def __len__(self) -> int:
        return len(self.images)

    def open(self, index: int) -> Image.Image:
        """Return a row of the array."""
        return Image.fromarray(self.images[index])

    def where(self, index: int) -> str:
        """Return field and index."""
        return f"{self.name} at index {index}"


@dataclass(frozen=True)
class Fit:
    """How an image is made to fit.

    Args:
        channels: 3 for colour, 1 for grey; images are converted.
        size: Side of the square image wanted: the shorter side is resized to ``size + margin`` pixels, then the centre
            is cut out. None leaves images as they are, which must then all be equally large.
        margin: See `size`.
    """

    channels: int = 3
    size: int | None = None
    margin: int = 0

    def pixels(self, source: ImageSource, index: int, box: Box | None = None, shape: Sequence[int] = ()) -> Tensor:
        """Return an image of a source as (C, H, W) uint8.

        Shrinking averages the area that a pixel covers, enlarging is bilinear; height and width each on their own.

        Args:
            source: Where to read.
            index: Which image.
            box: The part that is resized to ``size``, without margin; the whole image if None.
            shape: The (C, H, W) it must have; any if empty.

        Raises:
            DataError: The image cannot be read, or has another shape.
        """
        try:
            with source.open(index) as opened:
                image = opened.convert("RGB" if self.channels == 3 else "L")
        except (OSError, ValueError, SyntaxError) as error:
            raise unreadable(source.where(index), error) from error
        array = np.asarray(self._resize(image, box))
        pixels = torch.from_numpy(array.reshape(*array.shape[:2], self.channels).transpose(2, 0, 1).copy())
        if shape and tuple(pixels.shape) != tuple(shape):
            problem = f"{source.where(index)} is {tuple(pixels.shape)}, not {tuple(shape)} (C, H, W) as the first one"
            cure = "" if self.size is not None else "; give a size to have all images resized"
            raise DataError([problem + cure], "the images")
        return pixels

    def ready(self, source: ImageSource, rows: np.ndarray, shape: Sequence[int]) -> Tensor | None:
        """Return the images of these rows (B, C, H, W) if they lie in an array and already fit, else None."""
        if not isinstance(source, ArraySource):
            return None
        images = source.images[..., None] if source.images.ndim == 3 else source.images
        fits = (images.shape[3], *images.shape[1:3]) == tuple(shape) and images.shape[3] == self.channels
        if not fits or self.margin or any(self.size not in (None, side) for side in shape[1:]):
            return None
        return torch.from_numpy(np.ascontiguousarray(images[rows].transpose(0, 3, 1, 2)))

    def _resize(self, image: Image.Image, box: Box | None) -> Image.Image:
        if self.size is None:
            return image
        if box is not None:
            return _resampled(image, (self.size, self.size), box)
        width, height = image.size
        shorter = self.size + self.margin
        scale = shorter / min(width, height)
        width, height = max(shorter, round(width * scale)), max(shorter, round(height * scale))
        if (width, height) != image.size:
            image = _resampled(image, (width, height), (0, 0, *image.size))
        left, top = (width - self.size) // 2, (height - self.size) // 2
        return image.crop((left, top, left + self.size, top + self.size))


def _resampled(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    left, top, right, bottom = box
    horizontal, vertical = _filter(right - left, size[0]), _filter(bottom - top, size[1])
    if horizontal == vertical:
        return image.resize(size, horizontal, box=box)
    across = image.resize((size[0], image.height), horizontal, box=(left, 0, right, image.height))
    return across.resize(size, vertical, box=(0, top, size[0], bottom))


def _filter(old: int, new: int) -> Image.Resampling:
    return Image.Resampling.BOX if new <= old else Image.Resampling.BILINEAR


def unreadable(place: str, error: Exception) -> DataError:
    """Return the error for an image that cannot be read."""
    return DataError([f"{place} cannot be read as an image: {error}"], "the images")


def file_source(paths: Sequence[Path]) -> FileSource:
    """Return the source of these files."""
    return FileSource(np.array([str(path.absolute()) for path in paths], dtype=np.str_))
