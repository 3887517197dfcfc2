"""What an autoscaler can still add to a Ray: with no worker running yet, a cluster is not too small, only asleep."""

from __future__ import annotations

from pathlib import Path

import yaml

BOOTSTRAP_FILE = Path("~/ray_bootstrap_config.yaml")
"""Where `ray up` leaves the cluster file on the head, on which a submitted job's driver runs."""


def launchable(file: Path = BOOTSTRAP_FILE) -> list[dict[str, float]]:
    """Return what a node of each kind has that the autoscaler of this head can start; nothing where there is none.

    Args:
        file: The cluster file, as `ray up` filled it in.
    """
    try:
        plain = yaml.safe_load(file.expanduser().read_text())
    except (OSError, yaml.YAMLError):
        return []
    types = plain.get("available_node_types") if isinstance(plain, dict) else None
    if not isinstance(types, dict):
        return []
    return [
        dict(kind.get("resources") or {})
        for name, kind in types.items()
        if name != plain.get("head_node_type") and kind.get("max_workers", plain.get("max_workers", 0)) > 0
    ]
