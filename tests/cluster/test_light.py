"""What a process does not need it does not import: every actor of a run would wait for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("wandb", "pandas", "pyarrow", "sklearn", "scipy", "matplotlib", "datasets", "optuna", "jinja2", "ray.tune")


@pytest.mark.parametrize("module", ["supernet_actor", "scoring_actor", "pool_actor", "standalone_tasks", "launch"])
def test_a_process_imports_nothing_heavy_before_it_works(module: str) -> None:
    code = (
        f"import sys, raynas.cluster.{module}, raynas.data; raynas.data.data('digits'); "
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_pool_needs_no_torch() -> None:
    code = "import sys, raynas.cluster.pool_actor; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
