"""A server between durazzo and the sandbox that writes down what really goes over the wire."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

#: Of the connection, not of the request.
_HOP = frozenset({"connection", "host", "content-length", "transfer-encoding", "accept-encoding"})


class Recorder(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, upstream: str) -> None:
        super().__init__(("127.0.0.1", 0), _Forwarding)
        self.upstream = urlsplit(upstream).netloc
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Forwarding(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Recorder

    def _forward(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        headers = {k.lower(): v for k, v in self.headers.items() if k.lower() not in _HOP}
        lines = [f"{self.command} {self.path}"]
        lines += [f"{name}: {value}" for name, value in sorted(headers.items())]
        self.server.requests.append("\n".join([*lines, "", body.decode(), ""]))
        with closing(http.client.HTTPConnection(self.server.upstream, timeout=30)) as line:
            line.request(self.command, self.path, body, headers)
            answer = line.getresponse()
            data = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = _forward  # noqa: N815 - http.server's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass


@contextmanager
def recording(upstream: str) -> Iterator[Recorder]:
    server = Recorder(upstream)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
