"""``durazzo metrics``: what a scraper is told, over real HTTP, of a real server."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.lab import CHECKOUT, free_port, valkey
from ops.metrics import reading
from ops.metrics.collector import FAMILIES, JournalCollector
from ops.metrics.reading import LANES, Gauge, Reading
from ops.metrics.server import MOST, Server, application
from orchestrator import service
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.batches import Row, run_of
from orchestrator.journal.keys import Keys
from orchestrator.settings import from_environ
from orchestrator.wiring import connect, reach, wire
from tests.cli.conftest import Shell, wait_for
from tests.cli.test_many import Desk, desk
from tests.fakes import plans
from tests.fakes.batching import open_batch

__all__ = ["desk"]

PAGE = CHECKOUT / "ops" / "docs" / "metrics.md"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str

    def __getitem__(self, name: str) -> float:
        """``name``: as Prometheus writes it, labels in the order of their names."""
        return self.samples[name]

    @property
    def samples(self) -> dict[str, float]:
        found = {}
        for family in text_string_to_metric_families(self.text):
            for sample in family.samples:
                labels = ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))
                found[sample.name + (f"{{{labels}}}" if labels else "")] = sample.value
        return found

    def names(self) -> set[str]:
        return {name.partition("{")[0] for name in self.samples}


def get(url: str, *, method: str = "GET") -> Answer:
    request = urllib.request.Request(url, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Answer(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())


@contextmanager
def serving(gauge: Gauge, ask: Callable[[], None] = lambda: None) -> Iterator[Scraper]:
    failures: list[Exception] = []
    with Server(
        "127.0.0.1", 0, application(JournalCollector(gauge), ask, failures.append)
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield Scraper(server.url, failures)
        server.shutdown()
        thread.join()


@dataclass(frozen=True, slots=True)
class Scraper:
    url: str
    failures: list[Exception]

    def __call__(self, path: str = "/metrics") -> Answer:
        return get(self.url + path)


@contextmanager
def scraping() -> Iterator[Scraper]:
    """Of the Redis that the environment names; without a key."""
    settings = replace(from_environ(), seal=False, keys="")
    wiring = wire(settings)
    with serving(Gauge(wiring), lambda: reach(settings.redis_url)) as scraper:
        yield scraper
    wiring.app.close()


@pytest.fixture
def scrape(desk: Desk) -> Iterator[Scraper]:
    with scraping() as scraper:
        yield scraper


def submitted(desk: Desk, lane: str) -> str:
    return service.submit(desk.core, plans.plan(plans.step("a")), {}, lane=lane).id


def opened(desk: Desk, name: str, rows: int) -> None:
    flow = plans.plan(plans.step("a"))
    open_batch(desk.core.batches, flow, name, [Row(number=n + 1) for n in range(rows)])


class Broken(Gauge):
    """One that reads nothing."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def read(self) -> Reading:
        raise self._error


# What is counted.


@pytest.mark.server
def test_a_scrape_tells_of_an_empty_journal_with_every_series_in_it(scrape: Scraper) -> None:
    told = scrape()
    assert told.status == 200
    assert told.names() == set(FAMILIES)
    assert told["durazzo_redis_up"] == 1
    assert told["durazzo_scrape_duration_seconds"] > 0
    assert told["durazzo_lanes"] == 1
    assert told['durazzo_waiting_messages{kind="under-way",lane="default"}'] == 0
    assert told['durazzo_provider_stopped{provider="stripe"}'] == 0
    assert told["durazzo_rewound_timestamp_seconds"] == 0


@pytest.mark.server
def test_runs_their_messages_and_workers_are_counted(desk: Desk, scrape: Scraper) -> None:
    desk.start()
    desk.start()
    submitted(desk, "dunning")
    desk.core.journal.heartbeat("w1", ttl_ms=600_000)
    told = scrape()
    assert told["durazzo_unfinished_runs"] == 3
    assert told["durazzo_workers"] == 1
    assert told["durazzo_lanes"] == 2
    assert told['durazzo_waiting_messages{kind="fresh",lane="default"}'] == 2
    assert told['durazzo_waiting_messages{kind="fresh",lane="dunning"}'] == 1
    assert told['durazzo_waiting_messages{kind="under-way",lane="default"}'] == 0


@pytest.mark.server
def test_rows_of_all_batches_are_summed(desk: Desk, scrape: Scraper) -> None:
    opened(desk, "refunds", 5)
    opened(desk, "invoices", 4)
    desk.core.admission.fill("invoices")
    desk.core.journal.stop("batch:refunds", by="sam", reason="")
    told = scrape()
    assert told['durazzo_batches{state="paused"}'] == 1
    assert told['durazzo_batches{state="running"}'] == 1
    assert told['durazzo_batch_rows{state="busy"}'] == 3
    assert told['durazzo_batch_rows{state="waiting"}'] == 6
    assert told['durazzo_batch_rows{state="in-doubt"}'] == 0
    assert told['durazzo_waiting_messages{kind="bulk",lane="default"}'] == 3
    assert told['durazzo_waiting_messages{kind="fresh",lane="default"}'] == 0


@pytest.mark.server
def test_a_stopped_provider_is_told_by_name(desk: Desk, scrape: Scraper) -> None:
    desk("stop-all", "stripe", "--reason", "Ms Smith was charged twice")
    told = scrape()
    assert told['durazzo_provider_stopped{provider="stripe"}'] == 1
    assert told['durazzo_provider_stopped{provider="twilio"}'] == 0
    assert told['durazzo_provider_waiting_steps{provider="stripe"}'] == 0
    assert "Smith" not in told.text
    desk("go-on", "stripe")
    assert scrape()['durazzo_provider_stopped{provider="stripe"}'] == 0


@pytest.mark.server
def test_lost_writes_are_told(desk: Desk, scrape: Scraper) -> None:
    with connect(from_environ().redis_url) as client:
        client.hset(Keys().server, mapping={"rewound": 1_700_000_000_500, "missing": 7})
    told = scrape()
    assert told["durazzo_rewound_timestamp_seconds"] == 1_700_000_000.5
    assert told["durazzo_rewound_missing_calls"] == 7


@pytest.mark.server
def test_no_label_is_an_id_or_anybodys(desk: Desk, scrape: Scraper) -> None:
    run = desk.start()
    opened(desk, "refunds-7", 2)
    desk.core.admission.fill("refunds-7")
    desk.core.journal.stop("batch:refunds-7", by="sam", reason="")
    desk.core.journal.heartbeat("host-of-mine-1-abc", ttl_ms=600_000)
    submitted(desk, "+15558675310 Ms Smith")
    told = scrape()
    assert told["durazzo_lanes"] == 2
    for secret in (run, "refunds-7", run_of("refunds-7", 1), "host-of-mine", "Smith", "sam"):
        assert secret not in told.text
    labels = re.findall(r"\{(.*)\}", told.text)
    assert {name for line in labels for name in re.findall(r'(\w+)="', line)} == {
        "lane", "kind", "state", "provider",
    }  # fmt: skip


# Its bounds.


@pytest.mark.server
def test_a_lane_that_was_seen_falls_to_nothing_and_does_not_disappear(
    desk: Desk, scrape: Scraper
) -> None:
    run = submitted(desk, "dunning")
    assert scrape()['durazzo_waiting_messages{kind="fresh",lane="dunning"}'] == 1
    assert desk("cancel", run, "--reason", "x").code == 0
    with connect(from_environ().redis_url) as client:
        client.delete("dunning", "dunning\x06\x163")
    told = scrape()
    assert told["durazzo_lanes"] == 1
    assert told['durazzo_waiting_messages{kind="fresh",lane="dunning"}'] == 0


@pytest.mark.server
def test_a_bounded_number_of_lanes_is_told(desk: Desk, scrape: Scraper) -> None:
    for number in range(LANES + 5):
        submitted(desk, f"a-lane-{number}")
    told = scrape()
    assert told['durazzo_waiting_messages{kind="fresh",lane="default"}'] == 0
    assert told["durazzo_lanes"] == LANES + 6
    assert sum('kind="fresh"' in name for name in told.samples) == LANES


@pytest.mark.server
def test_among_too_many_runs_only_named_lanes_are_looked_at(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DURAZZO_LANES", '{"order": "orders"}')
    monkeypatch.setattr(reading, "_LOOKED", 1)
    submitted(desk, "dunning")
    with scraping() as scrape:
        assert scrape()["durazzo_lanes"] == 3
        submitted(desk, "agents")
        told = scrape()
    assert told["durazzo_unfinished_runs"] == 2
    assert told["durazzo_lanes"] == 2
    assert 'lane="orders"' in told.text
    assert 'lane="dunning"' in told.text
    assert 'lane="agents"' not in told.text


def test_who_comes_when_too_many_are_answered_is_turned_away() -> None:
    with serving(Broken(JournalUnavailable("gone"))) as scrape, ExitStack() as stack:
        host, _, port = scrape.url.removeprefix("http://").partition(":")
        place = (host, int(port))
        for _ in range(MOST):
            stack.enter_context(socket.create_connection(place, timeout=60))
        with socket.create_connection(place, timeout=60) as late:
            assert late.recv(1) == b""
        stack.close()
        wait_for(lambda: answered(scrape), "an answer", 60)


def answered(scrape: Scraper) -> bool:
    try:
        return scrape().status == 200
    except OSError:
        return False


# When Redis cannot be asked, and when something else is wrong.


def test_without_redis_a_scrape_is_answered_and_says_so() -> None:
    with serving(Broken(JournalUnavailable("gone"))) as scrape:
        told = scrape()
    assert told.status == 200
    assert told.names() == {"durazzo_redis_up", "durazzo_scrape_duration_seconds"}
    assert told["durazzo_redis_up"] == 0


@pytest.mark.server
def test_a_redis_that_dies_is_told_by_the_next_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ExitStack() as server:
        monkeypatch.setenv("DURAZZO_REDIS_URL", server.enter_context(valkey(tmp_path)))
        with scraping() as scrape:
            assert scrape()["durazzo_redis_up"] == 1
            assert scrape("/healthz") == Answer(200, "ok\n")
            server.close()
            assert scrape()["durazzo_redis_up"] == 0
            told = scrape("/healthz")
    assert told.status == 503
    assert told.text.startswith("redis-unavailable: Redis cannot be used: ")


def test_a_bug_is_told_to_who_runs_it_and_its_words_to_nobody(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with serving(Broken(ValueError("+15558675310"))) as scrape:
        told = scrape()
    assert told.status == 500
    assert [type(error) for error in scrape.failures] == [ValueError]
    out, err = capfd.readouterr()
    assert "15558675310" not in told.text + out + err
    assert err == ""


@pytest.mark.parametrize("path", ["/", "/metrics/x", "/favicon.ico", "/..%2fmetrics"])
def test_other_paths_are_not_there(path: str) -> None:
    with serving(Broken(JournalUnavailable("gone"))) as scrape:
        assert scrape(path) == Answer(404, "there are /metrics and /healthz\n")


def test_nothing_can_be_sent_to_it() -> None:
    with serving(Broken(JournalUnavailable("gone"))) as scrape:
        assert get(scrape.url + "/metrics", method="POST").status == 405


# The command.


def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    found = re.fullmatch(r"metrics on (http://\S+)/metrics\n", process.stdout.readline())
    assert found is not None
    return found[1]


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_serves_the_embedded_server_until_it_is_ended(
    durazzo: Shell, number: signal.Signals
) -> None:
    process = durazzo.begin("metrics", "--port", "0")
    url = address(process)
    assert get(url + "/metrics")["durazzo_redis_up"] == 1
    assert get(url + "/healthz").status == 200
    process.send_signal(number)
    done = durazzo.end(process)
    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.process
def test_the_command_starts_without_redis_and_without_a_key(durazzo: Shell) -> None:
    url = f"redis://:swordfish@127.0.0.1:{free_port()}/0"
    process = durazzo.begin("metrics", "--port", "0", DURAZZO_REDIS_URL=url)
    at = address(process)
    told, health = get(at + "/metrics"), get(at + "/healthz")
    assert (told.status, told["durazzo_redis_up"]) == (200, 0)
    assert health.status == 503
    process.terminate()
    done = durazzo.end(process)
    assert (done.code, done.err) == (0, "")
    assert "swordfish" not in told.text + health.text + done.out


@pytest.mark.process
def test_a_place_that_is_taken_is_said(durazzo: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = durazzo("metrics", "--port", str(port), DURAZZO_REDIS_URL="redis://127.0.0.1:1/0")
    assert done.code == 2
    assert f"error: settings-refused: metrics cannot be served on 127.0.0.1:{port}: " in done.err


@pytest.mark.process
def test_a_host_that_is_none_is_said(durazzo: Shell) -> None:
    done = durazzo(
        "metrics", "--host", "nowhere.invalid", DURAZZO_REDIS_URL="redis://127.0.0.1:1/0"
    )
    assert done.code == 2
    assert "error: settings-refused: metrics cannot be served on nowhere.invalid:" in done.err


def test_every_name_is_on_its_page() -> None:
    rows = re.findall(r"^\| `(durazzo_\w+)` \|(.*?)\|", PAGE.read_text(), re.MULTILINE)
    documented = {name: re.findall(r"`(\w+)`", labels) for name, labels in rows}
    assert documented == {name: list(labels) for name, (_, labels) in FAMILIES.items()}
