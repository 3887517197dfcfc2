"""What the values of one key do, over all that else was varied: is the increasing schedule better than the constant?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from raynas.ranking.intervals import mean_interval, paired_difference
from raynas.settings import Choices
from raynas.settings.ranges import label_of

if TYPE_CHECKING:
    import pandas as pd

    from raynas.report.sweep_result import SweepResult


def keys_with_choices(result: SweepResult) -> list[str]:
    """Return the keys that have two values or more to choose from: those with texts first, as these have an order less.

    The first of them is what a page is about.
    """
    ranges = result.sweep.ranges
    keys = [key for key, one in ranges.items() if isinstance(one, Choices) and len(one.options) > 1]
    return sorted(keys, key=lambda key: not any(isinstance(option, str) for option in _options(result, key)))


def effects(result: SweepResult, key: str) -> pd.DataFrame:
    """Return what the measure is with each value of a key, by values in the order of the sweep.

    Two rounds are looked at. The last that *all* settings reached, those left out that failed: ``early`` is the mean
    over all settings with the value, ``early_low`` and ``early_high`` its 95 % t interval over seeds; NaN where a
    measure is not a number. ``difference``, ``low``, ``high`` and ``probability`` compare it with the first value,
    paired over seeds, where the settings are a complete grid; else values differ in more than this key, and these are
    NaN. And the end: ``best`` is the best setting with the value that was trained to the end (NaN for none),
    ``finished`` how many were. It is the best of several, and its interval knows nothing of that.

    Args:
        result: The sweep.
        key: The dotted key.
    """
    import pandas as pd

    metric, table = result.sweep.metric, result.dataframe()
    searched = {
        one["trial"]: one["values"]
        for one in result.settings
        if not one["control"] and one["steps"] and one["state"] != "failed"
    }
    whole = _is_grid(result, list(searched.values()))
    number = _last_common(result, list(searched))
    early = result.metrics[result.metrics["round"] == number]
    rows, first = [], None
    for value in _options(result, key):
        label = label_of(value)
        names = [name for name, values in searched.items() if label_of(values[key]) == label]
        by_seed = early[early["trial"].isin(names)].groupby("seed")[metric].agg(lambda one: one.mean(skipna=False))
        first = by_seed if first is None else first
        mean, low, high = (float(end) for end in mean_interval(by_seed.to_numpy())) if len(by_seed) else (np.nan,) * 3
        joined = pd.concat([by_seed, first], axis=1, join="inner").to_numpy(np.float64) if whole else np.empty((0, 2))
        against = paired_difference(joined[:, 0], joined[:, 1])
        ended = table[table["trial"].isin(names) & (table["state"] == "finished")]
        best = ended.sort_values(metric, ascending=False).iloc[0] if len(ended) else None
        rows.append(
            {
                "value": label,
                "settings": len(names),
                "early": mean,
                "early_low": low,
                "early_high": high,
                "early_round": number,
                "difference": against.mean,
                "low": against.low,
                "high": against.high,
                "probability": against.probability,
                "finished": len(ended),
                "best": np.nan if best is None else best[metric],
                "best_low": np.nan if best is None else best[f"{metric}_low"],
                "best_high": np.nan if best is None else best[f"{metric}_high"],
                "best_setting": "" if best is None else best["setting"],
            }
        )
    return pd.DataFrame(rows)


def _last_common(result: SweepResult, names: list[str]) -> int:
    """Return the last round that all settings reached; 0 where there is none."""
    reached = [result.rounds_of(name) for name in names]
    return int(max(set.intersection(*reached), default=0)) if reached else 0


def _is_grid(result: SweepResult, values: list[dict[str, Any]]) -> bool:
    """Say whether settings are all combinations of the keys' values."""
    ranges = result.sweep.ranges
    if any(not isinstance(one, Choices) for one in ranges.values()):
        return False
    wanted = math.prod(len(one.options) for one in ranges.values() if isinstance(one, Choices))
    return len({label_of([one[key] for key in ranges]) for one in values}) == wanted


def _options(result: SweepResult, key: str) -> tuple[Any, ...]:
    one = result.sweep.ranges[key]
    return one.options if isinstance(one, Choices) else ()
