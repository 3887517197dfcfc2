"""`Run`: a finished (or broken) run, read from its folder."""

from __future__ import annotations

import importlib
import json
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raynas.errors import RaynasError, RunError, nearest
from raynas.report.folder import write_figures, write_whole
from raynas.report.reader import FolderReader
from raynas.report.search_result import SUMMARY, SearchResult
from raynas.tracking.jsonl import read_jsonl

if TYPE_CHECKING:
    import pandas as pd

    from raynas.networks import Supernet
    from raynas.spaces import Space
    from raynas.truth import TruthTable


def number(value: float | None, digits: int) -> str:
    """Return a number of a summary as text; ``-`` where it is not defined."""
    return "-" if value is None else f"{value:.{digits}f}"


class Run(FolderReader):
    """A run folder as an object; nothing is read before it is asked for.

    Args:
        path: The run folder.
    """

    @property
    def space(self) -> Space:
        """The whole space searched."""
        from raynas.spaces import space

        config = self.config
        return space(config.space.name, **config.space.options)

    @property
    def metrics(self) -> pd.DataFrame:
        """Every report of every trial, one row each; NaN where a number is not defined."""
        import pandas as pd

        rows = read_jsonl(self.folder.metrics)
        return pd.DataFrame([{key: nan if value is None else value for key, value in row.items()} for row in rows])

    @property
    def ranking(self) -> pd.DataFrame:
        """Score and truth of every architecture of every report (trial, round, architecture, score, truth, ...).

        The trial ``run`` is the whole run's ranking at its end: the root's architectures, each as it was scored by the
        sub-supernet that owns it (``scorer``), calibrated if the run's scores are.
        """
        return self._table(self.folder.ranking)

    @property
    def pool(self) -> pd.DataFrame:
        """The candidate pool at the end, best first."""
        return self._table(self.folder.pool)

    @property
    def searched(self) -> pd.DataFrame:
        """Every architecture that the run's own search scored, in order; `searches` has the later ones."""
        return self._table(self.folder.search)

    @property
    def searches(self) -> dict[str, SearchResult]:
        """The searches under this run's supernets that came after it (`search`), by the names of their folders."""
        folders = sorted(path.parent for path in self.folder.searches.glob(f"*/{SUMMARY}"))
        truth = self._truth()
        return {folder.name: SearchResult(folder, truth) for folder in folders}

    def search(self, searcher: str | None = None, **keys: Any) -> SearchResult:
        """Search under this run's trained supernets, on Ray, and return what was found; the run stays as it is.

        Args:
            searcher: Its name (``raynas ls searchers``); the run's own if None.
            keys: ``budget`` (evaluations), ``seconds``, ``objectives``, ``constraints``, ``latency``, ``verify`` (how
                many of the best are trained stand-alone; none unless given), ``seed``, ``console`` (a rich console for
                progress), and the searcher's own options: the keys of the configuration's search section.

        Raises:
            ConfigError: A key is unknown or not allowed, an objective has no source, or nothing satisfies the
                constraints; nothing was started.
        """
        # Ray is known to raynas.cluster alone, which this package must not import: found by name when it is called.
        found: SearchResult = importlib.import_module("raynas.cluster.run_search").search_run(self, searcher, **keys)
        return found

    def _truth(self) -> tuple[TruthTable, str] | None:
        """Return the truth that rankings were measured by, and its metric; None for a run without, or a table lost."""
        from raynas.truth import truth

        settings = self.config.truth
        if settings is None:
            return None
        try:
            return truth(self.folder.truth if settings.name is None else settings.name), settings.metric
        except RaynasError:
            return None

    @property
    def verified(self) -> pd.DataFrame:
        """Stand-alone trainings of the best, one row an architecture and seed."""
        return self._table(self.folder.verified)

    @property
    def partitions(self) -> list[dict[str, Any]]:
        """The partitions with their rounds, budget and fate."""
        found: list[dict[str, Any]] = json.loads(self._existing(self.folder.partitions).read_text())
        return found

    @property
    def best(self) -> str | None:
        """The best architecture's string: of those trained stand-alone the one with the best validation accuracy."""
        best = self.summary["best"]
        return None if best is None else str(best["architecture"])

    def supernet(self, label: str | None = None) -> Supernet:
        """Return a supernet of the run with its trained weights: ``raynas.derive(run.supernet(), run.best)``.

        Args:
            label: ``root``, or the label of a partition; None for the supernet that scored `best`.

        Raises:
            RunError: The run kept no such supernet.
        """
        from raynas.data import data
        from raynas.methods import SHARINGS
        from raynas.training.checkpoint import load_state

        if label is None:
            label = str((self.summary["best"] or {}).get("scorer", "root"))
        config = self.config
        parts = self.partitions if self.folder.partitions.exists() else []
        labels = ["root", *(part["label"] for part in parts)]
        kept = [name for name in labels if self.folder.checkpoint(name).is_file()]
        path = self.folder.checkpoint(label)
        if not path.is_file():
            raise RunError(f"{self.path} kept no supernet '{label}'{nearest(label, kept)} (kept: {', '.join(kept)})")
        images = data(config.data.name, **config.data.options)
        sharing = SHARINGS.make(config.method.sharing.name, **config.method.sharing.options)
        network = sharing.supernet(
            self.space_of(label),
            input_shape=images.input_shape,
            classes=images.classes,
            seed=config.seed,
            **config.network,
        )
        network.load_state_dict(load_state(path)["trainer"]["supernet"])
        return network

    def write_report(self) -> Path:
        """Write ``report.html`` anew from the folder's tables, and return where it is."""
        from raynas.report.page import render

        write_whole(self.folder.report, render(self))
        return self.folder.report

    def write_figures(self, folder: Path) -> list[Path]:
        """Write the page's figures into a folder as SVG files, and return them."""
        from raynas.report.figures import all_figures

        return write_figures(all_figures(self), folder)

    def space_of(self, label: str) -> Space:
        """Return the (sub)space of a supernet of the run."""
        if label == "root":
            return self.space
        parts = {part["label"]: part for part in self.partitions}
        if label not in parts:
            raise RunError(
                f"{self.path} has no partition '{label}'{nearest(label, parts)} (it has: {', '.join(parts)})"
            )
        found = self.space.subspace(parts[label]["options"])
        for count, values in parts[label]["counted"].items():
            found = found.where(count, values)
        return found

    def _table(self, path: Path) -> pd.DataFrame:
        import pandas as pd

        return pd.read_parquet(self._existing(path))

    def __repr__(self) -> str:
        if not self.folder.summary.exists():
            return f"<run {self.path}: not finished>"
        summary = self.summary
        parts = [f"best {self.best}"]
        if summary["truth"] is not None:
            parts.append(f"root tau {number(summary['ranking']['root']['kendall_tau'], 2)}")
        if self.partitions:
            if summary["truth"] is not None:
                parts.append(f"run tau {number(summary['ranking']['run']['kendall_tau'], 2)}")
            parts.append(f"{len(self.partitions)} partitions")
        return f"<run {self.path}: {', '.join(parts)}>"


def load(path: str | Path) -> Run:
    """Return the run that lies in a folder.

    Raises:
        RunError: There is no such folder, or it is not a run's.
    """
    folder = Path(path)
    if not (folder / "config.yaml").is_file():
        others = sorted(str(p.parent) for p in folder.parent.glob("*/config.yaml")) if folder.parent.is_dir() else []
        hint = f"; runs beside it: {', '.join(others)}" if others else ""
        raise RunError(f"{folder} is not a run folder (it has no config.yaml){hint}")
    return Run(folder)
