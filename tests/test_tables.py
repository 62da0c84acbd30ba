"""Submissions in one file: what a table of run lengths says, and what it leaves open."""

from __future__ import annotations

import io
import json
import os
import resource
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

import segbench as sb
from segbench.errors import SegbenchError
from segbench.masks import rle
from segbench.masks.decoded import MaskFileError
from segbench.masks.tables import TableOptions, read_table

TRUTH = {
    "a": np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]),
    "b": np.array([[1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 1, 1]]),
}


def score(path: Path, *, references=TRUTH, class_names=(), **policy) -> sb.Evaluation:
    return sb.evaluate(
        path, references=references, class_names=class_names, policy=sb.Policy(**policy)
    )


def kaggle(mask: np.ndarray) -> str:
    return rle.kaggle_runs(mask != 0)


def pieces(mask: np.ndarray) -> list[str]:
    """Each run of a mask alone: a row an object."""
    numbers = kaggle(mask).split()
    return [" ".join(numbers[i : i + 2]) for i in range(0, len(numbers), 2)]


LAYOUTS = {
    "kaggle's": lambda: "ImageId,EncodedPixels\n" + "".join(f"{k},{kaggle(m)}\n" for k, m in TRUTH.items()),
    "a row an object": lambda: "ImageId,EncodedPixels\n" + "".join(f"{k},{r}\n" for k, m in TRUTH.items() for r in pieces(m)),
    "a row an object, and an empty one": lambda: "id,rle\n" + "".join(f"{k},{r}\n" for k, m in TRUTH.items() for r in [*pieces(m), "-"]),
    "id and predicted": lambda: "id,predicted\n" + "".join(f"{k}.png,{kaggle(m)}\n" for k, m in TRUTH.items()),
    "record_id": lambda: "record_id,encoded_pixels\n" + "".join(f"{k},{kaggle(m)}\n" for k, m in TRUTH.items()),
    "semicolons": lambda: "id;rle\n" + "".join(f"{k};{kaggle(m)}\n" for k, m in TRUTH.items()),
    "image and label": lambda: "Image_Label,EncodedPixels\n" + "".join(f"{k}.jpg_object,{kaggle(m)}\n" for k, m in TRUTH.items()),
    "class by name": lambda: "id,class,rle\n" + "".join(f"{k},object,{kaggle(m)}\n" for k, m in TRUTH.items()),
}  # fmt: skip


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_kaggles_tables_in_every_dress(tmp_path, layout, encoding):
    path = tmp_path / "p.csv"
    path.write_bytes(LAYOUTS[layout]().encode(encoding))
    assert score(path).score("dice").value == 1


@pytest.mark.parametrize("nothing", ["", "-1", "nan", "-", "None", "[]", "0 0", "1 0"])
def test_nothing_predicted_in_every_dress(tmp_path, nothing):
    path = tmp_path / "p.csv"
    path.write_text(f"id,rle\na,{kaggle(TRUTH['a'])}\nb,{nothing}\n")
    result = score(path)
    assert result.table.per_image(result.score("dice").measure).tolist() == [1, 0]


def test_the_order_of_runs_cannot_be_told_and_is_asked_for(tmp_path):
    rows = {k: np.flatnonzero(m.ravel()) for k, m in TRUTH.items()}
    path = tmp_path / "p.csv"
    path.write_text("id,rle\n" + "".join(f"{k}," + " ".join(f"{x} 1" for x in at) + "\n" for k, at in rows.items()))  # fmt: skip
    with pytest.raises(SegbenchError, match="--rle-order columns-from-0"):
        score(path)
    assert score(path, rle_order="rows-from-0").score("dice").value == 1
    assert score(path, rle_order="columns-from-0").score("dice").value < 1


def detections(**changes) -> list[dict]:
    """The objects with a high score, and everything with a low one."""
    found = []
    for name, mask in TRUTH.items():
        for value, of in ((0.9, mask != 0), (0.3, np.ones(mask.shape, bool))):
            segmentation = {"size": [*mask.shape], "counts": rle.runs_of(of).tolist()}
            item = {
                "image_id": name,
                "category_id": 1,
                "score": value,
                "segmentation": segmentation,
            }
            found.append(item | changes)
    return found


def written(tmp_path: Path, value: object) -> Path:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(value))
    return path


def test_detections_are_united_only_from_a_score_on(tmp_path, segbench):
    path = written(tmp_path, detections())
    with pytest.raises(
        SegbenchError, match=r"say --min-score 0\.5 \(left are 4 at 0\.25, 2 at 0\.5, 2 at 0\.75\)"
    ):
        score(path)
    result = score(path, min_score=0.5)
    assert result.score("dice").value == 1
    assert "|min_score:0.5|" in result.score("dice").signature
    assert result.form == "class ids of detections with a score from 0.5"
    assert any("2 of 4 detections" in line for line in result.notes)
    everything = score(path, min_score=0.0)
    assert any("united, in 2 images" in line for line in everything.notes)
    assert everything.score("dice").value < 1
    for name, mask in TRUTH.items():
        (tmp_path / "truth").mkdir(exist_ok=True)
        np.save(tmp_path / "truth" / f"{name}.npy", mask)
    ran = segbench("evaluate", "--predictions", path, "--references", tmp_path / "truth",
                   "--min-score", 0.5, "--no-surface", "--json")  # fmt: skip
    assert json.loads(ran.out)["form"].endswith("with a score from 0.5")


def test_an_image_without_a_detection_from_that_score_on_is_empty(tmp_path):
    items = detections()
    items[0]["score"] = 0.1
    result = score(written(tmp_path, items), min_score=0.5)
    assert result.table.per_image(result.score("dice").measure).tolist() == [0, 1]


BAD_COCO = {
    "some scores": (lambda: [{k: v for k, v in d.items() if k != "score" or i} for i, d in enumerate(detections())], "3 of 4 regions"),
    "crowd": (lambda: detections(iscrowd=1, score=1), "iscrowd = 1"),
    "polygon": (lambda: detections(segmentation=[[0, 0, 4, 0, 4, 4]], score=1), "annToRLE"),
    "background": (lambda: detections(category_id=0, score=1)[::2], "the first object is 1"),
    "half a class": (lambda: detections(category_id=1.5, score=1), "no whole number"),
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD_COCO)
def test_what_coco_leaves_open_is_refused(tmp_path, fault):
    make, words = BAD_COCO[fault]
    with pytest.raises(SegbenchError) as caught:
        score(written(tmp_path, make()), min_score=0.0)
    assert words in str(caught.value)


def test_a_cut_where_there_is_nothing_to_cut_is_refused(tmp_path):
    items = [{k: v for k, v in d.items() if k != "score"} for d in detections()]
    with pytest.raises(SegbenchError, match="no scores"):
        score(written(tmp_path, items), min_score=0.5)
    np.save(tmp_path / "a.npy", TRUTH["a"])
    (tmp_path / "p.json").unlink()
    with pytest.raises(SegbenchError, match="of run lengths in one"):
        score(tmp_path, min_score=0.5)


def test_the_images_of_a_coco_file_map_ids_and_may_be_empty(tmp_path):
    annotations = [
        {k: v for k, v in d.items() if k != "score"} | {"image_id": 7}
        for d in detections()[:1]
    ]  # fmt: skip
    images = [{"id": 7, "file_name": "set/a.jpg"}, {"id": 8, "file_name": "set/b.jpg"}]
    result = score(written(tmp_path, {"images": images, "annotations": annotations}))
    assert result.table.per_image(result.score("dice").measure).tolist() == [1, 0]
    annotations[0]["image_id"] = 9
    with pytest.raises(SegbenchError, match="of image 9, which `images` does not list"):
        score(written(tmp_path, {"images": images, "annotations": annotations}))


@pytest.mark.parametrize("start", [2**63 - 1, 2**70, 13, -4])
def test_a_run_that_starts_elsewhere_is_refused_in_words(start):
    table = read_table(f"id,rle\na,{start} 2\n".encode(), "p.csv", origin="p.csv")
    with pytest.raises(SegbenchError, match="damaged RLE"):
        table.decode("a", (3, 4), any_size=False, threshold=0.5)


def test_the_order_is_of_a_csv_alone():
    with pytest.raises(SegbenchError, match=r"is of a \.csv"):
        read_table(b"[]", "p.json", origin="p", options=TableOptions(rle_order="rows"))


# --- small inputs that broke once: ../shared/cases ------------------------------------------------


PERFECT = [
    ("rle/one-row-per-object.csv", "ref-binary", ""),
    ("rle/image-and-label-in-one-key.csv", "ref-3-classes", "background,Fish,Flower"),
]


@pytest.mark.parametrize(("predictions", "references", "names"), PERFECT)
def test_cases_that_are_right(cases, predictions, references, names):
    classes = names.split(",") if names else ()
    result = sb.evaluate(
        cases / predictions, references=str(cases / references), class_names=classes
    )
    scored = [s for s in result.scores if s.measure.key == "dice" and s.measure.over == "images"]
    assert scored
    assert all(s.value == 1 for s in scored)


REFUSED = [
    ("rle/start-beyond-int64.csv", "damaged RLE"),
    ("coco/detections-with-scores.json", "--min-score"),
]


@pytest.mark.parametrize(("predictions", "words"), REFUSED)
def test_cases_that_are_refused(cases, predictions, words):
    with pytest.raises(SegbenchError) as caught:
        sb.evaluate(cases / predictions, references=str(cases / "ref-binary"))
    assert words in str(caught.value)


HOSTILE = [
    ("hostile/duplicate-key-last.json", "is there twice"),
    ("hostile/large-inner-array.npz", "packed too well"),
    ("hostile/postscript.png", "PostScript"),
]


@pytest.mark.parametrize(("name", "words"), HOSTILE)
def test_hostile_cases_cost_next_to_nothing(cases, tmp_path, name, words):
    """In a child of this process, under 5 s of processor time and 300 MB more memory."""
    folder = tmp_path / "p"
    folder.mkdir()
    path = cases / name
    if path.suffix != ".json":
        shutil.copy(path, folder / f"im0{path.suffix}")
        path = folder
    assert words in refusal_of(
        lambda: sb.evaluate(path, references={"im0": np.zeros((20, 30), int)})
    )


def coco_file(*, images: int = 0, counts: str = "") -> bytes:
    region = {"image_id": 0, "category_id": 1, "segmentation": {"size": [20, 30], "counts": counts}}
    listed = [{"id": i, "file_name": f"{i}.png"} for i in range(images)]
    return json.dumps({"images": listed, "annotations": [region]}).encode()


HOSTILE_TABLES = {
    "rows beyond count": ("p.csv", lambda: b"id,rle\n" + b"a,\n" * 2_200_000, "cells"),
    "cells beyond count": ("p.csv", lambda: b"id,rle\n" + b"," * 4_300_000, "cells"),
    "columns for every row": (
        "p.csv", lambda: b"id,rle" + b"," * 1_000_000 + b"\n" + b"im0,7 9 9\n" * 100_000, "too many regions",
    ),
    "a run for every byte": (
        "p.csv", lambda: b"id,rle\nim0," + b"1 1 " * 4_000_000, "damaged RLE",
    ),
    "a cell beyond count": ("p.csv", lambda: b"id,rle\nim0," + b"1 1 " * 10_000_000, "field limit"),
    "compressed runs of nothing": ("p.json", lambda: coco_file(images=1, counts="0" * 30_000_000), "damaged RLE"),
    "many images, one twice": (
        "p.json", lambda: coco_file(images=200_000).replace(b'"199999.png"', b'"0.png"'), "twice",
    ),
    "values beyond count": ("p.json", lambda: b"[" + b"0," * 4_300_000 + b"0]", "values"),
    "nested deeply": ("p.json", lambda: b"[" * 1_000_000, "nested"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_TABLES)
def test_hostile_tables_cost_next_to_nothing(what):
    name, written, words = HOSTILE_TABLES[what]

    def read():
        table = read_table(written(), name, origin=name)
        table.decode("im0" if name == "p.csv" else "0", (20, 30), any_size=False, threshold=0.5)

    assert words in refusal_of(read)


def test_a_row_may_be_shorter_than_the_header():
    table = read_table(b"id,class,rle\na\n\nb,1,1 2\n", "p.csv", origin="p.csv")
    assert {key: len(found) for key, found in table.regions.items()} == {"a": 0, "b": 1}


def png_of(width: int, height: int, packed: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def npy_of(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    about = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, about)
    return stream.getvalue() + bytes(100)


HOSTILE_PICTURES = {
    "png: a header alone": ("png", lambda: png_of(30_000, 30_000, zlib.compress(bytes(10)))),
    "gif: a header alone": ("gif", lambda: b"GIF89a" + struct.pack("<HHBBB", 65_000, 65_000, 0x80, 0, 0)
        + bytes(6) + b"," + struct.pack("<HHHHB", 0, 0, 65_000, 65_000, 0) + b"\x02\x02\x44\x01\x00;"),
    "npy: a header alone": ("npy", lambda: npy_of((100_000, 100_000))),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE_PICTURES)
def test_pictures_that_promise_gigabytes_are_refused(tmp_path, what):
    ending, written = HOSTILE_PICTURES[what]
    (tmp_path / f"im0.{ending}").write_bytes(written())
    said = refusal_of(lambda: sb.evaluate(tmp_path, references={"im0": np.zeros((20, 30), int)}))
    assert "wrong s" in said  # size or shape


def test_a_picture_is_inflated_no_further_than_its_size(tmp_path):
    """100 MB come out of this file, of which its header has 600 bytes."""
    (tmp_path / "im0.png").write_bytes(png_of(30, 20, zlib.compress(bytes(100_000_000), 1)))

    def read():
        result = sb.evaluate(tmp_path, references={"im0": np.ones((20, 30), int)})
        raise SegbenchError(f"read: {len(result.scores) > 0}")

    assert refusal_of(read) == "read: True"


def refusal_of(work) -> str:
    """What a refusal says, from a forked child with limits of its own."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_CPU, (5, 5))
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            try:
                work()
            except (SegbenchError, MaskFileError) as error:
                grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
                said = str(error) if grown < 300 * 1024 else f"took {grown >> 10} MB"
                os.write(write, said.encode()[:60_000])
                code = 0
        finally:
            os._exit(code)
    os.close(write)
    with os.fdopen(read, "rb") as stream:
        said = stream.read().decode()
    _, status = os.waitpid(child, 0)
    assert status == 0, f"ended with {status} (a signal: the limit of processor time)"
    return said


def test_a_cell_longer_than_the_csv_module_takes(cases):
    data = (cases / "rle" / "cell-over-131072-characters.csv").read_bytes()
    table = read_table(data, "p.csv", origin="p.csv")
    (name,) = table.ids
    assert (
        table.decode(name, (1000, 1400), any_size=False, threshold=0.5).codes > 0
    ).sum() == 700_000
