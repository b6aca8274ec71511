from __future__ import annotations

import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator.expressions.nodes import MISSING, Json, Missing
from orchestrator.policy.call_hosts import CallHosts
from orchestrator.policy.outcomes import Answer, NoAnswer, Result
from tests.unit.workers.stub_server import (
    Script,
    Server,
    answering,
    read_request,
    response,
    serving,
)
from workers.http import Caller, rewrite
from workers.render import FrozenRequest

DEADLINE_S = 0.3
HERE = CallHosts.of(["localhost"], {})
#: What a loaded machine may add to a deadline. A drip without one would take minutes.
SLACK_S = 1.0


@pytest.fixture
def caller() -> Iterator[Caller]:
    made = Caller(hosts=HERE, max_answer=100_000)
    yield made
    made.close()


def send(
    caller: Caller,
    url: str,
    *,
    body: bytes | None = b"a=1",
    headers: list[tuple[str, str]] | None = None,
    deadline_s: float = 5.0,
) -> Result:
    request = FrozenRequest(
        method="GET" if body is None else "POST",
        url="https://published.example/v1",
        headers=(),
        body=body,
        key=None,
        provider="generic",
    )
    return caller.call(request, headers=headers or [], url=url, deadline_s=deadline_s)


def timed(caller: Caller, server: Server, body: bytes = b"a=1") -> Result:
    """The result of a call that has to end by its own deadline."""
    begun = time.monotonic()
    result = send(caller, server.url, body=body, deadline_s=DEADLINE_S)
    assert time.monotonic() - begun < DEADLINE_S + SLACK_S
    return result


def test_an_answer_has_status_lower_case_headers_and_the_parsed_body(caller: Caller) -> None:
    data = response(b'{"id":"pi_1"}', status="402 Payment Required", more="X-A: 1\r\nx-a: 2\r\n")
    with serving(answering(data)) as server:
        result = send(caller, server.url)
    assert isinstance(result, Answer)
    assert (result.status, result.body, result.problem) == (402, {"id": "pi_1"}, "")
    assert result.headers["x-a"] == "1, 2"


def test_the_request_goes_out_as_it_was_frozen(caller: Caller) -> None:
    requests: list[bytes] = []
    with serving(answering(response(), requests)) as server:
        send(
            caller,
            f"{server.url}/v1/a%2Fb?To=%2B1&x=y%20z",
            body=b"To=%2B1500",
            headers=[("Authorization", "Bearer t"), ("X-Name", "Caf\xe9")],
        )
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/a%2Fb?To=%2B1&x=y%20z HTTP/1.1\r\n")
    assert b"\r\nAuthorization: Bearer t\r\n" in head
    assert b"\r\nX-Name: Caf\xe9\r\n" in head
    assert b"\r\nUser-Agent: durazzo/" in head
    assert b"\r\nAccept-Encoding: identity" in head
    assert body == b"To=%2B1500"


def test_a_get_has_no_body(caller: Caller) -> None:
    requests: list[bytes] = []
    with serving(answering(response(), requests)) as server:
        send(caller, server.url, body=None)
    assert requests[0].startswith(b"GET / ")
    assert b"content-length" not in requests[0].lower()


def test_connections_are_kept_and_used_again(caller: Caller) -> None:
    with serving(answering(response())) as server:
        for _ in range(3):
            assert isinstance(send(caller, server.url), Answer)
        caller.close()
    assert server.connections == 1


def test_a_connection_that_its_server_closed_is_not_used_again(caller: Caller) -> None:
    closed = threading.Semaphore(0)

    def once(connection: socket.socket, _: threading.Event) -> None:
        read_request(connection)
        connection.sendall(response())
        connection.close()
        closed.release()

    with serving(once) as server:
        for _ in range(3):
            assert isinstance(send(caller, server.url), Answer)
            assert closed.acquire(timeout=60)
    assert server.connections == 3


def test_no_call_waits_for_another_ones_connection(caller: Caller) -> None:
    """As many as a worker may have threads, and more than clients' pools usually hold."""
    calls = 120
    together = threading.Barrier(calls)

    def script(connection: socket.socket, _: threading.Event) -> None:
        while read_request(connection):
            together.wait(timeout=60)
            connection.sendall(response())

    with serving(script) as server:
        with ThreadPoolExecutor(calls) as pool:
            waiting = [pool.submit(send, caller, server.url, deadline_s=60) for _ in range(calls)]
            assert all(isinstance(one.result(), Answer) for one in waiting)
        caller.close()
    assert server.connections == calls


def test_what_was_kept_for_one_server_is_let_go_when_another_is_called() -> None:
    shut, ended = threading.Event(), threading.Event()

    def once(connection: socket.socket, _: threading.Event) -> None:
        read_request(connection)
        connection.sendall(response())
        connection.shutdown(socket.SHUT_WR)
        shut.set()
        # Once the other side keeps it no longer.
        assert connection.recv(1) == b""
        ended.set()

    own = Caller(hosts=HERE)
    with serving(once) as one, serving(answering(response())) as another:
        send(own, one.url)
        assert shut.wait(timeout=60)
        send(own, another.url)
        assert ended.wait(timeout=60)
        own.close()


def test_a_header_of_the_request_wins_over_the_transports(caller: Caller) -> None:
    requests: list[bytes] = []
    with serving(answering(response(), requests)) as server:
        send(caller, server.url, headers=[("user-agent", "mine"), ("ACCEPT", "text/html")])
    head = requests[0].lower()
    assert head.count(b"\r\nuser-agent: mine\r\n") == head.count(b"user-agent") == 1
    assert head.count(b"\r\naccept: text/html\r\n") == head.count(b"accept: ") == 1


def test_a_post_without_a_body_says_so(caller: Caller) -> None:
    requests: list[bytes] = []
    with serving(answering(response(), requests)) as server:
        send(caller, server.url, body=b"")
    assert b"\r\ncontent-length: 0\r\n" in requests[0].lower()


def test_a_url_with_a_password_sends_it_unless_the_request_has_its_own(caller: Caller) -> None:
    requests: list[bytes] = []
    with serving(answering(response(), requests)) as server:
        url = server.url.replace("//", "//user:p%40ss@")
        send(caller, url)
        send(caller, url, headers=[("Authorization", "Bearer t")])
    assert b"\r\nAuthorization: Basic dXNlcjpwQHNz\r\n" in requests[0]
    assert requests[1].lower().count(b"authorization") == 1
    assert b"p%40ss@" not in requests[0]


def test_a_cookie_of_one_answer_does_not_go_out_with_the_next_request(caller: Caller) -> None:
    requests: list[bytes] = []
    data = response(more="Set-Cookie: customer=jane; Path=/\r\n")
    with serving(answering(data, requests)) as server:
        send(caller, server.url)
        send(caller, server.url)
        caller.close()
    assert len(requests) == 2
    assert b"cookie" not in requests[1].lower()


def test_no_proxy_of_the_environment_sees_a_request(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    own = Caller(hosts=HERE)
    with serving(answering(response())) as server:
        assert isinstance(send(own, server.url), Answer)
        own.close()


def test_a_redirect_is_an_answer_and_is_not_followed(caller: Caller) -> None:
    requests: list[bytes] = []
    data = response(status="307 Temporary Redirect", more="Location: /elsewhere\r\n")
    with serving(answering(data, requests)) as server:
        result = send(caller, server.url)
    assert isinstance(result, Answer)
    assert (result.status, len(requests)) == (307, 1)


def test_neither_urls_nor_headers_reach_the_log(
    caller: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with serving(answering(response())) as server:
        send(caller, f"{server.url}/?To=%2B15005550006", headers=[("Authorization", "Bearer t")])
    assert caplog.records == []


BODIES: list[tuple[bytes, str, Json | Missing, str]] = [
    (b"", "application/json", MISSING, ""),
    (b"{", "application/json", MISSING, "not-json"),
    (b"<html>busy</html>", "text/html", MISSING, ""),
    (b"<html>busy</html>", "application/json", MISSING, "not-json"),
    (b'{"a":1}', "text/plain", {"a": 1}, ""),
    (b'{"a":1}', "application/problem+json; charset=utf-8", {"a": 1}, ""),
    (b'\xef\xbb\xbf{"a":1}', "application/json", {"a": 1}, ""),
    (b'{"a":"\xe9"}', "application/json; charset=iso-8859-1", {"a": "é"}, ""),
    ('{"a":"é"}'.encode(), "application/json; charset=iso-8859-1", {"a": "é"}, ""),
    (b'{"a":"\xe9"}', "application/json", MISSING, "undecodable"),
    (b'{"a":"\xe9"}', "application/json; charset=no-such", MISSING, "undecodable"),
    (b'{"a":"\xe9"}', "application/json; charset=hex", MISSING, "undecodable"),
    (b"\xff\xd8\xff", "image/jpeg", MISSING, ""),
    (b"[" * 90_000, "application/json", MISSING, "not-json"),
    (b'{"a":NaN}', "application/json", MISSING, "not-json"),
    (b'{"a":1e999}', "application/json", MISSING, "not-json"),
    (b'{"a":1.5}', "application/json", {"a": 1.5}, ""),
]


@pytest.mark.parametrize(("body", "kind", "value", "problem"), BODIES)
def test_a_body_is_json_or_missing_with_the_reason(
    caller: Caller, body: bytes, kind: str, value: Json | Missing, problem: str
) -> None:
    with serving(answering(response(body, kind=kind))) as server:
        result = send(caller, server.url)
    assert isinstance(result, Answer)
    assert (result.body, result.problem) == (value, problem)


def test_a_packed_answer_is_not_unpacked(caller: Caller) -> None:
    with serving(answering(response(more="Content-Encoding: gzip\r\n"))) as server:
        result = send(caller, server.url)
    assert isinstance(result, Answer)
    assert result.problem == "undecodable"


def drip(head: bytes, drop: bytes) -> Script:
    """One byte at a time, each well inside a timeout per read."""

    def script(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        connection.sendall(head)
        while not over.wait(0.02):
            connection.sendall(drop)

    return script


def silence(_: socket.socket, over: threading.Event) -> None:
    over.wait()


DRIPS: dict[str, Script] = {
    "body": drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b" "),
    "chunks": drip(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "headers": drip(b"HTTP/1.1 200 OK\r\nX-A: ", b"a"),
    "interim responses": drip(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "nothing at all": silence,
}


@pytest.mark.parametrize("name", DRIPS)
def test_a_server_that_drips_cannot_outlast_the_deadline(caller: Caller, name: str) -> None:
    with serving(DRIPS[name]) as server:
        assert timed(caller, server) == NoAnswer(stage="sent", reason="timeout")


def test_a_server_that_reads_slowly_cannot_outlast_the_deadline(caller: Caller) -> None:
    def slow(connection: socket.socket, over: threading.Event) -> None:
        while not over.wait(0.02):
            connection.recv(4096)

    with serving(slow) as server:
        result = timed(caller, server, body=b"x" * 20_000_000)
    assert result == NoAnswer(stage="sent", reason="timeout")


def reset(connection: socket.socket, _: threading.Event) -> None:
    read_request(connection)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def hang_up(connection: socket.socket, _: threading.Event) -> None:
    read_request(connection)


def saying(data: bytes) -> Script:
    def script(connection: socket.socket, _: threading.Event) -> None:
        read_request(connection)
        connection.sendall(data)

    return script


LOSSES: list[tuple[str, Script, str]] = [
    ("reset after the request", reset, "reset"),
    ("closed after the request", hang_up, "reset"),
    ("closed in the head", saying(b"HTTP/1.1 200 OK\r\nX-A:"), "reset"),
    ("closed in the body", saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"), "reset"),
    ("not HTTP", saying(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "protocol-error"),
    ("endless head", saying(b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 300_000), "protocol-error"),
    ("huge body", answering(response(b" " * 100_001)), "too-large"),
    (
        "huge body in chunks",
        saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n \r\n" * 100_001),
        "too-large",
    ),
]


@pytest.mark.parametrize(("script", "reason"), [x[1:] for x in LOSSES], ids=[x[0] for x in LOSSES])
def test_a_request_that_left_without_a_usable_answer_was_sent(
    caller: Caller, script: Script, reason: str
) -> None:
    with serving(script) as server:
        assert send(caller, server.url) == NoAnswer(stage="sent", reason=reason)


def test_the_connection_of_a_lost_answer_is_not_used_again(caller: Caller) -> None:
    with serving(answering(response(b" " * 200_000))) as server:
        send(caller, server.url)
        send(caller, server.url)
    assert server.connections == 2


def test_an_answer_that_comes_before_the_body_was_read_is_an_answer(caller: Caller) -> None:
    def early(connection: socket.socket, over: threading.Event) -> None:
        connection.sendall(response(status="413 Content Too Large", more="Connection: close\r\n"))
        connection.shutdown(socket.SHUT_RD)
        over.wait(0.2)

    with serving(early) as server:
        result = send(caller, server.url, body=b"x" * 8_000_000)
    assert isinstance(result, Answer) or result.stage == "sent"


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_refused_connection_was_not_sent(caller: Caller) -> None:
    result = send(caller, closed_port())
    assert result == NoAnswer(stage="not-sent", reason="connect-failed")


def test_a_connection_that_is_never_accepted_was_not_sent(caller: Caller) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        filling = [socket.socket() for _ in range(3)]
        for one in filling:
            one.setblocking(False)
            one.connect_ex(address)
        result = send(caller, f"http://127.0.0.1:{address[1]}", deadline_s=DEADLINE_S)
        for one in filling:
            one.close()
    assert result == NoAnswer(stage="not-sent", reason="connect-timeout")


def failing_lookup(*_: object, **__: object) -> object:
    raise socket.gaierror(socket.EAI_NONAME, "not known")


def test_a_name_that_nobody_knows_was_not_sent(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", failing_lookup)
    result = send(caller, "http://nobody.invalid")
    assert result == NoAnswer(stage="not-sent", reason="dns-failed")


def test_a_resolver_that_hangs_cannot_outlast_the_deadline(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()

    def hanging(*_: object, **__: object) -> object:
        over.wait()
        return failing_lookup()

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    result = send(caller, "http://slow.invalid", deadline_s=0.1)
    over.set()
    assert result == NoAnswer(stage="not-sent", reason="dns-timeout")


def test_the_next_address_is_tried_when_one_refuses(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = socket.getaddrinfo

    def two(host: str, port: int, family: int = 0, type: int = 0) -> object:  # noqa: A002
        if host != "two.example":
            return genuine(host, port, family, type)
        return [(0, 0, 0, "", (address, port)) for address in ("127.0.0.2", "127.0.0.1")]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    with serving(answering(response())) as server:
        result = send(caller, server.url.replace("127.0.0.1", "two.example"))
    assert isinstance(result, Answer)


def plain(connection: socket.socket, _: threading.Event) -> None:
    connection.recv(1)
    connection.sendall(response(status="400 Bad Request"))


def test_a_server_without_tls_was_not_sent_anything(caller: Caller) -> None:
    with serving(plain) as server:
        result = send(caller, server.url.replace("http:", "https:"))
    assert result == NoAnswer(stage="not-sent", reason="tls-failed")


def test_a_handshake_that_never_ends_was_not_sent_anything(caller: Caller) -> None:
    with serving(silence) as server:
        result = send(caller, server.url.replace("http:", "https:"), deadline_s=DEADLINE_S)
    assert result == NoAnswer(stage="not-sent", reason="tls-timeout")


@pytest.mark.parametrize("url", ["ftp://host/x", "http://a\x00b/", "nothing"])
def test_a_url_that_cannot_be_called_was_not_sent(caller: Caller, url: str) -> None:
    assert send(caller, url) == NoAnswer(stage="not-sent", reason="invalid-request")


def test_no_time_left_is_not_sent(caller: Caller) -> None:
    with serving(answering(response())) as server:
        result = send(caller, server.url, deadline_s=0)
    assert isinstance(result, NoAnswer)
    assert result.stage == "not-sent"


def test_threads_have_budgets_of_their_own(caller: Caller) -> None:
    """A slow call beside a fast one, over one pool."""
    results: list[Result] = []
    with serving(silence) as slow, serving(answering(response())) as fast:
        thread = threading.Thread(target=lambda: results.append(timed(caller, slow)))
        thread.start()
        for _ in range(20):
            assert isinstance(send(caller, fast.url), Answer)
        thread.join()
        caller.close()
    assert results == [NoAnswer(stage="sent", reason="timeout")]


SERVERS = {
    "https://api.twilio.com": "http://127.0.0.1:4010/twilio",
    "https://api.twilio.com/2010-04-01/": "http://127.0.0.1:4011/",
}


@pytest.mark.parametrize(
    ("url", "rewritten"),
    [
        ("https://api.twilio.com/v2/x?To=%2B1&a=", "http://127.0.0.1:4010/twilio/v2/x?To=%2B1&a="),
        ("https://api.twilio.com", "http://127.0.0.1:4010/twilio"),
        ("https://API.twilio.com:443/v2", "http://127.0.0.1:4010/twilio/v2"),
        ("https://api.twilio.com?x=1", "http://127.0.0.1:4010/twilio?x=1"),
        ("https://api.twilio.com/2010-04-01/A.json", "http://127.0.0.1:4011/A.json"),
        ("https://api.twilio.com/2010-04-010", "http://127.0.0.1:4010/twilio/2010-04-010"),
        ("http://api.twilio.com/x", "http://api.twilio.com/x"),
        ("https://api.twilio.com.evil.example/x", "https://api.twilio.com.evil.example/x"),
    ],
)
def test_the_longest_prefix_at_a_path_boundary_is_replaced(url: str, rewritten: str) -> None:
    assert rewrite(url, SERVERS) == rewritten


def certified(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    certificate = (
        x509
        .CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "pair.pem"
    pem = serialization.Encoding.PEM
    form = serialization.PrivateFormat.PKCS8
    written = key.private_bytes(pem, form, serialization.NoEncryption())
    file.write_bytes(written + certificate.public_bytes(pem))
    return file


def over_tls(pair: Path) -> Script:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair)

    def script(connection: socket.socket, over: threading.Event) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            answering(response(b'{"tls":true}'))(wrapped, over)

    return script


def test_a_certificate_is_trusted_only_when_its_issuer_is(caller: Caller, tmp_path: Path) -> None:
    pair = certified(tmp_path)
    trusting = Caller(hosts=HERE, tls=ssl.create_default_context(cafile=pair))
    with serving(over_tls(pair)) as server:
        url = server.url.replace("http:", "https:")
        refused = send(caller, url)
        answer = send(trusting, url, body=b"x" * 500_000)
        trusting.close()
    assert refused == NoAnswer(stage="not-sent", reason="tls-failed")
    assert isinstance(answer, Answer)
    assert answer.body == {"tls": True}
