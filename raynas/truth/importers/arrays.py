"""Reading npz files, with errors that name the file and what is wrong with it."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from raynas.errors import TruthError
from raynas.truth.files import open_npz


def read_arrays(path: Path, names: Sequence[str], what: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of these names.

    Args:
        path: An npz file without pickles.
        names: The arrays needed.
        what: What the file should be, for the message.

    Raises:
        TruthError: The file is missing or no npz file, or lacks an array.
    """
    if not path.is_file():
        raise TruthError(f"no file at {path}")
    try:
        with open_npz(path, what) as stored:
            missing = [name for name in names if name not in stored]
            if missing:
                raise TruthError(
                    f"{path} is not {what}: it has no {', '.join(missing)} (but {', '.join(stored.files)})"
                )
            return {name: stored[name] for name in names}
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise TruthError(f"{path} is not {what}: {type(error).__name__}: {error}") from error
