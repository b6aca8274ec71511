"""https: only from a host whose certificate is trusted and names it."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest

from orchestrator.clock import SystemClock
from orchestrator.formats.sources import SourceUnreachable
from orchestrator.formats.web.fetch import Fetcher
from tests.unit.formats.web.site import hosts
from tests.unit.workers.stub_server import Script, answering, response, serving
from tests.unit.workers.test_worker_http import certified


def over_tls(pair: Path) -> Script:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)

    def script(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            answering(response(b"text"))(wrapped, over)

    return script


def test_a_text_comes_over_tls_from_a_host_that_is_trusted(tmp_path: Path) -> None:
    pair = certified(tmp_path)
    with serving(over_tls(pair)) as server:
        host = server.url.removeprefix("http://")
        trusting = ssl.create_default_context(cafile=pair)
        client = Fetcher(hosts(host), SystemClock(), tls=trusting)
        wanted = client.wanted("shop", f"https://{host}/x")
        assert client.get(wanted).data == b"text"

        suspicious = Fetcher(hosts(host), SystemClock())
        with pytest.raises(SourceUnreachable) as caught:
            suspicious.get(wanted)
    assert caught.value.reason == "no TLS connection to 127.0.0.1 (self-signed certificate)"


def test_a_certificate_of_another_name_is_not_trusted(tmp_path: Path) -> None:
    pair = certified(tmp_path)
    with serving(over_tls(pair)) as server:
        host = server.url.removeprefix("http://")
        name = f"a.example:{host.partition(':')[2]}"
        client = Fetcher(
            hosts(host, name),
            SystemClock(),
            tls=ssl.create_default_context(cafile=pair),
            resolve=lambda *_: ["127.0.0.1"],
        )
        with pytest.raises(SourceUnreachable, match=r"a\.example \(Hostname mismatch"):
            client.get(client.wanted("shop", f"https://{name}/x"))


def test_a_host_without_tls_is_not_reached() -> None:
    def plain(connection: socket.socket, _: threading.Event) -> None:
        connection.recv(65_536)
        connection.sendall(response(b"", status="400 Bad Request"))

    with serving(plain) as server:
        host = server.url.removeprefix("http://")
        client = Fetcher(hosts(host), SystemClock())
        with pytest.raises(SourceUnreachable) as caught:
            client.get(client.wanted("shop", f"https://{host}/x"))
    assert caught.value.reason == "no TLS connection to 127.0.0.1"
