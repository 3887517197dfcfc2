"""Starting Ray: a local one for the laptop, or the cluster at an address; quiet either way."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from raynas.cluster.autoscaled import launchable
from raynas.cluster.resources import Resources
from raynas.config import RaySettings
from raynas.data import ImageData
from raynas.data.split import memory_bytes
from raynas.errors import RunError

_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",  # relative paths of the configuration mean the same in trials as in the driver
}
"""Read by Ray when it is imported or starts trials; a value the user has set is kept."""


_LEAST_STORE_MB = 200


@contextmanager
def ray_session(settings: RaySettings, images: ImageData | None = None) -> Iterator[None]:
    """Connect to Ray for the duration of a block, or use the connection there is; what was started here is stopped.

    Args:
        settings: Where and how wide.
        images: What its object store will hold: by default a local Ray is given room for it.

    Raises:
        RunError: There is no Ray at the address, or it is too small for a single trial.
    """
    with ray_starting(settings, images) as wait:
        wait()
        yield


@contextmanager
def ray_starting(settings: RaySettings, images: ImageData | None = None) -> Iterator[Callable[[], None]]:
    """Like `ray_session`, but the block begins at once, while Ray is started in a thread.

    However the block ends, it is left only after the start has come to its end and been undone.

    Args:
        settings: Where and how wide.
        images: What its object store will hold.

    Yields:
        Waits until Ray stands; raises what `ray_session` raises.
    """
    for key, value in _QUIET.items():
        os.environ.setdefault(key, value)
    import ray

    to_come = [] if settings.address == "local" else launchable()
    if ray.is_initialized():
        yield lambda: Resources.of(settings).check_fit(to_come)
        return

    def wait() -> None:
        start.result()
        Resources.of(settings).check_fit(to_come)

    _exit_on_sigterm()
    with ThreadPoolExecutor(1) as thread:  # Linux ends Ray's processes with the thread that started them: it lives on
        start = thread.submit(_start, settings, images)
        try:
            yield wait
        finally:
            if start.exception() is None:
                ray.shutdown()


def _start(settings: RaySettings, images: ImageData | None) -> None:
    import ray

    if settings.address == "local":
        ray.init(
            address="local",
            num_cpus=settings.cpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=(settings.object_store_mb or _store_mb(images)) * 2**20,
            namespace="raynas",
        )
    else:
        try:
            ray.init(address=settings.address, log_to_driver=False, logging_level=logging.ERROR, namespace="raynas")
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise RunError(f"cannot connect to a Ray at ray.address={settings.address}: {error}") from error


def _exit_on_sigterm() -> None:
    """Let SIGTERM end the driver as an exit does, so that what it began is closed; from a thread Ray cannot."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))


def _store_mb(images: ImageData | None) -> int:
    """Return a size for the object store: the images, and as much again for weights and results."""
    splits = (images.train, images.valid, images.test) if images is not None else ()
    return max(_LEAST_STORE_MB, -(-2 * memory_bytes(*splits) // 2**20))
