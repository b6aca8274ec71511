"""Settings that cannot be used, and servers that are none: a code and what to do, no bug."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import pytest
from redis import Redis

from ops.cli.main import invoke
from ops.lab import CHECKOUT, valkey
from orchestrator.canvas.app import make_app
from orchestrator.errors import SettingsRefused
from orchestrator.settings import NAMES, from_environ
from tests.cli.conftest import CHARGE_AND_TEXT

REFUSED = SettingsRefused.exit_code
URLS = [
    "redis://127.0.0.1:1/abc", "redis://127.0.0.1:1/-1", "redis://127.0.0.1:1/0?foo=bar",
    "redis://127.0.0.1:1/0?db=x", "redis://127.0.0.1:1/0?socket_timeout=0", "redis://h:99999/0",
    "redis://h:x/0", "redis://[::1/0", "unix://", "http://h", "redis", "redis://h\x7f/0",
    "redis://h\udcff/0", f"redis://{'a' * 300}/0", "rediss://h/0?ssl_cert_reqs=maybe",
    "redis://h/0?foo=hunter2",
]  # fmt: skip
LIMITS = [
    "0", "-1", "1e999", "1e-300", "1e400", "Infinity", "NaN", "true", "null", '"9"', "[]",
    "0.0009", "1000001", "9" * 400, "9" * 5_000,
]  # fmt: skip
OBJECTS = ["{", "[]", "7", "null", '"x"', "[" * 100_000, '{"a": "b"}', '{"a": {}}']
SERVERS = ["http://", "http://[", "http://h:x", "http://h:99999", "ftp://h", "http://h\\u0000", ""]


def cases() -> Iterator[tuple[str, str]]:
    yield from (("REDIS_URL", url) for url in URLS)
    yield from (("LIMITS", f'{{"stripe/account": {rate}}}') for rate in LIMITS)
    yield from (("LIMITS", text) for text in OBJECTS)
    yield from (("SERVERS", text) for text in OBJECTS)
    yield from (("SERVERS", f'{{"https://api.stripe.com": "{url}"}}') for url in SERVERS)
    yield from (("SERVERS", f'{{"{url}": "http://h"}}') for url in SERVERS)
    yield from (("HEARTBEAT", text) for text in ("nan", "inf", "0", "-1", "1e9", "x", "1 s"))
    yield from (("KEY_LIFE", text) for text in ("0", "1", "36501", "-400", "1.5", "x", "9" * 5_000))
    yield from (("RETENTION", text) for text in ("0", "36501", "-1", "1.5", "OFF", "9" * 5_000))
    yield from (("SOURCE_HOSTS", text) for text in ("https://h/x", "h:99999", "a b", "\udcff"))
    yield from (("CALL_HOSTS", text) for text in ("http://h", "h/x", "h:99999", "10.0.0.1/8"))
    yield from (("KEYS", text) for text in ("x", "=", ",", "\udcff", "A" * 100))
    yield from (("HOME", text) for text in ("/etc/passwd", "/proc/none", f"/tmp/{'a' * 300}"))


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))
    for name in ("REDIS_URL", "SERVERS", "LIMITS", "KEYS", "SEAL", "SOURCE_HOSTS", "CALL_HOSTS",
                 "HEARTBEAT", "KEY_LIFE", "RETENTION"):  # fmt: skip
        monkeypatch.delenv(f"DURAZZO_{name}", raising=False)


@pytest.mark.server
@pytest.mark.parametrize(("name", "text"), [*cases()], ids=lambda text: ascii(text)[:60])
def test_nonsense_in_a_setting_is_refused_by_its_name(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"DURAZZO_{name}", text)
    assert invoke(["doctor"]) == REFUSED
    checked = capsys.readouterr()
    assert invoke(["runs"]) == REFUSED
    said = capsys.readouterr()
    assert said.err.startswith("error: settings-refused: ")
    for shown in (checked.out, said.err):
        assert f"DURAZZO_{name}" in shown
        assert "hunter2" not in shown


@pytest.mark.server
@pytest.mark.parametrize("text", ["", " ", "0", "\udcff", "/etc/passwd", "{}", "[", "1e999"])
@pytest.mark.parametrize(
    "name", ["SEAL", "ALLOW_LIVE", "BARRIER", "SECRETS_DIR", "DEBUG", "KEYS", "LIMITS", "SERVERS"]
)
def test_no_value_of_a_setting_is_a_bug(
    name: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"DURAZZO_{name}", text)
    assert invoke(["runs"]) in {0, REFUSED}
    assert invoke(["validate", str(CHARGE_AND_TEXT)]) in {0, REFUSED}
    assert "bug" not in capsys.readouterr().err


@pytest.mark.parametrize("home", ["~nobody-of-that-name", "\udcff/x"])
def test_a_home_that_is_not_known_is_asked_for(
    home: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("DURAZZO_HOME")
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setenv("HOME", home)
    monkeypatch.chdir("/proc")
    assert invoke(["runs"]) == REFUSED
    assert "set DURAZZO_HOME to a folder that you may write to" in capsys.readouterr().err


@pytest.mark.parametrize("rate", [0.001, 25, 1_000_000])
def test_a_rate_within_its_bounds_is_taken(rate: float) -> None:
    found = from_environ({"DURAZZO_LIMITS": json.dumps({"stripe/account": rate})})
    assert found.limits == {"stripe/account": rate}


def test_a_workflow_has_its_lane() -> None:
    found = from_environ({"DURAZZO_LANES": '{"failed-payment-dunning": "dunning"}'})
    assert found.lanes == {"failed-payment-dunning": "dunning"}


@pytest.mark.parametrize("lanes", ['{"a": "a,b"}', '{"a": 1}', '{"a": ""}', '["a"]', "{"])
def test_a_lane_that_is_no_queues_name_is_refused(lanes: str) -> None:
    with pytest.raises(SettingsRefused, match="DURAZZO_LANES"):
        from_environ({"DURAZZO_LANES": lanes})


@pytest.mark.parametrize(("text", "days"), [("", 30), ("1", 1), ("365", 365), ("off", None)])
def test_runs_are_kept_for_days_or_for_good(text: str, days: int | None) -> None:
    kept = from_environ({"DURAZZO_RETENTION": text}).retention_ms
    assert kept == (None if days is None else days * 24 * 3_600_000)


@pytest.mark.parametrize(
    "url",
    [
        "redis://h", "redis://u:p%40s@h:6379/0", "redis://:p@[::1]:6380/15", "unix:///run/r.sock",
        "unix:///run/r.sock?db=2", "rediss://h:6379/0?ssl_cert_reqs=required", "redis://h/",
    ],
)  # fmt: skip
def test_a_url_that_redis_and_celery_take_is_taken(url: str) -> None:
    assert from_environ({"DURAZZO_REDIS_URL": url}).redis_url == url


@pytest.mark.parametrize(
    ("options", "taken"),
    [
        ("", "ssl_cert_reqs=required"),
        ("?ssl_cert_reqs=CERT_REQUIRED", "ssl_cert_reqs=required"),
        ("?db=2&ssl_cert_reqs=None", "db=2&ssl_cert_reqs=none"),
        ("?ssl_cert_reqs=cert_optional", "ssl_cert_reqs=optional"),
    ],
)
def test_what_a_certificate_is_held_to_is_written_as_both_clients_take_it(
    options: str, taken: str
) -> None:
    found = from_environ({"DURAZZO_REDIS_URL": f"rediss://u:p%40s@h:6380/1{options}"})
    assert found.redis_url == f"rediss://u:p%40s@h:6380/1?{taken}"
    assert Redis.from_url(found.redis_url).connection_pool.make_connection() is not None
    assert make_app(found).backend is not None


@pytest.mark.parametrize("name", ["ssl_ca_certs", "ssl_certfile", "ssl_keyfile"])
def test_a_file_for_tls_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    file = tmp_path / "some.pem"
    environ = {"DURAZZO_REDIS_URL": f"rediss://h/0?{name}={quote(str(file), safe='')}"}
    with pytest.raises(SettingsRefused, match=f"DURAZZO_REDIS_URL: {name} names no file"):
        from_environ(environ)
    file.write_text("")
    assert quote(str(file), safe="") in from_environ(environ).redis_url


@contextmanager
def silent(said: bytes) -> Iterator[int]:
    """The port of somebody who takes connections, says this, and leaves them open."""
    lines: list[socket.socket] = []

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                line, _ = server.accept()
                lines.append(line)
                line.sendall(said)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    for line in lines:
        line.close()


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"+OK\r\n" * 9, b"*"])
@pytest.mark.parametrize("command", [["runs"], ["doctor"], ["worker"]])
def test_somebody_else_at_redis_port_is_told_within_seconds(
    scheme: str,
    said: bytes,
    command: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DURAZZO_SEAL", "off")
    began = time.monotonic()
    with silent(said) as port:
        monkeypatch.setenv("DURAZZO_REDIS_URL", f"{scheme}://127.0.0.1:{port}/0")
        assert invoke(command) == 4
    assert time.monotonic() - began < 10
    told = capsys.readouterr()
    assert "Redis cannot be used: " in told.out + told.err


@pytest.mark.server
@pytest.mark.parametrize("command", [["runs"], ["doctor"], ["worker"]])
def test_a_database_that_the_server_lacks_is_no_bug(
    command: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DURAZZO_SEAL", "off")
    with valkey(tmp_path) as url:
        monkeypatch.setenv("DURAZZO_REDIS_URL", f"{url}?db=99")
        assert invoke(command) == 4
    assert "bug" not in capsys.readouterr().err


def test_a_misspelt_setting_is_told_with_what_was_meant_but_not_in_a_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DURAZZO_REDIS_ULR", "hunter2")
    monkeypatch.setenv("DURAZZO_WATERMELON", "hunter2")
    assert invoke(["validate", str(CHARGE_AND_TEXT)]) == 0
    assert capsys.readouterr().err.splitlines()[:2] == [
        "warning: DURAZZO_REDIS_ULR is no setting of durazzo's; did you mean DURAZZO_REDIS_URL?",
        "warning: DURAZZO_WATERMELON is no setting of durazzo's",
    ]
    monkeypatch.setenv("DURAZZO_REDIS_URL", "http://h")
    assert invoke(["worker"]) == REFUSED
    assert "warning" not in capsys.readouterr().err


def test_every_setting_that_the_sources_name_is_a_known_one() -> None:
    folders = (CHECKOUT / "orchestrator", CHECKOUT / "workers", CHECKOUT / "ops" / "cli")
    files = [file for folder in folders for file in folder.rglob("*.py")]
    named = {name for file in files for name in re.findall(r"\bDURAZZO_[A-Z_]+", file.read_text())}
    assert {name for name in named if not name.endswith("_")} <= NAMES


# What is secret may stand in a file.

_SECRETS = {
    "DURAZZO_REDIS_URL": "redis://u:hunter2@h:6379/0",
    "DURAZZO_KEYS": "hunter2hunter2hunter2hunter2hunter2hunter22=",
}


def _read(name: str, environ: dict[str, str]) -> str:
    found = from_environ(environ)
    return {"DURAZZO_REDIS_URL": found.redis_url, "DURAZZO_KEYS": found.keys}[name]


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\n\n"])
@pytest.mark.parametrize("name", _SECRETS)
def test_a_secret_setting_may_come_from_a_file(name: str, end: str, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(f"{_SECRETS[name]}{end}".encode())
    assert _read(name, {f"{name}_FILE": str(tmp_path / "secret")}) == _SECRETS[name]


@pytest.mark.parametrize("name", _SECRETS)
def test_the_variable_counts_before_the_file(name: str) -> None:
    environ = {name: _SECRETS[name], f"{name}_FILE": "/there/is/none"}
    assert _read(name, environ) == _SECRETS[name]


def _empty(at: Path) -> str:
    at.write_text("\n")
    return "must hold one line"


def _long(at: Path) -> str:
    at.write_text("hunter2" * 10_000)
    return "must hold one line"


def _two_lines(at: Path) -> str:
    at.write_text("hunter2\nhunter2\n")
    return "must hold one line"


def _no_text(at: Path) -> str:
    at.write_bytes(b"hunter2\xff\xfe")
    return "no text in UTF-8"


def _folder(at: Path) -> str:
    at.mkdir()
    return "cannot be read (is a directory)"


def _missing(_: Path) -> str:
    return "cannot be read (no such file or directory)"


@pytest.mark.parametrize("made", [_empty, _long, _two_lines, _no_text, _folder, _missing])
@pytest.mark.parametrize("name", _SECRETS)
def test_a_file_that_holds_no_secret_is_refused_by_its_name_and_not_shown(
    name: str, made: Callable[[Path], str], tmp_path: Path
) -> None:
    told = made(tmp_path / "secret")
    with pytest.raises(SettingsRefused) as refused:
        from_environ({f"{name}_FILE": str(tmp_path / "secret")})
    assert refused.value.message.startswith(f"{name}_FILE: {tmp_path}/secret ")
    assert told in refused.value.message
    assert "hunter2" not in refused.value.message


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(SettingsRefused, match="DURAZZO_KEYS_FILE"):
        from_environ({"DURAZZO_KEYS_FILE": "\0"})


def test_a_redis_that_a_file_names_and_that_is_not_there_is_named_without_its_password(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "url").write_text("redis://u:hunter2@127.0.0.1:1/0\n")
    monkeypatch.setenv("DURAZZO_REDIS_URL_FILE", str(tmp_path / "url"))
    assert invoke(["runs"]) == 4
    said = capsys.readouterr().err
    assert "127.0.0.1:1" in said
    assert "hunter2" not in said
