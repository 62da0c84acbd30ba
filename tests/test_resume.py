"""An evaluation that is stopped goes on from the samples that it has counted, and from no other."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import segbench as sb
from segbench.masks.decode import MaskFileError
from segbench.masks.submission import Files, open_submission
from segbench.measures import grid
from segbench.scoring import journal as journals
from segbench.scoring.engine import Engine, Threads
from segbench.scoring.journal import JOURNAL, Journaled, packed, unpacked
from segbench.scoring.references import reference_target
from segbench.scoring.shapes import ShapeMeasures
from segbench.scoring.tally import Policy, Tally, tally

N = 160
SIZE = (512, 512)


@pytest.fixture(scope="module")
def masks(tmp_path_factory) -> Path:
    """Folders `references` and `predictions` of discs, two of them empty."""
    root = tmp_path_factory.mktemp("discs")
    rows, columns = np.indices(SIZE)
    rng = np.random.default_rng(0)
    for folder in ("references", "predictions"):
        (root / folder).mkdir()
    for i in range(N):
        y, x, r = rng.uniform(80, 300), rng.uniform(80, 430), rng.uniform(20, 75)
        for folder, shift in (("references", 0), ("predictions", 4)):
            disc = (rows - y - shift) ** 2 + (columns - x) ** 2 < r**2
            mask = (disc & (i % 100 != 7)).astype(np.uint8) * 255
            Image.fromarray(mask).save(root / folder / f"disc{i:04d}.png")
    return root


SLOWLY = """
import itertools, sys, time
from segbench.masks.submission import Files

decode, number = Files.decode, itertools.count()

def slowly(self, *arguments, **options):
    if self.origin.endswith("predictions") and next(number) > 60:
        time.sleep(0.2)
    return decode(self, *arguments, **options)

Files.decode = slowly
sys.argv[0] = "segbench"
from segbench.commands.app import main
main()
"""
"""The command with a decoder that is slow from some file on: a signal finds it at work, however
late the test sees the journal grow."""


def command(masks: Path, out: Path, *more: str, slowly: bool = False) -> list[str]:
    folders = [
        "--predictions",
        str(masks / "predictions"),
        "--references",
        str(masks / "references"),
    ]
    program = ["-c", SLOWLY] if slowly else ["-m", "segbench"]
    return [sys.executable, *program, "evaluate", *folders, "--out", str(out), *more]


def stopped(arguments: list[str], out: Path, sent: signal.Signals) -> tuple[int, int, str]:
    """Stop a real evaluation when its journal has grown; the lines it left, its code and stderr."""
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # a process in the background of a shell ignores it, and so would its children
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as ran:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and ran.poll() is None:
            if (out / JOURNAL).exists() and (out / JOURNAL).stat().st_size > 4000:
                break
            time.sleep(0.01)
        assert ran.poll() is None, ran.communicate()
        ran.send_signal(sent)
        _, err = ran.communicate(timeout=60)
    lines = (out / JOURNAL).read_bytes().splitlines(keepends=True)
    return len([line for line in lines[1:] if line.endswith(b"\n")]), ran.returncode, err


def scores(out: Path) -> dict:
    return json.loads((out / "scores.json").read_text())


@pytest.fixture(scope="module")
def whole(masks, tmp_path_factory) -> Path:
    """What an evaluation writes that nobody stopped."""
    out = tmp_path_factory.mktemp("whole") / "out"
    done = subprocess.run(command(masks, out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


def assert_same(one: Path, other: Path) -> None:
    assert scores(one) == scores(other)
    pd.testing.assert_frame_equal(
        pd.read_parquet(one / "rows.parquet"),
        pd.read_parquet(other / "rows.parquet"),
        check_exact=True,
    )


def test_a_killed_evaluation_goes_on(masks, whole, tmp_path, monkeypatch):
    out = tmp_path / "out"
    kept, code, _ = stopped(command(masks, out, "--jobs", "1", slowly=True), out, signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert 0 < kept < N
    shutil.copytree(out, tmp_path / "copy")
    again = subprocess.run(command(masks, out), capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert f"going on: {kept} of {N} samples were counted before" in again.stderr
    assert_same(out, whole)
    assert sorted(os.listdir(out)) == ["report.html", "rows.parquet", "scores.json"]
    # the same in this process, where what is decoded can be watched
    decoded: list[str] = []
    decode = Files.decode

    def watched(self, identifier, *arguments, **options):
        if self.origin.endswith("predictions"):
            decoded.append(identifier)
        return decode(self, identifier, *arguments, **options)

    monkeypatch.setattr(Files, "decode", watched)
    told: list[tuple[int, int]] = []
    engine = Journaled(Threads(1), tmp_path / "copy" / JOURNAL, lambda *n: told.append(n))
    result = tallied(masks, engine=engine)
    assert told == [(kept, N)]
    assert len(decoded) == len(set(decoded)) == N - kept
    monkeypatch.undo()
    same(result, tallied(masks))


def test_an_interrupted_one_says_what_to_do(masks, tmp_path):
    out = tmp_path / "out"
    _, code, err = stopped(command(masks, out, "--jobs", "2", slowly=True), out, signal.SIGINT)
    assert code == 130
    assert "run the same command again: it goes on from there" in err
    assert "Traceback" not in err


class Slow(Threads):
    """Threads after which a journal has waited long enough to be written."""

    def run(self, work, items, *, expected):
        for n, outcome in enumerate(super().run(work, items, expected=expected)):
            if n == 30:
                raise KeyboardInterrupt
            yield outcome


@pytest.fixture
def small(tmp_path, masks, monkeypatch):
    """A copy of some masks, and their journal after 30 were counted."""
    monkeypatch.setattr(journals, "WRITE_EVERY_S", 0)
    for folder in ("references", "predictions"):
        (tmp_path / folder).mkdir()
        for path in sorted((masks / folder).iterdir())[:40]:
            shutil.copy(path, tmp_path / folder)
    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path, Slow(1))
    return tmp_path


def tallied(
    root: Path,
    *,
    engine: Engine | None = None,
    tolerance: float = 2.0,
    policy: Policy | None = None,
) -> Tally:
    """The counts and boundaries alone, without the intervals."""
    target = reference_target(root / "references")
    names = [label.name for label in target.classes]
    measures = grid(names, background=0, options=sb.Options(tolerance=tolerance))
    return tally(
        target,
        open_submission(root / "predictions"),
        policy=policy or Policy(),
        jobs=1,
        progress=lambda _done, _of: None,
        shapes=ShapeMeasures.of(measures, [0, 1], background=0),
        engine=engine,
    )


def evaluate(root: Path, engine: Engine | None = None, *, told=None, **options) -> Tally:
    told = told if told is not None else []
    engine = Journaled(engine or Threads(1), root / JOURNAL, lambda *n: told.append(n))
    return tallied(root, engine=engine, **options)


plain = tallied


def same(one: Tally, other: Tally) -> None:
    assert one.digest == other.digest
    assert one.reading == other.reading
    np.testing.assert_array_equal(np.stack(list(one.counts)), np.stack(list(other.counts)))
    assert one.shapes.keys() == other.shapes.keys()
    for key, values in one.shapes.items():
        np.testing.assert_array_equal(values, other.shapes[key])


def counted_again(root: Path, monkeypatch, **options) -> tuple[Tally, list[str]]:
    """The evaluation with the journal, and which predictions it decoded."""
    decoded: list[str] = []
    decode = Files.decode
    with monkeypatch.context() as patch:

        def watched(self, identifier, *arguments, **more):
            if self.origin.endswith("predictions"):
                decoded.append(identifier)
            return decode(self, identifier, *arguments, **more)

        patch.setattr(Files, "decode", watched)
        return evaluate(root, **options), decoded


ALL = [f"disc{i:04d}" for i in range(40)]


def test_a_changed_prediction_is_counted_again(small, monkeypatch):
    path = small / "predictions" / "disc0003.png"
    before = path.stat()
    size = len(path.read_bytes())
    Image.fromarray(np.roll(np.asarray(Image.open(path)), 9, 0)).save(path)
    with path.open("ab") as stream:  # of the same size and age: only the bytes tell
        stream.write(b"\0" * max(0, size - path.stat().st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    result, decoded = counted_again(small, monkeypatch)
    assert decoded == ["disc0003", *ALL[30:]]
    same(result, plain(small))


def test_a_changed_reference_is_counted_again(small, monkeypatch):
    path = small / "references" / "disc0005.png"
    Image.fromarray(np.roll(np.asarray(Image.open(path)), 9, 0)).save(path)
    result, decoded = counted_again(small, monkeypatch)
    assert decoded == ["disc0005", *ALL[30:]]
    same(result, plain(small))


@pytest.mark.parametrize(
    "options",
    [{"policy": Policy(threshold=0.4)}, {"tolerance": 3.0}],
    ids=["another cut", "other measures"],
)
def test_other_work_does_not_use_it(small, monkeypatch, options):
    result, decoded = counted_again(small, monkeypatch, **options)
    assert decoded == ALL
    same(result, plain(small, **options))


def test_another_version_does_not_use_it(small, monkeypatch):
    monkeypatch.setattr("segbench.scoring.tally.__version__", "9.9.9")
    assert counted_again(small, monkeypatch)[1] == ALL


@pytest.mark.parametrize("cut", [1, 5, 400])
def test_a_torn_end_is_cut_off(small, monkeypatch, cut):
    path = small / JOURNAL
    data = path.read_bytes()
    path.write_bytes(data[:-cut])
    whole_lines = data[:-cut].count(b"\n") - 1
    result, decoded = counted_again(small, monkeypatch)
    assert decoded == ALL[whole_lines:]
    same(result, plain(small))
    told: list[tuple[int, int]] = []
    evaluate(small, told=told)  # what was appended after the cut can be read
    assert told == [(40, 40)]


def test_what_follows_a_damaged_line_is_not_believed(small, monkeypatch):
    path = small / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    lines[11] = lines[11].replace(b"values", b"valuez")
    path.write_bytes(b"".join(lines))
    result, decoded = counted_again(small, monkeypatch)
    assert decoded == ALL[10:]
    same(result, plain(small))


@pytest.mark.parametrize("junk", [b"", b"\n", b"\0" * 4096, b"not a journal\n", os.urandom(3000)])
def test_a_file_that_is_no_journal_is_begun_anew(small, monkeypatch, junk):
    (small / JOURNAL).write_bytes(junk)
    result, decoded = counted_again(small, monkeypatch)
    assert decoded == ALL
    same(result, plain(small))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk_is_said(small):
    (small / JOURNAL).unlink()
    (small / JOURNAL).symlink_to("/dev/full")
    with pytest.raises(sb.SegbenchError, match=r"unfinished\.journal: cannot be written.*--out"):
        evaluate(small)


def test_what_was_refused_is_looked_at_again(small, monkeypatch):
    (small / "predictions" / "disc0035.png").write_bytes(b"no PNG")
    with pytest.raises(sb.SegbenchError, match="disc0035"):
        evaluate(small)
    shutil.copy(small / "predictions" / "disc0034.png", small / "predictions" / "disc0035.png")
    result, decoded = counted_again(small, monkeypatch)
    assert decoded == ["disc0035"]
    same(result, plain(small))


def test_what_is_quick_leaves_no_journal(masks, tmp_path, monkeypatch):
    made: list[Path] = []
    mkdir = Path.mkdir
    monkeypatch.setattr(Path, "mkdir", lambda self, **o: (made.append(self), mkdir(self, **o))[1])
    monkeypatch.setattr(journals, "WRITE_EVERY_S", 60)
    for folder in ("references", "predictions"):
        (tmp_path / folder).mkdir()
        shutil.copy(masks / folder / "disc0000.png", tmp_path / folder)
    made.clear()
    evaluate(tmp_path)
    assert not made
    assert not (tmp_path / JOURNAL).exists()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=10,
)


@given(VALUES)
def test_what_is_packed_comes_back(value):
    back = unpacked(json.loads(json.dumps(packed(value))))
    assert back == value
    assert repr(back) == repr(value)  # -0.0, and True that is not 1


@pytest.mark.parametrize("dtype", ["<i8", "<f8", "u1", "?", "<f4"])
def test_arrays_come_back_to_the_bit(dtype):
    array = np.random.default_rng(0).integers(0, 256, (3, 5, 8)).astype("u1").view("u1")
    array = (
        array[..., : np.dtype(dtype).itemsize].copy().view(dtype)[..., 0]
        if dtype != "?"
        else array > 9
    )
    back = unpacked(json.loads(json.dumps(packed(array))))
    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


def test_an_object_is_not_packed():
    with pytest.raises(TypeError, match="cannot hold MaskFileError"):
        packed(MaskFileError("kind", "detail"))
