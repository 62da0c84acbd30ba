"""Digests of decoded pixels, the same whatever compressed the file.

A sample's line is `id width height sha256(RGB bytes) sha256(class-id bytes)`; the digest of a set
of samples is the sha256 of its lines, sorted, each ended by a newline: what
`sort lines.txt | sha256sum` prints in the C locale.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray


def sha256_hex(data: bytes | memoryview) -> str:
    """The sha256 of some bytes, in lower-case hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def content_line(identifier: str, image: NDArray[np.uint8] | None, mask: NDArray[np.uint8]) -> str:
    """One sample's line: image HxWx3 uint8 RGB (None where there is none: `-`), mask HxW uint8."""
    height, width = mask.shape
    pixels = "-" if image is None else sha256_hex(np.ascontiguousarray(image).data)
    return f"{identifier} {width} {height} {pixels} {sha256_hex(np.ascontiguousarray(mask).data)}"


def mask_line(identifier: str, mask: NDArray[np.uint8]) -> str:
    """One sample's line in the pins of references: masks alone decide scores.

    Decoders of JPEG differ in the last digit, so that images are held by their files' digests.
    """
    height, width = mask.shape
    return f"{identifier} {width} {height} {sha256_hex(np.ascontiguousarray(mask).data)}"


def digest(lines: Iterable[str]) -> str:
    """The digest of a set of samples."""
    return sha256_hex("".join(f"{line}\n" for line in sorted(lines)).encode())
