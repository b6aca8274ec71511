"""One source description over real sockets: bounded in time and space, from listed hosts only."""

from __future__ import annotations

import gzip
import socket
import threading
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from orchestrator.formats.sources import SourceUnreachable, SourceUnresolved
from orchestrator.formats.web.edition import Edition
from orchestrator.formats.web.fetch import Fetcher, Limits
from tests.fakes.clock import ManualClock
from tests.unit.formats.web.site import Site, fetcher, open_site, redirect, zipped
from tests.unit.workers.stub_server import Script, read_request, response, serving

#: Long enough for loopback on a busy machine, short enough to wait for.
SOON = Limits(deadline_ms=300)


@pytest.fixture
def site() -> Iterator[Site]:
    with open_site() as opened:
        yield opened


def get(client: Fetcher, url: str, known: Edition | None = None) -> Edition:
    return client.get(client.wanted("shop", url), known)


def refusal(client: Fetcher, url: str) -> str:
    """What a person is told; it always says how to go on without the web."""
    with pytest.raises(SourceUnresolved) as caught:
        get(client, url)
    message = caught.value.message
    assert "--source shop=FILE" in message
    return message


def unreachable(client: Fetcher, url: str) -> str:
    with pytest.raises(SourceUnreachable) as caught:
        get(client, url)
    assert caught.value.message.startswith(url.partition("?")[0] + ": ")
    assert "--source shop=FILE" in caught.value.message
    return caught.value.reason


def test_a_text_comes_as_it_is_with_what_the_host_knows_it_by(site: Site) -> None:
    site.put("/x.yaml?v=1", "openapi: 3.1.0 # ü", ETag='"1"', Last_Modified="yesterday")
    found = get(fetcher(site.host), f"{site.url}/x.yaml?v=1#part")
    assert found.data.decode() == "openapi: 3.1.0 # ü"
    assert (found.etag, found.modified) == ('"1"', "yesterday")
    assert f"Host: {site.host}\r\n".encode() in site.requests[0]
    assert b"Cookie" not in site.requests[0]
    assert b"Authorization" not in site.requests[0]


def test_a_host_that_is_not_listed_is_not_asked_and_the_two_ways_on_are_said(site: Site) -> None:
    url = f"{site.url}/x.yaml"
    message = refusal(fetcher(), url)
    assert message == (
        f"{url}: durazzo may not fetch from {site.host}; "
        f"give it with --source shop=FILE, or set DURAZZO_SOURCE_HOSTS={site.host}"
    )
    assert f"DURAZZO_SOURCE_HOSTS=…,{site.host}" in refusal(fetcher("a.example"), url)
    assert "DURAZZO_SOURCE_HOSTS=http://a.example" in refusal(fetcher(), "http://a.example/x")
    assert site.asked == []


def test_neither_a_query_nor_a_user_is_in_a_message(site: Site) -> None:
    for client in (fetcher(), fetcher(site.host)):
        assert "secret" not in refusal(client, f"{site.url}/x.yaml?token=secret")
        with_user = site.url.replace("//", "//me:secret@")
        assert "secret" not in refusal(client, f"{with_user}/x.yaml")
    assert site.asked == ["/x.yaml?token=secret"]


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("404 Not Found", "HTTP 404; it may have moved"),
        ("410 Gone", "HTTP 410; it is gone"),
        ("401 Unauthorized", "HTTP 401; durazzo sends no credentials"),
        ("204 No Content", "HTTP 204"),
        ("206 Partial Content", "HTTP 206"),
        ("304 Not Modified", "HTTP 304"),
        ("300 Multiple Choices", "HTTP 300"),
    ],
)
def test_an_answer_that_is_not_200_is_no_text(site: Site, status: str, said: str) -> None:
    site.send("/x.yaml", response(b"", status=status))
    assert said in refusal(fetcher(site.host), f"{site.url}/x.yaml")


@pytest.mark.parametrize("status", ["429 Too Many Requests", "500 Oops", "503 Unavailable"])
def test_a_host_in_trouble_is_not_reached(site: Site, status: str) -> None:
    site.send("/x.yaml", response(b"", status=status))
    reason = unreachable(fetcher(site.host), f"{site.url}/x.yaml")
    assert reason == f"the answer was HTTP {status[:3]}"


def test_three_redirects_are_followed_and_a_fourth_is_not(site: Site) -> None:
    for number in range(4):
        site.send(f"/{number}", redirect(str(number + 1)))
    site.put("/4", "found", ETag='"of 4"')
    assert get(fetcher(site.host), f"{site.url}/1") == Edition(data=b"found")
    assert "redirects more than 3 times" in refusal(fetcher(site.host), f"{site.url}/0")
    assert site.asked == ["/1", "/2", "/3", "/4", "/0", "/1", "/2", "/3"]


@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x"])
def test_every_kind_of_redirect_leads_on(site: Site, status: str) -> None:
    site.send("/x", redirect("/y", status))
    site.put("/y", "found")
    assert get(fetcher(site.host), f"{site.url}/x").data == b"found"


def test_a_redirect_leads_to_listed_hosts_only(site: Site) -> None:
    with open_site() as other:
        other.put("/y", "found")
        site.send("/x", redirect(f"{other.url}/y?token=secret"))
        message = refusal(fetcher(site.host), f"{site.url}/x")
        assert f"it redirects to {other.host}" in message
        assert f"DURAZZO_SOURCE_HOSTS=…,{other.host}" in message
        assert "secret" not in message
        assert other.asked == []
        other.put("/y?token=secret", "found")
        assert get(fetcher(site.host, other.host), f"{site.url}/x").data == b"found"


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://a.example/x", "https://me:pw@a.example/x", "http://[", ""],
)
def test_a_redirect_leads_to_no_file_and_carries_no_credentials(site: Site, location: str) -> None:
    site.send("/x", redirect(location))
    assert "redirect" in refusal(fetcher(site.host), f"{site.url}/x")


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.5", "169.254.169.254", "::1"])
def test_a_listed_name_that_leads_to_a_private_address_is_not_connected_to(
    site: Site, ip: str
) -> None:
    client = fetcher(f"http://a.example:{site.port}", resolve=lambda *_: [ip])
    message = refusal(client, f"http://a.example:{site.port}/x.yaml")
    assert f"a.example leads to {ip}, which is no public address" in message
    # Nobody is told to open the way to where clouds keep a machine's credentials.
    assert ("DURAZZO_SOURCE_HOSTS=…," in message) is (ip != "169.254.169.254")
    assert site.connections == 0


def test_the_judged_address_is_connected_to_and_the_name_is_resolved_once(site: Site) -> None:
    """Else a name could lead elsewhere between the look and the connection."""
    resolved: list[tuple[str, int]] = []

    def resolve(host: str, port: int) -> list[str]:
        resolved.append((host, port))
        return ["10.0.0.5", "127.0.0.1"] if len(resolved) == 1 else ["10.0.0.5"]

    site.put("/x.yaml", "found")
    name = f"a.example:{site.port}"
    client = fetcher(f"http://{name}", site.host, resolve=resolve)
    assert get(client, f"http://{name}/x.yaml").data == b"found"
    assert f"Host: {name}\r\n".encode() in site.requests[0]
    assert resolved == [("a.example", site.port)]


def test_a_redirect_to_a_private_address_is_refused_after_resolving(site: Site) -> None:
    inside = f"http://inside.example:{site.port}"
    site.send("/x", redirect(f"{inside}/y"))
    client = fetcher(
        site.host,
        inside,
        resolve=lambda host, _: ["127.0.0.1" if host == "127.0.0.1" else "169.254.169.254"],
    )
    assert "inside.example leads to 169.254.169.254" in refusal(client, f"{site.url}/x")


def test_an_address_that_refuses_is_followed_by_the_next(site: Site) -> None:
    site.put("/x.yaml", "found")
    listed = [site.host, f"127.0.0.2:{site.port}", f"http://a.example:{site.port}"]
    client = fetcher(*listed, resolve=lambda *_: ["127.0.0.2", "127.0.0.1"])
    assert get(client, f"http://a.example:{site.port}/x.yaml").data == b"found"


def test_a_text_of_the_largest_size_is_read_and_one_byte_more_is_refused(site: Site) -> None:
    limits = Limits(size=100_000)
    for answer in (response, zipped):
        site.send("/most", answer(b"x" * 100_000))
        site.send("/more", answer(b"x" * 100_001))
        assert len(get(fetcher(site.host, limits=limits), f"{site.url}/most").data) == 100_000
        message = refusal(fetcher(site.host, limits=limits), f"{site.url}/more")
        assert "more than 100000 bytes" in message


def test_an_endless_text_is_given_up_at_the_limit() -> None:
    sent = 0

    def endless(connection: socket.socket, over: threading.Event) -> None:
        nonlocal sent
        read_request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not over.is_set():
            sent += connection.send(b"x" * 65_536)

    with serving(endless) as server:
        client = fetcher(server.url.removeprefix("http://"), limits=Limits(size=1_000_000))
        assert "more than 1000000 bytes" in refusal(client, f"{server.url}/x.yaml")
    # The rest is what the kernel's buffers took.
    assert sent < 20_000_000


def test_a_gzip_bomb_is_given_up_at_the_limit_and_not_unpacked(site: Site) -> None:
    site.send("/bomb", zipped(b"\0" * 50_000_000))
    tracemalloc.start()
    try:
        message = refusal(fetcher(site.host, limits=Limits(size=1_000_000)), f"{site.url}/bomb")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "more than 1000000 bytes" in message
    assert most < 10_000_000


def test_gzip_that_unpacks_to_nothing_is_bounded_as_it_comes(site: Site) -> None:
    nothing = gzip.compress(b"") + gzip.compress(b"") * 10_000
    site.send("/x", response(nothing, more="Content-Encoding: gzip\r\n"))
    limits = Limits(size=1_000)
    assert "more than 1000 bytes" in refusal(fetcher(site.host, limits=limits), f"{site.url}/x")


@pytest.mark.parametrize(
    ("body", "encoding", "said"),
    [
        (gzip.compress(b"text", mtime=0)[:-1], "gzip", "its gzip is damaged"),
        (gzip.compress(b"text", mtime=0) + b"more", "gzip", "its gzip is damaged"),
        (b"text", "gzip", "its gzip is damaged"),
        (b"", "gzip", "its gzip is damaged"),
        (b"text", "br", "its content encoding is not gzip"),
        (b"text", "gzip, gzip", "its content encoding is not gzip"),
    ],
)
def test_what_cannot_be_unpacked_is_refused(
    site: Site, body: bytes, encoding: str, said: str
) -> None:
    site.send("/x", response(body, more=f"Content-Encoding: {encoding}\r\n"))
    assert said in refusal(fetcher(site.host), f"{site.url}/x")


def silent(connection: socket.socket, over: threading.Event) -> None:
    read_request(connection)
    over.wait()


def dripping(head: bytes, drop: bytes) -> Script:
    def script(connection: socket.socket, over: threading.Event) -> None:
        read_request(connection)
        connection.sendall(head)
        while not over.wait(0.02):
            connection.sendall(drop)

    return script


@pytest.mark.parametrize(
    "script",
    [
        silent,
        dripping(b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        dripping(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x"),
        dripping(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n"),
        dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    ],
)
def test_a_server_that_says_nothing_or_drips_is_late_at_the_deadline(script: Script) -> None:
    with serving(script) as server:
        client = fetcher(server.url.removeprefix("http://"), limits=SOON)
        began = time.monotonic()
        reason = unreachable(client, f"{server.url}/x.yaml")
        assert time.monotonic() - began < 2
    assert reason == "no whole HTTP answer from 127.0.0.1 within 0.3 s"


def test_redirects_share_one_deadline() -> None:
    def slow(connection: socket.socket, over: threading.Event) -> None:
        while read_request(connection):
            over.wait(0.12)
            connection.sendall(redirect("/x"))

    with serving(slow) as server:
        client = fetcher(server.url.removeprefix("http://"), limits=SOON)
        assert "no whole HTTP answer" in unreachable(client, f"{server.url}/x")


def test_a_name_that_is_never_resolved_is_late_at_the_deadline() -> None:
    over = threading.Event()

    def resolve(_host: str, _port: int) -> list[str]:
        over.wait()
        return []

    client = fetcher("a.example", limits=SOON, resolve=resolve)
    reason = unreachable(client, "https://a.example/x.yaml")
    over.set()
    assert reason == "the name a.example was not resolved within 0.3 s"


def test_a_name_that_nobody_knows_is_said() -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        raise socket.gaierror

    client = fetcher("a.example", resolve=resolve)
    assert unreachable(client, "https://a.example/x") == "the name a.example was not resolved"


def test_all_sources_of_a_document_share_a_span(site: Site) -> None:
    clock = ManualClock()

    def slow(host: str, _port: int) -> list[str]:
        clock.advance(4_000)
        return [host]

    site.put("/x", "text")
    client = fetcher(site.host, clock=clock, limits=Limits(all_ms=7_000), resolve=slow)
    assert get(client, f"{site.url}/x").data == b"text"
    assert unreachable(client, f"{site.url}/x").endswith("within 3 s")
    reason = unreachable(client, f"{site.url}/x")
    assert reason == "the document's source descriptions took more than 7 s together"
    assert site.asked == ["/x"]


def test_a_closed_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        host = f"127.0.0.1:{gone.getsockname()[1]}"
    assert unreachable(fetcher(host), f"http://{host}/x") == "no connection to 127.0.0.1"


def test_a_port_that_does_not_answer_is_given_up_before_the_deadline() -> None:
    with ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        host = f"127.0.0.1:{full.getsockname()[1]}"
        client = fetcher(host, limits=Limits(connect_ms=100))
        began = time.monotonic()
        assert unreachable(client, f"http://{host}/x") == "no connection to 127.0.0.1"
        assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nopenapi: 3.1.0",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"",
    ],
)
def test_an_answer_that_breaks_off_or_is_no_http_is_no_text(answer: bytes) -> None:
    def short(connection: socket.socket, _: threading.Event) -> None:
        read_request(connection)
        connection.sendall(answer)

    with serving(short) as server:
        client = fetcher(server.url.removeprefix("http://"))
        reason = unreachable(client, f"{server.url}/x")
    assert reason == "no whole HTTP answer from 127.0.0.1"


def test_what_is_known_is_asked_for_and_given_back_unchanged(site: Site) -> None:
    site.put("/x", "one", ETag='"1"')
    client = fetcher(site.host)
    first = get(client, f"{site.url}/x")
    assert get(client, f"{site.url}/x", first) is first
    site.put("/x", "two", ETag='"2"')
    assert get(client, f"{site.url}/x", first) == Edition(data=b"two", etag='"2"')
    assert b'If-None-Match: "1"' in site.requests[-1]


def test_a_date_is_asked_with_where_there_is_no_etag(site: Site) -> None:
    known = Edition(data=b"one", modified="Wed, 21 Oct 2026 07:28:00 GMT")
    site.put("/x", "two", Last_Modified=known.modified)
    assert get(fetcher(site.host), f"{site.url}/x", known) is known
    assert b"If-Modified-Since: Wed, 21 Oct 2026 07:28:00 GMT" in site.requests[0]


def test_what_is_known_of_one_url_is_not_asked_of_the_one_it_redirects_to(site: Site) -> None:
    site.send("/x", redirect("/y"))
    site.put("/y", "other", ETag='"1"')
    known = Edition(data=b"one", etag='"1"')
    assert get(fetcher(site.host), f"{site.url}/x", known) == Edition(data=b"other")


def test_an_etag_that_is_too_long_is_not_kept(site: Site) -> None:
    site.put("/x", "one", ETag=f'"{"x" * 2_000}"')
    assert get(fetcher(site.host), f"{site.url}/x") == Edition(data=b"one")
