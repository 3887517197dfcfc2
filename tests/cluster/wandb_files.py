"""Reading offline W&B files back: a LevelDB-style log of protobuf records."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as pb

_BLOCK, _HEADER = 32 * 1024, 7


def records(path: Path) -> list[Any]:
    """Return every record of a .wandb file."""
    raw, position, parts, found = path.read_bytes(), _HEADER, b"", []
    while position + _HEADER <= len(raw):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", raw[position : position + _HEADER])
        parts += raw[position + _HEADER : position + _HEADER + length]
        position += _HEADER + length
        if kind in (1, 4):  # a whole record, or the last part of one
            record = pb.Record()
            record.ParseFromString(parts)
            found.append(record)
            parts = b""
    return found


def history(path: Path) -> tuple[str, dict[str, Any], list[dict[str, Any]]]:
    """Return a run's display name, its config and its history rows."""
    name, config, rows = "", {}, []
    for record in records(path):
        kind = record.WhichOneof("record_type")
        if kind == "run":
            name = record.run.display_name
            config.update({item.key: json.loads(item.value_json) for item in record.run.config.update})
        elif kind == "history":
            rows.append({i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item})
    return name, config, rows
