"""Every configuration in experiments/ is one that can be run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from raynas.config import load_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted(p for p in (ROOT / "experiments").rglob("*.yaml") if p.parent.name != "tables")


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_configurations_are_valid(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    made = yaml.safe_load(config.read_text()).get("truth")
    absent = isinstance(made, str) and made.startswith("data/") and not Path(made).exists()
    # What experiments/prepare_data.py makes need not be there for the rest to be checked.
    assert load_config(config, without_truth(config) if absent else []).space.name


@pytest.mark.parametrize("config", [path for path in CONFIGS if path.parent.name == "experiments"], ids=str)
def test_configurations_tell_their_command(config: Path) -> None:
    verb = "sweep" if "sweep" in yaml.safe_load(config.read_text()) else "run"
    assert f"raynas {verb} {config.relative_to(ROOT)}" in config.read_text().split("\nspace:")[0]


def without_truth(config: Path) -> list[str]:
    """Return what to override where a configuration's truth is not there: landmarks take another, a sweep needs one."""
    given = yaml.safe_load(config.read_text())
    if given.get("method", {}).get("regularizer"):
        return ["truth=digits201"]
    return ["truth=null", *(["sweep=null"] if "sweep" in given else [])]


def test_every_space_has_a_short_run() -> None:
    from raynas.spaces import SPACES

    short = {load_space(path) for path in CONFIGS if path.parent.name == "spaces"}
    assert short | {"nasbench301"} == set(SPACES.names())  # nasbench301 is darts by another name


def load_space(path: Path) -> str:
    """Return the space's name in a configuration, which need not be complete."""
    given = yaml.safe_load(path.read_text())["space"]
    name: str = given if isinstance(given, str) else given["name"]
    return name.partition(":")[0]
