"""Weights as safetensors (numbers only, no code), and what a network costs."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from segbench.errors import SegbenchError
from segbench.training.canvas import Size
from segbench.training.run_folder import write_atomically


def save_weights(model: nn.Module, path: Path) -> None:
    """Write a network's state, whole or not at all."""
    state = {
        name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()
    }
    write_atomically(path, save(state))


def load_weights(model: nn.Module, path: Path) -> None:
    """Read a network's state.

    Raises:
        SegbenchError: The file is missing, damaged, or of another network.
    """
    try:
        model.load_state_dict(load_file(path))
    except (OSError, SafetensorError) as error:
        raise SegbenchError(f"{path}: no readable weights ({error})") from error
    except RuntimeError as error:
        raise SegbenchError(f"{path}: weights of another network\n{error}") from error


def count_flops(model: nn.Module, canvas: Size) -> int:
    """Floating point operations of one image (a multiplication and an addition count as two)."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        model(torch.zeros(1, 3, *canvas))
    return int(counter.get_total_flops())
