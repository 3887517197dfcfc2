"""Reading TFRecord files without TensorFlow; every checksum is verified.

A record is its length (uint64), the masked CRC-32C of these eight bytes, the data, and the masked CRC-32C of the data;
all little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from raynas.errors import TruthError

_HEAD, _FOOT = struct.Struct("<QI"), struct.Struct("<I")
_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_BATCH = 4_096
_LONGEST = 1 << 24
"""No benchmark's record is as long; a length beyond it comes from a file of another kind."""


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the records of a file.

    Raises:
        TruthError: The file is missing, cut off, or a checksum is wrong; the message says where.
    """
    if not path.is_file():
        raise TruthError(f"no file at {path}")
    with path.open("rb") as file:
        done = 0
        while batch := _read_batch(path, file, done):
            heads, records, sums = zip(*batch, strict=True)
            lengths = masked_crc32c([head[:8] for head in heads])
            for place, (head, length_sum) in enumerate(zip(heads, lengths.tolist(), strict=True)):
                if _HEAD.unpack(head)[1] != length_sum:
                    raise TruthError(f"{path}: record {done + place}: its length has a wrong checksum")
            wrong = np.flatnonzero(masked_crc32c(records) != np.array(sums, np.uint32))
            if len(wrong):
                raise TruthError(f"{path}: record {done + int(wrong[0])}: its data have a wrong checksum")
            yield from records
            done += len(batch)


def _read_batch(path: Path, file: BinaryIO, done: int) -> list[tuple[bytes, bytes, int]]:
    """Return up to a batch of (head, data, the data's checksum as stored)."""
    batch: list[tuple[bytes, bytes, int]] = []
    while len(batch) < _BATCH and (head := file.read(_HEAD.size)):
        place = f"{path}: record {done + len(batch)}"
        if len(head) < _HEAD.size:
            raise TruthError(f"{place}: the file ends inside its head")
        length = _HEAD.unpack(head)[0]
        if length > _LONGEST:
            raise TruthError(f"{place}: a length of {length:,} bytes; this is no TFRecord file")
        data = file.read(length + _FOOT.size)
        if len(data) < length + _FOOT.size:
            raise TruthError(f"{place}: the file ends inside it")
        batch.append((head, data[:length], _FOOT.unpack(data[length:])[0]))
    return batch


def masked_crc32c(texts: Sequence[bytes]) -> NDArray[np.uint32]:
    """Return TFRecord's masked CRC-32C of each text, all texts worked on at once, a byte at a time."""
    lengths = np.array([len(text) for text in texts])
    longest = int(lengths.max(initial=0))
    padded = np.frombuffer(b"".join(text.ljust(longest, b"\0") for text in texts), np.uint8)
    columns = np.ascontiguousarray(padded.reshape(len(texts), longest).T)
    sums = np.full(len(texts), 0xFFFFFFFF, np.uint32)
    for place, column in enumerate(columns):
        sums = np.where(place < lengths, _TABLE[(sums ^ column) & 0xFF] ^ (sums >> 8), sums)
    sums ^= np.uint32(0xFFFFFFFF)
    masked: NDArray[np.uint32] = (((sums >> 15) | (sums << 17)) + np.uint32(0xA282EAD8)).astype(np.uint32)
    return masked


def _table() -> NDArray[np.uint32]:
    sums = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        sums = np.where(sums & 1, (sums >> 1) ^ np.uint32(_POLYNOMIAL), sums >> 1)
    return sums


_TABLE = _table()
