"""Runs in a process of their own that are killed, as a pre-empted node or an impatient user does it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PROGRAM = """
import json, sys
import raynas
getattr(raynas, sys.argv[1])(json.loads(sys.argv[2]))
"""


def killed(what: str, config: dict[str, Any], when: Callable[[], bool], seconds: float = 180) -> None:
    """Start ``raynas.run`` or ``raynas.sweep`` and send SIGKILL to its driver as soon as `when` says so.

    Args:
        what: ``run`` or ``sweep``.
        config: Its configuration.
        when: Asked again and again.
        seconds: After so many it has hung.
    """
    command = [sys.executable, "-c", PROGRAM, what, json.dumps(config)]
    process = subprocess.Popen(command, start_new_session=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    ends = time.monotonic() + seconds
    while not when():
        assert process.poll() is None, f"it ended before it was to be killed, with {process.returncode}"
        assert time.monotonic() < ends, "it did not come so far"
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()


def reports(path: Path) -> int:
    """Return how many whole lines a file has."""
    return path.read_bytes().count(b"\n") if path.exists() else 0


def without_times(path: Path) -> list[dict[str, Any]]:
    """Return the reports of a metrics file without what depends on the clock."""
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{key: value for key, value in row.items() if not key.startswith("seconds")} for row in rows]
