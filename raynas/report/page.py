"""report.html: one self-contained page that says what a run found and how far its ranking is to be trusted."""

from __future__ import annotations

from importlib import resources
from typing import Any

import jinja2
import yaml

from raynas.report import figures
from raynas.report.run import Run


def render(run: Run) -> str:
    """Return the page of a finished run.

    Raises:
        RunError: The run did not come far enough to have the tables.
    """
    summary, metrics = run.summary, run.metrics
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = environment.from_string((resources.files("raynas.report") / "page.html.j2").read_text())
    return template.render(
        name=run.path.resolve().name,
        summary=summary,
        best=summary["best"],
        ledger=run.ledger,
        env=run.env,
        partitions=run.partitions,
        config=yaml.safe_dump(run.config.model_dump(mode="json"), sort_keys=False),
        scatter=_safe(figures.scatter(run.ranking, metrics, summary["truth"]["metric"])),
        tau=_safe(figures.tau_over_rounds(metrics, summary["truth"]["ceiling"])),
        budget=_safe(figures.budget(run.partitions, metrics)),
        search=_safe(figures.best_so_far(run.search)),
        space=run.config.space.name,
    )


def _safe(svg: str) -> Any:
    """Mark our own figure as markup."""
    import markupsafe

    return markupsafe.Markup(svg)
