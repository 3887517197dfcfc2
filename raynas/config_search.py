"""Checking a search's budget, objectives and constraints: each cost has a source, each limit can be meant."""

from __future__ import annotations

import math
from typing import Any

from raynas.config_findings import Findings
from raynas.config_sections import DEFAULT_SEARCHER, component_name, section
from raynas.errors import RaynasError
from raynas.search import SCORE, SEARCHERS
from raynas.training.costs import cost_problem
from raynas.truth import TruthTable, truth


def check_search(findings: Findings, plain: dict[str, Any]) -> None:
    """Check the search section beyond what its types say."""
    search = section(plain, "search")
    objectives, constraints = search.get("objectives", [SCORE]), search.get("constraints", {})
    table = _cost_table(findings, plain)
    if isinstance(objectives, list) and all(isinstance(name, str) for name in objectives):
        findings.problems += [f"'search.objectives': {problem}" for problem in objective_problems(objectives, table)]
        _check_searcher(findings, component_name(search, DEFAULT_SEARCHER), objectives)
    if isinstance(constraints, dict):
        findings.problems += constraint_problems(constraints, table)


def objective_problems(objectives: list[str], table: TruthTable | None) -> list[str]:
    """Return what is wrong with objectives: the score comes first, each other is a cost that can be had, none twice."""
    problems = []
    if not objectives or objectives[0] != SCORE:
        problems.append(f"the first must be '{SCORE}', which is maximised; then costs, which are minimised")
    twice = sorted({name for name in objectives if objectives.count(name) > 1})
    problems += [f"'{name}' stands in it twice" for name in twice]
    told = [cost_problem(name, table) for name in objectives if name != SCORE]
    return problems + [problem for problem in told if problem is not None]


def constraint_problems(constraints: dict[str, Any], table: TruthTable | None) -> list[str]:
    """Return what is wrong with constraints, those whose types are wrong left out."""
    problems = []
    for name, limit in constraints.items():
        key = f"'search.constraints.{name}'"
        problem = cost_problem(str(name), table)
        if problem is not None:
            problems.append(f"{key}: {problem}")
        if not isinstance(limit, list | tuple) or len(limit) != 2:
            continue  # told by the check of types
        least, most = limit
        numbers = [value for value in (least, most) if isinstance(value, int | float)]
        if least is None and most is None:
            problems.append(f"{key}: [null, null] limits nothing; leave it out")
        elif any(math.isnan(value) for value in numbers):
            problems.append(f"{key}: a limit must be a number, got {limit}")
        elif len(numbers) == 2 and least > most:
            problems.append(f"{key}: nothing is at least {least:g} and at most {most:g}")
    return problems


def _check_searcher(findings: Findings, name: str | None, objectives: list[str]) -> None:
    """Refuse several objectives for a searcher that looks at the score only."""
    if name is None or name not in SEARCHERS or len(objectives) < 2:
        return
    if not getattr(SEARCHERS.get(name), "multi_objective", False):
        several = [one for one in SEARCHERS if getattr(SEARCHERS.get(one), "multi_objective", False)]
        findings.problems.append(
            f"'search.objectives': the searcher {name} looks at the score only, got {', '.join(objectives)}; take "
            f"search.name={' or '.join(several)}, or limit the costs by search.constraints"
        )


def _cost_table(findings: Findings, plain: dict[str, Any]) -> TruthTable | None:
    """Return the table that costs by device come from: the one given, else the run's truth."""
    given = section(plain, "search").get("latency")
    if isinstance(given, str):
        return findings.attempt("search.latency", lambda: truth(given))
    name = component_name(plain.get("truth"), None)
    try:
        return None if name is None else truth(name)
    except RaynasError:  # told where the truth is checked
        return None
