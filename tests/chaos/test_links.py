"""Lines that carry everything, until they are told not to."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ops.chaos.links import Link, Links

PATIENCE = 10


class Echo:
    """Says back what it hears, and remembers it."""

    def __init__(self) -> None:
        self.heard = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                line, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._say, args=(line,), daemon=True).start()

    def _say(self, line: socket.socket) -> None:
        with line:
            try:
                while data := line.recv(1024):
                    self.heard += data
                    line.sendall(data)
            except OSError:
                return


@pytest.fixture
def echo() -> Iterator[Echo]:
    with closing(Echo()) as found:
        yield found


@pytest.fixture
def links() -> Iterator[Links]:
    with Links() as found:
        yield found


def called(link: Link) -> socket.socket:
    """A connection that is known to work."""
    assert isinstance(link.at, int)
    line = socket.create_connection(("127.0.0.1", link.at), timeout=PATIENCE)
    line.sendall(b"hello")
    assert line.recv(5) == b"hello"
    return line


def gone(line: socket.socket) -> bool:
    try:
        return line.recv(1) == b""
    except ConnectionResetError:
        return True


def test_a_line_carries_what_it_is_given(echo: Echo, links: Links) -> None:
    with called(links.lay("a", to=echo.port)) as line:
        line.sendall(b"x" * 300_000)
        found = b""
        while len(found) < 300_000:
            found += line.recv(65_536)
    assert found == b"x" * 300_000


def test_a_line_leads_from_one_unix_socket_to_another(
    echo: Echo, links: Links, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = Path(tmp_path_factory.mktemp("u"))
    inner = links.lay("inner", to=echo.port, at=str(folder / "i"))
    outer = links.lay("outer", to=str(inner.at), at=str(folder / "o"))
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(PATIENCE)
        line.connect(str(outer.at))
        line.sendall(b"hello")
        assert line.recv(5) == b"hello"


def test_cut_a_connection_ends_and_the_next_one_works(echo: Echo, links: Links) -> None:
    link = links.lay("a", to=echo.port)
    with called(link) as line:
        links.begin(link.cut())
        assert gone(line)
    called(link).close()


def test_stalled_nothing_is_lost_and_all_of_it_comes_later(echo: Echo, links: Links) -> None:
    link = links.lay("a", to=echo.port)
    with called(link) as line:
        links.begin(link.stall(0.3))
        line.sendall(b"later")
        assert line.recv(5) == b"later"
        links.calm()


def test_swallowed_a_request_is_carried_out_and_its_answer_is_lost(
    echo: Echo, links: Links
) -> None:
    link = links.lay("a", to=echo.port)
    with called(link) as line:
        links.begin(link.swallow(0.3))
        line.sendall(b"charge")
        assert gone(line)
    links.calm()
    assert echo.heard == b"hellocharge"
    called(link).close()


def test_refused_nobody_comes_through_until_it_is_over(echo: Echo, links: Links) -> None:
    link = links.lay("a", to=echo.port)
    with called(link) as line:
        links.begin(link.refuse(0.5))
        assert gone(line)
        with pytest.raises(ConnectionRefusedError):
            called(link)
    links.calm()
    called(link).close()


def test_a_line_that_was_ended_listens_no_more(echo: Echo, links: Links) -> None:
    link = links.lay("a", to=echo.port)
    with called(link) as line:
        links.begin(link.end())
        links.calm()
        assert gone(line)
    with pytest.raises(ConnectionRefusedError):
        called(link)
