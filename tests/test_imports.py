"""`import raynas` is light, and imports inside the package run downward only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "raynas"

LAYERS = [
    {"errors", "streams", "callable_module"},
    {"config_errors"},
    {"registry", "settings"},
    {"spaces", "ranking"},
    {"networks", "search"},
    {"truth"},
    {"methods", "data"},
    {"training"},
    {"testing"},
    {"config_sections", "config_findings"},
    {"config_partition", "config_landmarks", "config_search", "config_sweep"},
    {"config_components"},
    {"config"},
    {"tracking"},
    {"report"},
    {"benchmark"},
    {"cluster"},
    {"catalogue", "doctor"},
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def imported(path: Path) -> set[str]:
    """Return the full names of all modules a file imports, anywhere in it."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def part(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_downward(path: Path) -> None:
    own = part(path)
    for name in imported(path):
        if name.startswith("raynas.") and name.count(".") >= 1:
            other = name.split(".")[1]
            if other in LEVEL and other != own:
                assert LEVEL[other] < LEVEL[own], f"{own} must not import {other}"


@pytest.mark.parametrize(
    ("library", "home"), [("ray", {"cluster", "doctor"}), ("wandb", {"tracking"}), ("torch", None)]
)
def test_heavy_libraries_have_one_home(library: str, home: set[str] | None) -> None:
    users = {part(path) for path in FILES if any(name.split(".")[0] == library for name in imported(path))}
    if home is None:
        assert not users & {"spaces", "ranking", "search", "truth", "tracking", "errors", "registry", "streams"}
    else:
        assert users <= home


def test_import_is_light() -> None:
    code = "import raynas, sys; print([m for m in ('torch', 'ray', 'wandb', 'pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_resolves() -> None:
    import raynas

    for name in raynas.__all__:
        assert getattr(raynas, name) is not None


def test_functions_are_not_shadowed_by_the_modules_they_are_in() -> None:
    code = (
        "import raynas, raynas.networks.derive, raynas.networks.cost, raynas.networks.latency; "
        "print([n for n in raynas.__all__ if n.islower() and n[0] != '_' and not callable(getattr(raynas, n))], "
        "raynas.derive is raynas.networks.derive.derive)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"


@pytest.mark.parametrize("first", ["raynas", "raynas.truth.importers", "raynas.truth.importers.npz_nasbench201"])
def test_callable_packages_stay_packages_in_any_order_of_imports(first: str) -> None:
    code = (
        f"import {first}; from raynas.truth import latency_files, load_hwnasbench; import raynas; "
        "print(raynas.truth.latency_files.load_hwnasbench is load_hwnasbench is raynas.truth.load_hwnasbench, "
        "raynas.data.npz.__name__, raynas.truth('digits201').name, callable(raynas.data))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True raynas.data.npz digits201 True"
