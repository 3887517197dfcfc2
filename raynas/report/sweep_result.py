"""`SweepResult`: what a sweep found, and how sure that is; read from its folder."""

from __future__ import annotations

import json
from functools import cached_property
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from raynas.config_sweep import COSTS, MEASURES, SweepSettings
from raynas.errors import RunError, nearest
from raynas.ranking.intervals import mean_interval, paired_difference
from raynas.report.folder import write_figures, write_whole
from raynas.report.reader import FolderReader
from raynas.report.sweep_tables import SETTINGS, WARM
from raynas.search.pareto import on_front
from raynas.settings.setting import column_names
from raynas.tracking.jsonl import read_jsonl

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


class SweepResult(FolderReader):
    """A sweep's folder as an object; a sweep that is not over can be read, too.

    Args:
        path: The folder.
    """

    what = "sweep"

    @property
    def sweep(self) -> SweepSettings:
        """The sweep section of the configuration."""
        assert self.config.sweep is not None
        return self.config.sweep

    @property
    def names(self) -> dict[str, str]:
        """The swept keys' short names, which are columns of `dataframe`."""
        return column_names(self.sweep.keys)

    @cached_property
    def metrics(self) -> pd.DataFrame:
        """Every report: a row a trial, seed and round; NaN where a number is not defined."""
        import pandas as pd

        rows = read_jsonl(self.folder.metrics)
        return pd.DataFrame([{key: nan if value is None else value for key, value in row.items()} for row in rows])

    @cached_property
    def settings(self) -> list[dict[str, Any]]:
        """What was tried: name, values, whether it is a control, state and steps of each setting; controls first."""
        path = self.path / SETTINGS
        if not path.exists():
            raise RunError(f"{self.path} has no {SETTINGS}: no trial of the sweep has reported yet")
        found: list[dict[str, Any]] = json.loads(path.read_text())
        return found

    @property
    def ranking(self) -> pd.DataFrame:
        """Score and truth of every ranked architecture at the end of each training that came to its end."""
        import pandas as pd

        return pd.read_parquet(self._existing(self.folder.ranking))

    @cached_property
    def _table(self) -> pd.DataFrame:
        import pandas as pd

        rows = []
        for one in self.settings:
            last = self.at(one["trial"])
            row = {"trial": one["trial"], "setting": one["setting"], "control": one["control"]}
            row |= {name: _shown(one["values"].get(key)) for key, name in self.names.items()}
            row |= {"state": one["state"], "round": int(last["round"].max()) if len(last) else 0, "seeds": len(last)}
            for measure in (*MEASURES, *COSTS):
                values = last[measure].to_numpy(np.float64) if len(last) else np.array([nan])
                mean, low, high = (float(end) for end in mean_interval(values))
                row |= {measure: mean}
                if measure in MEASURES:
                    row |= {f"{measure}_low": low, f"{measure}_high": high}
            rows.append(row)
        return pd.DataFrame(rows)

    def dataframe(self) -> pd.DataFrame:
        """Return a row a setting, best first: its values, how far it came, and means over seeds with 95 % t intervals.

        Those trained to the end come before those that were stopped, of which the ones that came further come first.
        An interval is that of one setting over its seeds; that the first row is the best of many it does not know.
        Columns:
        ``trial``, ``setting``, ``control``, the swept keys by their short names, ``state``, ``round``, ``seeds``, each
        measure (``kendall_tau``, ``kendall_tau_low``, ...), and costs of a training (images, seconds).
        """
        ended = self._table["state"] == "finished"
        found = self._table.assign(_over=~ended, _round=self._table["round"].where(~ended, 0))
        by = ["_over", "_round", self.sweep.metric]
        ordered = found.sort_values(by, ascending=[True, False, False], kind="stable", na_position="last")
        return ordered.drop(columns=["_over", "_round"]).reset_index(drop=True)

    def at(self, trial: str, number: int | None = None) -> pd.DataFrame:
        """Return a trial's rows after a round, a row a seed in order; after its last if None."""
        mine: pd.DataFrame = self.metrics
        if not len(mine):
            return mine
        mine = mine[mine["trial"] == trial]
        if number is None:
            last: pd.DataFrame = mine.sort_values("round").groupby("seed", as_index=False).tail(1)
            return last.sort_values("seed")
        mine = mine[mine["round"] == number]
        return mine.sort_values("seed")

    def best(self) -> dict[str, Any]:
        """Return the best setting trained to the end: its row of `dataframe`, and its ``values`` by dotted key.

        Controls are not among those that are searched. ``raynas.run(config, sweep=None, **best["values"])`` runs it;
        under ``pbt`` and ``pb2``, which change values while a trial trains, these are its last, and the whole history
        is in `metrics`.

        Raises:
            RunError: None was trained to the end.
        """
        table = self.dataframe()
        ended = table[(table["state"] == "finished") & ~table["control"].astype(bool)]
        ended = ended[np.isfinite(ended[self.sweep.metric])]
        if not len(ended):
            raise RunError(f"{self.path}: no setting was trained to the end")
        row: dict[str, Any] = ended.sort_values(self.sweep.metric, ascending=False, kind="stable").iloc[0].to_dict()
        return {**row, "values": next(one["values"] for one in self.settings if one["trial"] == row["trial"])}

    def pareto(self) -> pd.DataFrame:
        """Return the rows of `dataframe` that nothing trained to the end beats in all objectives, best first."""
        table = self.dataframe()
        ended = table[(table["state"] == "finished") & np.isfinite(table[self.sweep.metric])]
        first, *costs = self.sweep.objectives
        values = np.column_stack([ended[first], *(-ended[name] for name in costs)])
        front: pd.DataFrame = ended[on_front(values)].sort_values(first, ascending=False)
        return front.reset_index(drop=True)

    def compare(self, control: str) -> pd.DataFrame:
        """Return how much better each setting is than one of them, paired over seeds, best first.

        Each is compared at the last round that both have reached: at the same budget where nothing that is swept
        changes what a round is. Probabilities are of each setting by itself; the best of many is partly the luckiest.

        Args:
            control: A control's name, or a trial's.

        Returns:
            A row each: ``trial``, ``setting``, ``round``, ``pairs``, ``difference`` of the measure with its 95 % t
            interval (``low``, ``high``), and ``probability`` that it is better (see `paired_difference`).

            Nothing of settings that have no round in common with it.

        Raises:
            RunError: There is no such setting.
        """
        import pandas as pd

        names = [one["trial"] for one in self.settings]
        if control not in names:
            known = f"{nearest(control, names)} (it has: {', '.join(names)})"
            raise RunError(f"{self.path} tried no setting '{control}'{known}")
        rows = []
        for one in self.settings:
            if one["trial"] == control or not one["steps"]:
                continue
            number = self._common_round(one["trial"], control)
            if number is None:
                continue
            mine, theirs = (
                self.at(name, number).set_index("seed")[self.sweep.metric] for name in (one["trial"], control)
            )
            pairs = pd.concat([mine, theirs], axis=1, join="inner").to_numpy(np.float64)
            found = paired_difference(pairs[:, 0], pairs[:, 1])
            rows.append(
                {
                    "trial": one["trial"],
                    "setting": one["setting"],
                    "state": one["state"],
                    "round": number,
                    "pairs": found.pairs,
                    "difference": found.mean,
                    "low": found.low,
                    "high": found.high,
                    "probability": found.probability,
                }
            )
        table = pd.DataFrame(rows)
        if not len(table):
            return table
        ended = table["state"] == "finished"
        keyed = table.assign(_over=~ended, _round=table["round"].where(~ended, 0))
        ordered = keyed.sort_values(["_over", "_round", "difference"], ascending=[True, False, False], kind="stable")
        return ordered.drop(columns=["_over", "_round"]).reset_index(drop=True)

    def _common_round(self, *trials: str) -> int | None:
        """Return the last round that all of the trials reached with every seed; None where there is none."""
        common = set.intersection(*(self.rounds_of(trial) for trial in trials))
        return max(common, default=None)

    def rounds_of(self, trial: str) -> set[int]:
        """Return the rounds that a trial has a report of with every seed of the sweep."""
        mine = self.metrics[self.metrics["trial"] == trial]
        by_seed = [set(one["round"].astype(int)) for _, one in mine.groupby("seed")]
        return set.intersection(*by_seed) if len(by_seed) == len(self.sweep.seeds) else set()

    def importance(self) -> dict[str, float]:
        """Return how much each key accounts for, the most important first: shares of 1, by Optuna's fANOVA.

        Of settings that were trained to the end where these are ten or more, else of all that reported, each by its
        last measure; a key of which too little was tried has no share. Empty where it cannot be told.
        """
        from raynas.report.sweep_importance import importance

        return importance(self)

    def plot(self) -> Figure:
        """Return a figure: the measure over rounds, a line with its band a value of the first key with choices."""
        from raynas.report.sweep_figures import curves_figure

        return curves_figure(self)

    def write_report(self) -> Path:
        """Write ``report.html`` anew from the folder's tables, and return where it is."""
        from raynas.report.sweep_page import render

        write_whole(self.folder.report, render(self))
        return self.folder.report

    def write_figures(self, folder: Path) -> list[Path]:
        """Write the page's figures into a folder as SVG files, and return them."""
        from raynas.report.sweep_figures import all_figures

        return write_figures(all_figures(self), folder)

    @property
    def warm(self) -> pd.DataFrame:
        """The reports of the supernets from which all trials went on."""
        return self.metrics[self.metrics["trial"] == WARM]

    def __repr__(self) -> str:
        if not self.folder.summary.exists():
            return f"<sweep {self.path}: not finished>"
        summary = self.summary
        tried = f"{summary['trials']} settings x {len(self.sweep.seeds)} seeds"
        try:
            best = self.best()
        except RunError:
            return f"<sweep {self.path}: {tried}, none trained to the end>"
        metric = self.sweep.metric
        return f"<sweep {self.path}: {tried}, best {metric} {best[metric]:.3f} ({best['setting']})>"


def load_sweep(path: str | Path) -> SweepResult:
    """Return the sweep that lies in a folder.

    Raises:
        RunError: There is no such folder, or it is not a sweep's.
    """
    result = SweepResult(Path(path))
    if not result.folder.config.is_file():
        raise RunError(f"{path} is not a sweep's folder (it has no config.yaml)")
    if result.config.sweep is None:
        raise RunError(f"{path} is the folder of a run, not of a sweep; raynas.load reads it")
    return result


def _shown(value: Any) -> Any:
    """Return a value as a cell of a table: sections and lists as texts."""
    return json.dumps(value) if isinstance(value, dict | list) else value
