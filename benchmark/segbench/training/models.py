"""The networks, one literal table; every one maps (n, 3, H, W) to logits (n, C, H, W).

Inputs are RGB normalised with ImageNet's mean and deviation (`normalise`). H and W are multiples of
the recipe's `input.multiple`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from segbench.catalog.recipes import ModelTable
from segbench.errors import SegbenchError
from segbench.training.lite0 import LITE0_PACKAGE, load_lite0
from segbench.training.segnet import SegNet, SegNetLesson
from segbench.training.unet import UNet

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_DEVIATION = (0.229, 0.224, 0.225)


def make_model(table: ModelTable, *, channels: int, pretrained: bool = True) -> nn.Module:
    """Build a network.

    Args:
        table: The recipe's choice.
        channels: Output channels.
        pretrained: Load the encoder's weights (not needed where a run's are loaded after).

    Raises:
        SegbenchError: There is no such architecture, encoder, option or weights.
    """
    try:
        return MODELS[table.family](table, channels, pretrained)
    except SegbenchError:
        raise
    except Exception as error:  # whatever a constructor or a hub raises
        what = " ".join(filter(None, (table.family, table.architecture, table.encoder)))
        offline = (
            f'; weights = "{table.weights}" are downloaded from a hub: where there is none, '
            f'use weights = "{LITE0_PACKAGE}" with encoder tu-tf_efficientnet_lite0, or none'
            if isinstance(error, OSError)
            else ""
        )
        told = str(error).strip().partition("\n")[0] or type(error).__name__
        raise SegbenchError(f"model {what}: cannot be built ({told}){offline}") from error


def check_canvas(model: nn.Module, canvas: tuple[int, int], *, channels: int) -> None:
    """Run a network once on an empty canvas (H, W), without a trace in it.

    Raises:
        SegbenchError: It cannot, or gives another size or number of channels.
    """
    training = model.training
    what = f"the network at {canvas[1]}x{canvas[0]}"
    advice = "choose another [input] multiple or long_side (most networks need a multiple of 32)"
    try:
        with torch.inference_mode():
            found = tuple(model.eval()(torch.zeros(1, 3, *canvas)).shape)
    except (RuntimeError, ValueError) as error:
        told = str(error).strip().partition("\n")[0]
        raise SegbenchError(f"{what}: fails ({told}); {advice}") from error
    finally:
        model.train(training)
    if found != (1, channels, *canvas):
        raise SegbenchError(f"{what}: gives {found}, expected {(1, channels, *canvas)}; {advice}")


def normalise(images: Tensor) -> Tensor:
    """RGB in [0, 1] (n, 3, H, W), less ImageNet's mean, over its deviation."""
    mean = torch.tensor(IMAGENET_MEAN, dtype=images.dtype, device=images.device)
    deviation = torch.tensor(IMAGENET_DEVIATION, dtype=images.dtype, device=images.device)
    return (images - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)


def encoder_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of a pretrained encoder (none in our own networks)."""
    encoder = getattr(model, "encoder", None)
    return list(encoder.parameters()) if isinstance(encoder, nn.Module) else []


def _smp(table: ModelTable, channels: int, pretrained: bool) -> nn.Module:  # noqa: FBT001  a table of builders
    import segmentation_models_pytorch as smp  # noqa: PLC0415

    packaged = table.weights == LITE0_PACKAGE
    online = table.weights if pretrained and table.weights and not packaged else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about renamed encoders and missing tokens of hubs
        model = smp.create_model(
            arch=table.architecture,
            encoder_name=table.encoder,
            encoder_weights=online,
            in_channels=3,
            classes=channels,
            **table.options,
        )
    if packaged and pretrained:
        load_lite0(model.get_submodule("encoder"))
    return model


def _segnet(table: ModelTable, channels: int, _: bool) -> nn.Module:  # noqa: FBT001  as above
    return SegNet(channels, **table.options)


def _segnet_lesson(table: ModelTable, channels: int, _: bool) -> nn.Module:  # noqa: FBT001  as above
    return SegNetLesson(channels, **table.options)


def _unet(table: ModelTable, channels: int, _: bool) -> nn.Module:  # noqa: FBT001  as above
    return UNet(channels, **table.options)


MODELS: dict[str, Callable[[ModelTable, int, bool], nn.Module]] = {
    "segnet": _segnet,
    "segnet-lesson": _segnet_lesson,
    "unet": _unet,
    "smp": _smp,
}
