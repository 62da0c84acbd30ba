"""Samples as pictures: the image with what the reference marks and what was predicted.

One foreground class is drawn as two outlines, reference solid and prediction dashed, as vector
paths that stay sharp at any size; several classes as two label maps side by side. For a page a
picture is data to put into an SVG; `overlay_figure` writes a row of them to a file.
"""

from __future__ import annotations

import base64
import colorsys
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from segbench.masks.labels import IGNORE_ID, LabelClass, Rgb, foreground, is_background
from segbench.report.charts import INK, canvas, save, shortened, style
from segbench.scoring.target import Item

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Mask = NDArray[np.uint8]
Flags = NDArray[np.bool_]

REFERENCE, PREDICTION, CASING = "#56b4e9", "#f0e442", "#10141a"
"""Blue and yellow differ in every kind of colour blindness; the casing lifts both off skin."""

LONG_SIDE = 480
MAX_OUTLINES = 1000
"""A mask in more pieces than this is noise; its largest pieces are drawn."""

_STRAIGHT = 0.02  # square px of the drawing
_QUALITY = 85


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One sample, ready to be put into an SVG of `width` x `height`.

    Attributes:
        width: Of the drawing, px.
        height: Of the drawing, px.
        photo: The image as a data URI; empty where there is none.
        outlines: Path data by what they show: `reference`, `prediction`, `ignored`.
        maps: Data URIs of the label maps of reference and prediction, where classes are several.
        notes: What the drawing alone does not say.
    """

    width: int
    height: int
    photo: str
    outlines: dict[str, str]
    maps: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Overlay:
    """A picture of `overlay_figure`.

    Attributes:
        image: HxWx3 uint8 RGB, or None for a plain grey ground.
        reference: HxW, true where the object is.
        prediction: HxW, true where it was predicted; None where there is no prediction.
        caption: Written below.
    """

    image: Mask | None
    reference: Flags
    prediction: Flags | None
    caption: str = ""


def picture(item: Item, prediction: Mask | None, classes: Sequence[LabelClass]) -> Picture:
    """Draw one sample.

    Args:
        item: The sample; its reference is read, and its image where there is one.
        prediction: HxW uint8 class ids; None where it is missing.
        classes: Of the dataset.
    """
    reference = item.read()
    height, width = reference.shape
    scale = min(1.0, LONG_SIDE / max(height, width))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = None if item.read_image is None else item.read_image()
    objects = foreground(classes)
    notes = _empty_notes(reference, prediction, [label.id for label in objects])
    outlines: dict[str, str] = {}
    maps: tuple[str, ...] = ()
    if len(objects) == 1:
        shown = {"ignored": reference == IGNORE_ID, "reference": reference == objects[0].id}
        if prediction is not None:
            shown["prediction"] = prediction == objects[0].id
        for name, mask in shown.items():
            outlines[name], note = _path(mask, size)
            notes += [f"{name}: {note}"] if note else []
    else:
        labels = [reference] if prediction is None else [reference, prediction]
        maps = tuple(_map_uri(label, size, classes) for label in labels)
    return Picture(
        width=size[0],
        height=size[1],
        photo="" if image is None else _photo_uri(image, size, grey=bool(maps)),
        outlines=outlines,
        maps=maps,
        notes=tuple(notes),
    )


def class_colours(classes: Sequence[LabelClass]) -> dict[int, Rgb]:
    """A colour for each class that is drawn: the card's, or a circle of hues if two are equal."""
    drawn = [label for label in classes if not is_background(label)]
    if len({label.color for label in drawn}) == len(drawn):
        return {label.id: label.color for label in drawn}
    colours: dict[int, Rgb] = {}
    for i, label in enumerate(drawn):
        bright = (1.0, 0.7)[i % 2]  # neighbours on the circle differ in lightness too
        red, green, blue = colorsys.hsv_to_rgb(i / len(drawn), 0.75, bright)
        colours[label.id] = (round(red * 255), round(green * 255), round(blue * 255))
    return colours


def overlay_figure(overlays: Sequence[Overlay], path: Path, *, title: str = "") -> None:
    """Write a row of images with the outlines of reference and prediction.

    Args:
        overlays: The images, left to right.
        path: Where to; the ending says what (.png, .svg, .pdf).
        title: Above them.
    """
    side, gap, margin = 210.0, 12.0, 14.0  # px
    widths = [side * o.reference.shape[1] / o.reference.shape[0] for o in overlays]
    width = sum(widths) + gap * (len(widths) - 1) + 2 * margin
    below, above = 56.0, (36.0 if title else margin)
    height = side + below + above
    with style():
        figure = canvas(width, height)
        left = margin
        for overlay, own in zip(overlays, widths, strict=True):
            box = (left / width, below / height, own / width, side / height)
            _draw(figure.add_axes(box), overlay)
            left += own + gap
        if title:
            at = margin / width, 1 - 11 / height
            figure.text(*at, title, va="top", fontsize=13, weight="bold")
        figure.legend(
            handles=_legend_lines(),
            loc="lower center",
            ncols=2,
            frameon=False,
            labelcolor=INK,
            handlelength=3,
            bbox_to_anchor=(0.5, 2 / height),
        )
        save(figure, path)


def _draw(axes: Axes, overlay: Overlay) -> None:
    height, width = overlay.reference.shape
    if overlay.image is None:
        axes.set_facecolor("#8b939c")
    else:
        axes.imshow(overlay.image, extent=(0, width, height, 0), interpolation="antialiased")
    lines = {"reference": overlay.reference, "prediction": overlay.prediction}
    for name, mask in lines.items():
        for ring in [] if mask is None else _rings(mask.astype(np.uint8) * 255)[0]:
            axes.plot(ring[:, 0], ring[:, 1], **_pen(name))
    axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
    axes.spines[:].set_visible(False)
    axes.set_xlabel(shortened(overlay.caption, 60), color=INK, fontsize=11, labelpad=6)


def _pen(name: str) -> dict[str, Any]:
    from matplotlib import patheffects  # noqa: PLC0415

    solid = name == "reference"
    casing = patheffects.Stroke(linewidth=2.8, foreground=CASING, alpha=0.7)
    return {
        "color": REFERENCE if solid else PREDICTION,
        "linewidth": 1.5,
        "linestyle": "-" if solid else (0, (3.2, 2)),
        "dash_capstyle": "butt",
        "path_effects": [casing, patheffects.Normal()],
    }


def _legend_lines() -> list[Line2D]:
    from matplotlib.lines import Line2D  # noqa: PLC0415

    return [Line2D([], [], label=name, **_pen(name)) for name in ("reference", "prediction")]


def _empty_notes(reference: Mask, prediction: Mask | None, objects: Sequence[int]) -> list[str]:
    nothing_there = not np.isin(reference, objects).any()
    nothing_found = prediction is not None and not np.isin(prediction, objects).any()
    if nothing_there and nothing_found:
        return ["both masks are empty"]
    notes: list[str] = [] if prediction is not None else ["no prediction to draw"]
    if nothing_there:
        notes.append("the reference is empty")
    if nothing_found:
        notes.append("nothing was predicted")
    return notes


def _rings(mask: Mask) -> tuple[list[NDArray[np.float64]], int]:
    """Outlines (n, 2) as x, y in pixels of the mask, longest first, and how many were left out.

    The mask holds 0 to 255 and is outlined at half; pixel edges count (the first pixel reaches from
    0 to 1), and at the border of the image the outline closes.
    """
    from skimage.measure import find_contours  # noqa: PLC0415

    if not mask.any():
        return [], 0
    found = find_contours(np.pad(mask, 1).astype(np.float64), 127.5)
    found.sort(key=len, reverse=True)
    height, width = mask.shape
    rings: list[NDArray[np.float64]] = []
    for contour in found[:MAX_OUTLINES]:
        y, x = contour.T - 0.5
        rings.append(np.stack([x.clip(0, width), y.clip(0, height)], axis=1))
    return rings, max(0, len(found) - MAX_OUTLINES)


def _path(mask: Flags, size: tuple[int, int]) -> tuple[str, str]:
    """Outlines as SVG path data in px of the drawing, and what they leave out.

    The mask is averaged to the size of the drawing first: its outline at half is as fine as the eye
    can see there, and noise of single pixels is no longer in it.
    """
    grey = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BOX)
    rings, hidden = _rings(np.asarray(grey))
    note = f"{hidden} smaller outlines are not drawn" if hidden else ""
    if mask.any() and not rings:
        note = "too small to be seen at this size"
    return "".join(_polygon(ring[:-1]) for ring in rings), note


def _polygon(points: NDArray[np.float64]) -> str:
    """A closed path through points (n, 2), without those that lie on a straight line."""
    step, back = np.roll(points, -1, axis=0) - points, points - np.roll(points, 1, axis=0)
    turns = np.abs(step[:, 0] * back[:, 1] - step[:, 1] * back[:, 0]) > _STRAIGHT
    return "M" + " ".join(f"{x:.1f},{y:.1f}" for x, y in points[turns]) + "Z"


def _photo_uri(image: Mask, size: tuple[int, int], *, grey: bool) -> str:
    photo = Image.fromarray(image).convert("L" if grey else "RGB")  # grey below coloured maps
    photo = photo.resize(size, Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    photo.save(stream, "JPEG", quality=_QUALITY, optimize=True)
    return _data_uri("image/jpeg", stream.getvalue())


def _map_uri(labels: Mask, size: tuple[int, int], classes: Sequence[LabelClass]) -> str:
    """A label map as a palette PNG; background is transparent, ignored pixels are grey."""
    palette = np.zeros((256, 3), dtype=np.uint8)
    alpha = np.zeros(256, dtype=np.uint8)
    for identifier, colour in class_colours(classes).items():
        palette[identifier], alpha[identifier] = colour, 165
    palette[IGNORE_ID], alpha[IGNORE_ID] = (128, 128, 128), 200
    small = Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)
    small.putpalette(palette.tobytes())
    stream = io.BytesIO()
    small.save(stream, "PNG", transparency=alpha.tobytes(), optimize=True)
    return _data_uri("image/png", stream.getvalue())


def _data_uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
