"""`sweep`: many settings of a configuration, each with several seeds, as trials of Ray Tune."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune
from rich.console import Console

from raynas.cluster.configured import configured, wandb_tracker
from raynas.cluster.lock import alone_in
from raynas.cluster.resources import Resources
from raynas.cluster.session import ray_starting
from raynas.cluster.setting_schedulers import sweep_scheduler
from raynas.cluster.setting_searcher import SettingSearcher, inner_search
from raynas.cluster.setting_trial import NAME, VALUES, SettingTrial
from raynas.cluster.storage import create_shared_folder
from raynas.cluster.sweep_callback import MOST_FAILURES, SweepCallback, SweepHooks
from raynas.cluster.sweep_journal import SweepJournal
from raynas.cluster.sweep_plan import SweepPlan, plan_sweep
from raynas.cluster.warm_start import warm_states
from raynas.config import Config
from raynas.config_sweep import LIVE
from raynas.data import data
from raynas.errors import RunError
from raynas.report.folder import BEFORE, RunFolder
from raynas.report.setting_report import SettingReport
from raynas.report.sweep_result import SweepResult, load_sweep
from raynas.report.sweep_tables import SweepTables, trial_rows
from raynas.report.sweep_text import print_sweep, print_sweep_header, trial_line
from raynas.settings import Setting
from raynas.settings.setting import short, values_of
from raynas.tracking import Row
from raynas.training.ledger import Ledger, Span
from raynas.training.record import Record


def sweep(
    config: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str] = (),
    *,
    console: Console | None = None,
    **keys: Any,
) -> SweepResult:
    """Try the settings that a configuration's sweep section describes, and return what came out.

    Args:
        config: A YAML file, a mapping of the same shape, or a checked configuration.
        overrides: ``key=value`` texts with dotted keys.
        console: Where progress is printed; nowhere if None.
        keys: Keys with their values, applied last.

    Raises:
        ConfigError: The configuration or one of the settings has problems; all are told, nothing was started.
        RunError: The folder exists.
    """
    began = time.time()
    config, name = configured(config, overrides, keys, "sweep")
    console = console or Console(quiet=True)
    images = data(config.data.name, **config.data.options)
    with ray_starting(config.ray, images) as wait_for_ray:
        with console.status("looking at all settings"):
            plan = plan_sweep(config, images)
            wait_for_ray()
        folder = create_shared_folder(config, name)
        with alone_in(folder.path):
            SweepLaunch(plan, folder, console, began).go()
    done = load_sweep(folder.path)
    print_sweep(console, done)
    return done


class SweepLaunch:
    """One sweep in progress.

    Args:
        plan: What to try.
        folder: Where to keep it; what an earlier process left in it is gone on from.
        console: Where to print.
        began: When it began (seconds since the epoch).
        earlier: The reports of an earlier process of the sweep, which was killed.
    """

    def __init__(
        self,
        plan: SweepPlan,
        folder: RunFolder,
        console: Console,
        began: float,
        earlier: Sequence[Row] = (),
    ) -> None:
        self.plan, self.folder, self.console = plan, folder, console
        self.resources = Resources.of(plan.config.ray)
        self.ledger = Ledger(began=began)
        self.tables = SweepTables(folder, plan.config)
        self.wandb = wandb_tracker(plan.config, folder, trial_rows(earlier, plan.sweep.metric))

    def go(self) -> None:
        """Try all settings; whatever ends it early, what is done so far is kept."""
        import ray

        print_sweep_header(self.console, self.plan.config, self.folder, self.plan.trials)
        try:
            self.ledger.slots = self.resources.slots()
            data = ray.put(self.plan.images)
            self.ledger.add([Span("startup", self.ledger.began, time.time())])
            with self.console.status("training the supernets that all go on from"):
                warm, rows = warm_states(self.plan, self.folder.checkpoints, data, self.ledger)
            self.tables.add_warm(rows)
            self._run_trials(data, warm)
            self.finish()
        except BaseException as error:
            what = "interrupted" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed"
            again = f"`raynas resume {self.folder.path}` goes on"
            self.console.print(f"{what}; {again}", highlight=False, soft_wrap=True)
            raise
        finally:
            self.tables.close()
            self.wandb.finish({})

    def _run_trials(self, data: Any, warm: Mapping[int, Mapping[str, Any]]) -> None:
        plan, folder = self.plan, self.folder.path.absolute()
        shutil.rmtree(folder / "tune", ignore_errors=True)  # of an earlier process: the records have it all
        journal = SweepJournal(folder / "journal.jsonl")
        sweep, launched = plan.sweep, time.time()
        copies = sweep.stop is not None and sweep.stop.name in LIVE
        trainable = tune.with_parameters(
            SettingTrial,
            base=plan.config,
            data=data,
            controls={setting.name: dict(setting.values) for setting in plan.controls},
            warm=warm,
            records=folder / "trials",
            objectives=sweep.objectives,
            threads=self.resources.cpus,
            copies=copies,
        )
        tuner = tune.Tuner(
            tune.with_resources(trainable, self.resources.bundle),
            param_space=self._configs() if copies else None,
            tune_config=tune.TuneConfig(
                search_alg=None if copies else self._searcher(journal),
                scheduler=sweep_scheduler(plan, journal),
                num_samples=1 if copies else plan.trials,
                # many side by side; without a number Tune starts one process of a search at a time
                max_concurrent_trials=None if copies else plan.at_once,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(folder),
                callbacks=[SweepCallback(SweepHooks(self))],
                # what a copy begins from may be a few rounds old
                checkpoint_config=tune.CheckpointConfig(num_to_keep=8 if copies else 2, checkpoint_frequency=1),
                failure_config=tune.FailureConfig(max_failures=MOST_FAILURES),
                verbose=0,
            ),
        )
        tuner.fit()
        journal.close()
        self.ledger.close_gap("startup", launched)

    def _searcher(self, journal: SweepJournal) -> SettingSearcher:
        plan, sweep = self.plan, self.plan.sweep
        finder, inner = sweep.finder, None
        if plan.known is None:
            inner = inner_search(
                finder.name,
                sweep.ranges,
                sweep.objectives,
                seed=plan.config.seed,
                startup=finder.startup,
                folder=self.folder.path,
            )
        return SettingSearcher(
            plan.controls,
            plan.known,
            sweep.ranges,
            inner,
            lots=plan.lots,
            total=plan.trials - len(plan.controls),
            objectives=sweep.objectives,
            journal=journal,
        )

    def _configs(self) -> dict[str, Any]:
        """Return Tune's space of exactly the settings that are tried: its population schedulers take no searcher."""
        plan = self.plan
        settings = {one.name: one for one in (*plan.controls, *map(self._as_it_is, plan.known or ()))}

        def value_of(key: str) -> Any:
            def of(spec: Any) -> Any:
                return settings[spec.config[NAME]].values.get(key)

            return tune.sample_from(of)

        return {NAME: tune.grid_search(list(settings)), **{key: value_of(key) for key in plan.sweep.keys}}

    def _as_it_is(self, setting: Setting) -> Setting:
        """Return a setting with the values that it had when an earlier process was killed, where they change."""
        stop, record = self.plan.sweep.stop, Record(self.folder.path / "trials" / setting.name)
        if stop is None or stop.name not in LIVE or not record.done:
            return setting
        return Setting(setting.name, record.state()[VALUES])

    def setting(self, config: Mapping[str, Any]) -> Setting:
        """Return the setting that a trial's Tune config stands for."""
        name, sweep = str(config[NAME]), self.plan.sweep
        control = next((one for one in self.plan.controls if one.name == name), None)
        return control or Setting(name, values_of(sweep.ranges, {key: config[key] for key in sweep.keys}))

    def report(self, config: Mapping[str, Any], report: SettingReport) -> None:
        """Take in a step of a trial; one that was made again, as its process died before it was kept, once."""
        for earlier in report.before:
            self.report(config, earlier)
        setting = self.setting(config)
        if not self.tables.add(setting, report):
            return
        self.ledger.add(report.spans)
        self.ledger.slots = max(self.ledger.slots, self.resources.slots())  # an autoscaler may have added nodes
        if report.step == 1:
            self._begin_wandb(setting)
        number = max(int(row["round"]) for row in report.rows)  # seeds whose sampler ended early may be behind
        (row,) = trial_rows([{**row, "round": number} for row in report.rows], self.plan.sweep.metric)
        self.wandb.log(row)
        for seed, ranking in sorted((report.rankings or {}).items())[:1]:  # one picture a trial says enough
            self.wandb.log_ranking(setting.name, int(row["round"]), {**ranking, "seed": [seed] * len(ranking["score"])})

    def _begin_wandb(self, setting: Setting) -> None:
        sweep = self.plan.sweep
        config = self.plan.config_of(setting.values, sweep.seeds[0]).model_dump(mode="json")
        tags = ["control"] if setting.control else ["setting"]
        tags += [short(value) for value in setting.values.values() if isinstance(value, str)]
        named = {name: setting.values.get(key) for key, name in self.plan.names.items()}
        self.wandb.begin(
            setting.name,
            {**config, "setting": named, "seeds": list(sweep.seeds)},
            tags,
            name=f"{setting.name} {setting.text(self.plan.names)}" if not setting.control else setting.name,
        )

    def ended(self, name: str) -> None:
        """Print a line on a trial that is over: at its end, or stopped."""
        trial = self.tables.end(name)
        self.console.print(trial_line(trial, self.plan.sweep, self.tables.progress(self.plan.trials)),
                           highlight=False, soft_wrap=True)  # fmt: skip

    def failed(self, config: Mapping[str, Any], error: str) -> None:
        """Take in that a trial failed for good."""
        self.tables.fail(self.setting(config), error)
        self.console.print(f"{config[NAME]}: failed: {error.splitlines()[-1] if error else 'unknown'}",
                           highlight=False, soft_wrap=True)  # fmt: skip

    def finish(self) -> None:
        """Write all tables and the page.

        Raises:
            RunError: No trial could be trained.
        """
        trials = self.tables.trials
        if not any(trial.steps for trial in trials):
            errors = "; ".join(sorted({trial.error.splitlines()[-1] for trial in trials if trial.error}))
            raise RunError(
                f"no setting could be trained: {errors or 'no trial reported'} ({self.folder.path / 'tune'})"
            )
        self.tables.write()
        self.ledger.add([], trained=self.tables.images("images_trained"), scored=self.tables.images("images_scored"))
        self.ledger.save(self.folder.ledger)
        result, best = load_sweep(self.folder.path), dict[str, Any]()
        table = result.dataframe()
        with suppress(RunError):  # where nothing came to its end there is no best
            best = {f"best_{key}": value for key, value in result.best().items() if key != "values"}
        columns = {str(name): values for name, values in table.to_dict("list").items()}
        self.wandb.summarise("sweep", {}, columns, {**result.summary, **best})
        result.write_report()  # the last: with it the sweep is over
        shutil.rmtree(self.folder.path / "trials", ignore_errors=True)  # a sweep that is over does not go on
        (self.folder.path / BEFORE).unlink(missing_ok=True)
