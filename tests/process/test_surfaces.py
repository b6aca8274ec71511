"""Strangers at every port: who has no login learns nothing, however the question is put."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from ops.cli.main import invoke
from tests.process.house import House, house, wait_for
from tests.process.leaving import filled, routes
from tests.process.serving import Served, serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

PASSWORD, TOKEN = "open-sesame-of-flower", "open-sesame-of-all-the-others"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
REFUSED = {401, 403, 404}
#: What a server answers that does not even understand the question.
NOT_ASKED = {400, 405, 501}
#: What a stranger could look up weaknesses of, and what there is inside.
TELLING = re.compile(rb"(?i)tornado|wsgi|aiohttp|python|celery|create-payment|\b\d+\.\d+\.\d+\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    paths: tuple[str, ...]
    #: Where something is to be seen, for who may.
    shown: str
    #: Open to everybody.
    open: str
    #: The header of who may.
    login: str


def _basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


SURFACES: Mapping[str, Surface] = {
    "flower": Surface(
        paths=(
            *(filled(route, "word") for route in routes()),
            "/static/css/flower.css", "/durazzo/pages.css", "/metrics",
        ),
        shown="/tasks", open="/healthcheck", login=_basic(f"ops:{PASSWORD}"),
    ),
    "metrics": Surface(
        paths=("/", "/metrics", "/metrics/", "/metrics?name[]=up", "/nowhere"),
        shown="/metrics", open="/healthz", login=f"Bearer {TOKEN}",
    ),
    "sandbox": Surface(
        paths=(
            "/ledger", "/ledger?requests=0", "/ledger/summary", "/faults", "/clock", "/reset",
            "/nowhere",
        ),
        shown="/ledger", open="/healthz", login=f"Bearer {TOKEN}",
    ),
}  # fmt: skip
EACH = pytest.mark.parametrize("name", SURFACES)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with house(tmp_path_factory.mktemp("surfaces")) as found:
        found.environ["DURAZZO_HOME"] = str(found.folder / "home")
        yield found


@pytest.fixture(scope="module")
def served(home: House) -> Iterator[Mapping[str, Served]]:
    """Each surface with its login, and without one for this machine alone (``open …``)."""
    secrets = {
        "FLOWER_BASIC_AUTH": f"ops:{PASSWORD}",
        "DURAZZO_METRICS_TOKEN": TOKEN,
        "DURAZZO_SANDBOX_TOKEN": TOKEN,
    }
    with ExitStack() as beside:
        found = {}
        for name in SURFACES:
            locked = {**home.environ, **secrets}
            found[name] = beside.enter_context(
                serving(home.folder, locked, name, "--port", "0", name=name)
            )
            words = [name, "--port", "0", *(["--no-login"] if name != "sandbox" else [])]
            words += ["--db", str(home.folder / "open" / "tasks")] if name == "flower" else []
            found[f"open {name}"] = beside.enter_context(
                serving(home.folder, home.environ, *words, name=f"open {name}")
            )
        yield found


def asked(at: Served, text: str) -> tuple[int, bytes]:
    """The status and the whole answer to a request as it is written here."""
    to = urlsplit(at.url)
    with socket.create_connection((to.hostname or "", to.port or 0), timeout=60) as line:
        line.sendall(text.encode("latin-1"))
        found = b"".join(iter(lambda: line.recv(65_536), b""))
    first = found.partition(b"\r\n")[0].split()
    return int(first[1]) if len(first) > 1 else 400, found


def _request(line: str, *headers: str, host: str = "127.0.0.1") -> str:
    hosts = [f"Host: {host}"] if host else []
    return "\r\n".join([line, *hosts, "Connection: close", *headers, "", ""])


@EACH
def test_without_a_login_every_path_is_refused_by_every_method(
    served: Mapping[str, Served], name: str
) -> None:
    surface, at = SURFACES[name], served[name]
    with at.client() as client:
        found = {
            (method, path): client.request(method, path).status_code
            for path in surface.paths
            for method in METHODS
            if path != surface.open
        }
        assert {asked: status for asked, status in found.items() if status not in REFUSED} == {}
        assert client.get(surface.open).status_code == 200
        assert client.get(surface.shown, headers={"Authorization": surface.login}).is_success


def _tricks(surface: Surface) -> list[str]:
    """Of a stranger who knows the path, in ways that a proxy or a router may read otherwise."""
    shown, free = surface.shown, surface.open
    get = "GET {} HTTP/1.1"
    paths = [
        f"/{shown}", f"{free}/..{shown}", f"{free}/%2e%2e{shown}", f"{free}%2f..%2f{shown[1:]}",
        f"/%2e%2e{shown}", f"/.{shown}", f"{shown}/", f"{shown}%00", f"{shown}%3f", f"{shown};x=1",
        f"{shown}?{free}", f"{free};{shown}", shown.upper(), f"{free}/", f"http://evil.example{shown}",
        f"http://127.0.0.1{shown}", f"//127.0.0.1{shown}", f"/login?next={shown}", "*",
    ]  # fmt: skip
    whole = get.format(shown)
    return [
        *(_request(get.format(path)) for path in paths),
        _request(f"GET {shown} HTTP/1.0", host=""),
        _request(f"GET {shown} HTTP/1.0"),
        _request(whole, "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        _request(whole, f"X-Original-URL: {free}", f"X-Rewrite-URL: {free}"),
        _request(whole, "X-Forwarded-For: 127.0.0.1", "X-Forwarded-User: ops", "X-Real-IP: ::1"),
        _request(whole, "X-HTTP-Method-Override: OPTIONS"),
        _request(f"HACK {shown} HTTP/1.1"),
        _request(f"CONNECT {shown} HTTP/1.1"),
        _request(whole, "Cookie: user=ops; session=1"),
    ]  # fmt: skip


@EACH
def test_no_trick_with_the_path_the_method_or_a_header_leads_in(
    served: Mapping[str, Served], name: str
) -> None:
    tricks = _tricks(SURFACES[name])
    found = {text.partition("\r\n")[0]: asked(served[name], text) for text in tricks}
    statuses = {text: status for text, (status, _) in found.items()}
    assert {t: s for t, s in statuses.items() if s not in REFUSED | NOT_ASKED} == {}
    refusals = {t: said for t, (status, said) in found.items() if status in REFUSED}
    assert {t: said for t, said in refusals.items() if TELLING.search(said)} == {}


@EACH
def test_a_wrong_password_is_none(served: Mapping[str, Served], name: str) -> None:
    right = SURFACES[name].login
    scheme, _, given = right.partition(" ")
    wrong = [
        "", scheme, f"{scheme} ", f"{scheme} x", right[:-1], f"{right}x", f"{right} x", given,
        f"{scheme} {given.swapcase()}", f"Digest {given}", f"{scheme}{given}", f"{scheme} \xe9\xff",
        _basic(f"ops:{PASSWORD}x"), _basic("ops:"), _basic(f":{PASSWORD}"), _basic(PASSWORD),
        _basic(f"ops:{PASSWORD.upper()}"), f"Bearer {TOKEN[:-1]}", "Bearer null", "Basic Og==",
    ]  # fmt: skip
    line = f"GET {SURFACES[name].shown} HTTP/1.1"
    found = {
        header: asked(served[name], _request(line, f"Authorization: {header}")) for header in wrong
    }
    assert {header: status for header, (status, _) in found.items() if status != 401} == {}
    assert {said for _, said in found.values() if TELLING.search(said)} == set()


@EACH
def test_what_has_no_login_answers_addresses_of_this_machine_alone(
    served: Mapping[str, Served], name: str
) -> None:
    """A page of somebody else's, whose name was made to lead here, names its own host."""
    at, line = served[f"open {name}"], f"GET {SURFACES[name].shown} HTTP/1.1"
    port = urlsplit(at.url).port
    ours = ["127.0.0.1", f"127.0.0.1:{port}", "localhost", f"localhost:{port}", "[::1]"]
    foreign = [
        "evil.example", f"evil.example:{port}", "127.0.0.1.evil.example", "localhost.evil.example",
        "evil.example:127.0.0.1", "192.0.2.1", "0.0.0.0", "evil-localhost",
    ]  # fmt: skip
    found = {host: asked(at, _request(line, host=host)) for host in [*ours, *foreign]}
    assert {host: found[host][0] for host in ours} == dict.fromkeys(ours, 200)
    let_in = [host for host in foreign if found[host][0] not in REFUSED | NOT_ASKED]
    assert let_in == []
    assert [host for host in foreign if TELLING.search(found[host][1])] == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
@pytest.mark.parametrize("words", [
    ("flower",), ("flower", "--no-login"), ("metrics",), ("metrics", "--no-login"), ("sandbox",),
])  # fmt: skip
def test_nothing_is_served_to_others_without_a_login(
    home: House,
    words: tuple[str, ...],
    host: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)
    assert invoke([*words, "--host", host, "--port", "0"]) == 2
    assert "error: settings-refused: " in capsys.readouterr().err


def listening(pid: int) -> list[str]:
    """The addresses at which a process takes TCP connections."""
    taking = {}
    for table in ("tcp", "tcp6"):
        for row in Path("/proc", str(pid), "net", table).read_text().splitlines()[1:]:
            _, address, _, state, *rest = row.split()
            if state == "0A":
                taking[f"socket:[{rest[5]}]"] = address
    links = {_target(link) for link in Path("/proc", str(pid), "fd").iterdir()}
    return [taking[link] for link in links & set(taking)]


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except FileNotFoundError:
        return ""


def _family(pid: int) -> list[int]:
    threads = Path("/proc", str(pid), "task").glob("*/children")
    children = [int(child) for thread in threads for child in thread.read_text().split()]
    return [pid, *(one for child in children for one in _family(child))]


#: A command, what its log says once it works, and how often, and of how many processes it is.
WORKING = {
    "threads": (("worker", "--processes", "2", "--concurrency", "2"), "ready.", 2, 3),
    "prefork": (("worker", "--pool", "prefork", "--concurrency", "2"), "ready.", 1, 3),
    "timekeeper": (("timekeeper",), "keeping time", 1, 1),
}


@pytest.mark.skipif(not Path("/proc/self/net/tcp").exists(), reason="it is read in /proc")
def test_no_worker_and_no_timekeeper_listens_anywhere(
    home: House, served: Mapping[str, Served]
) -> None:
    with ExitStack() as beside:
        found = {
            name: beside.enter_context(serving(home.folder, home.environ, *words, name=name))
            for name, (words, _, _, _) in WORKING.items()
        }
        for name, (_, word, times, processes) in WORKING.items():
            log = home.folder / f"{name}.log"
            works = partial(lambda at, what, n: at.read_text().count(what) >= n, log, word, times)
            wait_for(works, f"{name} to work", seconds=60)
            family = _family(found[name].process.pid)
            assert len(family) >= processes
            assert {pid: listening(pid) for pid in family} == {pid: [] for pid in family}
    assert all(listening(one.process.pid) for one in served.values() if one.url)
