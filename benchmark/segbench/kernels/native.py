"""The compiled kernels, called through ctypes (which releases the interpreter lock).

Arguments are what `segbench.kernels` has checked: contiguous arrays of the right types and sizes.
"""

from __future__ import annotations

import ctypes
import functools
import os
import threading
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

LIBRARY = Path(__file__).with_name("library.so")  # on every system: loaded by its path
VARIABLE = "SEGBENCH_NO_KERNELS"
INTERFACE = 4  # as in interface.c: a library of another interface must not be called

NO_ROOM, NO_MEMORY = 1, -1

_pointer, _size, _real, _int = ctypes.c_void_p, ctypes.c_int64, ctypes.c_double, ctypes.c_int
_ARGUMENTS = {
    "segbench_interface": [],
    "segbench_joint_pairs": [_pointer, _pointer, _size, _pointer, _pointer, _pointer],
    "segbench_joint_pairs_of_runs": [
        *(_pointer, _pointer, _size, _pointer, _size),
        *(_pointer, _pointer, _pointer),
    ],
    "segbench_distances": [
        *(_pointer, _pointer, _size, _size, _int, _real, _real),
        *(_pointer, _pointer, _size, _pointer, _pointer),
    ],
    "segbench_unfilter": [_pointer, _size, _pointer, _size, _size, _size, _size],
    "segbench_unpack_bits": [_pointer, _size, _pointer, _size, _size, _size, _int],
    "segbench_fill_runs": [_pointer, _pointer, _size, _pointer, _size],
    "segbench_tail_sums": [
        *(_pointer, _size, _size),
        *(_pointer, _pointer, _size, _pointer, _pointer),
    ],
}


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels, or None where there are none or the user wants none."""
    if os.environ.get(VARIABLE, "0") not in {"", "0"} or not LIBRARY.exists():
        return None
    try:
        return _load(LIBRARY)
    except (OSError, AttributeError) as error:
        warnings.warn(
            f"{LIBRARY}: {error}; NumPy stands in, more slowly. Install segbench again to compile "
            f"it, or set {VARIABLE}=1",
            RuntimeWarning,
            stacklevel=2,
        )
        return None


def _load(path: Path) -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(path))
    for name, arguments in _ARGUMENTS.items():
        function = getattr(loaded, name)
        function.argtypes = arguments
        function.restype = _size
    found = loaded.segbench_interface()
    if found != INTERFACE:
        raise OSError(f"interface {found}, expected {INTERFACE}")
    return loaded


def _loaded() -> ctypes.CDLL:
    loaded = library()
    if loaded is None:
        raise RuntimeError("segbench was installed without compiled kernels")
    return loaded


class _Scratch(threading.local):
    """What one thread's histograms need; the kernel leaves the table zero."""

    def __init__(self) -> None:
        self.table = np.zeros(1 << 16, dtype=np.int64)
        self.counted = np.empty((2, 1 << 16), dtype=np.int64)
        self.addresses = [_address(row) for row in (self.table, *self.counted)]


def joint_pairs(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> NDArray[np.int64]:
    """See `segbench.kernels.joint_pairs`."""
    n = _loaded().segbench_joint_pairs(_address(a), _address(b), a.size, *_scratch.addresses)
    return _scratch.counted[:, :n].copy()


def joint_pairs_of_runs(
    values: NDArray[np.uint8], ends: NDArray[np.uint32], b: NDArray[np.uint8]
) -> NDArray[np.int64]:
    """See `segbench.kernels.joint_pairs_of_runs`."""
    n = _loaded().segbench_joint_pairs_of_runs(
        _address(values), _address(ends), ends.size, _address(b), b.size, *_scratch.addresses
    )
    if n < 0:
        raise bad_runs(b.size)
    return _scratch.counted[:, :n].copy()


def bad_runs(size: int) -> ValueError:
    """The error for runs that are not those of a map of this many pixels."""
    return ValueError(f"the ends of the runs do not rise to {size} pixels")


def distances(
    a: NDArray[np.uint8],
    b: NDArray[np.uint8],
    spacing: tuple[float, float],
    *,
    boundary_only: bool,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """See `segbench.kernels.boundary_distances` and `point_distances`."""
    height, width = a.shape
    room = 4 * (height + width)  # enough for most; the kernel says what it takes
    counts = np.zeros(2, dtype=np.int64)
    counted = _address(counts)
    while True:
        out = np.empty((2, room))
        from_a, from_b = _address(out), _address(out) + out.strides[0]
        status = _loaded().segbench_distances(
            *(_address(a), _address(b), height, width, int(boundary_only), *spacing),
            *(from_a, from_b, room, counted, counted + counts.itemsize),
        )
        n_a, n_b = counts.tolist()
        if status != NO_ROOM:
            break
        room = max(n_a, n_b)
    _check(status)
    return out[0, :n_a].copy(), out[1, :n_b].copy()


def unfilter(
    data: NDArray[np.uint8], rows: int, row_bytes: int, pixel_bytes: int, *, in_place: bool = False
) -> NDArray[np.uint8]:
    """See `segbench.kernels.unfilter`."""
    if in_place:
        out = data[: rows * row_bytes].reshape(rows, row_bytes)
    else:
        out = np.empty((rows, row_bytes), dtype=np.uint8)
    status = _loaded().segbench_unfilter(
        _address(data), data.size, _address(out), out.size, rows, row_bytes, pixel_bytes
    )
    if status > 0:
        raise unknown_filter(int(data[(status - 1) * (row_bytes + 1)]), status - 1)
    _check(status)
    return out


def unknown_filter(filter_type: int, row: int) -> ValueError:
    """The error for a row whose filter is none of the five."""
    return ValueError(f"row {row} has filter {filter_type}, expected 0 to 4")


def unpack_bits(packed: NDArray[np.uint8], columns: int, depth: int) -> NDArray[np.uint8]:
    """See `segbench.kernels.unpack_bits`."""
    rows = packed.shape[0]
    out = np.empty((rows, columns), dtype=np.uint8)
    status = _loaded().segbench_unpack_bits(
        _address(packed), packed.size, _address(out), out.size, rows, columns, depth
    )
    _check(status)
    return out


def fill_runs(values: NDArray[np.uint8], ends: NDArray[np.uint32], size: int) -> NDArray[np.uint8]:
    """See `segbench.kernels.fill_runs`."""
    out = np.empty(size, dtype=np.uint8)
    status = _loaded().segbench_fill_runs(
        _address(values), _address(ends), ends.size, _address(out), size
    )
    if status != 0:
        raise bad_runs(size)
    return out


def tail_sums(
    weights: NDArray[np.float64],
    units: NDArray[np.int64],
    values: NDArray[np.float64],
    share: NDArray[np.float64],
) -> NDArray[np.float64]:
    """See `segbench.kernels.tail_sums`."""
    out = np.empty(len(weights))
    status = _loaded().segbench_tail_sums(
        *(_address(weights), *weights.shape, _address(units), _address(values), units.size),
        *(_address(share), _address(out)),
    )
    _check(status)
    return out


def _check(status: int) -> None:
    if status == NO_MEMORY:
        raise MemoryError
    if status != 0:
        raise ValueError(f"a kernel refused its arguments ({status})")


def _address(array: NDArray[np.generic]) -> int:
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]  an array has a buffer
    except (TypeError, ValueError):  # read-only or empty; this takes three times as long
        return array.ctypes.data


_scratch = _Scratch()
