"""`SettingReport`: what a step of a sweep's trial gave, as its process tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from raynas.training.ledger import Span


@dataclass(frozen=True)
class SettingReport:
    """What a step of a trial gave.

    Args:
        name: The setting's name.
        step: The step, from 1.
        rows: The metrics, a row a seed that made the step: lines of metrics.jsonl.
        told: What schedulers and searchers are told: means over all seeds.
        spans: When the process worked.
        finished: Whether the trial has come to its end.
        again: Whether the step was made before: by an earlier process.
        spent: The images that the trial has taken to here with all its seeds, trained and scored, without what it went
            on from. Of a trial that went on as a copy, these are its own before and after.
        before: Steps that an earlier process made and that are told again with this one.
        rankings: At the end, each seed's ranking (architecture, score, truth, scorer).
    """

    name: str
    step: int
    rows: list[dict[str, Any]]
    told: dict[str, float]
    spans: list[Span]
    finished: bool
    again: bool
    spent: dict[str, int]
    rankings: dict[int, dict[str, list[Any]]] | None = None
    before: tuple[SettingReport, ...] = ()
