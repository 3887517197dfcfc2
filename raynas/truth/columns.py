"""What a truth table's columns are called, in which units, and which of them have a value for each seed."""

from __future__ import annotations

PER_SEED = ("valid_accuracy", "test_accuracy", "valid_loss", "test_loss")
"""Metrics kept for each seed that our own stand-alone trainings measure: percent, and nats an image."""
IMPORTED_PER_SEED = ("train_accuracy",)
"""Metrics kept for each seed that only imported benchmarks have: percent."""
PER_ARCHITECTURE = ("params_m", "flops_m", "train_seconds")
"""Metrics with one value: millions of parameters, millions of multiply-adds an image (of convolutions and the
classifier), seconds of one training."""
DEVICE_METRICS = ("latency_ms/", "energy_mj/")
"""Prefixes of metrics with one value a device (``latency_ms/pixel3``): milliseconds and millijoules a forward pass."""


def has_seeds(metric: str) -> bool:
    """Say whether the metric is kept for each seed."""
    return metric in PER_SEED or metric in IMPORTED_PER_SEED


def is_metric(name: str) -> bool:
    """Say whether a column may have this name."""
    named_device = any(name.startswith(prefix) and len(name) > len(prefix) for prefix in DEVICE_METRICS)
    return has_seeds(name) or name in PER_ARCHITECTURE or named_device


def allowed_metrics() -> str:
    """Return all names a column may have, for messages."""
    return ", ".join(
        (*PER_SEED, *IMPORTED_PER_SEED, *PER_ARCHITECTURE, *(f"{prefix}DEVICE" for prefix in DEVICE_METRICS))
    )
