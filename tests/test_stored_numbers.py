"""What a file stores decides, not what a viewer shows: palettes, TIFFs, endings, references."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import tifffile
from PIL import Image

import segbench as sb
from segbench.errors import SegbenchError
from segbench.masks.decode import Kind, MaskFileError, Swatch, decode
from segbench.masks.forms import Form, Seen, decide, number_of
from segbench.masks.labels import LabelClass
from segbench.masks.references import decide_references

BINARY = (
    LabelClass(id=0, name="background", color=(0, 0, 0)),
    LabelClass(id=1, name="lesion", color=(255, 255, 255)),
)
THREE = (
    LabelClass(id=0, name="background", color=(0, 0, 0)),
    LabelClass(id=1, name="cup", color=(200, 0, 0)),
    LabelClass(id=2, name="disc", color=(0, 200, 0)),
)
BLACK, WHITE, RED, GREEN = (0, 0, 0), (255, 255, 255), (200, 0, 0), (0, 200, 0)


def truth() -> dict[str, np.ndarray]:
    """Masks of noise, one of all object and one of none: their palettes have one colour."""
    rng = np.random.default_rng(0)
    masks = {f"a{i}": (rng.random((20, 30)) < 0.3).astype(np.uint8) for i in range(4)}
    return masks | {"full": np.ones((20, 30), np.uint8), "none": np.zeros((20, 30), np.uint8)}


def white(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(mask * np.uint8(255)).convert("RGB")


def inverted_palette(mask: np.ndarray) -> Image.Image:
    image = Image.fromarray(1 - mask)
    image.putpalette([*WHITE, *BLACK])
    return image


WRITERS = {
    "quantize": (lambda m: white(m).quantize(2), "png"),
    "adaptive": (lambda m: white(m).convert("P", palette=Image.Palette.ADAPTIVE, colors=2), "png"),
    "gif of grey": (lambda m: Image.fromarray(m * np.uint8(255)), "gif"),
    "gif of colours": (white, "gif"),
    "white is index 0": (inverted_palette, "png"),
    "bmp": (lambda m: white(m).quantize(2), "bmp"),
    "tiff": (lambda m: white(m).quantize(2), "tif"),
    "one bit": (lambda m: Image.fromarray(m.astype(bool)), "png"),
    "web palette": (lambda m: white(m).convert("P"), "png"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("side", ["predictions", "references"])
def test_a_perfect_mask_scores_1_whoever_wrote_it(tmp_path, writer, side):
    make, ending = WRITERS[writer]
    for name, mask in truth().items():
        make(mask).save(tmp_path / f"{name}.{ending}")
    pair = (tmp_path, truth()) if side == "predictions" else (truth(), tmp_path)
    result = sb.evaluate(pair[0], references=pair[1])
    assert result.score("dice").value == 1
    assert result.score("accuracy", "all").value == 1


def test_how_it_was_read_is_said(tmp_path, segbench):
    for name, mask in truth().items():
        white(mask).quantize(2).save(tmp_path / f"{name}.png")
    ran = segbench(
        "evaluate", "--predictions", tmp_path, "--references", tmp_path, "--no-surface", "--json"
    )
    assert ran.code == 0, ran.err
    told = json.loads(ran.out)
    assert told["form"] == "by colour: indices contradict"
    assert any("references: read by colour: palette index" in line for line in told["notes"])


def swatches(*files: dict[int, tuple[int, int, int]], greys=()) -> Seen:
    """A submission of palette files (index to colour), and of files of grey values."""
    seen = Seen()
    for i, file in enumerate(files):
        seen.add(f"p{i}", Kind.VALUES, valid=[Swatch(n, c) for n, c in file.items()])
    for i, values in enumerate(greys):
        seen.add(f"g{i}", Kind.VALUES, valid=values)
    return seen


VOC = {0: BLACK, 1: (128, 0, 0), 2: (0, 128, 0)}
BY_PALETTE = [
    ("voc's palette", [VOC, {0: BLACK}], THREE, Form.CLASS_IDS),
    ("a grey ramp", [{0: BLACK, 1: (1, 1, 1)}], BINARY, Form.CLASS_IDS),
    ("a grey ramp of 0/255", [{0: BLACK, 255: WHITE}], BINARY, Form.BINARY),
    ("the card's", [{0: BLACK, 1: RED, 2: GREEN}], THREE, Form.CLASS_IDS),
    ("the card's, numbered anew", [{0: RED, 1: BLACK, 2: GREEN}], THREE, Form.PALETTE_COLOURS),
    ("one colour a file", [{0: RED}, {0: BLACK}, {0: GREEN}], THREE, Form.PALETTE_COLOURS),
    ("black and white swapped", [{0: WHITE, 1: BLACK}], BINARY, Form.PALETTE_COLOURS),
]


@pytest.mark.parametrize(("_name", "files", "classes", "form"), BY_PALETTE, ids=[r[0] for r in BY_PALETTE])  # fmt: skip
def test_a_palette_that_is_understood(_name, files, classes, form):
    seen = swatches(*files)
    reading = decide(seen, classes)
    assert reading.form is form
    meant = {label.color: label.id for label in classes}
    for value in seen.values:
        by_color = form is Form.PALETTE_COLOURS
        expected = meant[value.color] if by_color else {255: 1}.get(value.number, value.number)
        assert reading.class_of[value] == expected


BLUE = (0, 0, 200)
DOUBTFUL = [
    ("colours of nobody that differ", [{0: BLACK, 1: BLUE}, {0: BLACK, 1: (9, 9, 9)}], THREE),
    ("one of the card's under another number", [{0: BLACK, 1: GREEN, 2: BLUE}], THREE),
    ("two numbers of one colour", [{0: BLACK, 1: BLACK}], BINARY),
    ("a number as grey under another number", [{0: (1, 1, 1)}], BINARY),
    ("ids beside swapped ones", [{0: WHITE, 1: BLACK}], BINARY),
]


@pytest.mark.parametrize(("name", "files", "classes"), DOUBTFUL, ids=[r[0] for r in DOUBTFUL])
def test_a_palette_that_is_not_is_refused_until_it_is_said(name, files, classes):
    seen = swatches(*files, greys=[(0, 1)] if "beside" in name else ())
    with pytest.raises(SegbenchError, match=r"--form ids .* or --form colours"):
        decide(seen, classes)
    assert decide(seen, classes, asked=Form.CLASS_IDS).form is Form.CLASS_IDS


def test_without_a_card_no_colour_has_a_meaning():
    """Nobody chose the colours of bare references: white is not class 1 of two."""
    references = {"a": np.array([[0, 1, 2], [2, 1, 0]])}
    white_on_black = {"a": np.array([[0, 255, 255], [0, 255, 0]])}
    with pytest.raises(SegbenchError, match=r"value 255 in a\b"):
        sb.evaluate(white_on_black, references=references)


REFERENCES = [
    ("0/255", [{0, 255}, {0}], None, Form.BINARY, {0: 0, 255: 1}),
    ("255 alone", [{255}], None, Form.BINARY, {255: 1}),
    ("0/1", [{0, 1}, {0}], None, Form.CLASS_IDS, {0: 0, 1: 1}),
    ("ids and 255", [{0, 1, 2}, {0, 255}], None, Form.CLASS_IDS, {2: 2, 255: 255}),
    ("0, 1 and 255, the object", [{0, 1}, {0, 255}], "object", Form.BINARY, {1: 1, 255: 1}),
    ("0, 1 and 255, ignored", [{0, 1, 255}], "ignore", Form.CLASS_IDS, {1: 1, 255: 255}),
]


def grey(*files) -> Seen:
    return swatches(greys=files)


@pytest.mark.parametrize(("_name", "files", "means", "form", "part"), REFERENCES, ids=[r[0] for r in REFERENCES])  # fmt: skip
def test_how_references_are_read(_name, files, means, form, part):
    reading = decide_references(grey(*files), means_255=means)
    assert reading.form is form
    assert {value: reading.class_of[value] for value in part} == part


REFUSED_REFERENCES = [
    (
        "mixed coding",
        [{0, 1}, {0, 255}],
        None,
        "--references-255 object or --references-255 ignore",
    ),
    ("both in one", [{0, 1, 255}], None, "value 1 in g0 and value 255 in g0"),
    ("ignore where nothing is left", [{0, 255}], "ignore", "no object would be left"),
    ("object among several", [{0, 2, 255}], "object", "cannot stand for the one object"),
    ("negative", [{-1, 0, 1}], None, "save ignored pixels as 255"),
    ("beyond 255", [{0, 300}], None, "value 300 in g0"),
]


@pytest.mark.parametrize(("_name", "files", "means", "words"), REFUSED_REFERENCES, ids=[r[0] for r in REFUSED_REFERENCES])  # fmt: skip
def test_references_in_doubt_are_refused(_name, files, means, words):
    with pytest.raises(SegbenchError) as caught:
        decide_references(grey(*files), means_255=means)
    assert words in str(caught.value)


PALETTE_REFERENCES = [
    ("black is 2", {0: RED, 1: GREEN, 2: BLACK}, False, "palette index 2"),
    ("swapped, of several", {0: WHITE, 1: BLACK}, True, "palette index 1"),
    ("voc's", VOC, False, ""),
    ("black and white, of several", {0: BLACK, 1: WHITE}, True, ""),
    ("what is ignored is black", {0: (128, 64, 128), 1: RED, 2: GREEN, 255: BLACK}, False, ""),
    ("grey classes", {0: BLACK, 7: (120, 120, 120), 120: RED}, False, ""),
]


@pytest.mark.parametrize(("_name", "file", "several", "words"), PALETTE_REFERENCES, ids=[r[0] for r in PALETTE_REFERENCES])  # fmt: skip
def test_palettes_of_references_without_a_card(_name, file, several, words):
    seen = swatches(file)
    if not words:
        reading = decide_references(seen, several_objects=several)
        assert all(reading.class_of[value] == value.number for value in seen.values)
        return
    with pytest.raises(SegbenchError, match="--references-form ids") as caught:
        decide_references(seen, several_objects=several)
    assert words in str(caught.value)


def test_a_complete_miss_is_never_1_because_255_was_taken_for_ignore():
    references = {"a": np.array([[0, 1]]), "b": np.array([[0, 255]])}
    nothing = {"a": np.array([[0, 1]]), "b": np.array([[0, 0]])}
    with pytest.raises(SegbenchError, match="--references-255"):
        sb.evaluate(nothing, references=references)
    policy = sb.ReferencePolicy(means_255="object")
    result = sb.evaluate(nothing, references=references, reference_policy=policy)
    assert result.score("dice", over="images").value == 0.5


def test_ignored_pixels_of_references_are_counted_aloud():
    references = {"a": np.array([[0, 1, 2, 255]])}
    result = sb.evaluate({"a": np.array([[0, 1, 2, 2]])}, references=references)
    assert "references: 255 is ignored: 1 pixels are not scored" in result.notes


def test_that_class_0_is_taken_for_background_is_said_and_two_names_have_one():
    references = {"a": np.array([[0, 1, 2, 2]])}
    silent = sb.evaluate(references, references=references)
    assert any("say --no-background" in line for line in silent.notes)
    named = sb.evaluate(references, references=references, class_names=["road", "car", "sky"])
    assert not named.notes
    assert {s.measure.label for s in named.scores if s.measure.key == "hd"} == {
        "road",
        "car",
        "sky",
    }
    two = sb.evaluate(
        [np.array([[0, 1]])], references=[np.array([[0, 1]])], class_names=["bg", "obj"]
    )
    assert two.main_label == "obj"


DTYPES = ["bool", "uint8", "uint16", "uint32", "int8", "int16", "int32", "int64", "uint64"]
LAYOUTS = {
    "strips": {},
    "tiles": {"tile": (16, 16)},
    "deflate": {"compression": "zlib"},
    "predictor": {"compression": "zlib", "predictor": True},
    "big-endian": {"byteorder": ">"},
    "big": {"bigtiff": True},
}


def written(array: np.ndarray, **options) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


@pytest.mark.parametrize("photometric", [None, "minisblack", "miniswhite"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_tiff_gives_the_numbers_that_tifffile_reads(dtype, layout, photometric):
    options = LAYOUTS[layout]
    if ("predictor" in options and np.dtype(dtype).itemsize not in {1, 2, 4}) or dtype == "bool":
        options = {}  # tifffile has no predictor for these
    signed = np.dtype(dtype).kind == "i"
    values = np.resize([0, 1, 1, 0, 5, -1 if signed else 7], (18, 35)).astype(dtype)
    if dtype == "uint32":
        values[0, 0] = 2**31 + 5
    data = written(values, **options, **({"photometric": photometric} if photometric else {}))
    expected = tifffile.imread(io.BytesIO(data))
    decoded = decode(data, ".tif", expected=(18, 35))
    numbers = np.array([number_of(value) for value in decoded.values])
    np.testing.assert_array_equal(numbers[decoded.codes], expected.astype(np.int64))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_a_tiff_of_probabilities_is_read_at_every_depth(dtype, photometric):
    values = np.linspace(0, 1, 12, dtype=dtype).reshape(3, 4)
    decoded = decode(written(values, photometric=photometric), ".tif", expected=(3, 4))
    np.testing.assert_array_equal(decoded.probabilities, values.astype(np.float64))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_orientation_tag_turns_nothing(orientation):
    values = np.arange(12, dtype=np.uint8).reshape(3, 4)
    data = written(values, extratags=[(274, "H", 1, orientation, True)])
    decoded = decode(data, ".tif", expected=(3, 4))
    np.testing.assert_array_equal(decoded.codes, values)


def lossy_tiff() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (16, 16)).save(stream, "TIFF", compression="jpeg")
    return stream.getvalue()


def test_lossy_compression_within_a_tiff_is_refused():
    with pytest.raises(MaskFileError, match="compression 7"):
        decode(lossy_tiff(), ".tif")


BANDS = {
    "16-bit colours": (np.full((4, 5, 3), 51400, np.uint16), {"photometric": "rgb"}),
    "two bands": (np.ones((4, 5, 2), np.uint8), {"photometric": "minisblack", "planarconfig": 1}),
    "four bands": (np.ones((4, 5, 4), np.uint8), {"photometric": "rgb", "extrasamples": [0]}),
}


@pytest.mark.parametrize("name", BANDS)
def test_bands_and_bits_that_pillow_drops_are_refused(name):
    array, options = BANDS[name]
    with pytest.raises(MaskFileError, match=r"bands of (8|16) bits"):
        decode(written(array, **options), ".tif")


def test_no_decoder_is_started_on_what_is_no_mask(monkeypatch):
    """A stranger's PostScript would start a program."""

    def opened(*_args, **_options):
        raise AssertionError("a decoder was started")

    monkeypatch.setattr(Image, "open", opened)
    for data in (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 4\n", b"\0\0\0\x0cjP  \r\n\x87\n"):
        with pytest.raises(MaskFileError):
            decode(data, ".png")


def test_an_ending_that_disagrees_is_said(tmp_path):
    for name, mask in truth().items():
        Image.fromarray(mask * np.uint8(255)).save(tmp_path / f"{name}.gif")
        (tmp_path / f"{name}.gif").rename(tmp_path / f"{name}.png")
    result = sb.evaluate(tmp_path, references=truth())
    assert "6 files: GIF content in .png files" in result.notes


def test_wide_floats_are_cut_before_they_are_rounded():
    above = np.longdouble(0.5) + np.finfo(np.longdouble).eps
    if np.float64(above) != 0.5:
        pytest.skip("long doubles are doubles here")
    result = sb.evaluate([np.array([[above, 0.0]])], references=[np.array([[1, 0]])])
    assert result.score("dice").value == 1
