"""What runs and sweeps begin with: a checked configuration whose folder can be made, and W&B as it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raynas.cluster.storage import refuse_url
from raynas.config import Config, load_config
from raynas.errors import ConfigError
from raynas.report.folder import RunFolder, refuse_existing
from raynas.tracking import Row
from raynas.tracking.wandb import WandbTracker, choose_mode


def configured(
    config: str | Path | Mapping[str, Any] | Config, overrides: Sequence[str], keys: Mapping[str, Any], what: str
) -> tuple[Config, str]:
    """Return the checked configuration of a run or a sweep, and what its folder is called where that does not say.

    Args:
        config: A YAML file, a mapping of the same shape, or a checked configuration.
        overrides: ``key=value`` texts with dotted keys.
        keys: Keys with their values, applied last.
        what: ``run`` or ``sweep``; the folder's name where no file is given.

    Raises:
        ConfigError: The configuration has problems; or a run's has a sweep section.
        RunError: The folder exists, or cannot be one.
    """
    name = Path(config).stem if isinstance(config, str | Path) else what
    source = config.model_dump(mode="json") if isinstance(config, Config) else config
    checked = load_config(source, overrides, **keys)
    if what == "run" and checked.sweep is not None:
        raise ConfigError(["it has a sweep section: `raynas sweep` tries its settings, sweep=null runs what is beside"])
    refuse_url(checked.out)
    refuse_existing(checked)
    return checked, name


def wandb_tracker(config: Config, folder: RunFolder, earlier: Sequence[Row]) -> WandbTracker:
    """Return the tracker that logs to W&B as a configuration says.

    Args:
        config: The configuration.
        folder: The folder of the run or sweep; its name groups the trials.
        earlier: The reports of an earlier process, which was killed.
    """
    return WandbTracker(
        folder.path,
        folder.path.name,
        config.model_dump(mode="json"),
        mode=choose_mode(config.wandb.mode),
        project=config.wandb.project,
        entity=config.wandb.entity,
        earlier=earlier,
    )
