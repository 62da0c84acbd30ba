"""The two kinds of network that predict: a run's weights under torch, an ONNX file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from segbench.catalog.recipes import PredictTable
from segbench.errors import SegbenchError
from segbench.masks.digests import sha256_hex
from segbench.masks.labels import LabelClass
from segbench.training import run_folder as files
from segbench.training.canvas import Size, canvas_of
from segbench.training.predict import Floats, Network, check_channels

RGB, NCHW_AXES = 3, 4
MULTIPLE = 32
ROUNDING = 1e-3
_MEAN = np.array([0.485, 0.456, 0.406], np.float32).reshape(1, 3, 1, 1)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32).reshape(1, 3, 1, 1)


@dataclass(frozen=True, kw_only=True)
class OnnxOptions:
    """How a foreign ONNX model wants its input and gives its output.

    Attributes:
        values: RGB in [0, 1], in [0, 255], or [0, 1] less ImageNet's mean over its deviation.
        output: Probabilities, or logits that want a sigmoid (one channel) or softmax.
        long_side: The longer side of the grid, where the model leaves its input's size open.
    """

    values: Literal["unit", "byte", "imagenet"] = "unit"
    output: Literal["probabilities", "logits"] = "probabilities"
    long_side: int = 256


def open_network(path: Path, *, device: str = "auto", onnx: OnnxOptions | None = None) -> Network:
    """The network in a run's folder (its safetensors, by torch) or in an .onnx file.

    Raises:
        SegbenchError: The path is neither, or the file is damaged.
        ImportError: torch or onnxruntime is not installed.
    """
    if path.is_dir():
        return RunNetwork(path, device=device)
    if path.suffix.lower() == ".onnx":
        return OnnxNetwork(path, options=onnx or OnnxOptions())
    raise SegbenchError(
        f"{path}: expected a run's folder or an .onnx file; pickles (.pt, .pth, .ckpt) are not "
        f"loaded, because loading one runs whatever code it holds"
    )


class RunNetwork:
    """The best weights of a run, by torch."""

    def __init__(self, folder: Path, *, device: str = "auto") -> None:
        self.run = files.read_run(folder)
        if not (folder / files.WEIGHTS).exists():
            raise SegbenchError(f"{folder}: no weights yet; the run has not finished an epoch")
        import torch  # noqa: PLC0415

        from segbench.training.arithmetic import denormals_as_zero  # noqa: PLC0415
        from segbench.training.export import Whole  # noqa: PLC0415
        from segbench.training.models import make_model  # noqa: PLC0415
        from segbench.training.weights import load_weights  # noqa: PLC0415

        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        model = make_model(self.run.recipe.model, channels=self.run.channels, pretrained=False)
        load_weights(model, folder / files.WEIGHTS)
        self._torch, self._device = torch, device
        self._denormals_as_zero = denormals_as_zero
        self._model = Whole(model).eval().to(device)
        self._digest = sha256_hex((folder / files.WEIGHTS).read_bytes())

    @property
    def about(self) -> Mapping[str, Any]:
        """Recipe, training data and the weights' digest."""
        return {
            "recipe": self.run.recipe.model_dump(),
            "trained_on": self.trained_on.model_dump(exclude={"classes"}),
            "weights_sha256": self._digest,
        }

    @property
    def trained_on(self) -> files.DataInfo:
        """Dataset, version, fold, digest."""
        return self.run.data

    @property
    def predict(self) -> PredictTable:
        """What the recipe says."""
        return self.run.recipe.predict

    def canvas(self, sizes: Iterable[Size]) -> Size:
        """The canvas of the training, whatever the images' sizes."""
        del sizes
        return self.run.canvas

    def check(self, classes: Sequence[LabelClass]) -> None:
        """Refuse another number of classes; names may differ (transfer to another dataset)."""
        origin = f"{self.run.recipe.name}, trained on {self.run.data.dataset}"
        check_channels(self.run.channels, classes, origin=origin)

    def __call__(self, images: Floats) -> Floats:
        """See `Network`."""
        torch = self._torch
        with torch.inference_mode(), self._denormals_as_zero():
            batch = torch.from_numpy(images).to(self._device, memory_format=torch.channels_last)
            return self._model(batch).float().cpu().numpy()


class OnnxNetwork:
    """An ONNX file by onnxruntime: one image input, NCHW or NHWC, one output of the same layout.

    What `segbench train` wrote says itself how its recipe makes masks and what it was trained on.
    """

    def __init__(self, path: Path, *, options: OnnxOptions) -> None:
        import onnxruntime  # noqa: PLC0415

        self.path, self.options = path, options
        try:
            data = path.read_bytes()
            settings = onnxruntime.SessionOptions()
            settings.log_severity_level = 3
            settings.add_session_config_entry("session.set_denormal_as_zero", "1")
            # onnxruntime leaves the thread that makes a session at denormals as zero: not ours
            self._thread = ThreadPoolExecutor(1, "onnxruntime")
            self._session = self._thread.submit(
                onnxruntime.InferenceSession,
                data,
                settings,
                providers=onnxruntime.get_available_providers(),
            ).result()
        except FileNotFoundError:
            raise SegbenchError(f"{path}: no such file") from None
        except Exception as error:  # onnxruntime's own classes, which it does not export
            raise SegbenchError(f"{path}: not a readable ONNX model ({error})") from error
        self._digest = sha256_hex(data)
        self._input = self._session.get_inputs()[0]
        shape = self._input.shape
        if (
            len(self._session.get_inputs()) != 1
            or len(shape) != NCHW_AXES
            or RGB not in (shape[1], shape[3])
        ):
            raise SegbenchError(
                f"{path}: takes {self._input.name} of shape {shape}; expected one input of RGB "
                f"images, (n, 3, H, W) or (n, H, W, 3)"
            )
        if self._input.type not in _DTYPES or (
            self._input.type == "tensor(uint8)" and options.values != "byte"
        ):
            raise SegbenchError(
                f"{path}: takes {self._input.type}; expected {', '.join(_DTYPES)} (bytes with "
                f"--onnx-input byte)"
            )
        self._last = shape[1] != RGB
        self._size = shape[1:3] if self._last else shape[2:4]
        self._said = _said(self._session.get_modelmeta().custom_metadata_map, path)

    @property
    def about(self) -> Mapping[str, Any]:
        """The file and its digest."""
        data = self.trained_on
        known = {} if data is None else {"trained_on": data.model_dump(exclude={"classes"})}
        return {"onnx": self.path.name, **known, "weights_sha256": self._digest}

    @property
    def trained_on(self) -> files.DataInfo | None:
        """What one of ours says; nothing is known of another."""
        return None if self._said is None else self._said.trained_on

    @property
    def predict(self) -> PredictTable:
        """What the recipe of one of ours says."""
        return PredictTable() if self._said is None else self._said.predict

    def canvas(self, sizes: Iterable[Size]) -> Size:
        """The model's own input size; where that is open, one for the images' shape."""
        free = canvas_of(set(sizes), long_side=self.options.long_side, multiple=MULTIPLE)
        height, width = (
            int(own) if isinstance(own, int) else side
            for own, side in zip(self._size, free, strict=True)
        )
        return height, width

    def check(self, classes: Sequence[LabelClass]) -> None:
        """Run once on zeros: the output must have the input's size and a channel a class.

        Raises:
            SegbenchError: It has not, or the model cannot be run at all.
        """
        side = -(-self.options.long_side // MULTIPLE) * MULTIPLE
        height, width = (int(own) if isinstance(own, int) else side for own in self._size)
        found = self._run(np.zeros((1, RGB, height, width), np.float32))
        if found.ndim != NCHW_AXES or found.shape[2:] != (height, width):
            raise SegbenchError(
                f"{self.path}: gives {found.shape} for an image of {width}x{height}; expected "
                f"(1, classes, {height}, {width})"
            )
        check_channels(found.shape[1], classes, origin=str(self.path))

    def __call__(self, images: Floats) -> Floats:
        """See `Network`.

        Raises:
            SegbenchError: Probabilities were promised and other values came.
        """
        if self.options.values == "byte":
            images = images * np.float32(255)
        elif self.options.values == "imagenet":
            images = (images - _MEAN) / _DEVIATION
        out = self._run(images)
        if self.options.output == "logits":
            return _probabilities(out)
        if not (out.min() >= -ROUNDING and out.max() <= 1 + ROUNDING):  # also refuses NaN
            raise SegbenchError(
                f"{self.path}: gives values from {out.min():.3g} to {out.max():.3g}; expected "
                f"probabilities; if these are logits, add --onnx-output logits"
            )
        return out

    def _run(self, images: Floats) -> Floats:
        """What comes out (n, C, H, W) of images in the model's own values (n, 3, H, W)."""
        given = np.ascontiguousarray(images.transpose(0, 2, 3, 1) if self._last else images)
        given = given.astype(_DTYPES[self._input.type], copy=False)
        fixed = self._input.shape[0]
        size = fixed if isinstance(fixed, int) else len(given)
        parts: list[Floats] = []
        for first in range(0, len(given), size):
            batch = given[first : first + size]
            filled = np.concatenate([batch, np.repeat(batch[-1:], size - len(batch), axis=0)])
            try:
                run = self._thread.submit(self._session.run, None, {self._input.name: filled})
                found = run.result()[0]
            except Exception as error:  # onnxruntime's own classes, which it does not export
                shape = "x".join(map(str, filled.shape))
                raise SegbenchError(f"{self.path}: fails on images {shape} ({error})") from error
            parts.append(np.asarray(found)[: len(batch)])
        out = np.concatenate(parts).astype(np.float32)
        last = self._last and out.ndim == NCHW_AXES
        return np.ascontiguousarray(out.transpose(0, 3, 1, 2)) if last else out


_DTYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}


def _said(metadata: Mapping[str, str], path: Path) -> files.Exported | None:
    """What `segbench train` wrote into a file of its own; None of another's.

    Raises:
        SegbenchError: It is not what this version writes: what was trained on would be unknown.
    """
    text = metadata.get(files.METADATA)
    if text is None:
        return None
    try:
        return files.Exported.model_validate_json(text)
    except ValueError as error:
        raise SegbenchError(
            f"{path}: says in its metadata that segbench wrote it, but not as this version does; "
            f"predict from the run's folder, or train it again"
        ) from error


def _probabilities(logits: Floats) -> Floats:
    """Sigmoid of one channel, softmax of several."""
    if logits.shape[1] == 1:
        return (0.5 * (1 + np.tanh(0.5 * logits))).astype(np.float32)  # exp would overflow
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (raised / raised.sum(axis=1, keepdims=True)).astype(np.float32)
