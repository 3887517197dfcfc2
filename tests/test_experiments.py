"""Every configuration in experiments/ is one that can be run; only files that must be made first may be missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from raynas.config import load_config
from raynas.errors import ConfigError

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = sorted((ROOT / "experiments").rglob("*.yaml"))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.stem)
def test_configurations_are_valid(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    try:
        load_config(config)
    except ConfigError as error:
        missing = [problem for problem in error.problems if "data/" in problem]
        assert error.problems == missing
        assert not (ROOT / "data").exists()
        pytest.skip(f"needs experiments/prepare_data.py: {missing[0]}")


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
