"""`segbench leaderboard open`: a real process, asked by real and by hostile requests."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading

import pytest

from segbench.board.site.local import local_page
from segbench.board.site.serve import HOST, server
from segbench.errors import SegbenchError
from segbench.scoring.stored import read_scores

KEY = "synthetic-lesions-test"


@pytest.fixture(scope="module")
def port(board_results, synthetic):
    masks = board_results.parent / "masks-far"
    page = local_page(board_results, data=synthetic, predictions={"mine": masks})
    assert page.notes == ()
    with server(page.served) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running.server_port
        running.shutdown()
        thread.join()


def ask(port, path, *, method="GET", host=None):
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    if host != "":
        connection.putheader("Host", f"{HOST}:{port}" if host is None else host)
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def test_pages_pictures_and_contours(port):
    for path, kind, start in (
        ("/", "text/html", b"<!doctype html>"),
        (f"/{KEY}/viewer.html?x#y", "text/html", b"<!doctype html>"),
        (f"/{KEY}/pictures/SYN001.jpg", "image/jpeg", b"\xff\xd8\xff"),
        (f"/{KEY}/data/reference/SYN001.js", "text/javascript", b'segbench.put("reference/SYN001"'),
        (f"/{KEY}/data/contours/far/SYN001.js", "text/javascript", b'segbench.put("contours/far/'),
        (f"/{KEY}/data/contours/mine/SYN001.js", "text/javascript", b'segbench.put("contours/mine'),
        (f"/{KEY}/data/entries/mine.js", "text/javascript", b'segbench.put("entries/mine"'),
    ):
        status, headers, body = ask(port, path)
        assert status == 200, path
        assert headers["Content-Type"].startswith(kind)
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert "Access-Control-Allow-Origin" not in headers
        assert headers["Cache-Control"] == "no-store"
        assert body.startswith(start), path


def test_masks_given_by_hand_are_those_of_the_entry(port):
    own = [ask(port, f"/{KEY}/data/contours/{name}/SYN003.js")[2] for name in ("far", "mine")]
    assert own[0].partition(b",")[2] == own[1].partition(b",")[2]


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//etc/passwd",
        "/etc/passwd",
        f"/{KEY}",
        f"/{KEY}/",
        f"/{KEY}/data/",
        f"/{KEY}/pictures/",
        f"/{KEY}/pictures/../../../etc/passwd",
        f"/{KEY}/pictures/SYN001",
        f"/{KEY}/pictures/SYN002.jpg",  # of another split
        f"/{KEY}/pictures/SYN001.png",
        f"/{KEY}/pictures/..%2f..%2fsamples.csv",
        f"/{KEY}/data/contours/none/SYN001.js",
        f"/{KEY}/data/contours/far/%00SYN001.js",
        f"/{KEY}/data/reference/SYN001.js/x",
        "/ph2-test/pictures/IMD003.jpg",
        "/index.html%00",
        "/" + "a/" * 5000,
    ],
)
def test_nothing_else_is_served(port, path):
    status, _, body = ask(port, path)
    assert status == 404
    assert body == b"there is no such page\n"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{}", "", "127.0.0.1", "[::1]:{}"])
def test_another_name_for_this_machine_is_refused(port, host):
    status, _, body = ask(port, "/", host=host.format(port))
    assert status == 421
    assert b"doctype" not in body
    assert ask(port, "/", host=f"localhost:{port}")[0] == 200


def test_two_names_at_once_are_refused(port):
    connection = http.client.HTTPConnection(HOST, port, timeout=20)
    connection.putrequest("GET", "/", skip_host=True)
    for host in (f"{HOST}:{port}", "evil.example"):
        connection.putheader("Host", host)
    connection.endheaders()
    assert connection.getresponse().status == 421
    connection.close()


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "HEAD"])
def test_only_reading(port, method):
    assert ask(port, "/", method=method)[0] == 501


def test_predictions_that_fit_nothing_are_refused(board_results, synthetic, tmp_path):
    masks = board_results.parent / "masks-far"
    for name, path, said in (
        ("exact", masks, "has an entry exact"),
        ("<b>", masks, "a name has the form"),
        ("mine", tmp_path / "none", "no such folder"),
    ):
        with pytest.raises(SegbenchError, match=said):
            local_page(board_results, data=synthetic, predictions={name: path})
    next(masks.glob("*.png")).rename(tmp_path / "SYN999.png")
    try:
        with pytest.raises(SegbenchError, match="no mask for every image"):
            local_page(board_results, data=synthetic, predictions={"mine": masks})
    finally:
        missing = {f"{i}.png" for i in ids(board_results)} - {p.name for p in masks.iterdir()}
        (tmp_path / "SYN999.png").rename(masks / missing.pop())


def ids(results):
    return read_scores(results / "synthetic-lesions" / "far").ids


def test_without_the_data_the_page_has_no_viewer(board_results, tmp_path):
    page = local_page(board_results, data=tmp_path)
    assert page.served.viewers == {}
    assert f"{KEY}/viewer.html" not in page.served.files
    assert "no images" in page.notes[0]
    assert "segbench prepare synthetic-lesions" in page.notes[0]


def test_the_command(board_results, synthetic):
    command = [sys.executable, "-m", "segbench", "leaderboard", "open", "--no-browser"]
    command += ["--results", str(board_results), "--data", str(synthetic)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
        # where tests run in the background, Ctrl+C would be ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    try:
        found = re.match(r"http://127\.0\.0\.1:(\d+)/", process.stdout.readline())
        assert found
        assert ask(int(found[1]), "/")[0] == 200
        os.kill(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    assert err == "stopped\n"


def test_refusals_of_the_command(board_results, segbench, port):
    ran = segbench("leaderboard", "open", "--results", board_results, "--predictions", "x")
    assert ran.code == 2
    assert "expected NAME=PATH" in ran.err
    ran = segbench("leaderboard", "open", "--results", board_results, "--port", port)
    assert ran.code == 1
    assert "cannot be had" in ran.err
