"""A web site for tests: pages that a test puts up, changes and takes down, over real sockets."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from socket import socket
from typing import TypeAlias

from orchestrator.clock import Clock, SystemClock
from orchestrator.formats.web.address import Hosts
from orchestrator.formats.web.fetch import Fetcher, Limits
from orchestrator.formats.web.line import Resolve, system_addresses
from orchestrator.settings import from_environ
from tests.unit.workers.stub_server import Server, read_request, response

#: The request → the bytes of the answer.
Page: TypeAlias = Callable[[bytes], bytes]


class Site:
    """Counts what it is asked for; what it does not have is 404."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[str] = []
        self.requests: list[bytes] = []
        self._server = Server(self._serve)
        self._closed = False
        self.url = self._server.url

    @property
    def host(self) -> str:
        """As DURAZZO_SOURCE_HOSTS lists it."""
        return self.url.removeprefix("http://")

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def put(self, path: str, text: str, **marks: str) -> None:
        """A page of text; ``marks`` are headers, e.g. ``ETag``, which a client may ask with."""
        more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in marks.items())

        def page(request: bytes) -> bytes:
            if any(f": {value}\r\n".encode() in request for value in marks.values()):
                return response(b"", status="304 Not Modified", more=more)
            return response(text.encode(), more=more)

        self.pages[path] = page

    def send(self, path: str, answer: bytes) -> None:
        self.pages[path] = lambda _: answer

    @property
    def connections(self) -> int:
        return self._server.connections

    def close(self) -> None:
        """From now on nobody answers at its port."""
        if not self._closed:
            self._closed = True
            self._server.close()

    def _serve(self, connection: socket, _: threading.Event) -> None:
        while request := read_request(connection):
            path = request.split(b" ", 2)[1].decode()
            self.asked.append(path)
            self.requests.append(request)
            found = self.pages.get(path)
            connection.sendall(found(request) if found else response(status="404 Not Found"))


@contextmanager
def open_site() -> Iterator[Site]:
    with closing(Site()) as site:
        yield site


def hosts(*entries: str) -> Hosts:
    """As DURAZZO_SOURCE_HOSTS lists them."""
    return Hosts(from_environ({"DURAZZO_SOURCE_HOSTS": ",".join(entries)}).source_origins)


def fetcher(
    *entries: str,
    clock: Clock | None = None,
    limits: Limits | None = None,
    resolve: Resolve = system_addresses,
) -> Fetcher:
    return Fetcher(hosts(*entries), clock or SystemClock(), limits=limits, resolve=resolve)


def redirect(location: str, status: str = "302 Found") -> bytes:
    return response(b"", status=status, more=f"Location: {location}\r\n")


def zipped(data: bytes) -> bytes:
    return response(gzip.compress(data), more="Content-Encoding: gzip\r\n")
