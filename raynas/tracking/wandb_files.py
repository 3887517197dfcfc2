"""W&B's files read back: a log in LevelDB's format of protobuf records.

W&B 0.31 writes a file in blocks of 32 KiB, the last of them when its run is finished: of a process that is killed,
rows that were logged may be missing, and most often all are.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK, _HEADER = 32 * 1024, 7
_WHOLE, _LAST = 1, 4


def records(path: Path) -> Iterator[Any]:
    """Yield the records of a .wandb file; what follows a record that was cut off is left out."""
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from wandb.proto import wandb_internal_pb2 as pb

    raw, position, parts = path.read_bytes(), _HEADER, b""
    while position + _HEADER <= len(raw):
        left = _BLOCK - position % _BLOCK
        if left < _HEADER:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", raw[position : position + _HEADER])
        parts += raw[position + _HEADER : position + _HEADER + length]
        position += _HEADER + length
        if kind in (_WHOLE, _LAST):
            record = pb.Record()  # type: ignore[attr-defined]
            try:
                record.ParseFromString(parts)
            except DecodeError:
                return
            yield record
            parts = b""


def last_step(folder: Path, run_id: str) -> int:
    """Return the last step in the files of a W&B run; 0 if they hold none.

    Args:
        folder: The run folder; files are in its ``wandb/``, one for each time the run was begun.
        run_id: The W&B run's id.
    """
    steps = [0]
    for path in (folder / "wandb").glob(f"*run-*-{run_id}*/run-{run_id}.wandb"):
        for record in records(path):
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                steps += [int(i.value_json) for i in items if (i.key or "/".join(i.nested_key)) == "_step"]
    return max(steps)
