"""What Ray's schema of a cluster file lets pass, and what then fails on machines that already cost."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raynas.cluster.ec2_parameters import parameter_problems

Types = Mapping[str, Mapping[str, Any]]
"""The node types of a file, by name."""

_NEEDS_A_REGION = ("aws", "gcp")
_WITH_GPUS = re.compile(r"(?:g\d\w*|p\d\w*)\.")
"""AWS instance types that have GPUs."""
_SHARED = re.compile(
    r"\b(?:mount(?:\.\w+)?\s.*(?:nfs|efs|lustre|cifs|ceph|fuse)|gcsfuse|s3fs|mount-s3|goofys|blobfuse2?|juicefs)\b|"
    r"/etc/fstab|/etc/exports",
    re.DOTALL,
)
"""A command that mounts a file system which several machines can have."""


def own_problems(plain: Mapping[str, Any], types: Types) -> Iterator[str]:
    """Yield what is wrong with a file that Ray's schema accepts.

    Args:
        plain: The file's content.
        types: Its node types.
    """
    provider = plain["provider"]
    if provider["type"] in _NEEDS_A_REGION and not provider.get("region"):
        yield "'provider.region' is missing: where the machines are; Ray would take us-west-2 on AWS without a word"
    yield from _missing_sources(_mapping(plain.get("file_mounts")))
    for name, kind in types.items():
        where = f"available_node_types.{name}"
        if provider["type"] == "aws":
            yield from parameter_problems(kind["node_config"], f"{where}.node_config")
        yield from _count_problems(kind, where, plain.get("max_workers"))
        yield from _resource_problems(kind, where, is_head=name == plain.get("head_node_type"))
    yield from _storage_problems(plain, types)


def _mapping(value: object) -> Mapping[str, Any]:
    """Return a mapping; an empty one in place of anything else, which Ray's schema objects to by itself."""
    return value if isinstance(value, Mapping) else {}


def _missing_sources(mounts: Mapping[str, Any]) -> Iterator[str]:
    for target, source in mounts.items():
        if not isinstance(source, str) or not Path(source).expanduser().exists():
            yield (
                f"'file_mounts.{target}': there is no '{source}' here (a relative path starts from the folder in which "
                f"`ray up` is called: {Path.cwd().name})"
            )


def _count_problems(kind: Mapping[str, Any], where: str, overall: object) -> Iterator[str]:
    least, most = kind.get("min_workers", 0), kind.get("max_workers")
    if least < 0 or (most is not None and most < 0):
        yield f"'{where}': min_workers and max_workers are 0 or more, got {least} and {most}"
    elif most is not None and least > most:
        yield f"'{where}': min_workers is {least} and max_workers is {most}; raise max_workers or lower min_workers"
    elif isinstance(overall, int) and least > overall:
        yield f"'{where}': min_workers is {least} and max_workers of all kinds is {overall}; raise the latter"


def _resource_problems(kind: Mapping[str, Any], where: str, *, is_head: bool) -> Iterator[str]:
    stated = _mapping(kind.get("resources"))
    if is_head:
        if stated.get("CPU") != 0:
            yield (
                f"'{where}.resources': trials could be placed on the head, which then has no rest for its own work "
                f'(resources is {dict(stated)}); set resources: {{"CPU": 0}}'
            )
        if stated.get("GPU"):
            yield f"'{where}.resources': nothing that needs a GPU runs on a head without CPUs; leave GPU out"
        return
    instance = str(kind["node_config"].get("InstanceType", ""))
    lacking = [] if "CPU" in stated else ["CPU"]
    lacking += ["GPU"] if "GPU" not in stated and _WITH_GPUS.match(instance) else []
    if lacking:
        what = f"instance type {instance}" if instance else "this kind of machine"
        yield (
            f"'{where}.resources': {' and '.join(lacking)} not stated, and what {what} has cannot be looked up "
            'offline; write resources: {"CPU": n, "GPU": n}'
        )


def _storage_problems(plain: Mapping[str, Any], types: Types) -> Iterator[str]:
    """Yield the node types none of whose commands mounts what other nodes have, too."""
    lacking = [name for name, kind in types.items() if not _SHARED.search(_all_it_does(plain, name, kind))]
    if lacking:
        yield (
            f"no shared storage: no command of {', '.join(lacking)} mounts any, and run folders (out=) must be at "
            "the same path on all nodes; mount NFS, EFS or the like in setup_commands (cluster.yaml shows how)"
        )


def _all_it_does(plain: Mapping[str, Any], name: str, kind: Mapping[str, Any]) -> str:
    """Return all commands that a node of this type runs before Ray starts on it."""
    head = name == plain.get("head_node_type")
    own = None if head else kind.get("worker_setup_commands")
    lists: list[object] = [kind.get("initialization_commands") or plain.get("initialization_commands")]
    # as Ray has it: a node type's own list stands for the general ones
    lists += (
        [own]
        if own is not None
        else [plain.get("setup_commands"), plain.get(f"{'head' if head else 'worker'}_setup_commands")]
    )
    commands = [str(command) for some in lists if isinstance(some, list) for command in some]
    return "\n".join([*commands, str(kind["node_config"].get("UserData", ""))])
