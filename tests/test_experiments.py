"""Every configuration in experiments/ is one that can be run."""

from __future__ import annotations

from pathlib import Path

import pytest

from raynas.config import load_config

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "experiments").rglob("*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_configurations_are_valid(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    if " data/" in config.read_text() and not (ROOT / "data").exists():
        pytest.skip("needs data/, which experiments/prepare_data.py makes")
    assert load_config(config).space.name


def test_every_space_has_a_short_run() -> None:
    from raynas.spaces import SPACES

    short = {load_space(path) for path in CONFIGS if path.parent.name == "spaces"}
    assert short | {"nasbench301"} == set(SPACES.names())  # nasbench301 is darts by another name


def load_space(path: Path) -> str:
    """Return the space's name in a configuration, which need not be complete."""
    import yaml

    given = yaml.safe_load(path.read_text())["space"]
    name: str = given if isinstance(given, str) else given["name"]
    return name.partition(":")[0]
