"""The README's examples, taken from the README and run."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest
import torch
from torch import nn

README = Path(__file__).resolve().parents[1] / "README.md"


def example(name: str) -> str:
    """Return the block of code that follows a marker."""
    found = re.search(rf"<!-- example: {re.escape(name)} -->\n```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert found, f"the README has no example {name}"
    return found.group(1)


def test_a_model_of_ones_own_is_short() -> None:
    assert len(example("my_model.py").splitlines()) <= 25


def test_speed_in_python() -> None:
    """The example of docs/speed.md."""
    found = re.search(r"```python\n(.*?)```", (README.parent / "docs" / "speed.md").read_text(), re.DOTALL)
    assert found
    exec(compile(found.group(1), "docs/speed.md", "exec"), {})


def test_methods_in_python() -> None:
    """The example of docs/methods.md."""
    found = re.search(r"```python\n(.*?)```", (README.parent / "docs" / "methods.md").read_text(), re.DOTALL)
    assert found
    exec(compile(found.group(1), "docs/methods.md", "exec"), {})


@pytest.mark.ray
def test_a_model_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my_model.py").write_text(example("my_model.py"))
    Path("search.py").write_text(example("search my_model.py"))
    after = runpy.run_path("search.py")
    best: nn.Module = after["best"]
    assert type(best).__name__ == "Net"
    assert best.eval()(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert not [module for module in best.modules() if type(module).__module__.startswith("raynas.")]
    assert after["run"].verified["test_accuracy"].mean() > 50
