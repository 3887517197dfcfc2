"""A run of its own process that tells when its rounds began and ended.

    python -m benchmarks.recorded_run CONFIG [--first] [key=value ...]

The last line printed is a JSON object: ``rounds``, a list of {trial, round, began, ended}, and of the first of them
``first_step``; all in seconds since the epoch. With ``--first`` the run ends after its first round.
"""

from __future__ import annotations

import contextlib
import json
from typing import Annotated, Any

import typer

from raynas.cluster import launch
from raynas.training.worker import RoundReport

Round = dict[str, Any]


class Enough(Exception):
    """What was to be seen was seen."""


def record(config: str, overrides: list[str], *, first: bool) -> list[Round]:
    """Run a configuration and return its rounds, in the order in which they were reported."""
    rounds: list[Round] = []

    class Recorded(launch.Launch):
        def report(self, report: RoundReport) -> None:
            super().report(report)
            work = [span for span in report.spans if span.phase in ("train", "score")]
            rounds.append(
                {
                    "trial": report.metrics["trial"],
                    "round": report.metrics["round"],
                    "began": min(span.start for span in work),
                    "ended": max(span.end for span in work),
                    "first_step": min(span.start for span in work if span.phase == "train"),
                }
            )
            if first:
                raise Enough

    launch.Launch = Recorded  # type: ignore[misc]
    with contextlib.suppress(Enough):
        launch.run(config, overrides)
    return rounds


def main(
    config: Annotated[str, typer.Argument(help="A YAML file.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...")] = None,
    first: Annotated[bool, typer.Option("--first", help="End after the first round.")] = False,
) -> None:
    """Print when the rounds of a run were."""
    print(json.dumps({"rounds": record(config, overrides or [], first=first)}))


if __name__ == "__main__":
    typer.run(main)
