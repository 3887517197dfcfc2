"""`run`: the whole of a search on Ray, from the root supernet to architectures trained to be sure."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from raynas.cluster.hooks import Hooks
from raynas.cluster.path_search import search_paths
from raynas.cluster.plan import Plan, make_plan
from raynas.cluster.pool_actor import start_pool
from raynas.cluster.session import cluster_cpus, ray_session
from raynas.cluster.standalone_tasks import train_all
from raynas.cluster.supernet_actor import start_supernet
from raynas.config import Config, load_config
from raynas.report.folder import RunFolder, create_folder, refuse_existing
from raynas.report.run import Run, load
from raynas.report.tables import RunTables, Verified
from raynas.report.text import print_header, print_summary
from raynas.search.found import Found, best_found
from raynas.tracking import Recorder
from raynas.tracking.console import ConsoleTracker
from raynas.tracking.jsonl import JsonlTracker
from raynas.tracking.wandb import WandbTracker, choose_mode
from raynas.training.checkpoint import load_state, save_state
from raynas.training.ledger import Ledger, Span
from raynas.training.standalone import StandaloneRecipe
from raynas.training.worker import RoundReport

FIRST_VERIFY_SEED = 1_000
"""Verification has seeds of its own: with those of a truth table it would only repeat the table's trainings."""


def run(
    config: str | Path | Mapping[str, Any] | Config,
    overrides: Sequence[str] = (),
    *,
    console: Console | None = None,
    **keys: Any,
) -> Run:
    """Run a search and return its run.

    Args:
        config: A YAML file, a mapping of the same shape, or a checked configuration.
        overrides: ``key=value`` texts with dotted keys.
        console: Where progress is printed; nowhere if None.
        keys: Keys with their values, applied last: ``run(config, seed=1, **{"train.lr": 0.05})``.

    Raises:
        ConfigError: The configuration has problems; all are told, nothing was started.
        RunError: The run folder exists.
    """
    began = time.time()
    name = Path(config).stem if isinstance(config, str | Path) else "run"
    source = config.model_dump(mode="json") if isinstance(config, Config) else config
    config = load_config(source, overrides, **keys)
    plan = make_plan(config)
    refuse_existing(config)
    console = console or Console(quiet=True)
    with contextlib.ExitStack() as stack:
        with console.status("starting Ray"):
            stack.enter_context(ray_session(config.ray))
        folder = create_folder(config, name)
        Launch(plan, folder, console, began).go()
    done = load(folder.path)
    print_summary(console, done)
    return done


class Launch:
    """One run in progress.

    Args:
        plan: What to do.
        folder: Where to keep it.
        console: Where to print.
        began: When the run began (seconds since the epoch).
    """

    def __init__(self, plan: Plan, folder: RunFolder, console: Console, began: float) -> None:
        self.plan, self.folder, self.console = plan, folder, console
        self.config = plan.config
        self.ledger = Ledger(began=began)
        self.tables = RunTables(folder, plan.truth, self.config.truth.metric)
        self.recorder = self._recorder()
        self.versions: dict[str, int] = {}

    def go(self) -> None:
        """Do all phases in order; whatever ends the run early, the trackers keep what they were told."""
        print_header(self.console, self._header())
        try:
            self._phases()
        except BaseException as error:
            self.recorder.finish({})
            what = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            self.console.print(
                f"{what}; what was done so far is in {self.folder.path}", highlight=False, soft_wrap=True
            )
            raise

    def _phases(self) -> None:
        import ray

        self.ledger.slots = cluster_cpus() // self.config.ray.cpus_per_trial
        self.data = ray.put(self.plan.data)
        self.pool = start_pool(self.config.search.pool.capacity, (self.folder.checkpoints / "pool.pkl").absolute())
        self.ledger.add([Span("startup", self.ledger.began, time.time())])
        parent = self.train_root()
        states = self.train_partitions(parent)
        found = search_paths(self.plan, states, self.data, self.pool.entries(), self.ledger)
        verified = self.verify(found)
        self.finish(found, verified)

    def train_root(self) -> dict[str, Any]:
        """Train the root supernet and return its weights."""
        import ray

        with self.ledger.span("startup"):
            actor = start_supernet(self.plan.root, self.data, self.config.ray.cpus_per_trial)
            ray.get(actor.ready.remote())
        for _ in range(self.config.train.root_rounds):
            self.recorder.expect(["root"])
            report = ray.get(actor.run_round.remote(self.pool))
            self.report(report)
            self.pool.commit({"root": report.entries})
        state = ray.get(actor.state_dict.remote())
        ray.kill(actor)
        save_state(state, self.folder.checkpoint("root"))
        weights: dict[str, Any] = state["trainer"]["supernet"]
        return weights

    def train_partitions(self, parent: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Train the partitions as Tune trials and return the survivors' states."""
        from raynas.cluster.partition_trials import run_partition_trials

        launched = time.time()
        kept = run_partition_trials(
            self.plan,
            self.folder,
            parent_state=parent,
            pool=self.pool,
            hooks=Hooks(
                on_turn=lambda turn: self.recorder.expect(turn.train),
                on_complete=self.pool.commit,
                on_give_up=self.recorder.give_up,
                on_report=self.report,
            ),
        )
        self.ledger.close_gap("startup", launched)
        self.survivors = kept
        return {label: load_state(self.folder.checkpoint(label)) for label in kept}

    def verify(self, found: Sequence[Found]) -> list[Verified]:
        """Train the best architectures of the search stand-alone."""
        settings = self.config.search.verify
        best = best_found(found, settings.top)
        if not best:
            return []
        seeds = tuple(range(FIRST_VERIFY_SEED, FIRST_VERIFY_SEED + settings.seeds))
        recipe = settings.recipe or StandaloneRecipe.model_validate(self.plan.truth.source["recipe"])
        verified = {}
        trained = train_all(
            self.plan.space,
            [f.architecture for f in best],
            self.plan.data,
            recipe,
            seeds,
            cpus=self.config.ray.cpus_per_trial,
        )
        for architecture, results, span in trained:
            self.ledger.add([span], standalone=sum(result.images_trained for result in results))
            verified[architecture.text] = results
        return [Verified(f, seeds, tuple(verified[f.architecture.text])) for f in best]

    def report(self, report: RoundReport) -> None:
        """Take in one round of one supernet."""
        self.ledger.add(report.spans, trained=report.images_trained, scored=report.images_scored)
        label = report.metrics["trial"]
        self.versions[label] = report.metrics["images_trained"]
        self.recorder.log(report.metrics)
        job = self.plan.root if label == "root" else self.plan.jobs[label]
        self.tables.add_ranking(report, job)

    def finish(self, found: Sequence[Found], verified: Sequence[Verified]) -> None:
        """Write everything that is known only at the end, and the page."""
        staleness = self.pool.staleness(self.versions)
        self.tables.write(self.plan.partitions, self.survivors, found, verified, self.pool.rows(), staleness)
        self.ledger.save(self.folder.ledger)
        self.recorder.finish(self.tables.summary)
        load(self.folder.path).write_report()

    def _header(self) -> list[tuple[str, str]]:
        plan, config = self.plan, self.config
        ceiling = plan.truth.ceiling
        return [
            ("run", str(self.folder.path)),
            (
                "space",
                f"{plan.space.name}, {plan.space.size:,} architectures, {len(plan.partitions)} partitions of "
                f"{', '.join(config.method.partition.decisions)}",
            ),
            (
                "data",
                f"{plan.data.name}, {len(plan.data.train):,} train / {len(plan.data.valid):,} valid / "
                f"{len(plan.data.test):,} test images",
            ),
            ("truth", f"{plan.truth.name}, {len(plan.truth):,} architectures, noise ceiling of tau {ceiling}"),
            (
                "method",
                f"{config.method.sampler.name} paths, {config.scheduler.name} scheduler, "
                f"{config.search.name} search, seed {config.seed}",
            ),
        ]

    def _recorder(self) -> Recorder:
        config = self.config
        rounds = (config.train.root_rounds, self.plan.rule.longest())
        width = max(len(label) for label in ("root", *self.plan.partitions))
        wandb = WandbTracker(
            self.folder.path,
            self.folder.path.name,
            config.model_dump(mode="json"),
            mode=choose_mode(config.wandb.mode),
            project=config.wandb.project,
            entity=config.wandb.entity,
        )
        return Recorder([JsonlTracker(self.folder.metrics)], [ConsoleTracker(self.console, rounds, width), wandb])
