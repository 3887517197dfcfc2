"""Small files in the benchmarks' official formats, written independently of the readers under test."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def crc32c(data: bytes) -> int:
    """CRC-32C, bit by bit, as its definition has it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def write_tfrecord(path: Path, records: Sequence[bytes]) -> Path:
    with path.open("wb") as file:
        for record in records:
            length = struct.pack("<Q", len(record))
            file.write(length + masked(length) + record + masked(record))
    return path


def varint(value: int) -> bytes:
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def message(*fields: tuple[int, Any]) -> bytes:
    """A protobuf message: floats as doubles, integers as varints, bytes and messages with their length."""
    out = b""
    for number, value in fields:
        if isinstance(value, float):
            out += varint(number << 3 | 1) + struct.pack("<d", value)
        elif isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            out += varint(number << 3 | 2) + varint(len(value)) + value
    return out


def nasbench101_record(
    module_hash: str,
    matrix: Sequence[Sequence[int]],
    ops: Sequence[str],
    accuracies: tuple[float, float, float],
    *,
    epochs: int = 108,
    seconds: float = 1000.0,
    parameters: int = 8_555_530,
    last_epoch: float | None = None,
) -> bytes:
    """One training: evaluations before, halfway and at the end; the accuracies of the two first must not be taken."""
    evaluations = [
        message((1, 0.0), (2, 0.0), (3, 0.1), (4, 0.1), (5, 0.1), (6, b"model.ckpt-0")),
        message((1, epochs / 2), (2, seconds / 2), (3, 0.5), (4, 0.5), (5, 0.5), (6, b"model.ckpt-1")),
        message(
            (1, float(epochs) if last_epoch is None else last_epoch),
            (2, seconds),
            *zip((3, 4, 5), accuracies, strict=True),
            (6, b"model.ckpt-2"),
        ),
    ]
    metrics = message(*((1, evaluation) for evaluation in evaluations), (2, parameters), (3, 1.5 * seconds))
    digits = "".join(str(entry) for row in matrix for entry in row)
    return json.dumps([module_hash, epochs, digits, ",".join(ops), base64.encodebytes(metrics).decode()]).encode()


def nds_training(net: dict[str, Any], error: float, **more: Any) -> dict[str, Any]:
    return {
        "job_id": 1,
        "rng_seed": 1,
        "net": net,
        "optim": {"base_lr": 0.1, "wd": 5e-4, "max_ep": 100, "lr_policy": "cos"},
        "params": 1_000_000,
        "flops": 20_000_000,
        "min_test_top1": error,
        "test_ep_top1": [90.0, error, error + 1],
        "train_ep_top1": [90.0, 50.0, 20.0],
        **more,
    }
