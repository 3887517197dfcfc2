"""Looking at the machine: is everything there that a run needs?"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_FREE_GB = 2.0
"""Less free disk than this is called bad: a run's Ray session alone can take some of it."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what, whether it is good, and what was seen."""

    what: str
    good: bool
    text: str


def examine() -> list[Finding]:
    """Return what was found; starts and stops a local Ray."""
    checks: dict[str, Callable[[], tuple[bool, str]]] = {
        "python": _python,
        "packages": _packages,
        "torch": _torch,
        "truth": _truth,
        "disk": _disk,
        "wandb": _wandb,
        "ray": _ray,
    }
    findings = []
    for what, check in checks.items():
        try:
            findings.append(Finding(what, *check()))
        except Exception as error:  # whatever is wrong with the machine is the finding
            findings.append(Finding(what, False, f"{type(error).__name__}: {error}"))
    return findings


def _python() -> tuple[bool, str]:
    return sys.version_info >= (3, 11), f"{platform.python_version()} (3.11 or newer), {os.cpu_count()} CPUs"


def _packages() -> tuple[bool, str]:
    names = ("raynas", "ray", "optuna", "numpy", "scipy", "wandb", "pydantic", "scikit-learn")
    return True, ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)


def _torch() -> tuple[bool, str]:
    import torch

    gpus = torch.cuda.device_count()
    where = ", ".join(torch.cuda.get_device_name(i) for i in range(gpus)) or "no GPU, runs on the CPU"
    cpu = torch.backends.cpu.get_cpu_capability()
    return True, f"{torch.__version__}, {cpu}, {_bfloat16()}, {where}"


def _bfloat16() -> str:
    """Return whether bfloat16 is worth asking for (train.precision, score.precision)."""
    import torch

    if torch.cuda.is_available():
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return "fast bfloat16" if fast else "bfloat16 slow here"


def _truth() -> tuple[bool, str]:
    from raynas.truth import shipped, truth

    return bool(shipped()), "; ".join(f"{name}: {len(truth(name)):,} architectures" for name in shipped()) or "no table"


def _disk() -> tuple[bool, str]:
    free = shutil.disk_usage(Path.cwd()).free / 1e9
    return free > _FREE_GB, f"{free:.0f} GB free here (more than {_FREE_GB:.0f} needed)"


def _wandb() -> tuple[bool, str]:
    from raynas.tracking.wandb import choose_mode

    return True, f"runs will be {choose_mode('auto')}"


def _ray() -> tuple[bool, str]:
    from raynas.cluster.resources import Resources
    from raynas.cluster.session import ray_session
    from raynas.config import RaySettings

    with ray_session(RaySettings()):
        return True, f"a local Ray starts, with {Resources(1).slots()} CPUs"
