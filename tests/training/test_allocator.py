"""The allocator's setting, seen in page faults of a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from raynas.training.allocator import keep_memory
if sys.argv[1] == "keep":
    assert keep_memory()
def touch():
    for _ in range(20):
        torch.ones(12_000_000)
touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc has the setting")
def test_kept_memory_is_not_cleared_again() -> None:
    def faults(setting: str) -> int:
        command = [sys.executable, "-c", FAULTS, setting]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert faults("keep") * 10 < faults("default")
