"""A cluster file against the schema of the installed Ray; no SDK of a cloud, nothing leaves this machine."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raynas.errors import nearest


def schema_problems(plain: Mapping[str, Any]) -> list[str]:
    """Return everything that Ray itself would refuse, with the nearest name where a key is misspelt.

    Args:
        plain: The file's content.
    """
    problems = list(_violations(plain))
    if problems:
        return problems
    from ray.autoscaler._private.util import prepare_config, validate_config

    told = logging.getLogger("ray.autoscaler._private.util")
    before = told.level
    told.setLevel(logging.ERROR)  # it tells which defaults it fills in
    try:
        validate_config(prepare_config(copy.deepcopy(dict(plain))))
    except Exception as error:  # whatever Ray objects to: a provider it does not know, a head that is no node type, ...
        return [f"Ray refuses it: {getattr(error, 'message', None) or error}"]
    finally:
        told.setLevel(before)
    return []


def _violations(plain: Mapping[str, Any]) -> Iterator[str]:
    """Yield every violation of the schema; Ray's own check tells the first one only."""
    import jsonschema
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())
    for error in jsonschema.Draft7Validator(schema).iter_errors(plain):
        place = ".".join(str(step) for step in error.absolute_path)
        known = list(error.schema.get("properties", ()))
        if error.validator == "additionalProperties":
            for key in set(error.instance) - set(known):
                path = f"{place}.{key}" if place else str(key)
                yield f"'{path}': unknown key{nearest(str(key), known)} (allowed: {', '.join(sorted(known))})"
        elif error.validator == "required":
            lacking = [key for key in error.validator_value if key not in error.instance]
            yield from (f"'{place + '.' if place else ''}{key}' is missing" for key in lacking)
        else:
            yield f"'{place}': {error.message}"
