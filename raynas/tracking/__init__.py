"""Telling of a run while it goes: JSONL (the truth), console, Weights & Biases, behind one small protocol."""

from raynas.tracking.base import Recorder, Row, Tracker

__all__ = ["Recorder", "Row", "Tracker"]
