"""How much each key of a sweep accounts for: Optuna's importance, whichever way the settings were found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import optuna

from raynas.settings import Choices
from raynas.settings.ranges import label_of

if TYPE_CHECKING:
    from raynas.report.sweep_result import SweepResult

FEWEST = 10
"""With fewer settings trained to the end, those that were stopped count as well."""


def importance(result: SweepResult) -> dict[str, float]:
    """Return each key's share of the variance, the largest first: see `SweepResult.importance`."""
    ranges, metric = result.sweep.ranges, result.sweep.metric
    values = {row["trial"]: row[metric] for row in result.dataframe().to_dict("records")}
    tried = [one for one in result.settings if not one["control"] and np.isfinite(values[one["trial"]])]
    ended = [one for one in tried if one["state"] == "finished"]
    used = ended if len(ended) >= FEWEST else tried
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for one in used:
        params = {key: _sampled(ranges[key], value) for key, value in one["values"].items()}
        distributions = {key: ranges[key].distribution() for key in params}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=float(values[one["trial"]]))
        )
    varied = any(len({str(one["values"][key]) for one in used}) > 1 for key in ranges)
    if not varied or np.ptp([values[one["trial"]] for one in used]) == 0:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    try:
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except RuntimeError:  # its trees found no variance: differences are too small
        return {}
    return {result.names[key]: float(share) for key, share in found.items()}


def _sampled(one: object, value: object) -> object:
    return label_of(value) if isinstance(one, Choices) else value
