"""``durazzo metrics``: what a scraper is told, over real HTTP, of a real server."""

from __future__ import annotations

import json
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

from ops.cli.main import invoke
from ops.lab import CHECKOUT, free_port, valkey
from ops.metrics import limits, reading, tally
from ops.metrics.collector import FAMILIES, JournalCollector
from ops.metrics.families import HISTOGRAMS
from ops.metrics.login import Login
from ops.metrics.reading import LANES, Gauge, Reading
from ops.metrics.server import MOST, Server, application
from orchestrator import service
from orchestrator.engine.state import Outcome, Result
from orchestrator.errors import JournalUnavailable
from orchestrator.journal.batches import Row, run_of
from orchestrator.journal.counts import Attempt
from orchestrator.journal.gauges import Measured, Use
from orchestrator.journal.gauges import Server as Said
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import Committed, Limit, Ref
from orchestrator.policy import profiles as policy
from orchestrator.settings import from_environ
from orchestrator.wiring import connect, reach, wire
from tests.cli.conftest import Shell, wait_for
from tests.cli.test_many import Desk, desk
from tests.fakes import plans
from tests.fakes.batching import open_batch
from tests.fakes.journal import take

__all__ = ["desk"]

PAGE = CHECKOUT / "ops" / "docs" / "metrics.md"
TOKEN = "a-token-of-sixteen-or-more"


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


def get(url: str, *, method: str = "GET", **headers: str) -> Answer:
    """With the token, unless ``headers`` say otherwise."""
    given = {"Authorization": f"Bearer {TOKEN}"} | headers
    request = urllib.request.Request(url, method=method, headers=given)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return Answer(response.status, response.read().decode())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.read().decode())


@contextmanager
def serving(
    gauge: Gauge, ask: Callable[[], None] = lambda: None, *, token: str = TOKEN
) -> Iterator[Scraper]:
    failures: list[Exception] = []
    collector, login = JournalCollector(gauge), Login(token=token)
    with Server("127.0.0.1", 0, application(collector, login, ask, failures.append)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield Scraper(server.url, failures)
        server.shutdown()
        thread.join()


@dataclass(frozen=True, slots=True)
class Scraper:
    url: str
    failures: list[Exception]

    def __call__(self, path: str = "/metrics", **headers: str) -> Answer:
        return get(self.url + path, **headers)


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


def ended(desk: Desk, result: Result, *, status: int, code: str = "", ms: int = 70) -> None:
    """A run whose one call came to that, as a worker commits it."""
    run, journal = desk.start(), desk.core.journal
    journal.heartbeat("w1", ttl_ms=600_000)
    state = journal.read(run)
    assert state is not None
    lease = take(journal, desk.core.plans.graph(state.plan), Ref(run, "a", 1))
    lease.begin()
    settlement, decision = lease.settlement(Outcome(result=result, status=status, code=code))
    call = Attempt(
        workflow="order", step="a", provider="stripe", result=result, status=status, ms=ms
    )
    settlement = replace(settlement, attempt=call)
    assert journal.commit(lease.ref, lease.fence, settlement, decision) is Committed.YES


def use(*, gate_us: int, bulk_us: int = 0, busy: int, factor: float = 1) -> Use:
    return Use(gate_us=gate_us, urgent_us=0, bulk_us=bulk_us, busy=busy, factor=factor, until=0)


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
def test_a_scrape_tells_of_an_empty_journal_with_every_gauge_in_it(scrape: Scraper) -> None:
    told = scrape()
    assert told.status == 200
    counted = {name for name in FAMILIES if name.endswith("_total")} | HISTOGRAMS
    # No provider's limit is one of calls under way.
    counted |= {"durazzo_limit_calls_under_way", "durazzo_limit_concurrency"}
    assert told.names() >= set(FAMILIES) - counted
    assert told.names() <= set(FAMILIES)
    assert told["durazzo_lost_calls_total"] == 0
    assert told["durazzo_unknown_runs"] == told["durazzo_unknown_oldest_age_seconds"] == 0
    assert told["durazzo_timekeeper_leader"] == told["durazzo_timekeeper_lag_seconds"] == 0
    assert told['durazzo_limit_used_ratio{limit="account",provider="stripe"}'] == 0
    assert told['durazzo_limit_factor{limit="account",provider="stripe"}'] == 1
    assert told["durazzo_redis_memory_bytes"] > 0
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
    # As an earlier release took it.
    flow = plans.plan(plans.step("a"))
    desk.core.journal.accept(plans.new_run(flow, "0old", lane="+15558675310 Ms Smith"))
    desk.end(Result.UNKNOWN, "ch_1a2b")
    told = scrape()
    assert told["durazzo_lanes"] == 2
    ids = (run, "0old", "ch_1a2b", "refunds-7", run_of("refunds-7", 1), "host-of-mine")
    for secret in (*ids, "Smith", "sam"):
        assert secret not in told.text
    labels = re.findall(r"\{(.*)\}", told.text)
    assert {name for line in labels for name in re.findall(r'(\w+)="', line)} == {
        "lane", "kind", "state", "provider", "limit", "line", "version", "workflow", "step", "end",
    }  # fmt: skip


@pytest.mark.server
def test_what_became_of_runs_and_calls_is_counted(desk: Desk, scrape: Scraper) -> None:
    ended(desk, Result.SUCCEEDED, status=200)
    ended(desk, Result.FINAL, status=402, code="card_declined")
    ended(desk, Result.TRANSIENT, status=429)
    told = scrape()
    assert told['durazzo_runs_accepted_total{workflow="order"}'] == 3
    of_order = 'end="{}",workflow="order"'
    succeeded, failed = of_order.format("succeeded"), of_order.format("failed")
    assert told[f'durazzo_runs_ended_total{{code_class="none",{succeeded}}}'] == 1
    assert told[f'durazzo_runs_ended_total{{code_class="4xx",{failed}}}'] == 1
    assert told[f'durazzo_runs_ended_total{{code_class="429",{failed}}}'] == 1
    calls = 'provider="stripe",step="a",workflow="order"'
    assert told[f'durazzo_attempts_total{{code_class="2xx",outcome="succeeded",{calls}}}'] == 1
    assert told[f'durazzo_attempts_total{{code_class="4xx",outcome="final",{calls}}}'] == 1
    assert told['durazzo_refused_total{provider="stripe"}'] == 1
    assert told['durazzo_steps_ended_total{end="failed",step="a",workflow="order"}'] == 2


@pytest.mark.server
def test_times_are_told_as_histograms(desk: Desk, scrape: Scraper) -> None:
    for ms in (70, 240, 70_000):
        ended(desk, Result.SUCCEEDED, status=200, ms=ms)
    told = scrape()
    name = "durazzo_attempt_duration_seconds"
    of_a = 'step="a",workflow="order"'
    bounds = ("0.05", "0.1", "0.25", "60.0", "+Inf")
    assert [told[f'{name}_bucket{{le="{le}",{of_a}}}'] for le in bounds] == [0, 1, 2, 2, 3]
    assert told[f"{name}_count{{{of_a}}}"] == 3
    assert told[f"{name}_sum{{{of_a}}}"] == pytest.approx(70.31)
    runs = "durazzo_run_duration_seconds"
    assert told[f'{runs}_bucket{{le="+Inf",workflow="order"}}'] == 3


@pytest.mark.server
def test_a_run_in_doubt_is_told_until_somebody_knows(desk: Desk, scrape: Scraper) -> None:
    run = desk.end(Result.UNKNOWN, "timeout")
    with connect(from_environ().redis_url) as client:
        client.zincrby(Keys().doubt, -90_000, run)
    told = scrape()
    assert told["durazzo_unknown_runs"] == 1
    assert told["durazzo_unknown_oldest_age_seconds"] >= 90
    assert desk("resolve", run, "a", "--as", "failed", "--reason", "x").code == 0
    told = scrape()
    assert told["durazzo_unknown_runs"] == told["durazzo_unknown_oldest_age_seconds"] == 0


@pytest.mark.server
def test_runs_that_wait_and_runs_that_nobody_looks_at_are_told_apart(
    desk: Desk, scrape: Scraper
) -> None:
    late, _, waiting = desk.start(), desk.start(), desk.start()
    with connect(from_environ().redis_url) as client:
        client.zincrby(Keys().due, -100_000, late)
        client.zincrby(Keys().due, 100_000, waiting)
    told = scrape()
    assert told["durazzo_unfinished_runs"] == 3
    assert told["durazzo_overdue_runs"] == told["durazzo_waiting_runs"] == 1
    assert told["durazzo_timekeeper_lag_seconds"] >= 90
    assert told["durazzo_timekeeper_leader"] == 0
    desk.core.journal.tick("t", lease_ms=600_000, limit=10)
    told = scrape()
    assert told["durazzo_overdue_runs"] == 0
    assert told["durazzo_timekeeper_leader"] == 1
    assert told["durazzo_timekeeper_last_tick_timestamp_seconds"] > 1_700_000_000


@pytest.mark.server
def test_the_age_of_the_oldest_message_is_told_by_lane_and_kind(
    desk: Desk, scrape: Scraper
) -> None:
    run = submitted(desk, "dunning")
    submitted(desk, "dunning")
    with connect(from_environ().redis_url) as client:
        sent = {"n": 1, "p": "ready", "s": desk.core.journal.now() - 70_000}
        client.hset(Keys().run(run), "s:a", json.dumps(sent))
        client.lpush("default", "no message", "[" * 9_999)
    told = scrape()
    oldest = 'durazzo_oldest_message_age_seconds{{kind="{}",lane="{}"}}'
    assert told[oldest.format("fresh", "dunning")] >= 70
    assert told[oldest.format("bulk", "dunning")] == 0
    assert told[oldest.format("under-way", "default")] == 0, "it is no message of durazzo's"
    assert told['durazzo_waiting_messages{kind="under-way",lane="default"}'] == 2


@pytest.mark.server
def test_the_use_of_a_providers_limit_is_told(desk: Desk, scrape: Scraper) -> None:
    limit = Limit(scope="stripe/account", per_second=0.001, burst=1)
    desk.core.journal.heartbeat("w1", ttl_ms=600_000)
    for _ in range(2):
        run = desk.start()
        state = desk.core.journal.read(run)
        assert state is not None
        graph = desk.core.plans.graph(state.plan)
        lease = take(desk.core.journal, graph, Ref(run, "a", 1))
        lease.begin(limits=[limit], provider="stripe")
    with connect(from_environ().redis_url) as client:
        until = desk.core.journal.now() + 600_000
        client.hset(Keys().limit("stripe/account"), mapping={"until": until})
    told = scrape()
    of_stripe = 'limit="account",provider="stripe"'
    assert told['durazzo_limited_total{provider="stripe",why="limit"}'] == 1
    assert told[f"durazzo_limit_used_ratio{{{of_stripe}}}"] > 0
    wait = 'durazzo_limit_wait_seconds{limit="account",line="urgent",provider="stripe"}'
    assert told[wait] > 0
    paused = told['durazzo_provider_paused_until_timestamp_seconds{provider="stripe"}']
    assert paused == until / 1000
    assert told['durazzo_provider_paused_until_timestamp_seconds{provider="twilio"}'] == 0


def test_of_a_providers_accounts_the_one_that_is_worst_off_is_told() -> None:
    usual = policy.Limit(name="account", per_second=10, burst=5, concurrency=4)
    slow = replace(usual, name="account@eu", per_second=2)
    uses = {
        "p/account": use(gate_us=100_000, busy=1),
        "p/account@eu": use(gate_us=2_000_000, bulk_us=9_000_000, busy=3, factor=0.5),
    }
    measured = Measured(
        now=1_000, unfinished=0, waiting=0, overdue=0, first_due=0, unknown=0, unknown_since=0,
        led=True, ticked=0, uses=uses, counts={}, server=Said(),
    )  # fmt: skip
    found = limits.samples(measured, {("p", "account"): {"p/account": usual, "p/account@eu": slow}})
    told = {name: samples for name, samples in found.items() if "wait" not in name}
    assert {name: list(samples.values()) for name, samples in told.items()} == {
        "durazzo_limit_calls_per_second": [10],
        "durazzo_limit_factor": [0.5],
        "durazzo_limit_used_ratio": [0.4],
        "durazzo_limit_calls_under_way": [3],
        "durazzo_limit_concurrency": [4],
        "durazzo_provider_paused_until_timestamp_seconds": [0],
    }
    assert found["durazzo_limit_wait_seconds"] == {
        ("p", "account", "urgent"): 0, ("p", "account", "bulk"): 7,
    }  # fmt: skip


def test_what_is_not_told_apart_and_bounds_of_other_releases_are_counted_all_the_same() -> None:
    told = tally.told({
        "attempt|other": 2, "attempt|w|s|p|succeeded|2xx|75": 3, "attempt-ms|w|s": 90,
        "refund|x": 9,
    })  # fmt: skip
    others = ("other", "other", "other", "other", "other")
    assert tally.counters(told)["durazzo_attempts_total"] == {
        others: 2, ("w", "s", "p", "succeeded", "2xx"): 3,
    }  # fmt: skip
    times = tally.histograms(told)["durazzo_attempt_duration_seconds"]
    assert times["w", "s"].buckets[:2] == [("0.05", 0), ("0.1", 3)]
    assert times["w", "s"].sum == 0.09
    assert times["other", "other"].buckets[-2:] == [("60.0", 0), ("+Inf", 2)]


# Its bounds.


@pytest.mark.server
@pytest.mark.slow
def test_a_scrape_of_many_runs_and_counts_is_as_many_round_trips_as_of_none(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with scraping() as scrape, connect(from_environ().redis_url) as client:
        monkeypatch.setattr(reading, "_LOOKED", -1)

        def calls() -> int:
            before = client.info("commandstats")
            assert scrape()["durazzo_redis_up"] == 1
            after = client.info("commandstats")
            return sum(
                row["calls"] - before[name]["calls"]
                for name, row in after.items()
                # A connection that stood still asks whether it is still there.
                if name in before and name not in {"cmdstat_ping", "cmdstat_info"}
            )

        scrape()
        few = calls()
        with client.pipeline(transaction=False) as pipeline:
            for start in range(0, 100_000, 1_000):
                rows = {f"run-{n}": 1_900_000_000_000 + n for n in range(start, start + 1_000)}
                pipeline.zadd(Keys().due, rows)
            fields = {f"attempt|w|s{n}|p|succeeded|2xx|250": 1 for n in range(2_000)}
            pipeline.hset(Keys().counts, mapping=fields)
            pipeline.execute()
        assert calls() == few


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
    waiting = [name for name in told.samples if name.startswith("durazzo_waiting_messages")]
    assert sum('kind="fresh"' in name for name in waiting) == LANES


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


# Who is let in.


@pytest.mark.parametrize(
    "given",
    ["", "Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer \xe4\xf6"],
)
@pytest.mark.parametrize("path", ["/metrics", "/", "/favicon.ico"])
def test_who_has_not_the_token_is_told_nothing(given: str, path: str) -> None:
    with serving(Broken(ValueError("never asked"))) as scrape:
        told = scrape(path, Authorization=given)
    assert told == Answer(401, "it needs the bearer token\n")
    assert scrape.failures == []


def test_health_is_told_to_anybody() -> None:
    with serving(Broken(JournalUnavailable("gone"))) as scrape:
        assert scrape("/healthz", Authorization="") == Answer(200, "ok\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9790", "[::1]:9790", "127.8.8.8:1"])
def test_without_a_login_this_machine_is_let_in(host: str) -> None:
    with serving(Broken(JournalUnavailable("gone")), token="") as scrape:
        assert scrape(Host=host, Authorization="").status == 200


@pytest.mark.parametrize("host", ["evil.test", "127.0.0.1.evil.test:9790", "10.0.0.1", "x:y", "::"])
def test_without_a_login_a_page_of_another_name_is_turned_away(host: str) -> None:
    with serving(Broken(JournalUnavailable("gone")), token="") as scrape:
        told = scrape(Host=host, Authorization=f"Bearer {TOKEN}")
    assert told == Answer(403, "it is for this machine alone\n")


@pytest.mark.parametrize(
    ("words", "token", "said"),
    [
        ((), "", "metrics need a login: set DURAZZO_METRICS_TOKEN"),
        ((), "too-short", "must be 16 to 512 printable ASCII characters"),
        ((), "sixteen letters with spaces", "must be 16 to 512 printable ASCII characters"),
        ((), "sixteen-or-more-\xe4", "must be 16 to 512 printable ASCII characters"),
        (("--no-login",), TOKEN, "unset it, or leave --no-login out"),
        (("--no-login", "--host", "0.0.0.0"), "", "--no-login is for this machine alone"),
    ],
)
def test_a_login_that_lets_strangers_in_is_refused_at_the_start(
    words: tuple[str, ...],
    token: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DURAZZO_METRICS_TOKEN", token)
    assert invoke(["metrics", "--port", "0", *words]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: settings-refused: ")
    assert said in err
    assert not token or token not in err


@pytest.mark.process
def test_the_token_may_stand_in_a_file(durazzo: Shell, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    process = durazzo.begin("metrics", "--port", "0", DURAZZO_METRICS_TOKEN_FILE=str(file))
    url = address(process)
    assert get(url + "/metrics").status == 200
    assert get(url + "/metrics", Authorization="").status == 401
    process.terminate()
    assert durazzo.end(process).code == 0


# When Redis cannot be asked, and when something else is wrong.


def test_without_redis_a_scrape_is_answered_and_says_so() -> None:
    with serving(Broken(JournalUnavailable("gone"))) as scrape:
        told = scrape()
    assert told.status == 200
    assert told.names() == {
        "durazzo_redis_up", "durazzo_scrape_duration_seconds", "durazzo_build_info",
    }  # fmt: skip
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
    assert told == Answer(503, "redis-unavailable\n")


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
    process = durazzo.begin("metrics", "--port", "0", DURAZZO_METRICS_TOKEN=TOKEN)
    url = address(process)
    assert get(url + "/metrics")["durazzo_redis_up"] == 1
    assert get(url + "/healthz").status == 200
    process.send_signal(number)
    done = durazzo.end(process)
    assert (done.code, done.out, done.err) == (0, "", "")


@pytest.mark.process
def test_the_command_starts_without_redis_and_without_a_key(durazzo: Shell) -> None:
    url = f"redis://:swordfish@127.0.0.1:{free_port()}/0"
    process = durazzo.begin(
        "metrics", "--port", "0", DURAZZO_REDIS_URL=url, DURAZZO_METRICS_TOKEN=TOKEN
    )
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
        done = durazzo(
            "metrics", "--port", str(port), "--no-login", DURAZZO_REDIS_URL="redis://127.0.0.1:1/0"
        )
    assert done.code == 2
    assert f"error: settings-refused: metrics cannot be served on 127.0.0.1:{port}: " in done.err


@pytest.mark.process
def test_a_host_that_is_none_is_said(durazzo: Shell) -> None:
    done = durazzo(
        "metrics", "--host", "nowhere.invalid",
        DURAZZO_REDIS_URL="redis://127.0.0.1:1/0", DURAZZO_METRICS_TOKEN=TOKEN,
    )  # fmt: skip
    assert done.code == 2
    assert "error: settings-refused: metrics cannot be served on nowhere.invalid:" in done.err


def test_every_name_is_on_its_page() -> None:
    rows = re.findall(r"^\| `(durazzo_\w+)` \|(.*?)\|", PAGE.read_text(), re.MULTILINE)
    documented = {name: re.findall(r"`(\w+)`", labels) for name, labels in rows}
    assert documented == {name: list(labels) for name, (_, labels) in FAMILIES.items()}
