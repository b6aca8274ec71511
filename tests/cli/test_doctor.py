"""``durazzo doctor``: what is missing, what to do, and never a value."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import redis

from ops.cli.doctor import deployment, hosts, journal, secrets
from ops.cli.doctor.server import room
from ops.cli.main import invoke
from ops.cli.reach import Place, refusal, refusals
from ops.lab import CHECKOUT, base_environ, free_port, valkey, wait_for
from orchestrator.canvas.messages import TaskId
from orchestrator.formats.load import specs_folder
from orchestrator.journal.keys import Keys
from orchestrator.journal.seal import new_key
from orchestrator.plan.model import HttpCall
from orchestrator.settings import Settings, from_environ
from orchestrator.wiring import wire
from tests.cli.conftest import CHARGE_AND_TEXT, Shell
from tests.fakes import plans
from tests.unit.formats.loading import SHOP, arazzo

SECRETS = {
    "STRIPE_SECRET_KEY": "sk_test_4711",
    "TWILIO_ACCOUNT_SID": "AC4711",
    "TWILIO_AUTH_TOKEN": "token-4711",
}
DUNNING, OVERLAY = "pay-stripe-failed-payment-to-twilio-dunning-workflow.yml", "Document/overlay"
server = pytest.mark.server


@pytest.fixture(autouse=True)
def _environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "KEYS", "SEAL", "SERVERS", "ALLOW_LIVE", "SECRETS_DIR", "LIMITS"):
        monkeypatch.delenv(f"DURAZZO_{name}", raising=False)
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))


@dataclass(frozen=True)
class Told:
    """The findings of one call, by "group/name"."""

    code: int
    document: Any

    def __getitem__(self, place: str) -> tuple[str, str]:
        (found,) = [c for c in self.document["checks"] if f"{c['group']}/{c['name']}" == place]
        return found["state"], f"{found['message']}; {found['hint']}"

    def __contains__(self, place: str) -> bool:
        return place in {f"{c['group']}/{c['name']}" for c in self.document["checks"]}


class Doctor:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> Told:
        code = invoke(["doctor", "--json", *words])
        out = self._capsys.readouterr().out
        assert "4711" not in out, "a value was shown"
        document = json.loads(out)
        assert document["ok"] is (code == 0)
        return Told(code, document)


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    return Doctor(capsys)


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A Redis of one's own, with a key; the client of who may change it."""
    (tmp_path / "data").mkdir()
    with valkey(tmp_path / "data") as url, redis.Redis.from_url(url) as client:
        monkeypatch.setenv("DURAZZO_REDIS_URL", url)
        monkeypatch.setenv("DURAZZO_KEYS", new_key())
        yield client


@pytest.fixture
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """A port where somebody listens, and what was sent to each connection there."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hear() -> None:
            while True:
                try:
                    line, _ = listener.accept()
                except OSError:
                    return
                with line:
                    heard.append(line.recv(1))

        thread = threading.Thread(target=hear, daemon=True)
        thread.start()
        yield listener.getsockname()[1], heard
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_with_nothing_set_up_nothing_is_broken(doctor: Doctor, tmp_path: Path) -> None:
    """The embedded server is started as any command starts it, and is gone afterwards."""
    told = doctor()
    assert told.code == 0
    assert told["Redis/server"] == ("ok", f"embedded, data in {tmp_path / 'home'}; ")
    assert told["Redis/persistence"][0] == "ok"
    assert "a power cut can lose the last second" in told["Redis/persistence"][1]
    assert told["Redis/clock"][0] == told["Redis/latency"][0] == "ok"
    assert told["Sealing/keys"] == ("ok", f"{tmp_path / 'home' / 'seal.key'}; ")
    assert told["Workers/alive"] == ("ok", "none; durazzo run brings its own; ")
    assert told["Credentials/STRIPE_SECRET_KEY"] == (
        "unknown",
        "is not set (stripe); documents that call stripe need it",
    )


def test_a_person_reads_groups_marks_and_what_to_do(
    durazzo: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the sandbox everything is there; what it says beside the result is on stderr."""
    done = durazzo("doctor", str(CHARGE_AND_TEXT), PYTHONUTF8="1")
    assert done.code == 0
    lines = done.out.splitlines()
    heads = [line for line in lines if not line.startswith(" ")]
    assert heads == [
        "This machine", "Document", "Redis", "Sealing", "Workers", "Credentials", "Hosts",
    ]  # fmt: skip
    assert all(line[2] in "✓!" for line in lines if line.startswith(" "))
    assert any("! servers" in x and "api.stripe.com to 127.0.0.1:" in x for x in lines)
    assert any("it answers, in place of api.stripe.com" in line for line in lines)
    assert done.err == "nothing is broken, 2 warnings\n"
    secrets = [v for k, v in durazzo.sandbox.env.items() if "KEY" in k or "TOKEN" in k]
    assert not any(secret in done.out for secret in secrets)


def test_without_unicode_the_marks_are_ascii(durazzo: Shell) -> None:
    done = durazzo("doctor", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    assert done.code == 0
    assert "  + python " in done.out
    assert done.out.isascii()


def test_a_setting_that_cannot_be_used_is_a_finding(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURAZZO_SERVERS", "{4711")
    told = doctor(str(CHARGE_AND_TEXT))
    assert told.code == 2
    assert told["This machine/settings"][0] == "error"
    assert "DURAZZO_SERVERS is not JSON" in told["This machine/settings"][1]
    assert told["Document/diagnostics"][0] == "unknown"


def test_a_limit_that_is_none_is_a_finding(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DURAZZO_LIMITS", '{"stripe/nothing": 1}')
    told = doctor()
    assert told.code == 2
    assert "no limit 'stripe/nothing'" in told["This machine/settings"][1]


def test_settings_that_change_what_calls_do_are_said(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    servers = {"https://api.stripe.com": "http://me:pass-4711@127.0.0.1:1/stripe"}
    monkeypatch.setenv("DURAZZO_SERVERS", json.dumps(servers))
    monkeypatch.setenv("DURAZZO_ALLOW_LIVE", "1")
    monkeypatch.setenv("DURAZZO_SECRETS_DIR", str(tmp_path / "nowhere"))
    told = doctor()
    assert told.code == 0
    state, message = told["This machine/servers"]
    assert (state, "api.stripe.com to 127.0.0.1:1/stripe" in message) == ("warning", True)
    assert told["This machine/live keys"][0] == "warning"
    assert told["This machine/secrets"][0] == "warning"


def test_a_live_switch_that_switches_nothing_is_said(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURAZZO_ALLOW_LIVE", "yes")
    assert doctor()["This machine/live keys"] == (
        "warning",
        "DURAZZO_ALLOW_LIVE is set to something that changes nothing; only 1 allows live keys",
    )


def test_a_redis_that_is_not_there_is_named_without_its_password(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = free_port()
    monkeypatch.setenv("DURAZZO_REDIS_URL", f"redis://user-4711:pass-4711@127.0.0.1:{port}/0")
    told = doctor()
    assert told.code == 4
    state, message = told["Redis/server"]
    assert state == "error"
    assert message.startswith(f"nothing answers at 127.0.0.1:{port}: it refuses the connection")
    assert told["Sealing/keys"][0] == "error"


@pytest.mark.parametrize("url", ["redis://h:port", "redis://h:99999", "redis://h/name"])
def test_a_url_that_is_none_is_said(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DURAZZO_REDIS_URL", url)
    told = doctor()
    assert told.code == 2
    shown = told["This machine/settings"][1]
    assert shown.startswith("DURAZZO_REDIS_URL cannot be used; write it as")


def test_a_data_folder_that_cannot_be_used_is_said(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "file" / "home"))
    told = doctor()
    assert told.code == 2
    assert "cannot be used (not a directory); set DURAZZO_HOME" in told["Redis/server"][1]


@pytest.mark.parametrize(("free", "state"), [(0, "warning"), (199, "warning"), (200, "ok")])
def test_a_disk_that_is_nearly_full_is_a_warning(free: int, state: str, tmp_path: Path) -> None:
    """Also before the folder is made."""
    found = room(tmp_path / "not" / "yet", lambda at: free * 1024 * 1024 if at == tmp_path else -1)
    assert (found.state, found.name) == (state, "disk")
    assert found.message.startswith(f"{free} MiB are free in ")
    assert bool(found.hint) is (state == "warning")


@server
def test_the_room_on_the_disk_is_looked_at(doctor: Doctor) -> None:
    assert "MiB are free in " in doctor()["Redis/disk"][1]


def test_a_document_that_needs_its_repair_is_told_of_it(doctor: Doctor) -> None:
    dunning = str(specs_folder() / "published" / DUNNING)
    assert "load it with --overlay failed-payment-dunning-real" in doctor(dunning)[OVERLAY][1]
    other = doctor(dunning, "--overlay", "dunning-no-redirects")
    assert other[OVERLAY][0] == "warning"
    assert OVERLAY not in doctor(dunning, "--overlay", "failed-payment-dunning-real")


def test_an_embedded_server_that_does_not_start_is_said(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # Its socket cannot be made there.
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "nowhere"))
    told = doctor()
    assert told.code == 4
    assert told["Redis/server"][1].startswith("the embedded server does not start; see ")


@server
@pytest.mark.usefixtures("named")
def test_on_a_redis_of_ones_own_what_the_workers_have_is_a_warning_here(doctor: Doctor) -> None:
    told = doctor(
        str(CHARGE_AND_TEXT), "--server", f"https://api.stripe.com=http://[::1]:{_shut()}"
    )
    assert told.code == 0
    assert told["Sealing/keys"][1].startswith("1 key in DURAZZO_KEYS")
    assert told["Workers/alive"] == (
        "warning",
        "none: no run goes on; start one with: durazzo worker",
    )
    state, message = told["Credentials/STRIPE_SECRET_KEY"]
    assert state == "warning"
    assert message.endswith("each worker needs it in its own environment")


def _shut() -> int:
    return free_port()


@server
def test_what_can_be_lost_is_said_plainly(doctor: Doctor, named: Any) -> None:
    named.config_set("appendfsync", "always")
    assert "a power cut loses nothing" in doctor()["Redis/persistence"][1]
    named.config_set("appendfsync", "no")
    assert doctor()["Redis/persistence"][0] == "warning"
    named.config_set("appendonly", "no")
    state, message = doctor()["Redis/persistence"]
    assert state == "warning"
    assert message.startswith("nothing is written to disk: a restart loses every run")
    named.config_set("save", "60 1")
    assert doctor()["Redis/persistence"][1].startswith("snapshots only: a crash loses every run")


@server
def test_a_server_that_throws_keys_away_is_an_error_once_it_can(doctor: Doctor, named: Any) -> None:
    named.config_set("maxmemory-policy", "allkeys-lru")
    told = doctor()
    assert (told.code, told["Redis/eviction"][0]) == (0, "warning")
    named.config_set("maxmemory", 1 << 30)
    told = doctor()
    assert (told.code, told["Redis/eviction"][0]) == (1, "error")
    assert "set maxmemory-policy noeviction" in told["Redis/eviction"][1]


@server
def test_a_server_that_is_nearly_full_is_said(doctor: Doctor, named: Any) -> None:
    used = named.info("memory")["used_memory"]
    named.config_set("maxmemory", round(used * 1.15))
    assert doctor()["Redis/memory"][0] in {"warning", "error"}


@server
def test_a_replica_is_an_error(doctor: Doctor, named: Any) -> None:
    named.replicaof("127.0.0.1", str(free_port()))
    told = doctor()
    assert told.code == 4
    assert told["Redis/role"][1].startswith("it is a replica, which refuses writes; name the")


@server
def test_what_an_acl_forbids_is_not_known_and_breaks_nothing(
    doctor: Doctor, named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_user(named, monkeypatch, "-config", "-info")
    told = doctor()
    assert told.code == 0
    for name in ("version", "persistence", "eviction", "memory"):
        assert told[f"Redis/{name}"][0] == "unknown"
    _as_user(named, monkeypatch, "-config")
    told = doctor()
    assert told["Redis/persistence"][0] == "unknown"
    assert "CONFIG is not allowed" in told["Redis/persistence"][1]


@server
def test_a_user_who_may_not_run_scripts_is_an_error(
    doctor: Doctor, named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    _as_user(named, monkeypatch, "-@scripting")
    told = doctor()
    assert told.code == 4
    assert told["Redis/commands"][1].startswith("Redis cannot be used")


@server
def test_a_wrong_password_is_an_error_that_does_not_repeat_it(
    doctor: Doctor, named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    named.config_set("requirepass", "right-4711")
    told = doctor()
    assert told.code == 4
    assert "it refuses the user or the password" in told["Redis/server"][1]


def _as_user(client: Any, monkeypatch: pytest.MonkeyPatch, *rights: str) -> None:
    client.execute_command(
        "ACL", "SETUSER", "bob", "reset", "on", ">p4711", "~*", "&*", "+@all", *rights
    )
    path = client.connection_pool.connection_kwargs["path"]
    monkeypatch.setenv("DURAZZO_REDIS_URL", f"unix://bob:p4711@{path}")


@server
def test_keys_are_looked_at_without_showing_them(
    doctor: Doctor, named: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURAZZO_KEYS", "4711")
    told = doctor()
    assert told.code == 2
    assert told["Sealing/keys"][1].startswith("DURAZZO_KEYS; key 1 is not base64 of 32 bytes")
    assert "Workers/alive" in told, "the rest is looked at all the same"
    monkeypatch.delenv("DURAZZO_KEYS")
    assert "no sealing key is set" in doctor()["Sealing/keys"][1]
    monkeypatch.setenv("DURAZZO_SEAL", "off")
    told = doctor()
    assert (told.code, told["Sealing/keys"][0]) == (0, "warning")
    assert named.dbsize() == 0, "looking leaves nothing behind"


@server
@pytest.mark.usefixtures("named")
def test_keys_that_do_not_open_the_journal_are_an_error(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    _accept()
    assert doctor()["Sealing/journal"][0] == "ok"
    monkeypatch.setenv("DURAZZO_KEYS", new_key())
    told = doctor()
    assert told.code == 1
    assert told["Sealing/journal"][0] == "error"


def _accept(*, send: bool = False, lane: str = "default") -> None:
    wiring = wire(from_environ())
    new = plans.new_run(plans.linear("a"), "run-1", lane=lane)
    wiring.core.journal.accept(new)
    state = wiring.core.journal.read("run-1")
    assert state is not None
    if send:
        wiring.core.driver.send(TaskId("run-1", "a", 1), state)
    wiring.app.close()


@server
@pytest.mark.usefixtures("named")
def test_runs_and_lanes_that_nobody_works_on_are_said(doctor: Doctor) -> None:
    _accept(send=True, lane="dunning")
    told = doctor()
    assert told.code == 0
    assert told["Workers/runs"][1].startswith("1 unfinished run and nobody to drive them")
    assert told["Workers/lane dunning"] == (
        "warning",
        "1 message waiting, no worker seen; durazzo worker --lane dunning",
    )


def test_a_backlog_that_a_worker_works_on_is_no_warning() -> None:
    (found,) = journal._lanes({"dunning": 2}, frozenset({"dunning"}))
    assert (found.state, found.message, found.hint) == ("ok", "2 messages waiting", "")


@server
@pytest.mark.usefixtures("named")
def test_workers_that_are_alive_are_counted(doctor: Doctor) -> None:
    heart = wire(from_environ()).core.journal
    for name in ("a-b-1-00", "a-b-2-00", "c-1-00"):
        heart.heartbeat(name, ttl_ms=60_000)
    assert doctor()["Workers/alive"] == ("ok", "3 workers on 2 machines; ")


@server
def test_a_clock_that_goes_apart_is_said(doctor: Doctor, named: Any) -> None:
    named.set(Keys().clock, 3_600_000)
    state, message = doctor()["Redis/clock"]
    assert state == "warning"
    assert message.startswith("3600.0 s ahead of this machine's; set both by NTP")


@server
def test_writes_that_redis_lost_are_told_with_when_and_how_many(doctor: Doctor, named: Any) -> None:
    assert "Redis/lost writes" not in doctor()
    now = int(named.time()[0]) * 1000
    named.hset(Keys().server, mapping={"rewound": now - 60_000, "missing": 3})
    state, message = doctor()["Redis/lost writes"]
    assert state == "warning"
    assert "at least 3 calls without a key had begun" in message
    assert "durazzo explain redis-rewound" in message
    named.hset(Keys().server, "rewound", now - 8 * 86_400_000)
    assert doctor()["Redis/lost writes"][0] == "ok"


def test_an_invalid_document_is_counted_and_exits_with_3(doctor: Doctor, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("arazzo: 1.0.1\n")
    told = doctor(str(file))
    assert told.code == 3
    state, message = told["Document/diagnostics"]
    assert state == "error"
    assert message.endswith(f"durazzo validate {file} shows where")
    assert "Credentials/STRIPE_SECRET_KEY" in told


def test_what_the_steps_need_must_be_there(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch, listening: tuple[int, list[bytes]]
) -> None:
    here = f"http://127.0.0.1:{listening[0]}"
    words = [str(CHARGE_AND_TEXT)]
    for host in ("https://api.stripe.com", "https://api.twilio.com"):
        words += ["--server", f"{host}={here}"]
    told = doctor(*words)
    assert told.code == 1
    assert told["Credentials/STRIPE_SECRET_KEY"] == (
        "error",
        (
            "is not set (step create-payment); put it into the environment variable "
            "STRIPE_SECRET_KEY, or into the file that STRIPE_SECRET_KEY_FILE names"
        ),
    )
    assert "Credentials/ANTHROPIC_API_KEY" not in told
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    told = doctor(*words)
    assert told.code == 0
    assert told["Credentials/STRIPE_SECRET_KEY"] == ("ok", "set (step create-payment); ")


def test_a_live_key_is_known_by_how_it_begins(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIPE_SECRET_KEY", "sk_live_4711")
    told = doctor()
    assert told["Credentials/STRIPE_SECRET_KEY"][0] == "error"
    assert (
        "set DURAZZO_ALLOW_LIVE=1 if real money is meant"
        in (told["Credentials/STRIPE_SECRET_KEY"][1])
    )
    monkeypatch.setenv("DURAZZO_ALLOW_LIVE", "1")
    told = doctor()
    assert told.code == 0
    assert told["Credentials/STRIPE_SECRET_KEY"][0] == "warning"


def test_hosts_are_asked_for_a_connection_and_told_nothing(
    doctor: Doctor, tmp_path: Path, listening: tuple[int, list[bytes]]
) -> None:
    port, heard = listening
    (tmp_path / "shop.yaml").write_text(SHOP)
    file = tmp_path / "flow.yaml"
    file.write_text(arazzo("      - {stepId: a, operationId: createOrder}\n"))
    told = doctor(str(file), "--server", f"shop=http://127.0.0.1:{port}/v1")
    assert told[f"Hosts/127.0.0.1:{port}"] == ("ok", "it answers, in place of shop.example; ")
    wait_for(lambda: heard, "what was said", seconds=60)
    assert heard == [b""]
    shut = free_port()
    told = doctor(str(file), "--server", f"shop=http://127.0.0.1:{shut}/v1")
    assert told.code == 1
    assert told[f"Hosts/127.0.0.1:{shut}"][1].startswith(
        "it refuses the connection, in place of shop.example; start what should answer there"
    )


def test_a_name_that_nobody_knows_is_said() -> None:
    assert refusal(Place("nobody.invalid", 443)) in {"its name is not known", "no answer in 3 s"}
    assert refusal(Place("a" * 64 + ".example", 443)) != ""


def test_all_are_asked_together_and_nobody_is_waited_for_longer(
    listening: tuple[int, list[bytes]],
) -> None:
    """The addresses are kept for documentation: nobody answers there, if they can be asked."""
    places = [Place(f"192.0.2.{n}", 443) for n in range(1, 20)]
    answering = Place("127.0.0.1", listening[0])
    found = refusals([*places, answering], patience=0.2)
    assert found[answering] == ""
    assert all(found[place] for place in places)


def test_of_very_many_hosts_only_some_are_asked() -> None:
    steps = [
        plans.step(
            f"s{n}",
            call=HttpCall(
                provider="generic", method="GET", server=f"http://127.0.0.1:{n}", path=()
            ),
        )
        for n in range(1, hosts.MOST + 9)
    ]
    found = list(hosts.look(plans.plan(*steps), Settings(), here=True))
    assert len(found) == hosts.MOST + 1
    assert found[-1].message == "8 more were not asked"


def test_a_proxy_that_calls_do_not_go_through_is_said() -> None:
    step = plans.step(
        "a",
        call=HttpCall(
            provider="generic", method="GET", server=f"http://127.0.0.1:{free_port()}", path=()
        ),
    )
    settings = Settings(environ={"HTTPS_PROXY": "http://proxy:3128"})
    (found,) = hosts.look(plans.plan(step), settings, here=True)
    assert found.hint == "calls go straight there, through no proxy: let them out"


def test_a_misspelt_setting_is_said_with_the_one_that_was_meant(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURAZZO_RETENTIN", "4711")
    monkeypatch.setenv("DURAZZO_ZZZ", "4711")
    told = doctor()
    assert told.code == 0
    assert told["This machine/DURAZZO_RETENTIN"] == (
        "warning",
        "no setting of durazzo's: it changes nothing; did you mean DURAZZO_RETENTION?",
    )
    assert "take it out" in told["This machine/DURAZZO_ZZZ"][1]


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that everybody may look into; pytest's own are its user's."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize(
    ("modes", "state"),
    [
        ((0o604, 0o755), "warning"),
        ((0o640, 0o755), "ok"),
        ((0o400, 0o755), "ok"),
        ((0o604, 0o700), "ok"),
    ],
)
def test_a_secrets_file_that_everybody_may_read_is_said(
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    shared: Path,
    modes: tuple[int, int],
    state: str,
) -> None:
    mode, of_the_folder = modes
    monkeypatch.setattr(secrets, "_CONTAINED", ())
    folder = shared / "secrets"
    folder.mkdir()
    (folder / "STRIPE_SECRET_KEY").write_text("sk_test_4711")
    (folder / "STRIPE_SECRET_KEY").chmod(mode)
    named = shared / "token"
    named.write_text("4711")
    named.chmod(mode)
    shared.chmod(of_the_folder)
    monkeypatch.setenv("DURAZZO_SECRETS_DIR", str(folder))
    monkeypatch.setenv("TWILIO_AUTH_TOKEN_FILE", str(named))
    told = doctor()
    for name in ("STRIPE_SECRET_KEY", "TWILIO_AUTH_TOKEN"):
        found, message = told[f"Credentials/{name}"]
        assert found == state
        assert ("chmod o= " in message) is (state == "warning")


@server
@pytest.mark.usefixtures("named")
def test_a_timekeeper_is_named_and_missed_where_there_is_something_to_keep_time_for(
    doctor: Doctor, named: Any
) -> None:
    assert "Workers/timekeeper" not in doctor(), "nothing has begun"
    _accept()
    state, message = doctor()["Workers/timekeeper"]
    assert (state, "ask again in 5 s" in message) == ("warning", True)
    wire(from_environ()).core.journal.tick("my-host-1-00", lease_ms=60_000, limit=0)
    assert doctor()["Workers/timekeeper"] == ("ok", "one on my-host keeps time; ")
    named.set(Keys().leader, "99 my-host-1-00")
    state, message = doctor()["Workers/timekeeper"]
    assert (state, "newer release" in message) == ("warning", True)


@server
def test_runs_in_doubt_are_counted_with_what_to_do(doctor: Doctor, named: Any) -> None:
    assert "Runs/unknown" not in doctor()
    now = int(named.time()[0]) * 1000
    named.zadd(Keys().doubt, {"run-1": now - 7_200_000, "run-2": now})
    state, message = doctor()["Runs/unknown"]
    assert state == "warning"
    assert message.startswith("2 runs with a step that nobody knows the end of, the oldest for 2 h")
    assert "durazzo runs --unknown" in message


def test_workers_of_another_release_are_said_and_those_of_this_one_are_not() -> None:
    here = version("durazzo")
    same = deployment.Said(release=here, lanes=frozenset({"default"}))
    old = deployment.Said(release="0.0.9", lanes=frozenset({"dunning"}))
    assert list(deployment.releases([same, same])) == []
    (found,) = deployment.releases([same, old, old])
    assert found.message == f"here it is {here}, and workers run 0.0.9"
    assert found.hint.startswith("finish the deploy")


def test_a_lane_of_unfinished_runs_that_no_worker_takes_is_said() -> None:
    said = [deployment.Said(release="1", lanes=frozenset({"default"}))]
    (found,) = deployment.idle_lanes(said, {"default", "dunning", "busy"}, {"busy"})
    assert (found.name, found.hint) == ("lane dunning", "durazzo worker --lane dunning")
    assert list(deployment.idle_lanes([], {"dunning"}, {})) == [], "nobody has said anything"


@pytest.mark.process
@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_a_worker_says_its_release_and_its_lanes(
    named: Any, pool: str, tmp_path: Path, doctor: Doctor
) -> None:
    environ = {
        **base_environ(),
        **{name: os.environ[name] for name in ("DURAZZO_REDIS_URL", "DURAZZO_KEYS")},
        "PYTHONPATH": str(CHECKOUT),
    }
    words = ["--pool", pool, "--concurrency", "2", "--lane", "default", "--lane", "odd"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ops.cli.main", "worker", *words],
            env=environ, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    _accept(send=False, lane="idle")
    wiring = wire(from_environ())
    try:
        wait_for(lambda: " ready." in (tmp_path / "log").read_text(), "it", seconds=60)
        its = deployment.Said(release=version("durazzo"), lanes=frozenset({"default", "odd"}))
        wait_for(lambda: deployment.ask(wiring, 2) == [its], "its word", seconds=60)
        told = doctor()
        assert told["Workers/timekeeper"][0] == "ok"
        assert told["Workers/lanes"] == ("ok", "they take default, odd; ")
        assert told["Workers/lane idle"][0] == "warning"
        assert "Workers/release" not in told
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        wiring.app.close()


@pytest.mark.parametrize(
    "answer", [{}, {"lanes": 1}, {"lanes": [1, None]}, {"release": ["x"], "lanes": None}]
)
def test_what_another_kind_of_worker_answers_is_no_lane(answer: dict[str, Any]) -> None:
    assert deployment._said(answer).lanes == frozenset()
