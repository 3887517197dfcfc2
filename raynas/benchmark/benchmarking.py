"""`benchmark`: the one entrance to benchmark mode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raynas.benchmark.laying import as_table, lay_out
from raynas.benchmark.playing import Game, play_all
from raynas.benchmark.result import BenchmarkResult
from raynas.benchmark.settings import checked_searcher, checked_settings, searcher_class
from raynas.search import SCORE
from raynas.spaces import Architecture
from raynas.truth import TruthTable


def benchmark(
    searcher: str,
    truth: str | Path | TruthTable,
    *,
    metric: str = "valid_accuracy",
    report: str = "test_accuracy",
    budget: int = 300,
    seconds: float | None = None,
    seeds: int = 100,
    objectives: Sequence[str] = (SCORE,),
    constraints: Mapping[str, tuple[float | None, float | None]] | None = None,
    initial: Sequence[Architecture | str] | None = None,
    scores: Mapping[str, float] | None = None,
    fidelities: Mapping[float, str | Path | TruthTable] | None = None,
    jobs: int | None = None,
    **options: Any,
) -> BenchmarkResult:
    """Let a searcher play on a truth table alone, over many seeds: nothing is trained, and evaluations are look-ups.

    The table's space is searched; an architecture of which something that is asked for here is not known may not be
    proposed. Searchers see what they are told and nothing else: `report` is looked up when all is over.

    Args:
        searcher: A registered name (``raynas ls searchers``).
        truth: A table, the name of a shipped one, or a file.
        metric: The table's metric that is the score (percent; a loss with its sign turned).
        report: The accuracy of the table by which regret is measured: of the best there is, less the incumbent's.
        budget: Evaluations a search, in full ones.
        seconds: A search asks for nothing after so many; None for no end by time.
        seeds: How many searches, with the seeds 0, 1, ...
        objectives: What the searcher is told: ``score``, then costs that the table has: ``flops_m``,
            ``latency_ms/pixel3``.
        constraints: By cost, the least and the most that is allowed; None for no limit: ``{"flops_m": (None, 60)}``.
        initial: What each search begins with, best first.
        scores: What is told instead of `metric`, by the architecture's text (a supernet's scores); what has none may
            not be proposed.
        fidelities: For searchers that ask for short evaluations, what these say: a table of `metric` by its share of a
            full evaluation (``{0.06: 12-epoch table}``).
        jobs: Processes; as many as there are CPUs unless given. The results do not depend on it.
        options: The searcher's own options.

    Returns:
        The searches, with regret, curves and figures.

    Raises:
        UnknownNameError: There is no such searcher, or no such table.
        TruthError: The table has no such metric or cost, or knows too little of its space.
        ConfigError: A setting or option is not allowed, or no architecture obeys the constraints.
    """
    asked = {"metric": metric, "report": report, "budget": budget, "seconds": seconds, "seeds": seeds, "jobs": jobs}
    settings = checked_settings({**asked, "objectives": tuple(objectives), "constraints": constraints})
    checked = checked_searcher(searcher, options, settings, bool(fidelities))
    table = as_table(truth)
    short = {float(share): as_table(other) for share, other in (fidelities or {}).items()}
    game = Game(
        searcher,
        searcher_class(searcher),
        checked,
        lay_out(table, settings, scores, short),
        settings.budget,
        settings.seconds,
        settings.objectives,
        [table.space.parse(str(architecture)) for architecture in initial or ()],
    )
    plays = play_all(game, range(settings.seeds), settings.jobs)
    return BenchmarkResult(searcher, checked, game.board, game.budget, game.objectives, tuple(plays))
