"""The Tune callback in the driver: every report goes to the trackers, the ledger and the ranking table."""

from __future__ import annotations

from typing import Any

from ray import tune

from raynas.cluster.hooks import Hooks
from raynas.cluster.trainable import PAYLOAD


class ReportCallback(tune.Callback):
    """Hands each trial's reports to the run.

    Args:
        hooks: Where the reports go.
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Pass the report on."""
        self._hooks.on_report(result[PAYLOAD])
