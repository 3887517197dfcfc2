"""The command line as a user meets it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def raynas(*words: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "raynas", *words], capture_output=True, text=True, cwd=cwd, timeout=300
    )


def test_a_bad_configuration_is_one_message_and_leaves_nothing_behind(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "experiments", tmp_path / "experiments")
    done = raynas("run", "experiments/quickstart.yaml", "train.lr=fast", "scheduler=greedi", "sead=1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "error: 3 problems in experiments/quickstart.yaml:" in done.stderr
    for words in ("'train.lr': input should be a valid number", "did you mean 'greedy'", "did you mean 'seed'"):
        assert words in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_missing_configuration(tmp_path: Path) -> None:
    done = raynas("run", "nothing.yaml", cwd=tmp_path)
    assert done.returncode == 2
    assert "no configuration file at nothing.yaml" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_existing_folder(tmp_path: Path) -> None:
    done = raynas("run", "experiments/quickstart.yaml", f"out={tmp_path}")
    assert done.returncode == 2
    assert "exists and is not overwritten" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_not_a_run_folder(tmp_path: Path) -> None:
    done = raynas("report", str(tmp_path))
    assert done.returncode == 2
    assert "is not a run folder" in done.stderr


def test_ls_lists_every_kind() -> None:
    done = raynas("ls")
    assert done.returncode == 0
    for words in ("nasbench201", "sampler: uniform", "evolution", "greedy", "digits", "digits201", "quickstart.yaml"):
        assert words in done.stdout


def test_ls_one_kind_by_pattern() -> None:
    done = raynas("ls", "searchers", "evo*")
    assert "evolution" in done.stdout
    assert "random" not in done.stdout


def test_ls_keys_lists_every_key_with_its_default() -> None:
    done = raynas("ls", "keys", "train.*")
    assert "train.partition_rounds" in done.stdout
    assert "default 20; rounds of all partitions together" in done.stdout


def test_version() -> None:
    assert raynas("--version").stdout == "raynas 0.1.0\n"


def test_ls_of_nothing_names_the_nearest() -> None:
    done = raynas("ls", "space")
    assert done.returncode == 2
    assert "did you mean 'spaces'" in done.stderr


def test_truth_without_a_plan() -> None:
    done = raynas("truth", "build", "digits21")
    assert done.returncode == 2
    assert "did you mean 'digits201'" in done.stderr


def test_truth_import_and_show(tmp_path: Path) -> None:
    cell = "|none~0|+|nor_conv_3x3~0|none~1|+|none~0|none~1|skip_connect~2|"
    (tmp_path / "mine.csv").write_text(f"architecture,test_accuracy\n{cell},90\n{cell},92\n")
    words = ("truth", "import", "csv", "mine.csv", "space=nasbench201", "dataset=cifar10", "--out", "mine.npz")
    done = raynas(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "<truth mine: 1 architectures of nasbench201" in done.stdout
    shown = raynas("truth", "show", "mine.npz", cwd=tmp_path)
    for text in ("keyed by architecture", "91 to 91%", "2 values each", "source: data", "cifar10"):
        assert text in shown.stdout
    again = raynas(*words, cwd=tmp_path)
    assert (again.returncode, again.stdout) == (2, "")
    assert "mine.npz exists" in again.stderr


def test_truth_import_explains_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("architecture,test_accuracy\nnothing,90\n")
    done = raynas("truth", "import", "csv", "mine.csv", "space=nasbench201", "dataset=cifar10", cwd=tmp_path)
    assert done.returncode == 2
    assert "mine.csv: line 2: not an architecture of nasbench201: 'nothing' is not of the form" in done.stderr
    done = raynas("truth", "import", "nasbench11", "mine.csv", cwd=tmp_path)
    assert "did you mean 'nasbench101'" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.csv"]


@pytest.mark.ray
def test_doctor() -> None:
    done = raynas("doctor")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "a local Ray starts" in done.stdout


def test_ls_keys_lists_the_searchers_options_and_shows_brackets() -> None:
    done = raynas("ls", "keys", "search.*")
    assert "search.population" in done.stdout
    assert "of evolution: default 50; Architectures a generation" in done.stdout
    assert "flops_m: [null, 330]" in done.stdout


def test_ls_of_what_matches_nothing_is_told() -> None:
    done = raynas("ls", "keys", "search.populatoin*")
    assert done.returncode == 2
    assert "no name in keys matches 'search.populatoin*', did you mean 'search.population'?" in done.stderr
