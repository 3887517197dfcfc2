"""What a sweep prints: before it begins, as trials end, and at its end."""

from __future__ import annotations

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table

from raynas.config import Config
from raynas.config_sweep import SweepSettings
from raynas.ranking.intervals import mean_interval
from raynas.report.folder import RunFolder
from raynas.report.sweep_result import SweepResult
from raynas.report.sweep_tables import Trial
from raynas.report.text import print_header
from raynas.settings.setting import short

SHOWN = 10


def print_sweep_header(console: Console, config: Config, folder: RunFolder, trials: int) -> None:
    """Print what is about to be tried."""
    print_header(console, [("sweep", str(folder.path)), *sweep_lines(config, trials)])


def sweep_lines(config: Config, trials: int) -> list[tuple[str, str]]:
    """Return a key and a text a line: what is varied, how many settings that are, how they begin and end."""
    sweep = config.sweep
    assert sweep is not None
    stop = "all to the end" if sweep.stop is None else f"stopped early by {sweep.stop.name}"
    warm = sweep.warm_start
    return [
        ("keys", ", ".join(f"{key} {short(given)}" for key, given in sweep.keys.items())),
        (
            "settings",
            f"{trials} ({sweep.finder.name}, {len(sweep.controls)} controls) x {len(sweep.seeds)} seeds, {stop}",
        ),
        ("begin", "each anew" if warm is None else f"all from one supernet a seed, trained {warm.rounds} rounds"),
        ("look for", " and ".join(sweep.objectives)),
    ]


def trial_line(trial: Trial, sweep: SweepSettings, progress: str) -> str:
    """Return one line on a trial that is over: how many are, which it was, what came out."""
    values = np.array([np.nan if row[sweep.metric] is None else row[sweep.metric] for row in trial.rows], np.float64)
    mean, low, high = (float(end) for end in mean_interval(values)) if len(values) else (np.nan,) * 3
    number = max((int(row["round"]) for row in trial.rows), default=0)
    fate = "" if trial.state == "finished" else f", {trial.state}"
    return (
        f"{progress:>9}  {trial.text}: {sweep.metric} [bold]{mean:.3f}[/] {_interval(low, high)} round {number}{fate}"
    )


def print_sweep(console: Console, result: SweepResult) -> None:
    """Print what came out: the best settings, what they are worth against the controls, where everything is."""
    table, sweep, ledger = result.dataframe(), result.sweep, result.ledger
    metric = sweep.metric
    shown = Table(box=box.SIMPLE_HEAD, title=f"{metric} over {len(sweep.seeds)} seeds", title_justify="left")
    for head in ("setting", "round", metric, "95 % interval", ""):
        shown.add_column(head, justify="left" if head in ("setting", "") else "right")
    controls = table["control"].astype(bool)
    for _, row in table[controls | (table.index < SHOWN)].iterrows():
        interval = _interval(row[f"{metric}_low"], row[f"{metric}_high"], escaped=False)
        kind = "control" if row["control"] else "" if row["state"] == "finished" else str(row["state"])
        shown.add_row(str(row["setting"]), str(row["round"]), f"{row[metric]:.3f}", interval, kind)
    console.print(shown)
    for name in sweep.controls:
        _print_comparison(console, result, name)
    shares = result.importance()
    if shares:
        _line(console, "important", ", ".join(f"{key} {100 * share:.0f} %" for key, share in shares.items()))
    images = f"{ledger['images_trained']:,} images trained, {ledger['images_scored']:,} scored"
    _line(console, "spent", f"{ledger['wall_seconds']:.0f} s, {images}")
    _line(console, "page", str(result.folder.report))


def _print_comparison(console: Console, result: SweepResult, control: str) -> None:
    found = result.compare(control)
    controls = set(result.sweep.controls)
    ended = found[(found["state"] == "finished") & ~found["trial"].isin(controls)] if len(found) else found
    if not len(ended):
        return
    row = ended.iloc[0]
    likely = f", better with probability {row['probability']:.2f} (the best of {len(ended)}: not corrected for that)"
    sure = "" if np.isnan(row["probability"]) else likely
    text = f"{row['setting']}: {row['difference']:+.3f} {_interval(row['low'], row['high'], escaped=False)}{sure}"
    _line(console, f"to {control}", text)


def _line(console: Console, head: str, text: str) -> None:
    console.print(f"[bold]{head:<10}[/]", end="")
    console.print(text, highlight=False, soft_wrap=True, markup=False)


def _interval(low: float, high: float, *, escaped: bool = True) -> str:
    if np.isnan(low):
        return ""
    text = f"[{low:.3f}, {high:.3f}]"
    return f"\\{text}" if escaped else text
