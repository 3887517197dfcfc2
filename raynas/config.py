"""The configuration of a run: what the keys are, what they may be, and how all problems are told at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import pydantic
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from yaml import YAMLError

from raynas.config_components import check_components
from raynas.config_errors import explain
from raynas.config_findings import component_mapping
from raynas.config_sections import (
    DEFAULT_METRIC,
    DEFAULT_PARTITION,
    DEFAULT_PARTITION_ROUNDS,
    DEFAULT_RANKED,
    DEFAULT_ROOT_ROUNDS,
    DEFAULT_SAMPLER,
    DEFAULT_SCHEDULER,
    DEFAULT_SEARCHER,
    DEFAULT_SHARING,
    DEFAULT_TRUTH_ARCHITECTURES,
    Metric,
)
from raynas.config_sweep import SweepSettings
from raynas.data import DATA
from raynas.errors import ConfigError, nearest
from raynas.methods import CURRICULA, PARTITIONS, REGULARIZERS, SAMPLERS, SHARINGS, MethodPlan
from raynas.registry import Registry
from raynas.search import SCHEDULERS, SCORE, SEARCHERS
from raynas.spaces import SPACES
from raynas.training.scoring import ScoreProtocol
from raynas.training.settings import OptimizerSettings
from raynas.training.standalone import StandaloneRecipe


class Section(BaseModel):
    """A part of the configuration: unknown keys are refused, nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Component(BaseModel):
    """A registered component by its name; every other key is one of the component's own options."""

    model_config = ConfigDict(extra="allow", frozen=True)

    name: str

    @property
    def options(self) -> dict[str, Any]:
        """The component's options."""
        return dict(self.model_extra or {})


def _named(registry: Registry[Any], default: str | None = None) -> BeforeValidator:
    """Read a component as `component_mapping` does."""
    return BeforeValidator(lambda value: component_mapping(value, registry, default))


_COMPONENT_KEYS = (
    "space",
    "data",
    "truth",
    "scheduler",
    "search",
    "method.sampler",
    "method.sharing",
    "method.regularizer",
    "method.curriculum",
    "method.partition",
)
"""Where a text stands for a section with that name."""
_BATCH_NORM = ("affine", "track")
"""Options of a supernet's network that networks trained alone do not take."""


class RunRecipe(StandaloneRecipe):
    """A stand-alone recipe in a run's configuration: where it names no network, `validate` puts in the run's own."""

    network: Annotated[
        dict[str, Any],
        Field(
            description="options of the space's network; null, or left out: the run's network; {}: its defaults",
            json_schema_extra={"shown default": "null"},
        ),
    ] = Field(default_factory=dict)


def _recipe(given: object) -> object:
    """Read a recipe whose network is null as one that names none."""
    if isinstance(given, dict) and given.get("network", 0) is None:
        return {key: value for key, value in given.items() if key != "network"}
    return given


class TruthTraining(Section):
    """A truth table that the run makes itself, at its start."""

    architectures: Annotated[
        int, Field(ge=2, description="distinct architectures drawn and trained; all where the space has fewer")
    ] = DEFAULT_TRUTH_ARCHITECTURES
    seeds: Annotated[int, Field(ge=1, description="trainings each; one gives no noise ceiling")] = 2
    recipe: Annotated[
        RunRecipe, BeforeValidator(_recipe), Field(description="how each is trained; {} for the defaults")
    ]


class TruthSettings(Section):
    """Which stand-alone truth rankings are measured against: a table there is, or one trained for this run."""

    name: Annotated[str | None, Field(description="a shipped table's name, or a file")] = None
    train: Annotated[TruthTraining | None, Field(description="instead of name: train a table first")] = None
    metric: Annotated[Metric, Field(description="what counts as quality")] = DEFAULT_METRIC

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.name is None) == (self.train is None):
            raise ValueError(
                "give either name (a shipped table or a file) or train (architectures, seeds, recipe: a table trained "
                "at the start of the run), and truth=null for a run without truth"
            )
        return self


class PartitionSettings(Component):
    """How the space is split into sub-supernets; the other keys are those of the choice of the split."""

    restart: Annotated[
        Literal["none", "final"],
        Field(description="final: those of the last level inherit nothing, they begin with fresh weights"),
    ] = "none"
    calibration: Annotated[
        Literal["none", "shift", "scale"],
        Field(description="scores of sub-supernets on the root's scale: by their mean, or mean and deviation"),
    ] = "none"
    calibration_architectures: Annotated[
        int, Field(ge=2, description="drawn from each part for that; their truth is not used")
    ] = 32


class MethodSettings(Section):
    """The parts of the method; each has a neutral setting, its default; all neutral is SPOS."""

    sampler: Annotated[Component, _named(SAMPLERS, DEFAULT_SAMPLER), Field(description="which paths are trained")] = (
        Component(name=DEFAULT_SAMPLER)
    )
    sharing: Annotated[Component, _named(SHARINGS, DEFAULT_SHARING), Field(description="what uses which weights")] = (
        Component(name=DEFAULT_SHARING)
    )
    regularizer: Annotated[
        Component | None, _named(REGULARIZERS), Field(description="a term beside the loss; null for none")
    ] = None
    curriculum: Annotated[
        Component | None, _named(CURRICULA), Field(description="what changes during the training; null for nothing")
    ] = None
    partition: Annotated[
        PartitionSettings | None,
        _named(PARTITIONS, DEFAULT_PARTITION),
        Field(description="null for one supernet of the whole space"),
    ] = None

    @property
    def plan(self) -> MethodPlan:
        """The parts by name, but for the partition."""
        regularizer, curriculum = self.regularizer, self.curriculum
        return MethodPlan(
            (self.sampler.name, self.sampler.options),
            (self.sharing.name, self.sharing.options),
            None if regularizer is None else (regularizer.name, regularizer.options),
            None if curriculum is None else (curriculum.name, curriculum.options),
        )


class TrainSettings(OptimizerSettings):
    """How supernets are trained. The budget is images trained, and images that the method scores at their cost."""

    round_images: Annotated[int, Field(ge=2, description="images of the budget a round")] = 9600
    heldout: Annotated[
        float | None,
        Field(ge=0, le=0.9, description="share of the training images kept for the method; null for what it asks for"),
    ] = None
    partition_round_images: Annotated[
        int | None, Field(ge=2, description="images of the budget a round of a partition; null for round_images")
    ] = None
    root_rounds: Annotated[int, Field(ge=1, description="rounds of the root supernet")] = DEFAULT_ROOT_ROUNDS
    partition_rounds: Annotated[
        int, Field(ge=1, description="rounds of all partitions together; in a tree, of those of the last level")
    ] = DEFAULT_PARTITION_ROUNDS
    level_rounds: Annotated[
        int | None,
        Field(ge=1, description="rounds of all partitions of each inner level of a tree; null for partition_rounds"),
    ] = None
    partition_lr: Annotated[float | None, Field(gt=0, description="the partitions' lr; null for the root's")] = None

    @property
    def partition_optimizer(self) -> OptimizerSettings:
        """The optimizer of the partitions: the root's, with their own learning rate where one is given."""
        return (
            self.optimizer if self.partition_lr is None else self.optimizer.model_copy(update={"lr": self.partition_lr})
        )

    def rounds_of_level(self, *, last: bool) -> int:
        """Return the rounds of all partitions of a level of the tree, the last one or an inner one."""
        return self.partition_rounds if last or self.level_rounds is None else self.level_rounds

    @property
    def optimizer(self) -> OptimizerSettings:
        """The optimizer's part."""
        return OptimizerSettings(**{key: getattr(self, key) for key in OptimizerSettings.model_fields})

    @property
    def round_steps(self) -> int:
        """Optimizer steps a round of the root (round_images / batch_size, rounded up)."""
        return -(-self.round_images // self.batch_size)

    @property
    def partition_round_steps(self) -> int:
        """Optimizer steps a round of a partition."""
        return -(-(self.partition_round_images or self.round_images) // self.batch_size)


class ScoreSettings(ScoreProtocol):
    """How architectures are scored, and on how many the ranking is measured."""

    architectures: Annotated[
        int, Field(ge=2, description="at most so many of known truth, on which each ranking is measured")
    ] = DEFAULT_RANKED
    partition_architectures: Annotated[
        int | None,
        Field(ge=2, description="those of a partition, which holds the root's that are in it; null: as many"),
    ] = None

    @property
    def protocol(self) -> ScoreProtocol:
        """The protocol's part."""
        return ScoreProtocol(**{key: getattr(self, key) for key in ScoreProtocol.model_fields})


class PoolSettings(Section):
    """The candidate pool shared by all partitions."""

    capacity: Annotated[int, Field(ge=1, description="the best kept of each protocol of scores")] = 100
    candidates: Annotated[int, Field(ge=1, description="architectures drawn for it a round and supernet")] = 32
    rescore: Annotated[
        int, Field(ge=0, description="the best entries in a supernet's space, scored anew each round")
    ] = 8


class VerifySettings(Section):
    """Stand-alone training of what the search found."""

    top: Annotated[int, Field(ge=0, description="how many of the best are trained; 0 for none")] = 5
    seeds: Annotated[int, Field(ge=1, description="trainings each")] = 4
    recipe: Annotated[
        RunRecipe | None,
        BeforeValidator(_recipe),
        Field(description="null for the one the truth was made with"),
    ] = None


def _limits(given: object) -> object:
    """Refuse limits that are no pairs in one sentence that says how they are written."""
    if not isinstance(given, dict):
        raise ValueError("limits stand under the costs' names, such as {flops_m: [null, 60]}")
    for name, limit in given.items():
        if not isinstance(limit, list | tuple) or len(limit) != 2:
            raise ValueError(f"the limits of '{name}' are the least and the most, such as [null, 60]")
    return given


class SearchSettings(Component):
    """The path search at the end, by the sub-supernets that survived or the only one; other keys are the searcher's."""

    budget: Annotated[int, Field(ge=1, description="architectures scored; short evaluations count as shares")] = 400
    seconds: Annotated[
        float | None, Field(gt=0, description="nothing more is asked for after so many; null for no limit of time")
    ] = None
    objectives: Annotated[
        list[str],
        Field(description="score, then costs to be minimised: params_m, flops_m, latency_ms, latency_ms/DEVICE, ..."),
    ] = [SCORE]
    constraints: Annotated[
        dict[str, tuple[float | None, float | None]],
        BeforeValidator(_limits),
        Field(description="by cost, the least and the most allowed: flops_m: [null, 330]"),
    ] = {}
    latency: Annotated[
        str | None, Field(description="a truth table that holds costs by device; null for the run's truth")
    ] = None
    pool: PoolSettings = PoolSettings()
    verify: VerifySettings = VerifySettings()


class RaySettings(Section):
    """Where and how wide to run."""

    address: Annotated[str, Field(description="'local', 'auto', or a cluster's address")] = "local"
    cpus: Annotated[int | None, Field(ge=1, description="CPUs of a local Ray; null for all")] = None
    cpus_per_trial: Annotated[int, Field(ge=1, description="CPUs, and torch threads, of each actor")] = 1
    gpus_per_trial: Annotated[
        float, Field(ge=0, description="GPUs of each actor; a fraction shares one; 0 computes on CPUs")
    ] = 0
    object_store_mb: Annotated[
        int | None, Field(ge=80, description="object store of a local Ray; null for twice the data, at least 200")
    ] = None


class WandbSettings(Section):
    """Weights & Biases: a mirror of metrics.jsonl."""

    mode: Annotated[
        Literal["auto", "online", "offline", "disabled"],
        Field(description="auto: WANDB_MODE if set, else online with a key and offline without"),
    ] = "auto"
    project: str = "raynas"
    entity: str | None = None


class Config(Section):
    """The whole configuration of a run."""

    space: Annotated[Component, _named(SPACES)]
    network: Annotated[dict[str, Any], Field(description="options of the space's network")] = {}
    data: Annotated[Component, _named(DATA)]
    truth: Annotated[
        TruthSettings | None,
        BeforeValidator(lambda value: {"name": value} if isinstance(value, str) else value),
        Field(description="null for a run that measures no ranking"),
    ] = None
    method: MethodSettings = MethodSettings()
    train: TrainSettings = TrainSettings()
    score: ScoreSettings = ScoreSettings()
    search: Annotated[SearchSettings, _named(SEARCHERS, DEFAULT_SEARCHER)] = SearchSettings(name=DEFAULT_SEARCHER)
    scheduler: Annotated[Component, _named(SCHEDULERS, DEFAULT_SCHEDULER)] = Component(name=DEFAULT_SCHEDULER)
    sweep: Annotated[SweepSettings | None, Field(description="what `raynas sweep` varies; null for a single run")] = (
        None
    )
    ray: RaySettings = RaySettings()
    wandb: WandbSettings = WandbSettings()
    seed: Annotated[int, Field(ge=0)] = 0
    out: Annotated[str | None, Field(description="the run folder; null for runs/<name of the config>")] = None


def load_config(source: str | Path | Mapping[str, Any], overrides: Sequence[str] = (), **keys: Any) -> Config:
    """Read and check a configuration.

    Args:
        source: A YAML file, or a mapping of the same shape.
        overrides: ``key=value`` texts with dotted keys, as on the command line.
        keys: Top-level or dotted keys with their values, applied last.

    Raises:
        ConfigError: With every problem found.
    """
    name = "the configuration" if isinstance(source, Mapping) else str(source)
    malformed = [text for text in overrides if "=" not in text]
    if malformed:
        raise ConfigError([f"'{text}' is not of the form key=value" for text in malformed], "the command line")
    if not isinstance(source, Mapping) and not Path(source).is_file():
        raise ConfigError([f"no configuration file at {source}{_similar_file(Path(source))}"], name)
    try:
        base = OmegaConf.create(dict(source)) if isinstance(source, Mapping) else OmegaConf.load(source)
        if not isinstance(base, DictConfig):
            raise ConfigError(["the file does not hold keys and values"], name)
        merged = _components_as_mappings(base)
        for text in overrides:
            merged = _components_as_mappings(_overridden(merged, text))
        for key, value in keys.items():
            OmegaConf.update(merged, key, value, merge=False)
            merged = _components_as_mappings(merged)
        plain = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, YAMLError, ValueError, OSError) as error:
        raise ConfigError([f"cannot be read: {' '.join(str(error).split())}"], name) from error
    return validate(plain, name)


def _overridden(config: DictConfig, text: str) -> DictConfig:
    """Return the configuration with one ``key=value``; may change what it is given.

    Raises:
        ConfigError: A list and a section meet below the key.
    """
    key, override = text.partition("=")[0], OmegaConf.from_dotlist([text])
    value, before = (OmegaConf.select(side, key, throw_on_resolution_failure=False) for side in (override, config))
    empty = OmegaConf.is_dict(value) and not value
    try:
        if empty or OmegaConf.is_list(value) or OmegaConf.is_list(before):  # these take the place of what was there
            OmegaConf.update(config, key, value, merge=False)
            return config
        return cast(DictConfig, OmegaConf.merge(config, override))
    except (TypeError, ConfigKeyError) as error:
        raise ConfigError(
            [f"'{text}': a list meets a section with keys in it; override that place by itself, not what is inside"],
            "the command line",
        ) from error


def _components_as_mappings(config: DictConfig) -> DictConfig:
    """Write components that are texts as ``{name: text}``, so that further keys add to them; changes the config."""
    raw = OmegaConf.to_container(config)
    for key in _COMPONENT_KEYS:
        found: Any = raw
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, str) and not found.startswith("${"):
            OmegaConf.update(config, key, {"name": found}, merge=False)
    return config


def validate(plain: Any, name: str = "the configuration") -> Config:
    """Return the configuration with every default filled in, those of the components included.

    Raises:
        ConfigError: With every problem found, in keys, values, names, components' options, and between them.
    """
    problems: list[str] = []
    config: Config | None = None
    try:
        config = Config.model_validate(plain)
    except pydantic.ValidationError as error:
        problems += explain(error, Config)
    findings = check_components(plain if isinstance(plain, dict) else {})
    problems += findings.problems
    if problems or config is None:
        raise ConfigError(problems, name)
    filled = config.model_dump()
    for key, options in findings.options.items():
        if ".recipe." in key:  # a recipe stays as it was given: what it leaves out is the network's own
            continue
        section = filled
        for part in key.split("."):
            section = section[part]
        section.update(options)
    inherited = {name: value for name, value in filled["network"].items() if name not in _BATCH_NORM}
    training = config.truth.train if config.truth is not None else None
    recipes = [
        (training.recipe if training is not None else None, ("truth", "train")),
        (config.search.verify.recipe, ("search", "verify")),
    ]
    for recipe, (section_name, part) in recipes:
        if recipe is not None and "network" not in recipe.model_fields_set:
            filled[section_name][part]["recipe"]["network"] = dict(inherited)
    landmarks = (filled["method"]["regularizer"] or {}).get("recipe")
    if isinstance(landmarks, dict) and landmarks.get("network") is None:
        landmarks["network"] = dict(inherited)
    return Config.model_validate(filled)


def _similar_file(path: Path) -> str:
    if not path.parent.is_dir():
        return f" (there is no folder {path.parent})"
    names = sorted(p.name for p in path.parent.glob("*.y*ml"))
    return f"{nearest(path.name, names)} (in {path.parent}: {', '.join(names) or 'no configuration'})"
