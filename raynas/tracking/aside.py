"""Calls in a thread of their own: what they wait for, nobody else waits for."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable


class Aside:
    """Does calls one after another in a thread that begins with the first one and never keeps the process alive.

    Args:
        failed: Told, in that thread, of every call that raises; the calls after it are done all the same.
    """

    def __init__(self, failed: Callable[[Exception], object]) -> None:
        self._failed = failed
        self._calls: queue.SimpleQueue[Callable[[], object] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def do(self, call: Callable[[], object]) -> None:
        """Put a call behind those that wait, and return at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="raynas-aside", daemon=True)
            self._thread.start()
        self._calls.put(call)

    def close(self, seconds: float) -> bool:
        """Wait for the calls that were made; return whether all are done after at most so many seconds."""
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        self._calls.put(None)
        thread.join(seconds)
        return not thread.is_alive()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                call()
            except Exception as error:
                self._failed(error)
