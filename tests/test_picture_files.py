"""Files where pictures are expected: pipes, devices, other formats, grey maps, prepared palettes."""

from __future__ import annotations

import io
import os

import numpy as np
import pytest
import tifffile
from PIL import Image

import segbench as sb
from segbench.catalog.card import IdsRule, ThresholdRule
from segbench.errors import SegbenchError
from segbench.masks.decode import MaskFileError
from segbench.masks.grey import GreyMaps
from segbench.masks.prepared import read_rgb
from segbench.masks.submission import Files, open_submission
from segbench.prepare.check import check_prepared
from segbench.prepare.convert import convert_pair
from segbench.prepare.layout import Pair
from segbench.prepare.new_coding import find_coding
from segbench.prepare.source_masks import read_source_mask

MASK = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)

needs_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")

IRREGULAR = {
    "a named pipe": os.mkfifo if hasattr(os, "mkfifo") else None,
    "a link to /dev/zero, a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nowhere.png, which leads nowhere": lambda path: path.symlink_to("nowhere.png"),
}


@needs_pipes
@pytest.mark.parametrize("kind", IRREGULAR)
@pytest.mark.parametrize("side", ["predictions", "references"])
def test_what_is_no_file_is_said_with_the_reason(tmp_path, kind, side):
    """Not called missing, and never waited for."""
    Image.fromarray(MASK).save(tmp_path / "a.png")
    IRREGULAR[kind](tmp_path / "b.png")
    truth = {"a": MASK, "b": MASK}
    pair = (tmp_path, truth) if side == "predictions" else (truth, tmp_path)
    with pytest.raises(SegbenchError) as caught:
        sb.evaluate(pair[0], references=pair[1])
    assert f"b.png ({kind})" in str(caught.value)


@needs_pipes
def test_a_pipe_in_place_of_a_folder_or_of_a_source_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "b.json")
    with pytest.raises(SegbenchError, match="it is a named pipe"):
        open_submission(tmp_path / "b.json")
    os.mkfifo(tmp_path / "b.png")
    pair = Pair(tmp_path / "b.png", tmp_path / "b.png")
    with pytest.raises(SegbenchError, match=r"b\.png: not readable \(a named pipe\)"):
        convert_pair("b", pair, rule=None, classes=(), into=tmp_path, pinned=(None, None))


def tiff(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def saved(image: Image.Image, kind: str, **options) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def grey_map(data: bytes, ending: str) -> np.ndarray:
    files = Files("here", {"a": f"a{ending}"}, (), lambda _: data)
    return GreyMaps(files).decode("a", (2, 3), any_size=False, threshold=0.5).probabilities


LEVELS = np.array([[0, 10, 128], [200, 254, 255]], np.uint8)
MAPS = {
    "black is zero": (tiff(LEVELS), ".tif"),
    "white is zero": (tiff(LEVELS, photometric="miniswhite"), ".tif"),
    "turned": (tiff(LEVELS, extratags=[(274, "H", 1, 6, True)]), ".tif"),
    "16 bits": (tiff(LEVELS * np.uint16(257), photometric="miniswhite"), ".tif"),
    "float64": (tiff(LEVELS / 255), ".tif"),
    "png": (saved(Image.fromarray(LEVELS), "PNG"), ".png"),
    "bmp": (saved(Image.fromarray(LEVELS), "BMP"), ".bmp"),
}


@pytest.mark.parametrize("name", MAPS)
def test_grey_maps_are_the_stored_levels(name):
    np.testing.assert_allclose(grey_map(*MAPS[name]), LEVELS / 255, atol=1e-12)


REFUSED_MAPS = {
    "signed": (tiff(LEVELS.view(np.int8)), ".tif", "pixel format L"),
    "jpeg": (saved(Image.fromarray(LEVELS), "JPEG"), ".png", "its content is JPEG"),
    "jpeg in tiff": (saved(Image.fromarray(LEVELS), "TIFF", compression="jpeg"), ".tif", "lossy file"),
    "empty": (b"", ".png", "an empty file"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 3 2\n", ".png", "it is PostScript"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\n", ".png", "git lfs pull"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_MAPS)
def test_grey_maps_of_other_kinds_are_refused_in_words(name):
    data, ending, words = REFUSED_MAPS[name]
    with pytest.raises(MaskFileError) as caught:
        grey_map(data, ending)
    assert words in str(caught.value)


def test_no_decoder_is_started_on_an_image_of_another_format(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n")

    def opened(*_args, **_options):
        raise AssertionError("a decoder was started")

    monkeypatch.setattr(Image, "open", opened)
    with pytest.raises(SegbenchError, match="it is PostScript; expected PNG"):
        read_rgb(tmp_path / "a.png")


def test_check_finds_palettes_that_contradict_the_ids(tmp_path, synthetic):
    """The pixels are as they were, so that no digest tells."""
    root = tmp_path / "synthetic-lesions"
    source = synthetic / "synthetic-lesions"
    rows = sb.PreparedDataset.open(source).rows[:1]
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    header = (source / "samples.csv").read_text().splitlines()[:2]
    (root / "samples.csv").write_text("\n".join(header) + "\n")
    (root / "dataset.json").write_bytes((source / "dataset.json").read_bytes())
    for name in (rows[0].image, rows[0].mask):
        (root / name).write_bytes((source / name).read_bytes())

    def kinds() -> set[str]:
        return {*check_prepared(root, jobs=1, progress=lambda *_: None).problems.kinds}

    assert "palettes that contradict the class ids" not in kinds()
    with Image.open(root / rows[0].mask) as image:
        image.load()
        image.putpalette([255, 255, 255, 0, 0, 0])
        image.save(root / rows[0].mask, bits=8)
    assert "palettes that contradict the class ids" in kinds()


def colour_picture(colour=(255, 255, 255)) -> Image.Image:
    return Image.fromarray((MASK[..., None] * np.array(colour)).astype(np.uint8))


def numbered_anew() -> Image.Image:
    """Background and two classes, of which the palette calls black 1, as it pleases."""
    image = Image.fromarray(MASK + np.uint8(1))
    image.putpalette([0, 0, 255, 0, 0, 0, 255, 0, 0])
    return image


NEW_CARDS = {
    "web palette": (colour_picture().convert("P"), "PNG", "one-bit"),
    "adaptive": (colour_picture().quantize(2), "PNG", "one-bit"),
    "jpeg": (colour_picture(), "JPEG", "threshold"),
}


@pytest.mark.parametrize("name", NEW_CARDS)
def test_a_new_card_reads_the_masks_as_they_are_meant(tmp_path, name):
    image, kind, rule = NEW_CARDS[name]
    (tmp_path / "a.png").write_bytes(saved(image, kind))
    assert f'kind = "{rule}"' in find_coding(tmp_path, ["a.png"], None).rule


NO_CARDS = {
    "black is 1": (numbered_anew(), "PNG", {}, "palette index 1"),
    "webp": (colour_picture(), "WEBP", {}, "WebP"),
    "jpeg in tiff": (colour_picture(), "TIFF", {"compression": "jpeg"}, "compression 7"),
}  # fmt: skip


@pytest.mark.parametrize("name", NO_CARDS)
def test_a_new_card_is_not_guessed(tmp_path, name):
    image, kind, options, words = NO_CARDS[name]
    (tmp_path / "a.png").write_bytes(saved(image, kind, **options))
    with pytest.raises(SegbenchError) as caught:
        find_coding(tmp_path, ["a.png"], None)
    assert words in str(caught.value)


REFUSED_SOURCES = {
    "jpeg in tiff": (saved(Image.fromarray(LEVELS), "TIFF", compression="jpeg"), ThresholdRule(kind="threshold", above=127), "lossy compression 7"),
    "floats": (tiff(LEVELS / 255), IdsRule(kind="ids"), "floats; expected class ids"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED_SOURCES)
def test_source_masks_that_no_rule_reads(tmp_path, name):
    data, rule, words = REFUSED_SOURCES[name]
    with pytest.raises(SegbenchError) as caught:
        read_source_mask(tmp_path / "a.tif", data, rule, ())
    assert words in str(caught.value)


def test_jpeg_masks_are_read_by_threshold_alone_and_what_is_near_the_cut_is_counted(tmp_path):
    rng = np.random.default_rng(0)
    data = saved(Image.fromarray(rng.integers(0, 256, (20, 30), np.uint8)), "JPEG", quality=95)
    with Image.open(io.BytesIO(data)) as image:
        levels = np.asarray(image).astype(int)
    read = read_source_mask(
        tmp_path / "a.jpg", data, ThresholdRule(kind="threshold", above=127), ()
    )
    np.testing.assert_array_equal(read.ids, levels > 127)
    assert read.lossy
    assert read.n_near == (np.abs(levels - 127) <= 32).sum()
    with pytest.raises(SegbenchError, match="lossy file"):
        read_source_mask(tmp_path / "a.jpg", data, IdsRule(kind="ids"), ())


def test_a_threshold_is_of_the_stored_numbers_of_a_palette(tmp_path):
    """Instance masks: most numbers have dark colours."""
    numbers = np.arange(6, dtype=np.uint8).reshape(2, 3)
    image = Image.fromarray(numbers)
    image.putpalette([0, 0, 0, 9, 9, 9, 90, 0, 0, 0, 40, 0, 255, 255, 0, 1, 1, 1])
    rule = ThresholdRule(kind="threshold", above=0)
    read = read_source_mask(tmp_path / "a.png", saved(image, "PNG"), rule, ())
    np.testing.assert_array_equal(read.ids, numbers > 0)


@pytest.mark.parametrize("colour", [(255, 0, 0), (200, 200, 200)])
def test_a_threshold_never_makes_black_the_object(tmp_path, colour):
    image = Image.fromarray(1 - MASK)
    image.putpalette([*colour, 0, 0, 0])
    rule = ThresholdRule(kind="threshold", above=0)
    with pytest.raises(SegbenchError, match="save the mask as grey PNG"):
        read_source_mask(tmp_path / "a.png", saved(image, "PNG"), rule, ())
