"""The W&B runs behind a tracker: begun one by one, ended side by side.

What wandb 0.31 does with a server that does not answer: ``wandb.init`` gives up after ``init_timeout``, but keeps the
run's id taken, so that it cannot go on offline; logging numbers never waits; logging a table waits 19 s; ``finish``
waits for ever unless ``finish_timeout`` is set; and the interpreter's exit waits another 12 s to deliver wandb's own
error reports, unless ``WANDB_ERROR_REPORTING`` is off. So whether there is an answer is asked before runs begin and
before tables are logged.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raynas.tracking.base import Row
from raynas.tracking.wandb_files import last_step
from raynas.tracking.wandb_ids import RunIds
from raynas.tracking.wandb_media import Columns, ranking_scatter, wandb_table

_ANSWER_SECONDS = 4
"""How long the server may take to answer before everything goes on offline."""
_UPLOAD_SECONDS = 8
"""How long online runs may upload at their end; they do so side by side."""
_TAG_LENGTH, _NAME_LENGTH = 64, 128
"""The longest that W&B takes."""


@dataclass(frozen=True)
class WandbSettings:
    """Where runs go."""

    folder: Path
    mode: str
    project: str
    entity: str | None
    group: str


@dataclass(frozen=True)
class TrialRun:
    """What a trial's run is called and how it is described."""

    label: str
    name: str
    config: Mapping[str, Any]
    tags: Sequence[str]
    kind: str = "trial"


class WandbRuns:
    """W&B runs by trial; all calls come from one thread, and may raise.

    Args:
        settings: Where they go.
        describe: Returns what a trial's run is called, when it begins.
        earlier: Reports of before, each with its numbers, of which W&B may lack some.
    """

    def __init__(
        self,
        settings: WandbSettings,
        describe: Callable[[str], TrialRun],
        earlier: Sequence[tuple[Row, Mapping[str, Any]]],
    ) -> None:
        self._settings, self._mode, self._describe = settings, settings.mode, describe
        self._ids = RunIds(settings.folder)
        self._runs: dict[str, Any] = {}
        self._last: dict[str, int] = {}
        """By trial, the last round that W&B was given."""
        self._here: dict[str, int] = {}
        """By trial, the last round that it was given by this process."""
        self._earlier: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
        for row, values in earlier:
            self._earlier.setdefault(str(row["trial"]), []).append((int(row["round"]), values))
        self.unsent = False

    def log(self, label: str, round: int, values: Mapping[str, Any]) -> None:
        """Log a report's numbers, unless W&B has been given that round."""
        run = self._run(label)
        if round > self._last.get(label, 0):
            run.log(dict(values), step=round)
            self._last[label] = self._here[label] = round

    def log_ranking(self, label: str, round: int, table: Columns) -> None:
        """Log a ranking beside its round's report, or behind what W&B has, where that came from an earlier process."""
        self._ask()
        run, picture = self._run(label), ranking_scatter(table)
        values = {"ranking": wandb_table(table), "round": round}
        if picture is not None:
            values["ranking_scatter"] = picture
        run.log(values, step=round if self._here.get(label) == round else self._last.get(label, 0) + 1)

    def summarise(self, label: str, table: Columns, summary: Mapping[str, Any]) -> None:
        """Log a table and a summary to a run of their own."""
        self._ask()
        run = self._run(label)
        run.log({"settings": wandb_table(table)})
        run.summary.update(dict(summary))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """End all runs side by side, also those of before that W&B has not whole; remember whether any was not sent."""
        for label in self._earlier:
            self._run(label)
        if "root" in self._runs:
            self._runs["root"].summary.update(dict(summary))
        self._end_all()

    def _end_all(self) -> None:
        """End all runs side by side; what they could not send in time stays in their files."""
        runs, self._runs, self._here = list(self._runs.values()), {}, {}
        problems: list[Exception] = []
        threads = [threading.Thread(target=self._end, args=(run, problems), daemon=True) for run in runs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if problems:
            raise problems[0]

    def _end(self, run: Any, problems: list[Exception]) -> None:
        try:
            run.finish()
        except TimeoutError:
            self.unsent = True
        except Exception as problem:
            problems.append(problem)

    def _run(self, label: str) -> Any:
        if label not in self._runs:
            run = self._runs[label] = self._begin(label)
            for round, values in self._lacking(label, run):
                run.log(dict(values), step=round)
                self._here[label] = round
        return self._runs[label]

    def _lacking(self, label: str, run: Any) -> list[tuple[int, Mapping[str, Any]]]:
        """Return the earlier rounds of a trial that W&B lacks; from now on, it counts as having been given them."""
        earlier = self._earlier.get(label, [])
        if not earlier:
            return []
        # a server says where a run that it knows goes on; offline, the files do
        here = last_step(self._settings.folder, run.id) if self._mode == "offline" else run.starting_step - 1
        self._last[label] = max(self._last.get(label, 0), *(round for round, _ in earlier))
        return [(round, values) for round, values in earlier if round > here]

    def _ask(self) -> None:
        """Go on offline, with the same runs, if the server does not answer any more, or does not want us."""
        # both must be set before wandb is imported; who has set them otherwise is heard
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        if self._mode != "online":
            return
        try:
            wandb.Api(api_key=os.environ.get("WANDB_API_KEY"), timeout=_ANSWER_SECONDS)
        except Exception as error:
            self._go_offline(error)

    def _go_offline(self, error: Exception) -> None:
        why = str(error).partition("\n")[0] or type(error).__name__
        print(f"W&B: no server ({why}); going on offline", file=sys.stderr)
        self._mode, self.unsent = "offline", True
        self._end_all()

    def _begin(self, label: str) -> Any:
        """Begin a trial's run; where the server cannot be reached, offline, and all later ones too."""
        self._ask()
        import wandb

        own = self._ids.id_of(label)
        try:
            run = self._init(label, own)
        except wandb.errors.Error as error:
            if self._mode != "online":
                raise
            self._go_offline(error)
            run = self._init(label, self._ids.id_of(f"{label}/offline"))  # W&B holds on to the id that it failed with
        for axis in ("round", "images_trained"):
            run.define_metric(axis)
        run.define_metric("*", step_metric="images_trained")
        return run

    def _init(self, label: str, own: str) -> Any:
        import wandb

        where, trial = self._settings, self._describe(label)
        return wandb.init(
            project=where.project,
            entity=where.entity,
            group=where.group,
            id=own,
            resume="allow",
            name=f"{where.group}/{trial.name}"[:_NAME_LENGTH],
            job_type=trial.kind,
            tags=[tag[:_TAG_LENGTH] for tag in trial.tags],
            config=dict(trial.config),
            dir=str(where.folder),
            mode=self._mode,  # type: ignore[arg-type]
            reinit="create_new",
            settings=wandb.Settings(
                console="off",
                silent=True,
                disable_git=True,
                x_disable_stats=True,
                init_timeout=2 * _ANSWER_SECONDS,
                finish_timeout=_UPLOAD_SECONDS,
                finish_timeout_raises=True,
            ),
        )
