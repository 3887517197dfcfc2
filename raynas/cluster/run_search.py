"""`search_run`: a path search under the trained supernets of a finished run."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from raynas.cluster.path_search import Supernets, check_constraints, make_searcher, search_costs, search_paths
from raynas.cluster.plan import Plan, draft_plan
from raynas.cluster.resources import Resources
from raynas.cluster.session import ray_starting
from raynas.cluster.verification import verify
from raynas.config import Config, load_config
from raynas.errors import ConfigError, RunError
from raynas.methods import Line
from raynas.report.folder import numbered
from raynas.report.run import Run
from raynas.report.search_result import SEARCHED, SUMMARY, VERIFIED, SearchResult
from raynas.report.tables import Verified, found_table, verified_table
from raynas.search import SEARCHERS, Found
from raynas.spaces import Architecture
from raynas.tracking.jsonl import finite, read_jsonl
from raynas.training.checkpoint import load_state
from raynas.training.job import SupernetJob
from raynas.training.ledger import Ledger
from raynas.training.weights import Version
from raynas.truth import truth

_OTHER_NAMES = {"searcher": "search.name", "verify": "search.verify.top", "seed": "seed"}
"""Keys of a search that are not keys of the configuration's search section under the same name."""
_KEPT = ("budget", "latency", "pool", "verify")
"""What a search takes over from the run's own settings, where nothing else is said."""


def search_run(
    run: Run, searcher: str | None = None, overrides: Sequence[str] = (), *, console: Console | None = None, **keys: Any
) -> SearchResult:
    """Search under a run's trained supernets, those that survived, starting from its candidate pool.

    Args:
        run: The run, which stays as it is but for a new folder in ``searches``.
        searcher: The searcher's name; the run's own if None.
        overrides: ``key=value`` texts: see `Run.search` for the keys.
        console: Where progress is printed; nowhere if None.
        keys: The same with their values, applied last.

    Raises:
        ConfigError: The settings have problems; all are told, and nothing was started or written.
        RunError: The run is not finished, or kept no supernets.
    """
    began = time.time()
    config = search_config(run, searcher, overrides, **keys)
    console = console or Console(quiet=True)
    plan = draft_plan(config)
    check_constraints(config, config.search, plan.space, plan.data)
    supernets = trained_supernets(run, plan)
    with ray_starting(config.ray, plan.data) as wait_for_ray:
        with console.status("starting Ray"):
            wait_for_ray()
        ledger = Ledger(slots=Resources.of(config.ray).slots(), began=began)
        found, verified = _search(run, plan, supernets, ledger, console)
    folder = numbered(run.folder.searches, config.search.name)
    _write(folder, config, found, verified, ledger)
    return run.searches[folder.name]


def search_config(run: Run, searcher: str | None, overrides: Sequence[str], **keys: Any) -> Config:
    """Return the run's configuration with another search: what the search does not name is the run's own.

    Options of the run's searcher are kept if it is the same; objectives, constraints, seconds are not.

    Raises:
        ConfigError: It has problems.
        RunError: The folder is a sweep's.
    """
    if run.config.sweep is not None:
        raise RunError(
            f"{run.path} is the folder of a sweep, which keeps no weights; `raynas run CONFIG sweep=null "
            "KEY=VALUE ...` trains one of its settings, to be searched"
        )
    if bare := [text for text in overrides if "=" not in text]:
        hints = {text: f"; a searcher is named by searcher={text}" for text in bare if text in SEARCHERS}
        raise ConfigError(
            [f"'{text}' is not of the form key=value{hints.get(text, '')}" for text in bare], "the search"
        )
    plain = run.config.model_dump(mode="json")
    texts = [_in_search(*text.partition("=")) for text in overrides]
    given = {_key(key): value for key, value in keys.items()}
    named = [text.partition("=")[2] for text in texts if text.startswith("search.name=")]
    name = given.pop("search.name", None) or searcher or (named[-1] if named else plain["search"]["name"])
    own = {key: plain["search"][key] for key in _KEPT}
    own["verify"] = {**own["verify"], "top": 0}
    if name == run.config.search.name:
        own |= run.config.search.options
    plain["search"] = {**own, "name": name}
    if plain["truth"] is not None and plain["truth"]["name"] is None:  # the run trained its truth: it is there now
        plain["truth"] |= {"name": str(run.folder.truth), "train": None}
    try:
        return load_config(plain, [text for text in texts if not text.startswith("search.name=")], **given)
    except ConfigError as error:
        raise ConfigError(error.problems, "the search") from error


def _key(name: str) -> str:
    first, dot, rest = name.partition(".")
    if dot and first == "verify":
        return f"search.{name}"
    return _OTHER_NAMES.get(first, f"search.{first}") + dot + rest


def _in_search(key: str, equals: str, value: str) -> str:
    return f"{_key(key)}{equals}{value}"


def trained_supernets(run: Run, plan: Plan) -> Supernets:
    """Return a run's supernets that stand for the space at its end, with their weights.

    Raises:
        RunError: The run is not finished, or kept no supernet of one.
    """
    labels = run.summary["survivors"] or ["root"]
    jobs: dict[str, SupernetJob] = {}
    states = {}
    for label in labels:
        path = run.folder.checkpoint(label)
        if not path.is_file():
            raise RunError(f"{run.path} kept no weights of '{label}', which was to be searched ({path} is not there)")
        state = load_state(path)
        jobs[label] = plan.root_job_for(label, run.space_of(label))
        states[Version(label, state["images_trained"])] = state["trainer"]["supernet"]
    youngest_first = list(reversed(labels))

    def owner(architecture: Architecture) -> str | None:
        return next((label for label in youngest_first if architecture in jobs[label].space), None)

    reports = {row["trial"]: row for row in read_jsonl(run.folder.metrics)}
    return Supernets(jobs, states, owner, {label: Line.of(reports[label]) for label in labels})


def _search(
    run: Run, plan: Plan, supernets: Supernets, ledger: Ledger, console: Console
) -> tuple[list[Found], list[Verified]]:
    import ray

    config, settings, space = plan.config, plan.config.search, plan.space
    stored = ray.put(plan.data)
    costs = search_costs(config, settings, space, plan.data)
    initial = [space.parse(text) for text in run.pool["architecture"]] if len(run.pool) else []
    searcher = make_searcher(settings, space, costs, supernets, initial, config.seed)
    with console.status(f"searching: {settings.name}"):
        found = search_paths(config, settings, supernets, searcher, costs, data=plan.data, stored=stored, ledger=ledger)
    source = None if config.truth is None or config.truth.name is None else truth(config.truth.name)
    verified = verify(
        space,
        settings.verify,
        found,
        truth=source,
        stored=stored,
        resources=Resources.of(config.ray),
        ledger=ledger,
        console=console,
    )
    return found, verified


def _write(folder: Path, config: Config, found: Sequence[Found], verified: Sequence[Verified], ledger: Ledger) -> None:
    """Write a search's folder; its summary last, which makes it one."""
    settings = config.search
    found_table(found).to_parquet(folder / SEARCHED)
    verified_table(verified).to_parquet(folder / VERIFIED)
    summary: Mapping[str, Any] = {
        "searcher": settings.name,
        **settings.model_dump(mode="json", exclude={"name", "pool"}),
        "seed": config.seed,
        "evaluations": len(found),
        "spent": found[-1].spent if found else 0.0,
        **ledger.summary(),
    }
    (folder / SUMMARY).write_text(json.dumps(finite(dict(summary)), indent=2, allow_nan=False) + "\n")
