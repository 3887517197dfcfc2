"""Reading the fields of a protobuf message from its bytes, without protobuf and without its schema."""

from __future__ import annotations

import struct
from collections.abc import Iterator

_VARINT, _DOUBLE, _BYTES, _FLOAT = 0, 1, 2, 5
"""Wire types."""


def fields(message: bytes) -> Iterator[tuple[int, int | float | bytes]]:
    """Yield (field number, value) in order: integers, doubles and floats, and bytes for anything with a length.

    Raises:
        ValueError: The bytes are not a protobuf message. Fixed-length integers cannot be told from doubles and floats.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, wire = key >> 3, key & 7
        value: int | float | bytes
        if wire == _VARINT:
            value, place = _varint(message, place)
        elif wire == _DOUBLE:
            value, place = struct.unpack("<d", _take(message, place, 8))[0], place + 8
        elif wire == _FLOAT:
            value, place = struct.unpack("<f", _take(message, place, 4))[0], place + 4
        elif wire == _BYTES:
            length, place = _varint(message, place)
            value, place = _take(message, place, length), place + length
        else:
            raise ValueError(f"wire type {wire} at byte {place} is none of protobuf's")
        yield number, value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = _take(message, place, 1)[0]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
    raise ValueError(f"a number longer than ten bytes before byte {place}")


def _take(message: bytes, place: int, length: int) -> bytes:
    if place + length > len(message):
        raise ValueError(f"the message ends inside a field, at byte {len(message)}")
    return message[place : place + length]
