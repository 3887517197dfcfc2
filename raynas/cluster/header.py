"""What a run says of itself before it begins."""

from __future__ import annotations

from raynas.cluster.plan import Plan
from raynas.config_sections import DEFAULT_SHARING
from raynas.report.folder import RunFolder
from raynas.report.text import count
from raynas.truth import TruthTable


def header_lines(plan: Plan, folder: RunFolder) -> list[tuple[str, str]]:
    """Return a key and a text a line: where, what is searched, on what, against which truth, and how."""
    return [("run", str(folder.path)), *plan_lines(plan)]


def plan_lines(plan: Plan) -> list[tuple[str, str]]:
    """Return what of that does not depend on where it is kept."""
    images = plan.data
    sizes = f"{len(images.train):,} train / {len(images.valid):,} valid / {len(images.test):,} test images"
    return [
        ("space", f"{plan.space.name}, {count(plan.space.size)} architectures{_split_text(plan)}"),
        ("data", f"{images.name}, {sizes}"),
        ("truth", _intended_truth(plan)),
        ("method", _method_text(plan)),
    ]


def truth_text(plan: Plan, table: TruthTable, metric: str) -> str:
    """Return one line on the table that the plan's rankings are measured against."""
    text = f"{table.name}, {len(table):,} architectures, noise ceiling of tau {table.ceiling_of(metric)}"
    if plan.unranked:
        text += f"; fewer than two known, and so no tau, in {len(plan.unranked)} of {len(plan.jobs)} partitions"
    return text


def _intended_truth(plan: Plan) -> str:
    truth = plan.config.truth
    if truth is not None and plan.truth is not None:
        return truth_text(plan, plan.truth, truth.metric)
    if truth is None or truth.train is None:
        return "none, so no ranking is measured"
    training = truth.train
    seeds, epochs = (
        f"{n} {what}{'s' if n > 1 else ''}" for n, what in ((training.seeds, "seed"), (training.recipe.epochs, "epoch"))
    )
    network = ", ".join(f"{key}={value}" for key, value in training.recipe.network.items())
    return (
        f"trained first: {training.architectures:,} architectures x {seeds} x {epochs}, network "
        f"{network or 'of the default size'}, into truth.npz"
    )


def _split_text(plan: Plan) -> str:
    if plan.partition is None:
        return ""
    counts = plan.partition.most(plan.space)
    if set(counts) == {1}:
        return ", all in one partition"
    return f", {', then '.join(map(str, counts))} partitions {plan.partition.describe()}"


def _method_text(plan: Plan) -> str:
    config = plan.config
    scheduler = f"{config.scheduler.name} scheduler, " if plan.rule is not None or plan.depth else "one supernet, "
    method = config.method
    parts = [f"{method.sampler.name} paths"]
    parts += [] if method.sharing.name == DEFAULT_SHARING else [f"{method.sharing.name} sharing"]
    parts += [part.name for part in (method.regularizer, method.curriculum) if part is not None]
    return f"{', '.join(parts)}, {scheduler}{config.search.name} search, seed {config.seed}"
