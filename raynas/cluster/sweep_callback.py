"""The Tune callback of a sweep: hands reports, and the ends of trials, to the driver."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from ray import tune

from raynas.cluster.setting_trial import NAME, PAYLOAD
from raynas.report.setting_report import SettingReport

MOST_FAILURES = 3
"""How often a trial is started again after its process died."""


class Listener(Protocol):
    """Who is told: the sweep in progress."""

    def report(self, config: Mapping[str, Any], report: SettingReport) -> None:
        """Take in a step of a trial."""

    def ended(self, name: str) -> None:
        """Take in that a trial is over."""

    def failed(self, config: Mapping[str, Any], error: str) -> None:
        """Take in that a trial failed for good."""


@dataclass(frozen=True)
class SweepHooks:
    """What the driver is told by Tune; a pickled copy tells nobody (see `raynas.cluster.hooks.Hooks`).

    Args:
        launch: The sweep in progress; None in a pickled copy.
    """

    launch: Listener | None

    def __deepcopy__(self, memo: dict[int, object]) -> SweepHooks:
        return self

    def __reduce__(self) -> tuple[type[SweepHooks], tuple[None]]:
        return SweepHooks, (None,)


class SweepCallback(tune.Callback):
    """Hands reports, and the ends of trials, to the driver.

    Args:
        hooks: The driver.
    """

    def __init__(self, hooks: SweepHooks) -> None:
        self._hooks = hooks

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Pass a report on."""
        if self._hooks.launch is not None:
            self._hooks.launch.report(trial.config, result[PAYLOAD])

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Pass the end of a trial on."""
        if self._hooks.launch is not None:
            self._hooks.launch.ended(str(trial.config[NAME]))

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Pass the failure of a trial on, once it is for good."""
        if self._hooks.launch is not None and trial.num_failures > MOST_FAILURES:
            self._hooks.launch.failed(trial.config, str(trial.get_error()))
