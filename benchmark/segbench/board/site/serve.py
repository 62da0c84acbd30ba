"""The page with its viewer on this machine alone, from the user's own copy of the data.

Every path that is answered is a key of a dictionary or made of ids that are keys of one, so that no
request can name a file. The name in `Host` is checked, so that a page of elsewhere whose name
resolves to this machine is refused (DNS rebinding), and other pages may not embed what is served.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from segbench.board.site.viewer import Viewer
from segbench.errors import SegbenchError

HOST = "127.0.0.1"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".jpg": "image/jpeg",
}
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
LONG_SIDE = 1600
"""Of pictures that stay on this machine, px."""

_IDLE_SECONDS = 30


@dataclass(frozen=True)
class Served:
    """What may be asked for: the page's files by path, and the viewers by their board's folder."""

    files: Mapping[str, bytes] = field(repr=False)
    viewers: Mapping[str, Viewer]

    def find(self, path: str) -> bytes | None:
        """The content of a path without its first slash; None where there is none.

        Raises:
            SegbenchError: A file of the dataset or of an entry is damaged.
        """
        if path in self.files:
            return self.files[path]
        match path.split("/"):
            case [key, "pictures", file] if key in self.viewers:
                identifier = file.removesuffix(".jpg")
                if file.endswith(".jpg") and identifier in self.viewers[key].rows:
                    return self.viewers[key].picture(identifier, long_side=LONG_SIDE)
            case [key, "data", "reference", file] if key in self.viewers:
                identifier = file.removesuffix(".js")
                if file.endswith(".js") and identifier in self.viewers[key].rows:
                    return self.viewers[key].reference(identifier)
            case [key, "data", "contours", entry, file] if key in self.viewers:
                viewer, identifier = self.viewers[key], file.removesuffix(".js")
                if file.endswith(".js") and entry in viewer.masks and identifier in viewer.rows:
                    return viewer.contours(entry, identifier)
            case _:
                pass
        return None


def server(served: Served, *, port: int = 0) -> ThreadingHTTPServer:
    """A server that is bound to this machine's own address, not yet running.

    Args:
        served: What may be asked for.
        port: 0 for any that is free.

    Raises:
        SegbenchError: The port cannot be had.
    """

    class Handler(_Handler):
        content = served

    try:
        found = ThreadingHTTPServer((HOST, port), Handler)
    except (OSError, OverflowError) as error:
        raise SegbenchError(f"port {port} of {HOST} cannot be had ({error})") from error
    found.daemon_threads = True
    own = found.server_port
    Handler.own_names = frozenset({f"{HOST}:{own}", f"localhost:{own}"})
    return found


class _Handler(BaseHTTPRequestHandler):
    content: Served
    own_names: frozenset[str]
    protocol_version = "HTTP/1.1"
    server_version = "segbench"
    sys_version = ""
    timeout = _IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer one request; the base class refuses every other method."""
        hosts = self.headers.get_all("Host", [])
        if len(hosts) != 1 or hosts[0] not in self.own_names:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST, "this server answers for itself alone")
            return
        path = unquote(urlsplit(self.path).path).removeprefix("/") or "index.html"
        try:
            found = self.content.find(path)
        except SegbenchError as error:
            self._refuse(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
            return
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND, "there is no such page")
            return
        self._answer(HTTPStatus.OK, TYPES[PurePosixPath(path).suffix], found)

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._answer(status, "text/plain; charset=utf-8", f"{why}\n".encode())

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Say nothing: the terminal is the user's."""
