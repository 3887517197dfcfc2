"""`run`: the whole of a search on Ray, from the root supernet to architectures trained to be sure."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from torch import Tensor

from raynas.cluster.configured import configured, wandb_tracker
from raynas.cluster.header import header_lines
from raynas.cluster.hooks import Hooks
from raynas.cluster.landmarks import LandmarkSurvey
from raynas.cluster.lock import alone_in
from raynas.cluster.partition_tree import leaves_after, split_all, with_calibration
from raynas.cluster.path_search import Supernets, make_searcher, search_costs, search_paths
from raynas.cluster.plan import Plan, checked, draft_plan
from raynas.cluster.pool_actor import start_pool
from raynas.cluster.resources import Resources
from raynas.cluster.session import ray_starting
from raynas.cluster.storage import create_shared_folder
from raynas.cluster.supernet_actor import RootSupernet
from raynas.cluster.truth_phase import TruthPhase
from raynas.cluster.verification import verify
from raynas.config import Config
from raynas.errors import ConfigError, RunError
from raynas.methods import Line
from raynas.report.folder import BEFORE, RunFolder
from raynas.report.run import Run, load
from raynas.report.tables import RunTables, Tree, Verified
from raynas.report.text import print_header, print_line, print_summary
from raynas.search import Birth, PartitionRule, PartitionTree, PoolEntry, Searcher
from raynas.search.found import Found
from raynas.streams import stream
from raynas.tracking import Recorder, Row
from raynas.tracking.console import ConsoleTracker
from raynas.tracking.jsonl import JsonlTracker
from raynas.training.checkpoint import load_state, save_state
from raynas.training.job import SupernetJob
from raynas.training.ledger import Ledger, Span
from raynas.training.weights import Version
from raynas.training.worker import RoundReport


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
        ConfigError: The configuration has problems; all are told, nothing is left running or written.
        RunError: The run folder exists.
    """
    began = time.time()
    config, name = configured(config, overrides, keys, "run")
    console = console or Console(quiet=True)
    draft = draft_plan(config)
    with ray_starting(config.ray, draft.data) as wait_for_ray:
        with console.status("starting Ray"):
            plan = checked(draft)
            wait_for_ray()
        folder = create_shared_folder(config, name)
        with alone_in(folder.path):
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
        earlier: The reports of an earlier process of the run, which was killed.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        console: Console,
        began: float,
        earlier: Sequence[Row] = (),
    ) -> None:
        self.plan, self.folder, self.console, self.earlier = plan, folder, console, earlier
        self.config = plan.config
        self.resources = Resources.of(plan.config.ray)
        self.ledger = Ledger(began=began)
        self.recorder = self._recorder()
        self.truth = TruthPhase(plan, folder, self.resources, self.ledger, console)
        self.versions: dict[str, int] = {}
        self.rounds: dict[str, int] = {}
        self.lines: dict[str, Line] = {}
        self.splits: dict[str, Mapping[str, Any]] = {}
        self.survivors: tuple[str, ...] = ()

    def go(self) -> None:
        """Do all phases in order; whatever ends the run early, the trackers keep what they were told."""
        print_header(self.console, header_lines(self.plan, self.folder))
        try:
            self._phases()
        except BaseException as error:
            self.recorder.finish({})
            what = "interrupted" if isinstance(error, KeyboardInterrupt | SystemExit) else "failed"
            self.console.print(
                f"{what}; `raynas resume {self.folder.path}` goes on from here{self.truth.kept}",
                highlight=False,
                soft_wrap=True,
            )
            raise

    def _phases(self) -> None:
        import ray

        self.ledger.slots = self.resources.slots()
        self.data = ray.put(self.plan.data)
        self.pool = start_pool(self.config.search.pool.capacity, (self.folder.checkpoints / "pool.pkl").absolute())
        self.ledger.add([Span("startup", self.ledger.began, time.time())])
        self.plan = self.truth.go(self.data)
        self.survey = LandmarkSurvey(self.plan, self.data, self.folder, self.ledger, self.console)
        self.plan = self.survey.begin()
        self.tables = RunTables(self.folder, self.plan.truth, self.config.truth.metric if self.config.truth else None)
        root = self.train_root()
        states = {"root": root}
        for level in range(self.plan.depth):
            states = self.train_level(level, states, root["trainer"]["supernet"])
        self.survivors = tuple(states) if self.plan.partitions else ()
        found = self.search(states)
        verified = self.verify(found)
        self.finish(found, verified)

    def train_root(self) -> dict[str, Any]:
        """Train the root supernet and return its worker's state."""
        import ray

        with self.ledger.span("startup"):
            record = self.folder.record("root").absolute()
            actor = RootSupernet(self.plan.root, self.data, self.resources, record)
            problem: RunError | None = ray.get(actor.call("ready"))
        if problem is not None:
            raise problem
        coming = actor.call("run_round", 1, self.pool)
        total = self.config.train.root_rounds
        for done in range(1, total + 1):
            report = ray.get(coming)
            self.pool.commit({"root": report.entries})
            more = done < total and not report.metrics["finished"]
            landmarks = self.survey.after_round(done, actor, self.pool) if more else None
            # the actor goes on with the next round, or the state, while the trackers take in this one
            coming = actor.call("run_round", done + 1, self.pool, landmarks) if more else actor.call("state_dict")
            self.recorder.expect(["root"])
            self.report(report)
            if not more:
                self.survey.stopped(done)
                break
        self.plan = self.survey.plan
        state: dict[str, Any] = ray.get(coming)
        actor.end()
        save_state(state, self.folder.checkpoint("root"))
        return state

    def train_level(
        self, level: int, leaves: dict[str, dict[str, Any]], root: Mapping[str, Tensor]
    ) -> dict[str, dict[str, Any]]:
        """Split supernets, train their parts, and return the states of those that stand for the space from now on.

        Args:
            level: 0 for the root's parts, which the plan knows already if they do not depend on its weights.
            leaves: The states of the supernets that stand for the space.
            root: The root supernet's weights.
        """
        weights = {label: state["trainer"]["supernet"] for label, state in leaves.items()}
        if len(self.plan.levels) == level:
            splits = split_all(self.plan, weights, self.data, self.ledger)
            self.splits |= {label: split.why for label, split in splits.items() if split.why}
            self.plan = self.plan.grown({label: split.parts for label, split in splits.items()})
            for label in splits:
                parts = [part for part in self.plan.levels[-1] if self.plan.parents[part] == label]
                print_line(self.console, "split", f"{label}: {'; '.join(parts) or 'stays as it is'}")
        rule = self.plan.rule
        if rule is None:
            return leaves
        self.plan = with_calibration(self.plan, root, self.data, self.ledger)
        settings = self.config.method.partition
        fresh = settings is not None and settings.restart == "final" and level == self.plan.depth - 1
        trainers = {} if fresh else {label: state["trainer"] for label, state in leaves.items()}
        trained = self.train_partitions(rule, trainers)
        stay = leaves_after(self.plan, tuple(leaves), tuple(trained))
        return {label: trained[label] if label in trained else leaves[label] for label in stay}

    def train_partitions(
        self, rule: PartitionRule, parents: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """Train a level's partitions, which inherit from trainers' states, as Tune trials; return survivors' states.

        They come in the order of the plan, where children stand behind their parents.
        """
        from raynas.cluster.partition_trials import run_partition_trials

        launched = time.time()
        tree = PartitionTree({label: self.plan.partitions[label] for label in self.plan.levels[-1]})
        halves = stream(self.config.seed, "breed", len(self.plan.levels))
        rule.seeded(stream(self.config.seed, "scheduler", len(self.plan.levels)))
        rule.breed = lambda parent, keep: tree.breed(parent, keep, halves)

        def bear(birth: Birth, rounds_before: int) -> SupernetJob:
            part = tree.spaces.get(birth.child)  # one that was not bred is a copy
            plan = self.plan
            self.plan = plan.with_child(birth, part, rounds_before) if part else plan.with_copy(birth, rounds_before)
            return self.plan.jobs[birth.child]

        kept = run_partition_trials(
            self.plan,
            rule,
            self.folder,
            data=self.data,
            parents=parents,
            pool=self.pool,
            hooks=Hooks(
                on_turn=lambda turn: self.recorder.expect(turn.train),
                on_complete=self.pool.commit,
                on_give_up=self.recorder.give_up,
                on_report=self.report,
                on_birth=bear,
            ),
        )
        self.ledger.close_gap("startup", launched)
        return {label: load_state(self.folder.checkpoint(label)) for label in self.plan.partitions if label in kept}

    def search(self, states: Mapping[str, Mapping[str, Any]]) -> list[Found]:
        """Search under the supernets whose states these are, starting from the candidate pool."""
        plan, settings = self.plan, self.config.search
        labels = tuple(states)
        supernets = Supernets(
            plan.supernets,
            {Version(label, s["images_trained"]): s["trainer"]["supernet"] for label, s in states.items()},
            lambda architecture: plan.owner(architecture, labels),
            self.lines,
        )
        costs = search_costs(self.config, settings, plan.space, plan.data)
        initial = [entry.architecture for entry in self.pool.entries()]
        try:
            searcher = make_searcher(settings, plan.space, costs, supernets, initial, self.config.seed)
        except ConfigError as error:  # too late to refuse: the supernets are trained, and can be searched again
            print_line(self.console, "search", str(error))
            return []
        found = search_paths(
            self.config,
            settings,
            supernets,
            searcher,
            costs,
            data=plan.data,
            stored=self.data,
            ledger=self.ledger,
            kept=self.folder.records / "search.jsonl",
        )
        self.pool.commit(self._proposed(searcher, supernets))
        return found

    def _proposed(self, searcher: Searcher, supernets: Supernets) -> dict[str, list[PoolEntry]]:
        """Return what a search puts into the candidate pool, by the supernet that scored it."""
        protocol, proposed = self.config.score.protocol.name, dict[str, list[PoolEntry]]()
        for architecture, score in searcher.proposals:
            owner = str(supernets.owner(architecture))
            entry = PoolEntry(architecture, score, protocol, owner, self.versions.get(owner, 0))
            proposed.setdefault(owner, []).append(entry)
        return proposed

    def verify(self, found: Sequence[Found]) -> list[Verified]:
        """Train the best architectures of the search stand-alone."""
        return verify(
            self.plan.space,
            self.config.search.verify,
            found,
            truth=self.plan.truth,
            stored=self.data,
            resources=self.resources,
            ledger=self.ledger,
            console=self.console,
            kept=self.folder.records / "verified.jsonl",
        )

    def report(self, report: RoundReport) -> None:
        """Take in one round of one supernet; of one done again, as its process died before it was saved, the costs."""
        self.ledger.add(report.spans, trained=report.images_trained, scored=report.images_scored)
        label = report.metrics["trial"]
        if report.metrics["round"] <= self.rounds.get(label, 0):
            return
        self.rounds[label] = report.metrics["round"]
        self.versions[label] = report.metrics["images_trained"]
        self.lines[label] = Line.of(report.metrics)
        self.recorder.log(report.metrics)
        self.tables.add_ranking(report, self.plan.supernets[label])

    def finish(self, found: Sequence[Found], verified: Sequence[Verified]) -> None:
        """Write everything that is known only at the end, and the page."""
        staleness = self.pool.staleness(self.versions)
        tree = Tree(self.plan.partitions, self.plan.parents, self.survivors, self.splits, self.plan.born)
        self.tables.write(tree, found, verified, self.pool.rows(), staleness)
        self.ledger.save(self.folder.ledger)
        for ranking in self.tables.last_rankings():
            self.recorder.log_ranking(*ranking)
        self.recorder.finish(self.tables.summary)
        load(self.folder.path).write_report()
        shutil.rmtree(self.folder.records, ignore_errors=True)  # a run that is over does not go on
        (self.folder.path / BEFORE).unlink(missing_ok=True)

    def _recorder(self) -> Recorder:
        width = max(len(label) for label in ("root", *self.plan.partitions))
        wandb = wandb_tracker(self.config, self.folder, self.earlier)
        console = ConsoleTracker(self.console, lambda label: self.plan.supernets[label].own_rounds, width)
        return Recorder([JsonlTracker(self.folder.metrics)], [console, wandb])
