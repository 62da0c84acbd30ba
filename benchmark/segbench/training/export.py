"""A trained network as one ONNX file that takes RGB in [0, 1] and gives probabilities."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from segbench.training.losses import probabilities
from segbench.training.models import normalise
from segbench.training.run_folder import METADATA, Exported, Run, write_atomically

OPSET = 18
INPUT, OUTPUT = "image", "probabilities"


class Whole(nn.Module):
    """A network with its normalisation before and its sigmoid or softmax behind."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """Probabilities (n, C, H, W) of RGB images in [0, 1] (n, 3, H, W)."""
        return probabilities(self.model(normalise(image)))


def export_onnx(model: nn.Module, path: Path, run: Run) -> None:
    """Write the ONNX file; the number of images in a batch is free, their size is the canvas."""
    import onnx  # noqa: PLC0415

    whole = Whole(model).eval()
    example = torch.zeros(2, 3, *run.canvas)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter's about itself
        program = torch.onnx.export(
            whole,
            (example,),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            opset_version=OPSET,
            dynamo=True,
            external_data=False,
        )
    proto = program.model_proto  # type: ignore[union-attr]  a program, as dynamo is set
    about = Exported(recipe=run.recipe.name, predict=run.recipe.predict, trained_on=run.data)
    entry = proto.metadata_props.add()
    entry.key, entry.value = METADATA, about.model_dump_json()
    onnx.checker.check_model(proto)
    write_atomically(path, proto.SerializeToString())
