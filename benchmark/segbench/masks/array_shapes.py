"""Arrays of other shapes than a mask's: read where nothing is lost, else the call that mends them.

Axes of length one say nothing and are dropped. A one-hot array, and probabilities whose classes
come last, are refused: which axis the classes are is then for the person to say, in one call.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from segbench.masks.decoded import MaskFileError, Size

_COLOURS = 3
Number = TypeVar("Number", bound=np.generic)


def as_array(value: object) -> NDArray[np.generic]:
    """An array, a list of numbers or a tensor of any library as an array of NumPy.

    Tensors that have gradients or lie on another device are copied without them; bfloat16, which
    NumPy lacks, becomes float32 without loss.

    Raises:
        MaskFileError: It is none of these.
    """
    tensor: Any = value
    try:
        if hasattr(tensor, "detach"):
            tensor = tensor.detach().cpu()
            if str(tensor.dtype) == "torch.bfloat16":
                tensor = tensor.float()
        array = np.asarray(tensor)
    except (TypeError, ValueError, RuntimeError) as error:
        raise MaskFileError(
            "no array", f"{type(value).__name__} ({error})", hint="expected an HxW array"
        ) from error
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def mask_shape(
    array: NDArray[np.generic], expected: Size | None
) -> tuple[NDArray[np.generic], str]:
    """Numbers as HxW (or uint8 HxWx3 colours), and what to say of it; "" where nothing was done.

    Args:
        array: Integers or booleans of any shape.
        expected: The size that the mask should have, where it is known.

    Raises:
        MaskFileError: It has other axes than those; the hint is the call that mends it.
    """
    coloured = array.ndim > 2 and array.shape[-1] == _COLOURS and array.dtype == np.uint8  # noqa: PLR2004
    plain = _without_ones(array, expected, 3 if coloured else 2)
    if plain.ndim == 3:  # noqa: PLR2004
        _refuse_one_hot(plain)
        if coloured:
            return plain, _dropped(array, plain)
    if plain.ndim != 2:  # noqa: PLR2004
        raise MaskFileError(
            "wrong shape", f"{array.shape} of {array.dtype}", hint="class ids are an HxW array"
        )
    return plain, _dropped(array, plain)


def probabilities_shape(
    array: NDArray[np.floating], expected: Size | None
) -> tuple[NDArray[np.floating], str]:
    """Probabilities as HxW or CxHxW, and what to say of it; "" where nothing was done.

    Raises:
        MaskFileError: It has other axes than those, or the classes come last.
    """
    plain = _without_ones(array, expected, 3)
    if plain.ndim == 3 and plain.shape[2] == 1 and plain.shape[1:] != expected:  # noqa: PLR2004
        plain = plain[:, :, 0]  # HxWx1
    if plain.ndim not in {2, 3}:
        raise MaskFileError(
            "wrong shape", f"{array.shape}", hint="probabilities are HxW or CxHxW (classes first)"
        )
    if expected is not None and plain.shape[-2:] != expected and plain.shape[:2] == expected:
        raise MaskFileError(
            "wrong shape",
            f"{array.shape}",
            hint="the classes come first: save np.moveaxis(probabilities, -1, 0)",
        )
    return plain, _dropped(array, plain)


def _without_ones(array: NDArray[Number], expected: Size | None, n_axes: int) -> NDArray[Number]:
    """Without axes of length one until there are `n_axes`; a side of one pixel is kept."""
    if expected is not None and array.ndim > n_axes and array.size == expected[0] * expected[1]:
        sides = [n for n in expected if n > 1]
        if [n for n in array.shape if n > 1] == sides:
            return array.reshape(expected)
    while array.ndim > n_axes and 1 in array.shape:
        array = array.squeeze(array.shape.index(1))
    return array


def _dropped(array: NDArray[np.generic], plain: NDArray[np.generic]) -> str:
    if array.ndim == plain.ndim or (array.ndim == 3 and array.shape[0] == 1):  # noqa: PLR2004
        return ""  # one channel before the sides is a usual way to write HxW
    return "axes of length one dropped"


def _refuse_one_hot(array: NDArray[np.generic]) -> None:
    """Refuse arrays (three axes) of 0 and 1 in which every pixel has exactly one 1."""
    if not array.size or array.min() < 0 or array.max() > 1:  # type: ignore[operator]  numbers
        return
    for axis, name in ((0, "0"), (2, "-1")):
        if array.shape[axis] > 1 and (array.sum(axis=axis, dtype=np.int64) == 1).all():
            raise MaskFileError(
                "one-hot",
                f"{array.shape} of {array.dtype}, one 1 a pixel",
                hint=f"class ids are an HxW array: save mask.argmax(axis={name}).astype('uint8')",
            )
