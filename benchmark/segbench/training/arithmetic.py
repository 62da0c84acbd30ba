"""How a processor computes while a network runs."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

import torch


@contextlib.contextmanager
def denormals_as_zero() -> Generator[None]:
    """Take numbers under 1.2e-38 as zero, and compute as before afterwards.

    A processor handles such numbers in microcode: a U-Net whose deep activations had faded to them
    took three times as long for an image. Where the processor has no such mode this does nothing.
    """
    found = bool(torch.tensor([1e-40]).mul(1.0).eq(0).item())
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(found)
