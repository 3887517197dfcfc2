"""What splits hold in memory, and the room that a local Ray is given for it."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from raynas.cluster import session
from raynas.data import ImageData, StreamSplit, TensorSplit
from raynas.data.source import ArraySource, BlobSource, Fit, ImageSource
from raynas.data.split import memory_bytes

MB = 2**20


def stream_split(source: ImageSource, count: int = 6) -> StreamSplit:
    return StreamSplit(source, np.arange(count), torch.arange(count), Fit(), (3, 4, 4), (0.0,) * 3, (1.0,) * 3)


def blob(megabytes: int) -> BlobSource:
    return BlobSource(np.zeros(megabytes * MB, np.uint8), np.arange(7, dtype=np.int64), "train_jpeg")


def test_a_stream_holds_its_files() -> None:
    assert memory_bytes(stream_split(blob(1))) == MB + 7 * 8 + 2 * 6 * 8
    images = np.zeros((6, 4, 4, 3), np.uint8)
    assert memory_bytes(stream_split(ArraySource(images, "train_images"))) == images.nbytes + 2 * 6 * 8
    held = TensorSplit(torch.zeros(6, 3, 4, 4), torch.arange(6))
    assert memory_bytes(held) == 6 * 48 * 4 + 6 * 8


def test_what_splits_share_counts_once() -> None:
    source = blob(1)
    own = memory_bytes(stream_split(source)) - memory_bytes(SimpleNamespace(source=source))
    assert memory_bytes(stream_split(source), stream_split(source)) == memory_bytes(stream_split(source)) + own


def test_the_object_store_has_room_for_the_files_of_streams() -> None:
    train, test = stream_split(blob(250)), stream_split(blob(50))
    data = ImageData("mine", train, replaced(train), test, classes=6)
    assert session._store_mb(data) == 601  # twice 300 MB and a little


def replaced(split: StreamSplit) -> StreamSplit:
    return StreamSplit(split.source, split.rows, split.targets, replace(split.fit), split.shape, split.mean, split.std)
