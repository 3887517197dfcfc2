"""Reading data sets of the Hugging Face hub, or local copies of them, with the ``datasets`` library (an extra)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from raynas.data.parts import Part
from raynas.data.source import ImageSource
from raynas.errors import DataError

_SAVED = ("dataset_dict.json", "state.json")
"""Files by which a folder is known that ``save_to_disk`` wrote."""


class HubSource(ImageSource):
    """Images of one split; every process opens the data set for itself, when it reads the first image.

    Args:
        path: A name on the hub, or the absolute path of a folder: another process may work in another folder.
        part: The split's name there.
        column: The column of images.
        rows: The opened split, its images as stored bytes.
    """

    def __init__(self, path: str, part: str, column: str, rows: Any) -> None:
        self.path, self.part, self.column = path, part, column
        self._rows, self._count = rows, len(rows)

    def __len__(self) -> int:
        return self._count

    def open(self, index: int) -> Image.Image:
        """Return the image of a row."""
        if self._rows is None:
            self._rows = _undecoded(open_hub(self.path)[self.part], self.column)
        stored = self._rows[index][self.column]
        return Image.open(io.BytesIO(stored["bytes"]) if stored["bytes"] is not None else stored["path"])

    def where(self, index: int) -> str:
        """Return data set, split and row."""
        return f"row {index} of {self.part} in {self.path}"

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_rows": None}


def hub_parts(path: str, wanted: Sequence[str], label: str) -> dict[str, Part]:
    """Return the splits of a data set by their names there.

    Args:
        path: A name on the hub, or a folder: one that ``save_to_disk`` wrote, or of Parquet files or images as
            ``load_dataset`` reads it.
        wanted: The splits' names.
        label: The column of labels.

    Raises:
        DataError: The library is not installed, the data set cannot be opened, or lacks a split or column.
    """
    place = str(Path(path).absolute()) if Path(path).is_dir() else path
    opened = open_hub(place)
    import datasets

    problems = [f"there is no split {part} (there are: {', '.join(opened)})" for part in wanted if part not in opened]
    parts = {}
    for part in wanted:
        if part not in opened:
            continue
        rows = opened[part]
        images = [name for name, feature in rows.features.items() if isinstance(feature, datasets.Image)]
        if len(images) != 1:
            problems.append(
                f"{part} has {len(images)} columns of images, not one (columns: {', '.join(rows.features)})"
            )
        elif label not in rows.features:
            problems.append(f"{part} has no column {label} (columns: {', '.join(rows.features)})")
        else:
            source = HubSource(place, part, images[0], _undecoded(rows, images[0]))
            labels = np.asarray(rows.with_format("numpy")[label][:], np.int64)
            parts[part] = Part(source, np.arange(len(rows)), labels)
    if problems:
        raise DataError(problems, path)
    return parts


def open_hub(path: str) -> Any:
    """Return the ``datasets.DatasetDict`` of a name or folder.

    Raises:
        DataError: The library is not installed, or the data set cannot be opened.
    """
    try:
        import datasets
    except ImportError as error:
        raise DataError(["reading it needs the library datasets: pip install 'raynas[data]'"], path) from error
    try:
        if any((Path(path) / name).is_file() for name in _SAVED):
            opened = datasets.load_from_disk(path)
        else:
            opened = datasets.load_dataset(path)
    except (OSError, ValueError, RuntimeError) as error:
        cure = "check the name and the connection, or give path=FOLDER of a local copy"
        raise DataError([f"cannot be opened ({type(error).__name__}: {error}); {cure}"], path) from error
    if not isinstance(opened, datasets.DatasetDict):
        raise DataError([f"is a {type(opened).__name__} without splits, not a DatasetDict"], path)
    return opened


def _undecoded(rows: Any, column: str) -> Any:
    """Return the rows with images as stored bytes: they are decoded here, by several threads."""
    import datasets

    return rows.cast_column(column, datasets.Image(decode=False))
