"""Where networks compute."""

from __future__ import annotations

import torch

from raynas.errors import RunError


def usable_device(name: str) -> torch.device:
    """Return the device of this name.

    Args:
        name: ``cpu`` or ``cuda`` (the GPU, or the part of one, that Ray gave to this process).

    Raises:
        RunError: This process has no GPU, or its torch cannot use one.
    """
    if name == "cuda" and not torch.cuda.is_available():
        why = "this torch is built for CPUs only" if torch.version.cuda is None else "torch sees no GPU here"
        raise RunError(
            f"ray.gpus_per_trial asks for a GPU, but {why} (torch {torch.__version__}); "
            "install torch with CUDA on every node, or set ray.gpus_per_trial=0"
        )
    return torch.device(name)
