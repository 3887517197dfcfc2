"""Tables and pictures for W&B."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

Columns = Mapping[str, Sequence[Any]]
"""A table by columns of equal length."""


def wandb_table(columns: Columns) -> Any:
    """Return columns as a table of W&B; numbers that are not finite become empty cells."""
    import wandb

    rows = zip(*([_cell(value) for value in values] for values in columns.values()), strict=True)
    return wandb.Table(columns=list(columns), data=[list(row) for row in rows])


def ranking_scatter(columns: Columns) -> Any:
    """Return a picture of score against truth, for W&B; None where fewer than two architectures have both."""
    if not {"score", "truth"} <= set(columns):
        return None
    pairs = [(_cell(t), _cell(s)) for t, s in zip(columns["truth"], columns["score"], strict=True)]
    known = [(t, s) for t, s in pairs if isinstance(t, int | float) and isinstance(s, int | float)]
    if len(known) < 2:
        return None
    import wandb
    from matplotlib.figure import Figure
    from PIL import Image

    figure = Figure(figsize=(4.5, 4.0), layout="constrained")
    axes = figure.add_subplot(xlabel="truth", ylabel="score", title=f"{len(known)} architectures")
    axes.scatter([t for t, _ in known], [s for _, s in known], s=9, alpha=0.6, linewidths=0)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return wandb.Image(Image.open(buffer))


def _cell(value: Any) -> Any:
    """Return a value of Python's own for one of numpy's, and None for a number that is not finite."""
    value = value.item() if hasattr(value, "item") else value
    return None if isinstance(value, float) and not math.isfinite(value) else value
