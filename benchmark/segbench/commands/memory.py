"""How the process of the command line keeps freed memory; a caller of the library is left alone."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Let glibc keep up to 64 MiB that was freed for the next mask; elsewhere this does nothing.

    By default it gives buffers of a few hundred kilobytes back to the system as soon as they are
    freed, and the system hands each page out again, cleared, at the next mask: that took longer
    than to inflate and count it.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library, or Windows
        return
    mallopt(_M_MMAP_THRESHOLD, 32 << 20)
    mallopt(_M_TRIM_THRESHOLD, 64 << 20)
