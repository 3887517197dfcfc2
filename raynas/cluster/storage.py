"""Is the run folder on storage that all nodes share? Found out by writing a file here and reading it there."""

from __future__ import annotations

import re
import secrets
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from raynas.config import Config
from raynas.errors import RunError
from raynas.report.folder import RunFolder, create_folder

TOKEN_FILE = ".seen-by-all-nodes"
PATIENCE = 20.0
"""Seconds that a node waits for the file: network file systems remember for a while that there was none."""
_START_PATIENCE = 120.0
"""Seconds that a node has to start a process and answer; one that does not has been taken away."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


@dataclass(frozen=True)
class Node:
    """A node of the connected Ray.

    Args:
        node_id: Ray's name for it.
        host: Its address, for messages.
    """

    node_id: str
    host: str


Reader = Callable[[Path, float], str | None]
"""Returns what a file holds on the node where it is called, after at most so many seconds; None where there is none."""


def refuse_url(out: str | None) -> None:
    """Refuse a run folder that is a URL.

    Args:
        out: As configured.

    Raises:
        RunError: It is one.
    """
    if out is not None and _URL.match(out):
        raise RunError(
            f"out={out} is a URL, and a run's files are written in place, some of them again and again: mount the "
            "storage at the same path on all nodes (EFS or NFS; gcsfuse or mount-s3 cannot append) and give that path"
        )


def refuse_private_storage(folder: Path, reader: Reader | None = None, patience: float = PATIENCE) -> None:
    """Refuse a folder that not every node of the connected Ray sees; nothing is asked where there is one node.

    Nodes that join later are not asked: they are set up as the others are.

    Args:
        folder: The run folder, which exists.
        reader: What reads the file on a node; for tests.
        patience: Seconds to wait there for the file to appear.

    Raises:
        RunError: With the nodes that do not see it.
    """
    nodes = _alive()
    if len(nodes) < 2:
        return
    token, text = folder.absolute() / TOKEN_FILE, secrets.token_hex(16)
    token.write_text(text)
    try:
        blind = [
            node for node, seen in zip(nodes, _ask(nodes, token, reader or read, patience), strict=True) if seen != text
        ]
    finally:
        token.unlink(missing_ok=True)
    if blind:
        hosts = ", ".join(dict.fromkeys(node.host for node in blind))
        raise RunError(
            f"the run folder {folder.absolute()} is not on storage that all nodes share: {len(blind)} of {len(nodes)} "
            f"nodes do not see what is written there ({hosts}); give out= on storage that all nodes mount at the same "
            "path (docs/cluster.md)"
        )


def create_shared_folder(config: Config, name: str) -> RunFolder:
    """Make the run's folder (see `create_folder`), and take it away again where not every node sees it.

    Args:
        config: The resolved configuration.
        name: What the folder is called where the configuration does not say.

    Raises:
        RunError: ``out`` exists, or is not on storage that all nodes share.
    """
    folder = create_folder(config, name)
    try:
        refuse_private_storage(folder.path)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return folder


def read(path: Path, patience: float) -> str | None:
    """Return what a file holds, as soon as there is one; None if there is none after so many seconds."""
    ends = time.monotonic() + patience
    while True:
        try:
            return path.read_text()
        except OSError:
            if time.monotonic() >= ends:
                return None
        time.sleep(0.2)


def _alive() -> list[Node]:
    import ray

    told = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    return [Node(node["NodeID"], node["NodeManagerAddress"]) for node in told]


def _ask(nodes: Sequence[Node], token: Path, reader: Reader, patience: float) -> list[str | None]:
    """Return what each node reads; the token's own text cannot be known to one that does not see the file.

    A node that is taken away meanwhile is not asked any further: it counts as one that sees it.

    Raises:
        RunError: A node that is there does not answer, or cannot run what it was sent.
    """
    import ray
    from ray.exceptions import RayError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task = ray.remote(num_cpus=0, max_retries=0)(reader)
    answers = [
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(node.node_id, soft=False)).remote(
            token, patience
        )
        for node in nodes
    ]
    ray.wait(answers, num_returns=len(answers), timeout=patience + _START_PATIENCE)
    seen: list[str | None] = []
    for node, answer in zip(nodes, answers, strict=True):
        try:
            seen.append(ray.get(answer, timeout=0))
        except RayError as error:
            if node in _alive():
                last = str(error).strip().splitlines()[-1]
                raise RunError(
                    f"node {node.host} could not be asked whether it sees {token.parent} ({last}): the same Python, "
                    "raynas and Ray must be installed on every node"
                ) from error
            seen.append(token.read_text())
    return seen
