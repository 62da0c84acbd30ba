"""Files of strangers: each is refused in words, writes nothing, and costs little.

Memory is bounded by design; here a limit on the address space of a real process holds it for the
worst of them.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import pickle
import random
import resource
import shutil
import stat
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import segbench as sb
from segbench.board.entry import find_entries
from segbench.board.method import method_toml, read_method
from segbench.board.submit import draft_entry, write_draft
from segbench.board.verify import verify_entry
from segbench.commands.console import harmless
from segbench.errors import SegbenchError
from segbench.masks import archives
from segbench.masks.encode import encode_mask
from segbench.masks.submission import open_submission
from segbench.scoring.tally import Policy

D = "synthetic-lesions"
MIB = 2**20


class Prepared:
    """The dataset, its test samples and good masks of them."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.dataset = sb.PreparedDataset.open(data / D)
        self.rows = self.dataset.select("test")
        self.masks = {
            f"{row.id}.png": encode_mask(
                np.roll(self.dataset.read_mask(row), 2, axis=1), self.dataset.classes
            )
            for row in self.rows
        }
        self.first = next(iter(self.masks))
        self.size = self.rows[0].size


@pytest.fixture(scope="module")
def prepared(synthetic) -> Prepared:
    return Prepared(synthetic)


@pytest.fixture(scope="module")
def method(tmp_path_factory):
    path = tmp_path_factory.mktemp("method") / "method.toml"
    path.write_text(method_toml(title="t", description="d", authors=("a",), training_data="n"))
    return read_method(path)


def zipped(path: Path, files, *, mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (mode if name.endswith("link.png") else 0) << 16
            archive.writestr(info, content)
    return path


def tarred(path: Path, files, *extra: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz" if path.suffix == ".tgz" else "w") as archive:
        for name, content in files:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for info in extra:
            archive.addfile(info)
    return path


def member(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def png_of(width: int, height: int) -> bytes:
    """A PNG whose header claims a size, and whose pixels are a few zeros."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000))
    signature = b"\x89PNG\r\n\x1a\n"
    return signature + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + body


class Touch:
    """A pickle that would write a file when it is loaded."""

    def __reduce__(self):
        return (Path("pickle-was-loaded").touch, ())


def runs(prepared: Prepared, **changes) -> list:
    """One region of nothing for each sample; some replaced in the first."""
    listed = [
        {
            "image_id": row.id,
            "category_id": 1,
            "segmentation": {"size": [*row.size], "counts": [row.width * row.height]},
        }
        for row in prepared.rows
    ]
    listed[0] = {**listed[0], **changes}
    return listed


def replaced(prepared: Prepared, name: str, content: bytes) -> list:
    """Good masks, but the first sample's is another file."""
    rest = [(n, c) for n, c in prepared.masks.items() if n != prepared.first]
    return [(name, content), *rest]


def plus(prepared: Prepared, name: str, content: bytes = b"x") -> list:
    return [*prepared.masks.items(), (name, content)]


def stem(prepared: Prepared) -> str:
    return prepared.first.removesuffix(".png")


def json_file(path: Path, content) -> Path:
    path = path.with_suffix(".json")
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def folder_of(path: Path, files) -> Path:
    path.mkdir()
    for name, content in files:
        (path / name).write_bytes(content)
    return path


def linked(path: Path, prepared: Prepared, *, whole: bool = False) -> Path:
    """A folder whose masks are links to the user's own references."""
    folder_of(path, [(n, c) for n, c in prepared.masks.items() if n != prepared.first])
    reference = prepared.dataset.root / "masks"
    (path / ("more" if whole else prepared.first)).symlink_to(
        reference if whole else reference / prepared.first
    )
    return path


def bomb_zip(path: Path, prepared: Prepared) -> Path:
    return zipped(path.with_suffix(".zip"), replaced(prepared, prepared.first, bytes(80 * MIB)))


def many_bombs(path: Path, _: Prepared) -> Path:
    """64 GiB under one directory: members that share the bytes of one (a quoted overlap)."""
    path = path.with_suffix(".zip")
    one = io.BytesIO()
    with zipfile.ZipFile(one, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", bytes(60 * MIB))
    data = one.getvalue()
    central = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    entry = data[central:end]
    entries = b"".join(entry.replace(b"a.png", f"{i:05d}".encode()[:5]) for i in range(1500))
    record = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 1500, 1500, len(entries), central, 0)
    path.write_bytes(data[:central] + entries + record)
    return path


def bomb_tar(path: Path, prepared: Prepared) -> Path:
    """Zeros, a thousand for each byte of gzip."""
    path = path.with_suffix(".tgz")
    info = tarfile.TarInfo(prepared.first)
    info.size = 80 * MIB
    with gzip.open(path, "wb", compresslevel=1) as stream:
        stream.write(info.tobuf())
        for _ in range(80):
            stream.write(bytes(MIB))
    return path


def bad_crc(path: Path, prepared: Prepared) -> Path:
    path = path.with_suffix(".zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in prepared.masks.items():
            archive.writestr(name, content)
    data = bytearray(path.read_bytes())
    data[200] ^= 255
    path.write_bytes(bytes(data))
    return path


def sparse_tar(path: Path, prepared: Prepared) -> Path:
    """An old GNU sparse member: a terabyte in one block."""
    info = tarfile.TarInfo(prepared.first)
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[156:157] = b"S"
    block[386:398], block[398:410] = b"00000000000\0", b"00000000000\0"
    block[483:495] = b"17777777777\0"
    block[148:156] = b"        "
    block[148:156] = f"{sum(block[:512]):06o}\0 ".encode()
    path = path.with_suffix(".tar")
    path.write_bytes(bytes(block[:512]) + bytes(10240))
    return path


def secret(path: Path) -> Path:
    """A table of run lengths that is a link to somebody's file."""
    path = path.with_suffix(".json")
    path.symlink_to("/etc/passwd")
    return path


PREDICTIONS = {
    "zip: name above the folder": lambda p, d: zipped(p.with_suffix(".zip"), plus(d, "../../x.png")),
    "zip: absolute name": lambda p, d: zipped(p.with_suffix(".zip"), plus(d, "/x.png")),
    "zip: a drive": lambda p, d: zipped(p.with_suffix(".zip"), plus(d, "C:\\x.png")),
    "zip: terminal commands in a name": lambda p, d: zipped(p.with_suffix(".zip"), plus(d, "\x1b[2J.png")),
    "zip: one name twice": lambda p, d: zipped(p.with_suffix(".zip"), plus(d, f"./{d.first}")),
    "zip: a link": lambda p, d: zipped(p.with_suffix(".zip"), plus(d, "link.png", b"/etc/passwd"), mode=stat.S_IFLNK | 0o777),
    "zip: a device": lambda p, d: zipped(p.with_suffix(".zip"), plus(d, "link.png"), mode=stat.S_IFCHR | 0o777),
    "zip: a bomb": bomb_zip,
    "zip: 1500 members of the same bytes": many_bombs,
    "zip: in a zip": lambda p, d: zipped(p.with_suffix(".zip"), plus(d, "more.zip", b"PK")),
    "zip: damaged in the middle": bad_crc,
    "zip: empty": lambda p, d: zipped(p.with_suffix(".zip"), []),
    "tar: name above the folder": lambda p, d: tarred(p.with_suffix(".tar"), plus(d, "../x.png")),
    "tar: a symbolic link": lambda p, d: tarred(p.with_suffix(".tar"), d.masks.items(), member("x.png", tarfile.SYMTYPE, "/etc/passwd")),
    "tar: a hard link": lambda p, d: tarred(p.with_suffix(".tar"), d.masks.items(), member("x.png", tarfile.LNKTYPE, d.first)),
    "tar: a device": lambda p, d: tarred(p.with_suffix(".tar"), d.masks.items(), member("x.png", tarfile.CHRTYPE)),
    "tar: a pipe": lambda p, d: tarred(p.with_suffix(".tar"), d.masks.items(), member("x.png", tarfile.FIFOTYPE)),
    "tar: one name twice": lambda p, d: tarred(p.with_suffix(".tar"), plus(d, d.first)),
    "tar: sparse, a terabyte": sparse_tar,
    "tar: a bomb": bomb_tar,
    "tar: cut short": lambda p, d: cut(tarred(p.with_suffix(".tar"), d.masks.items())),
    "folder: a link to the references": linked,
    "folder: a linked folder": lambda p, d: linked(p, d, whole=True),
    "png: claims 100,000 x 100,000": lambda p, d: folder_of(p, replaced(d, d.first, png_of(100_000, 100_000))),
    "png: claims the size, has no pixels": lambda p, d: folder_of(p, replaced(d, d.first, png_of(d.size[1], d.size[0]))),
    "npy: a pickle": lambda p, d: folder_of(p, replaced(d, f"{stem(d)}.npy", npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }", pickle.dumps(Touch())))),
    "npy: is a pickle": lambda p, d: folder_of(p, replaced(d, f"{stem(d)}.npy", pickle.dumps(Touch()))),
    "npz: of pickles": lambda p, d: folder_of(p, replaced(d, f"{stem(d)}.npz", npz_of(Touch()))),
    "npy: 10^12 values": lambda p, d: folder_of(p, replaced(d, f"{stem(d)}.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"))),
    "npy: a negative shape": lambda p, d: folder_of(p, replaced(d, f"{stem(d)}.npy", npy("{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 5), }"))),
    "npy: one item of 2 GB": lambda p, d: folder_of(p, replaced(d, f"{stem(d)}.npy", npy("{'descr': '|S2000000000', 'fortran_order': False, 'shape': (1, 1), }"))),
    "npy: NaN": lambda p, d: folder_of(p, replaced(d, f"{stem(d)}.npy", saved(np.full(d.size, np.nan)))),
    "json: nested deeply": lambda p, d: json_file(p, "[" * 200_000),
    "json: a key twice": lambda p, d: json_file(p, '[{"image_id": 1, "image_id": 2}]'),
    "json: NaN": lambda p, d: json_file(p, '[{"image_id": NaN}]'),
    "json: a number of 5000 digits": lambda p, d: json_file(p, json.dumps(runs(d)).replace("1,", "9" * 5000 + ",", 1)),
    "json: not text": lambda p, d: write(p.with_suffix(".json"), b"\xff\xfe\x00[" * 50),
    "json: a class of 1.9": lambda p, d: json_file(p, runs(d, category_id=1.9)),
    "json: another size": lambda p, d: json_file(p, runs(d, segmentation={"size": [10**9, 10**9], "counts": [10**18]})),
    "json: runs that overflow": lambda p, d: json_file(p, runs(d, segmentation={"size": [*d.size], "counts": [2**62] * 4 + [d.size[0] * d.size[1]]})),
    "json: a negative run": lambda p, d: json_file(p, runs(d, segmentation={"size": [*d.size], "counts": [-5, d.size[0] * d.size[1] + 5]})),
    "json: run lengths of no alphabet": lambda p, d: json_file(p, runs(d, segmentation={"size": [*d.size], "counts": "\u00e9\x00~~~~" * 9})),
    "json: 100,000 regions": lambda p, d: json_file(p, [*runs(d), *[runs(d)[0]] * 100_000]),
    "json: 300 classes": lambda p, d: json_file(p, [*runs(d), *[{**runs(d)[0], "category_id": i} for i in range(300)]]),
    "json: a list as the id": lambda p, d: json_file(p, runs(d, image_id=[["x"]])),
    "csv: runs that overflow": lambda p, d: write(p.with_suffix(".csv"), ("ImageId,EncodedPixels\n" + "".join(f"{r.id},1 {2**63 - 1}\n" for r in d.rows)).encode()),
    "csv: a cell of 1 MB": lambda p, d: write(p.with_suffix(".csv"), b"ImageId,EncodedPixels\n" + b"9" * MIB + b",1 1\n"),
}  # fmt: skip


def cut(path: Path) -> Path:
    path.write_bytes(path.read_bytes()[:-10240].rstrip(b"\0"))
    return path


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def npz_of(what: object) -> bytes:
    out = io.BytesIO()
    np.savez(out, probabilities=np.array([what], dtype=object))
    return out.getvalue()


def saved(array: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.save(out, array)
    return out.getvalue()


def all_files(*roots: Path) -> set[Path]:
    return {path for root in roots for path in root.rglob("*")}


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("what", PREDICTIONS)
def test_hostile_predictions(prepared, method, tmp_path, monkeypatch, what):
    """Refused with a message, as a submission that may be resized too; nothing is written."""
    monkeypatch.setattr(archives, "RATIO_FLOOR", 64 * MIB)  # so that the bomb need not be larger
    place = tmp_path / "here" / "given"
    place.parent.mkdir()
    monkeypatch.chdir(place.parent)
    given = PREDICTIONS[what](place, prepared)
    before = all_files(tmp_path, prepared.data)
    for policy in (Policy(), Policy(resize="nearest")):
        with pytest.raises(SegbenchError) as refused:
            draft_entry(
                given,
                method,
                name="x",
                dataset=D,
                data=prepared.data,
                results=tmp_path / "results",
                by=(),
                policy=policy,
            )
        assert 10 < len(str(refused.value)) < 5000
        assert "root:" not in str(refused.value)  # of /etc/passwd
    new = {p for p in all_files(tmp_path, prepared.data) - before if ".cache" not in p.parts}
    assert not new


def test_a_table_too_large_is_not_read(tmp_path):
    path = tmp_path / "runs.json"
    with path.open("wb") as stream:
        stream.truncate(300 * MIB)
    with pytest.raises(SegbenchError, match="too large"):
        open_submission(path)


# --- entries


@pytest.fixture(scope="module")
def made(prepared, method, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    masks = folder_of(folder / "masks", prepared.masks.items())
    draft = draft_entry(
        masks, method, name="good", dataset=D, data=prepared.data, results=folder / "results", by=()
    )
    write_draft(draft)
    return draft.folder


@pytest.fixture
def entry(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "results" / D / "good"))


def put(entry: Path, file: str, **changes) -> None:
    content = json.loads((entry / file).read_text())
    (entry / file).write_text(json.dumps({**content, **changes}))


def rows_with(entry: Path, **columns) -> None:
    table = pq.read_table(entry / "rows.parquet")
    for name, values in columns.items():
        column = values if isinstance(values, pa.Array) else pa.array(values)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    pq.write_table(table, entry / "rows.parquet")


def huge_rows(entry: Path) -> None:
    """Five million rows in some kilobytes."""
    same = pa.DictionaryArray.from_arrays(pa.array([0] * 5_000_000, pa.int8()), pa.array(["a"]))
    pq.write_table(pa.table({"id": same, "class": same}), entry / "rows.parquet")


def long_texts(entry: Path) -> None:
    """A text of 4 MiB, named in each of 100,000 rows: 400 GB as plain texts."""
    indices = pa.array([0] * 100_000, pa.int8())
    same = pa.DictionaryArray.from_arrays(indices, pa.array(["x" * (4 * MIB)]))
    pq.write_table(pa.table({"id": same, "class": same}), entry / "rows.parquet")


ENTRIES = {
    "entry: nested deeply": lambda e: (e / "entry.json").write_text('{"a":' * 100_000),
    "entry: a key twice": lambda e: (e / "entry.json").write_text(
        (e / "entry.json").read_text().replace('"name"', '"status": "verified", "name"', 1)
    ),
    "entry: NaN": lambda e: put(e, "entry.json", cost={"flops": float("nan")}),
    "entry: 5 MiB": lambda e: put(e, "entry.json", licence="x" * (5 * MIB)),
    "entry: a list": lambda e: (e / "entry.json").write_text("[]"),
    "entry: terminal commands": lambda e: put(e, "entry.json", authors=["\x1b]0;x\x07"]),
    "entry: text turned around": lambda e: put(e, "entry.json", authors=["\u202egnp.x"]),
    "entry: half a character": lambda e: put(e, "entry.json", authors=["\ud800"]),
    "entry: another's name": lambda e: put(e, "entry.json", name="../ph2/otsu"),
    "entry: a dataset elsewhere": lambda e: put(e, "entry.json", dataset="../../etc"),
    "entry: a script as a link": lambda e: put(e, "entry.json", links={"code": "javascript:alert(1)"}),
    "entry: a million authors": lambda e: put(e, "entry.json", authors=["a"] * 50_000),
    "entry: a link": lambda e: ((e / "entry.json").unlink(), (e / "entry.json").symlink_to("/etc/passwd")),
    "entry: a folder": lambda e: ((e / "entry.json").unlink(), (e / "entry.json").mkdir()),
    "scores: Infinity": lambda e: put(e, "scores.json", n_samples=float("inf")),
    "scores: 1e999": lambda e: (e / "scores.json").write_text(
        (e / "scores.json").read_text().replace('"value": 0', '"value": 1e999, "x": 0', 1)
    ),
    "scores: texts for numbers": lambda e: put(e, "scores.json", n_samples="many"),
    "scores: a measure of another class": lambda e: (e / "scores.json").write_text(
        (e / "scores.json").read_text().replace("class:lesion", "class:nobody").replace('"lesion"', '"nobody"')
    ),
    "scores: 60,000 scores": lambda e: put(
        e, "scores.json", scores=json.loads((e / "scores.json").read_text())["scores"] * 700
    ),
    "scores: a subgroup by every image": lambda e: put(e, "scores.json", subgroups={"id": {}, "tp": {}}),
    "scores: lists for subgroups": lambda e: put(e, "scores.json", subgroups=[[1]]),
    "rows: no Parquet": lambda e: (e / "rows.parquet").write_bytes(b"PAR1" + bytes(100) + b"PAR1"),
    "rows: five million": huge_rows,
    "rows: a long text in every row": long_texts,
    "rows: texts for counts": lambda e: rows_with(e, tp=["1"] * 48),
    "rows: lists": lambda e: rows_with(e, more=[[1]] * 48),
    "rows: counts that overflow": lambda e: rows_with(e, tp=[2**62] * 48),
    "rows: negative counts": lambda e: rows_with(e, tp=[-1] * 48),
    "rows: gaps": lambda e: rows_with(e, tp=[None] * 47 + [1]),
    "rows: none": lambda e: pq.write_table(pq.read_table(e / "rows.parquet").slice(0, 0), e / "rows.parquet"),
    "rows: NaN for a measure": lambda e: rows_with(e, dice=[float("nan")] * 48),
    "rows: 600 columns": lambda e: rows_with(e, **{f"c{i}": [0] * 48 for i in range(600)}),
    "masks: of another dataset": lambda e: (e / "predictions.json").write_text(
        (e / "predictions.json").read_text().replace("SYN", "IMD")
    ),
    "masks: claimed digest of another": lambda e: put(
        e, "entry.json", digests={"data": "0" * 64, "predictions": "0" * 64}
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", ENTRIES)
def test_hostile_entries(entry, tmp_path, what):
    ENTRIES[what](entry)
    before = all_files(tmp_path)
    found = verify_entry(entry, with_data=False)
    assert not found.ok
    text = found.problems.text()
    assert len(text) < 20_000
    assert "root:" not in text
    assert all_files(tmp_path) == before
    list(find_entries(tmp_path / "results", faulty="skip"))  # and keeps nobody out


def test_damaged_bytes_never_raise_anything_else(made, tmp_path):
    """Bytes of each file changed, cut and doubled at random places (seed 0)."""
    chance = random.Random(0)  # noqa: S311  no secret
    for round_ in range(25):
        entry = Path(shutil.copytree(made, tmp_path / str(round_) / D / "good"))
        name = chance.choice(["entry.json", "scores.json", "rows.parquet", "rows.parquet"])
        data = bytearray((entry / name).read_bytes())
        for _ in range(chance.choice([1, 5, 50])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        if chance.random() < 0.2:
            del data[chance.randrange(len(data)) :]
        (entry / name).write_bytes(bytes(data))
        verify_entry(entry, with_data=False)
        shutil.rmtree(tmp_path / str(round_))


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS")
@pytest.mark.parametrize("what", ["rows: five million", "rows: a long text in every row"])
def test_memory_is_bounded(entry, what):
    """A real process with 3 GiB of address space refuses it in words."""
    ENTRIES[what](entry)
    done = subprocess.run(
        [sys.executable, "-m", "segbench", "verify", str(entry), "--without-data"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30)),
        timeout=120,
    )
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "expected at most" in done.stdout


def test_messages_tell_nothing_of_the_references(prepared, method, tmp_path):
    """The same hostile input gives the same message whatever the reference masks hold."""
    other = tmp_path / "other"
    shutil.copytree(prepared.data / D, other / D, ignore=shutil.ignore_patterns(".cache"))
    for row in prepared.rows:
        upside_down = np.ascontiguousarray(prepared.dataset.read_mask(row)[::-1])
        (other / D / row.mask).write_bytes(encode_mask(upside_down, prepared.dataset.classes))
    sevens = folder_of(
        tmp_path / "sevens",
        replaced(prepared, f"{stem(prepared)}.npy", saved(np.full(prepared.size, 7, np.uint8))),
    )
    wrong = folder_of(tmp_path / "wrong", replaced(prepared, prepared.first, png_of(9, 9)))
    everywhere = {"size": [*prepared.size], "counts": [0, prepared.size[0] * prepared.size[1]]}
    table = json_file(tmp_path / "table", runs(prepared, category_id=9, segmentation=everywhere))
    for given in (sevens, wrong, table):
        said = []
        for data in (prepared.data, other):
            with pytest.raises(SegbenchError) as refused:
                draft_entry(given, method, name="x", dataset=D, data=data, results=tmp_path, by=())
            said.append(str(refused.value))
        assert said[0] == said[1]


def test_what_a_terminal_would_obey_is_escaped(segbench, prepared, tmp_path):
    bad = folder_of(
        tmp_path / "bad", plus(prepared, "\x1b[2Jx.png", prepared.masks[prepared.first])
    )
    ran = segbench("evaluate", "--predictions", bad, "--dataset", D, "--data", prepared.data)
    assert ran.code == 1
    assert "\\x1b[2Jx" in ran.err
    assert "\x1b" not in ran.err
    assert harmless("a\tb\nc\u202e\x9b") == "a\tb\nc\\u202e\\x9b"


def test_an_entry_cannot_change_anothers_files(made, entry, prepared, method, tmp_path):
    """A folder that is a link to another's is neither read nor replaced."""
    mine = entry.parent / "mine"
    mine.symlink_to(entry, target_is_directory=True)
    before = {p.name: p.read_bytes() for p in entry.iterdir()}
    masks = folder_of(tmp_path / "masks", prepared.masks.items())
    for replace in (False, True):
        with pytest.raises(SegbenchError):
            draft_entry(
                masks, method, name="mine", dataset=D, data=prepared.data, replace=replace,
                results=tmp_path / "results", by=(),
            )  # fmt: skip
    assert not verify_entry(mine, with_data=False).ok
    assert {p.name: p.read_bytes() for p in entry.iterdir()} == before
    assert copy.copy(made).exists()
