"""report.html: one self-contained page that says what a run found and how far its ranking is to be trusted."""

from __future__ import annotations

from importlib import resources

import jinja2
import markupsafe
import yaml

from raynas.report.figures import all_figures
from raynas.report.run import Run, number


def render(run: Run) -> str:
    """Return the page of a finished run.

    Raises:
        RunError: The run did not come far enough to have the tables.
    """
    summary = run.summary
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    environment.filters["number"] = number
    template = environment.from_string((resources.files("raynas.report") / "page.html.j2").read_text())
    return template.render(
        name=run.path.resolve().name,
        summary=summary,
        best=summary["best"],
        truth=summary["truth"],
        ledger=run.ledger,
        env=run.env,
        partitions=run.partitions,
        config=yaml.safe_dump(run.config.model_dump(mode="json"), sort_keys=False),
        figures={name: markupsafe.Markup(svg) for name, svg in all_figures(run).items()},
        space=run.config.space.name,
    )
