"""The C library's allocator, told to keep what is freed.

A training step or a score allocates and frees the same large buffers again and again. glibc hands each of them back to
the kernel, which must clear every page anew when it is touched next. Kept, that work is spared (the README's table says
what it is worth in scoring); the process then stays as large as it ever was.
"""

from __future__ import annotations

import ctypes
import sys

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


def keep_memory() -> bool:
    """Tell the C library to keep freed memory for this process from now on, and say whether it could be told.

    It cannot be undone in the process. Only glibc on Linux has the setting; elsewhere nothing happens.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    never_mapped = mallopt(_MMAP_MAX, 0)  # large buffers come from the heap too
    never_trimmed = mallopt(_TRIM_THRESHOLD, -1)  # and the heap's end is not given back
    return bool(never_mapped and never_trimmed)
