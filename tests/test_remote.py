"""Predictions and prepared datasets at URLs: a real S3 server, a real web server, archives there."""

from __future__ import annotations

import functools
import http.server
import io
import json
import logging
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import segbench as sb
from segbench.masks import archives, places
from segbench.masks.places import Remote, place_of
from segbench.masks.prepared import open_prepared, prepared_datasets
from segbench.masks.submission import open_submission
from segbench.scoring.cluster import Dask
from segbench.scoring.engine import Threads
from segbench.scoring.files import scores_json
from segbench.scoring.journal import JOURNAL, Journaled
from segbench.scoring.target import find_prepared

s3fs = pytest.importorskip("s3fs", reason="pip install 'segbench[remote]'")

botocore = pytest.importorskip("botocore.session", reason="pip install 'segbench[remote]'")

pytestmark = pytest.mark.xdist_group("remote")  # one server, not one a worker of pytest

NAME = "synthetic-lesions"


@pytest.fixture(scope="module")
def guess(synthetic, tmp_path_factory) -> Path:
    """Predictions of the drawn test split, 0 and 255: each mask moved by some pixels."""
    folder = tmp_path_factory.mktemp("guess")
    for i, sample in enumerate(sb.load(NAME, "test", data=synthetic)):
        moved = np.roll(sample.mask, (i % 9, -(i % 7)), (0, 1))
        Image.fromarray(moved * 255).save(folder / f"{sample.id}.png")
    return folder


@pytest.fixture(scope="module")
def packed(guess, tmp_path_factory) -> Path:
    """A folder with the predictions as masks.zip and masks.tar.gz, in a folder `inner`."""
    root = tmp_path_factory.mktemp("packed")
    with zipfile.ZipFile(root / "masks.zip", "w") as archive:
        for path in sorted(guess.iterdir()):
            archive.write(path, f"inner/{path.name}")
    with tarfile.open(root / "masks.tar.gz", "w:gz") as archive:
        archive.add(guess, "inner")
    return root


@pytest.fixture(scope="module")
def here(synthetic, guess) -> sb.Evaluation:
    return sb.evaluate(guess, data=synthetic)


def same(one: sb.Evaluation, other: sb.Evaluation) -> None:
    assert scores_json(one) == scores_json(other)
    pd.testing.assert_frame_equal(one.rows(), other.rows(), check_exact=True)


KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


class Bucket:
    """An S3 server of this machine: its environment, and what it was asked for."""

    def __init__(self) -> None:
        moto_server = pytest.importorskip("moto.server", reason="pip install 'moto[s3,server]'")
        self.asked: list[str] = []
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self.server.start()
        host, port = self.server.get_host_and_port()
        self.environment = {**KEYS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
        application = self.server._server.app

        def watched(environ, start_response):
            self.asked.append(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}")
            return application(environ, start_response)

        self.server._server.app = watched

    @functools.cached_property
    def client(self):
        return botocore.get_session().create_client(
            "s3",
            endpoint_url=self.environment["AWS_ENDPOINT_URL"],
            aws_access_key_id="testing",
            aws_secret_access_key="testing",  # noqa: S106  of a server that takes any
            region_name="us-east-1",
        )

    def put(self, key: str, data: bytes) -> None:
        self.client.put_object(Bucket="bench", Key=key, Body=data)

    def upload(self, folder: Path, prefix: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and ".cache" not in path.parts:
                self.put(f"{prefix}/{path.relative_to(folder).as_posix()}", path.read_bytes())


@pytest.fixture(scope="module")
def bucket(guess, packed, synthetic):
    made = Bucket()
    made.client.create_bucket(Bucket="bench")
    made.upload(guess, "preds")
    made.upload(packed, "packed")
    made.upload(synthetic, "data")
    yield made
    made.server.stop()


@pytest.fixture
def s3(bucket, monkeypatch) -> Bucket:
    """The server, found through the ordinary environment variables."""
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    bucket.asked.clear()
    return bucket


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_arguments) -> None:
        pass


@pytest.fixture(scope="module")
def web(guess, packed, synthetic, tmp_path_factory):
    """A web server of `preds`, `packed` and `data`."""
    root = tmp_path_factory.mktemp("web")
    shutil.copytree(guess, root / "preds")
    shutil.copytree(packed, root / "packed")
    shutil.copytree(synthetic, root / "data", ignore=shutil.ignore_patterns(".cache"))
    handler = functools.partial(_Quiet, directory=str(root))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.usefixtures("s3")
def test_s3_scores_the_same(here):
    same(sb.evaluate("s3://bench/preds/", data="s3://bench/data"), here)


def test_each_object_is_read_once(s3, here):
    sb.evaluate("s3://bench/preds", dataset=NAME, data="s3://bench/data")
    read = [line for line in s3.asked if "/preds/" in line or "/masks/" in line]
    assert sorted(read) == sorted(set(read))
    assert len(read) == 2 * len(here.table)
    listings = [line for line in s3.asked if line in {"GET /bench", "GET /bench/"}]
    assert len(listings) <= 2


@pytest.mark.usefixtures("s3")
@pytest.mark.parametrize(
    "predictions",
    [
        "s3://bench/packed/masks.zip",
        "s3://bench/packed/masks.tar.gz",
        "zip://::s3://bench/packed/masks.zip",
        "zip://inner::s3://bench/packed/masks.zip",
        "tar://inner::s3://bench/packed/masks.tar.gz",
    ],
)
def test_archives_on_s3(synthetic, here, predictions):
    same(sb.evaluate(predictions, data=synthetic), here)


def test_the_web_scores_the_same(web, here):
    same(sb.evaluate(f"{web}/preds/", dataset=NAME, data=f"{web}/data"), here)
    same(sb.evaluate(f"{web}/packed/masks.zip", data=f"{web}/data"), here)


def test_archives_and_files_here(packed, guess, synthetic, here, tmp_path):
    for url in (
        f"zip://{packed}/masks.zip",
        f"zip://::{packed}/masks.zip",
        f"zip://inner::file://{packed}/masks.zip",
        f"tar://inner/::{packed}/masks.tar.gz",
        guess.as_uri(),
    ):
        same(sb.evaluate(url, data=synthetic.as_uri()), here)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in sorted((synthetic / NAME).rglob("*")):
            if path.is_file() and ".cache" not in path.parts:
                archive.write(path, f"data/{path.relative_to(synthetic)}")
    same(sb.evaluate(guess, data=f"zip://data::{tmp_path}/all.zip"), here)


def test_a_table_at_a_url(s3, synthetic, here, guess):
    rows = ["id,rle"]
    for path in sorted(guess.iterdir()):
        flat = np.concatenate([[0], np.asarray(Image.open(path)).T.ravel() > 0, [0]])
        edges = np.flatnonzero(np.diff(flat.astype(np.int8))) + 1
        runs = [f"{a} {b - a}" for a, b in edges.reshape(-1, 2)]
        rows.append(f"{path.stem},{' '.join(runs)}")
    s3.put("rle.csv", "\n".join(rows).encode())
    result = sb.evaluate("s3://bench/rle.csv", data=synthetic)
    assert result.score("dice").value == here.score("dice").value


def test_bare_references_at_a_url(s3, guess, synthetic):
    bare = synthetic / NAME / "masks"
    some = {p.stem: np.asarray(Image.open(p)) for p in sorted(guess.iterdir())[:5]}
    for name in some:
        s3.put(f"bare/{name}.png", (bare / f"{name}.png").read_bytes())
    far = sb.evaluate(some, references="s3://bench/bare")
    masks = {name: np.asarray(Image.open(bare / f"{name}.png")) for name in some}
    near = sb.evaluate(some, references=masks)
    assert [s.value for s in far.scores] == pytest.approx(
        [s.value for s in near.scores], nan_ok=True
    )


def test_the_command_writes_the_same(segbench_process, bucket, guess, synthetic, tmp_path):
    near = segbench_process(
        "evaluate", "--predictions", guess, "--data", synthetic, "--out", tmp_path / "near"
    )
    assert near.code == 0, near.err
    far = segbench_process(
        *("evaluate", "--predictions", "s3://bench/preds/", "--data", "s3://bench/data"),
        *("--out", tmp_path / "far"),
        env=bucket.environment,
    )
    assert far.code == 0, far.err
    for file in ("scores.json", "rows.parquet"):
        assert (tmp_path / "far" / file).read_bytes() == (tmp_path / "near" / file).read_bytes()
    assert (tmp_path / "far" / "report.html").stat().st_size > 100_000  # with the images


def test_the_environment_may_name_a_url(segbench_process, bucket):
    environment = {**bucket.environment, "SEGBENCH_DATA": "s3://bench/data"}
    ran = segbench_process(
        "evaluate", "--predictions", "s3://bench/preds/", "--json", env=environment
    )
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["dataset"] == NAME
    ran = segbench_process("audit", NAME, env=environment)
    assert ran.code == 1
    assert "needs a folder on this machine" in ran.err


def test_a_stopped_one_goes_on_by_versions(s3, guess, synthetic, tmp_path, monkeypatch):
    monkeypatch.setattr("segbench.scoring.journal.WRITE_EVERY_S", 0)
    s3.upload(guess, "again")
    told: list[tuple[int, int]] = []
    engine = Journaled(Threads(1), tmp_path / JOURNAL, lambda *n: told.append(n))

    def stop(done: int, _of: int) -> None:
        if done == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sb.evaluate("s3://bench/again", data=synthetic, engine=engine, progress=stop)
    names = sorted(path.name for path in guess.iterdir())
    turned = io.BytesIO()
    Image.open(guess / names[4]).transpose(Image.Transpose.ROTATE_180).save(turned, "PNG")
    s3.put(f"again/{names[4]}", turned.getvalue())
    s3.asked.clear()
    result = sb.evaluate("s3://bench/again", data=synthetic, engine=engine)
    assert told == [(12, len(names))]
    read = [line.rpartition("/")[2] for line in s3.asked if "/again/" in line]
    assert sorted(read) == [names[4], *names[12:]]
    same(result, sb.evaluate("s3://bench/again", data=synthetic))
    assert scores_json(result) != scores_json(sb.evaluate(guess, data=synthetic))


@pytest.mark.usefixtures("s3")
def test_on_a_cluster(synthetic, here):
    distributed = pytest.importorskip("distributed", reason="pip install 'segbench[dask]'")
    with (  # threads here: tests/test_dask.py has the processes; all is pickled just the same
        distributed.LocalCluster(
            2, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp"
        ) as local,
        distributed.Client(local) as client,
    ):
        same(sb.evaluate("s3://bench/preds", data="s3://bench/data", engine=Dask(client, 8)), here)
        zipped = "s3://bench/packed/masks.zip"
        same(sb.evaluate(zipped, data=synthetic, engine=Dask(client, 8)), here)


def test_what_is_wrong_is_said_as_for_a_folder(s3, guess, synthetic, tmp_path):
    folder = shutil.copytree(guess, tmp_path / "guess")
    first, second, third, *_ = sorted(folder.iterdir())
    first.write_bytes(b"no PNG")
    second.write_bytes(b"")
    third.unlink()
    s3.upload(folder, "faulty")
    said = []
    for where in (folder, "s3://bench/faulty"):
        with pytest.raises(sb.SegbenchError) as refused:
            sb.evaluate(where, data=synthetic)
        said.append(str(refused.value).replace(str(where), "HERE"))
    assert said[0] == said[1]


def refusal(url: str, **options) -> str:
    with pytest.raises(sb.SegbenchError) as refused:
        sb.evaluate(url, **options)
    return str(refused.value)


@pytest.mark.usefixtures("s3")
def test_places_where_there_is_nothing(web, synthetic):
    for url in (
        "s3://bench/nothing/",
        "s3://bench/none.zip",
        "s3://bench/none.csv",
        f"{web}/none/",
    ):
        assert url.rstrip("/") in (text := refusal(url, data=synthetic))
        assert "no files there; expected predictions" in text
    assert "s3://nobucket/x" in refusal("s3://nobucket/x", data=synthetic)
    text = refusal("s3://bench/preds", dataset=NAME, data="s3://bench/preds")
    assert (
        f"{NAME} does not lie at s3://bench/preds; expected s3://bench/preds/{NAME}/dataset.json"
        in text
    )
    assert "no prepared dataset in s3://bench/none" in refusal(
        "s3://bench/preds", data="s3://bench/none"
    )
    assert "no such file" in refusal("zip:///nowhere/at/all.zip", data=synthetic)


def test_no_credentials_and_no_server(monkeypatch, synthetic, tmp_path):
    for name in KEYS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.setattr("s3fs.core.S3FileSystem.retries", 1)
    s3fs.S3FileSystem.clear_instance_cache()  # which remember another environment
    text = refusal("s3://private/preds", data=synthetic)
    assert "s3://private/preds: cannot be read" in text
    assert "AWS_ACCESS_KEY_ID" in text
    assert "FSSPEC_S3_ANON" in text
    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setattr(places, "_WAIT_S", 0)
    assert "http://127.0.0.1:9/x: cannot be read" in refusal("http://127.0.0.1:9/x", data=synthetic)


def test_unknown_schemes_and_missing_libraries(synthetic, monkeypatch):
    assert "nosuch://x: cannot be read" in refusal("nosuch://x", data=synthetic)
    assert "pip install 'segbench[remote]'" in refusal(
        "gs://bucket/x", data=synthetic
    )  # needs gcsfs
    monkeypatch.setitem(sys.modules, "fsspec", None)
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    text = refusal("s3://bench/preds", data=synthetic)
    assert "fsspec is needed, which is not installed: pip install 'segbench[remote]'" in text


@pytest.mark.parametrize("far", [False, True])
def test_archives_are_refused_as_files_are(s3, synthetic, tmp_path, far, monkeypatch):
    """A bomb, a link and a name that leads out: by zip:// and at a URL."""
    monkeypatch.setattr(archives, "MEMBER_RATIO_FLOOR", 2**16)
    cases = {
        "packed too well": ("a.png", bytes(2**20), 0),
        "link": ("b.png", b"/etc/passwd", stat.S_IFLNK),
    }
    cases["leads out of the folder"] = ("../c.png", b"", 0)
    for what, (name, data, kind) in cases.items():
        made = io.BytesIO()
        with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
            info = zipfile.ZipInfo(name)
            info.external_attr = kind << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
        path = tmp_path / "made.zip"
        path.write_bytes(made.getvalue())
        s3.put("made.zip", made.getvalue())
        url = "s3://bench/made.zip" if far else f"zip://{path}"
        text = refusal(url, data=synthetic)
        assert what in text
        assert ("s3://bench/made.zip" if far else str(path)) in text


def test_objects_with_odd_names_are_refused(s3, synthetic):
    s3.put("odd/a\x01b.png", b"")
    s3.put("odd/IMD1.png", b"")
    assert "control character in a name" in refusal("s3://bench/odd", data=synthetic)


@pytest.mark.usefixtures("s3")
def test_large_objects_are_refused_and_not_read(web, monkeypatch):
    monkeypatch.setattr(places, "MAX_MEMBER_BYTES", 1000)
    for url in (f"s3://bench/data/{NAME}", f"{web}/data/{NAME}"):
        with pytest.raises(sb.SegbenchError, match="file too large"):
            (place_of(url) / "samples.csv").read_bytes(1000)


def test_what_is_listed_on_the_web_stays_below(tmp_path, guess):
    """A page may name anything; only what lies below the URL is taken."""
    (tmp_path / "preds").mkdir()
    links = [
        "../secret.png",
        "http://127.0.0.1:9/other.png",
        "/secret.png",
        "a%20b.png",
        "?C=N;O=D",
        "#top",
    ]
    links.append("sub/")
    page = "".join(f'<a href="{link}">x</a>' for link in links)
    (tmp_path / "preds" / "index.html").write_text(page)
    shutil.copy(next(guess.iterdir()), tmp_path / "preds" / "a b.png")
    (tmp_path / "preds" / "sub").mkdir()
    (tmp_path / "preds" / "sub" / "index.html").write_text(
        '<a href="/preds/">up</a><a href="/">top</a>'
    )
    handler = functools.partial(_Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        submission = open_submission(place_of(f"http://127.0.0.1:{server.server_port}/preds"))
        assert submission.ids == {"a b"}
        assert submission.decode("a b", (1, 1), any_size=True, threshold=0.5).codes.any()
        server.shutdown()


def test_names_of_places():
    assert place_of("a/b") == Path("a/b")
    assert place_of("file:///a%20b/c") == Path("/a b/c")
    there = place_of("s3://bucket/preds/") / "x" / "y.png"
    assert str(there) == "s3://bucket/preds/x/y.png"
    assert there.name == "y.png"
    inside = place_of("zip://data::s3://bucket/all.zip") / "ph2"
    assert str(inside) == "zip://data/ph2::s3://bucket/all.zip"
    assert place_of("zip://::/tmp/preds.zip").name == "preds.zip"
    for name in ("../x", "a/../../x", "C:/x"):
        with pytest.raises(sb.SegbenchError, match="leads out of the folder"):
            there / name


@pytest.mark.usefixtures("s3")
def test_datasets_of_a_place(synthetic, guess):
    (found,) = prepared_datasets(place_of("s3://bench/data"))
    assert (found.name, str(found.root)) == (NAME, f"s3://bench/data/{NAME}")
    assert isinstance(found.root, Remote)
    near = open_prepared(NAME, data=synthetic)
    assert found.rows == near.rows
    row = found.rows[0]
    for one, other in (
        (found.read_mask(row), near.read_mask(row)),
        (found.read_image(row), near.read_image(row)),
    ):
        np.testing.assert_array_equal(one, other)
    assert find_prepared(open_submission(guess), place_of("s3://bench/data")).name == NAME
    with pytest.raises(sb.SegbenchError, match="needs the dataset in a folder"):
        _ = found.folder


def test_a_path_imports_nothing_for_urls(guess, synthetic):
    code = (
        "import sys, segbench\n"
        f"segbench.evaluate({str(guess)!r}, data={str(synthetic)!r})\n"
        "heavy = {'fsspec', 's3fs', 'aiohttp', 'distributed', 'dask'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
