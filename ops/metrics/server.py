"""Serves /metrics over HTTP to whoever is let in, and /healthz to anybody."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore
from typing import Any, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import make_wsgi_app

from ops.metrics.collector import JournalCollector
from ops.metrics.login import Login
from orchestrator.errors import JournalUnavailable

#: Requests at one time; whoever comes then is turned away.
MOST: Final = 16
#: For a request to come, and for its answer to be taken. s.
_PATIENCE: Final = 10
_NAME: Final = "durazzo"


def application(
    collector: JournalCollector,
    login: Login,
    reach: Callable[[], None],
    failed: Callable[[Exception], None],
) -> WSGIApplication:
    """``reach``: raises JournalUnavailable while Redis cannot be asked. ``failed``: is told of what
    nobody expected.
    """
    registry = CollectorRegistry()
    registry.register(collector)
    metrics = make_wsgi_app(registry)

    def answer(environ: WSGIEnvironment, begin: StartResponse) -> Iterable[bytes]:
        def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            # The library would name itself, and Python, with their versions.
            return begin(status, [*headers, ("Server", _NAME)], *rest)

        try:
            return routed(environ, start)
        except Exception as error:  # noqa: BLE001  the edge: wsgiref would print a traceback
            failed(error)
            return _told(start, HTTPStatus.INTERNAL_SERVER_ERROR, "bug: its log says where")

    def routed(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/healthz":
            return _health(reach, start)
        # What there is and what there is not, strangers are not told.
        if not _admits(login, environ):
            return _refused(login, start)
        match path:
            case "/metrics":
                return metrics(environ, start)  # type: ignore[no-any-return]
            case _:
                return _told(start, HTTPStatus.NOT_FOUND, "there are /metrics and /healthz")

    return answer


def _admits(login: Login, environ: WSGIEnvironment) -> bool:
    given = environ.get("HTTP_AUTHORIZATION", "")
    return login.admits(given, environ.get("HTTP_HOST", ""))


def _refused(login: Login, start: StartResponse) -> list[bytes]:
    if not login.token:
        return _told(start, HTTPStatus.FORBIDDEN, "it is for this machine alone")
    asked = ("WWW-Authenticate", 'Bearer realm="durazzo"')
    return _told(start, HTTPStatus.UNAUTHORIZED, "it needs the bearer token", asked)


def _health(reach: Callable[[], None], start: StartResponse) -> list[bytes]:
    try:
        reach()
    except JournalUnavailable as error:
        return _told(start, HTTPStatus.SERVICE_UNAVAILABLE, error.code)
    return _told(start, HTTPStatus.OK, "ok")


def _told(
    start: StartResponse, status: HTTPStatus, text: str, *more: tuple[str, str]
) -> list[bytes]:
    headers = [("Content-Type", "text/plain; charset=utf-8"), *more]
    start(f"{status.value} {status.phrase}", headers)
    return [f"{text}\n".encode()]


class _Request(WSGIRequestHandler):
    timeout = _PATIENCE

    def version_string(self) -> str:
        """Of errors that are answered before there is a request."""
        return _NAME

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base's name
        """Nothing: a line would hold who asked, and what."""


class Server(ThreadingMixIn, WSGIServer):
    """A thread for each request, a bounded number of them; bound when it is made.

    Raises OSError where nothing can listen at ``host`` and ``port``; port 0 is a free one.
    """

    #: Nobody's request keeps the process from its end.
    daemon_threads = True
    request_queue_size = MOST

    def __init__(self, host: str, port: int, app: WSGIApplication) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family, *_, address = found[0]
        self._places = BoundedSemaphore(MOST)
        super().__init__((str(address[0]), port), _Request)
        self.set_app(app)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        told = str(host)
        return f"http://{f'[{told}]' if ':' in told else told}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            # There is no thread to be had, so none gives the place back.
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Whoever leaves before the answer is no event."""
