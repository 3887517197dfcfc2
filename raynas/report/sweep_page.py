"""report.html of a sweep: one self-contained page that answers what was asked, and how sure the answer is."""

from __future__ import annotations

from importlib import resources

import jinja2
import markupsafe
import numpy as np
import yaml

from raynas.report.sweep_effects import effects, keys_with_choices
from raynas.report.sweep_figures import all_figures
from raynas.report.sweep_importance import FEWEST
from raynas.report.sweep_result import SweepResult


def render(result: SweepResult) -> str:
    """Return the page of a sweep.

    Raises:
        RunError: The sweep did not come far enough to have the tables.
    """
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["number"] = _number
    environment.filters["interval"] = _interval
    template = environment.from_string((resources.files("raynas.report") / "sweep.html.j2").read_text())
    table, sweep = result.dataframe(), result.sweep
    ended = int(((table["state"] == "finished") & ~table["control"].astype(bool)).sum())
    return template.render(
        name=result.path.resolve().name,
        metric=sweep.metric,
        sweep=sweep,
        names=result.names,
        summary=result.summary,
        ended=ended,
        importance_of_all=ended < FEWEST,
        ledger=result.ledger,
        space=result.config.space.name,
        rows=table.to_dict("records"),
        best=_best(result),
        effects={result.names[key]: effects(result, key).to_dict("records") for key in keys_with_choices(result)},
        comparisons={name: result.compare(name).head(8).to_dict("records") for name in sweep.controls},
        figures={name: markupsafe.Markup(svg) for name, svg in all_figures(result).items()},
        config=yaml.safe_dump(result.config.model_dump(mode="json"), sort_keys=False),
    )


def _best(result: SweepResult) -> dict[str, object] | None:
    table = result.dataframe()
    searched = table[(table["state"] == "finished") & ~table["control"].astype(bool)]
    return None if not len(searched) else result.best()


def _number(value: float, digits: int = 3) -> str:
    return "-" if value is None or not np.isfinite(value) else f"{value:.{digits}f}"


def _interval(low: float, high: float, digits: int = 3) -> str:
    return "-" if not np.isfinite(low) else f"{low:.{digits}f} to {high:.{digits}f}"
