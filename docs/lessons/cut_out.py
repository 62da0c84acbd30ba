"""Lesson 2: cut the object out and put it before another background.

    segbench predict RUN --dataset mads --out masks --probabilities   # people, as in the course lab
    python docs/lessons/cut_out.py --dataset mads --masks masks --out pictures

Without --masks the reference masks are used, on synthetic-lesions. The soft mask is what makes a
cut-out look right: a hard mask leaves a jagged rim of the old background.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import segbench


def cut_out(
    image: NDArray[np.uint8], alpha: NDArray[np.floating], background: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """`alpha * image + (1 - alpha) * background`: HxWx3 pictures, alpha HxW in [0, 1]."""
    share = np.clip(alpha, 0, 1)[..., np.newaxis]
    return np.rint(share * image + (1 - share) * background).astype(np.uint8)


def dusk(height: int, width: int) -> NDArray[np.uint8]:
    """A drawn evening sky, so that nobody's picture is needed."""
    down = np.linspace(0, 1, height)[:, np.newaxis, np.newaxis]
    top, bottom = np.array([30, 40, 90]), np.array([250, 170, 110])
    return np.broadcast_to((1 - down) * top + down * bottom, (height, width, 3)).astype(np.uint8)


def main() -> None:
    """Write image, mask and cut-out side by side for the first few test samples."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--dataset", default="synthetic-lesions")
    parser.add_argument("--masks", type=Path, help="probabilities (.npz) of the test split")
    parser.add_argument("--out", type=Path, default=Path("cut-outs"))
    parser.add_argument("--samples", type=int, default=4)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for sample in segbench.load(arguments.dataset, "test")[: arguments.samples]:
        if arguments.masks is None:
            alpha = (sample.mask == 1).astype(float)
        else:
            alpha = np.load(arguments.masks / f"{sample.id}.npz")["probabilities"].astype(float)
            alpha = alpha if alpha.shape == sample.mask.shape else alpha[1]  # of a softmax
        made = cut_out(sample.image, alpha, dusk(*alpha.shape))
        shown = np.repeat(np.rint(alpha * 255).astype(np.uint8)[..., np.newaxis], 3, axis=2)
        path = arguments.out / f"{sample.id}.png"
        Image.fromarray(np.concatenate([sample.image, shown, made], axis=1)).save(path)
        print(path)


if __name__ == "__main__":
    main()
