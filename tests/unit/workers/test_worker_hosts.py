"""A call goes to no address that was not judged, and to none that a stranger may not reach."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import pytest

from orchestrator.engine.state import Phase, Status, Visit
from orchestrator.expressions.nodes import Secret
from orchestrator.policy.call_hosts import CallHosts
from orchestrator.policy.outcomes import Answer, NoAnswer, Result
from tests.fakes import plans
from tests.fakes.world import World
from tests.unit.workers.stub_server import Server, answering, response, serving
from workers.connections import Resolve, system_addresses
from workers.http import Caller
from workers.render import FrozenRequest

RUN = "run-0"
NAMES = {"inside.example": "127.0.0.1", "metadata.google.internal": "169.254.169.254"}
Make = Callable[..., Caller]


class Names:
    """A resolver that counts, and whose answers may change."""

    def __init__(self, **more: Sequence[str]) -> None:
        self.asked: list[str] = []
        self.more = more

    def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append(host)
        return self.more.get(host.partition(".")[0]) or [NAMES.get(host, host)]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Caller] = []

    def one(
        *listed: str, resolve: Resolve | None = None, sandbox: str = "", trusts_via: bool = False
    ) -> Caller:
        servers = {"https://api.example": sandbox} if sandbox else {}
        hosts = CallHosts.of(listed, servers, trusts_via=trusts_via)
        made.append(Caller(hosts=hosts, resolve=resolve or Names()))
        return made[-1]

    yield one
    for caller in made:
        caller.close()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(answering(response())) as running:
        yield running


REQUEST = FrozenRequest(
    method="POST", url="https://a.example/v1", headers=(), body=b"a=1", key=None, provider="generic"
)


def send(caller: Caller, url: str, request: FrozenRequest = REQUEST, *named: str) -> Result:
    """``named``: names of headers."""
    headers = [(name, "x") for name in named]
    return caller.call(request, headers=headers, url=url, deadline_s=60)


def refused(host: str, reason: str = "host-refused") -> NoAnswer:
    return NoAnswer(stage="not-sent", reason=reason, refused=host)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "0.0.0.0", "inside.example"]
)
def test_no_call_reaches_the_machine_itself_whatever_it_is_called(
    make: Make, server: Server, host: str
) -> None:
    """Its addresses in other forms are read by the system's own resolver."""
    port = server.url.rpartition(":")[2]
    caller = make() if host in NAMES else make(resolve=system_addresses)
    assert send(caller, f"http://{host}:{port}/") == refused(host)
    assert server.connections == 0


def test_a_name_of_a_clouds_metadata_service_is_refused_after_resolving(make: Make) -> None:
    host = "metadata.google.internal"
    assert send(make(), f"http://{host}/computeMetadata/v1/") == refused(host)


def test_the_judged_address_is_connected_to_and_the_name_is_resolved_once(
    make: Make, server: Server
) -> None:
    """Else a name could lead elsewhere between the look and the connection."""
    port = server.url.rpartition(":")[2]
    names = Names(a=["10.0.0.5", "127.0.0.1"])
    caller = make(f"127.0.0.1:{port}", resolve=names)
    assert isinstance(send(caller, f"http://a.example:{port}/"), Answer)
    assert names.asked == ["a.example"]
    assert server.connections == 1


def test_a_name_that_leads_inside_later_is_refused_at_its_next_connection(
    make: Make, server: Server
) -> None:
    port = server.url.rpartition(":")[2]
    names = Names(a=["127.0.0.1"])
    caller = make(f"127.0.0.1:{port}", resolve=names)
    assert isinstance(send(caller, f"http://a.example:{port}/"), Answer)
    caller.close()
    names.more = {"a": ["169.254.169.254"]}
    assert send(caller, f"http://a.example:{port}/") == refused("a.example")


def test_a_kept_connection_is_neither_resolved_nor_judged_again(make: Make, server: Server) -> None:
    port = server.url.rpartition(":")[2]
    names = Names()
    caller = make(f"inside.example:{port}", resolve=names)
    for _ in range(5):
        assert isinstance(send(caller, f"http://inside.example:{port}/"), Answer)
    assert names.asked == ["inside.example"]
    assert server.connections == 1


def test_where_the_operators_setting_sends_calls_they_go(make: Make, server: Server) -> None:
    assert isinstance(send(make(sandbox=f"{server.url}/stripe"), f"{server.url}/stripe/v1"), Answer)


@pytest.mark.parametrize("trusts", [True, False])
def test_a_server_of_the_command_line_is_called_only_by_the_embedded_servers_worker(
    make: Make, server: Server, *, trusts: bool
) -> None:
    caller = make(trusts_via=trusts)
    given = replace(REQUEST, via=server.url)
    assert isinstance(send(caller, server.url, given), Answer) is trusts
    # A document that names the same place has no part in that, nor in its connection.
    assert send(caller, server.url) == refused("127.0.0.1")
    assert server.connections == trusts


SECRET = replace(REQUEST, headers=(("X-Token", (Secret("TOKEN"),)),))


@pytest.mark.parametrize(
    ("request_", "named", "user"),
    [
        (SECRET, ["X-Token"], ""),
        (REQUEST, ["Authorization"], ""),
        (replace(REQUEST, headers=(("cookie", ("x",)),)), ["cookie"], ""),
        (REQUEST, ["X-Of-The-Profile"], ""),
        (REQUEST, [], "me:secret@"),
    ],
    ids=["secret", "authorization", "cookie", "profile", "url"],
)
def test_no_credential_goes_out_in_clear_text(
    make: Make, request_: FrozenRequest, named: list[str], user: str
) -> None:
    caller = make(resolve=Names(a=["8.8.8.8"]))
    found = send(caller, f"http://{user}a.example/", request_, *named)
    assert found == refused("a.example", "clear-text-refused")


@pytest.mark.parametrize("url", ["http://[::1/", "http://[bad/x", "http://a\u2100b.example/"])
def test_what_is_no_url_is_not_called_and_breaks_nothing(make: Make, url: str) -> None:
    found = send(make(resolve=Names(bad=["10.0.0.5"])), url)
    assert isinstance(found, NoAnswer)
    assert found.stage == "not-sent"


def test_a_connection_without_a_credential_is_not_taken_for_one(make: Make, server: Server) -> None:
    """Both calls go to one place, which was judged for the first alone."""
    port = server.url.rpartition(":")[2]
    caller = make(f"127.0.0.1:{port}")
    plain = replace(REQUEST, headers=(("X-Token", ("x",)),))
    assert isinstance(send(caller, server.url, plain, "X-Token"), Answer)
    assert isinstance(send(caller, server.url, SECRET, "X-Token"), Answer)
    assert isinstance(send(caller, server.url, plain, "X-Token"), Answer)
    assert server.connections == 2


def test_a_redirect_to_a_private_address_is_followed_nowhere(make: Make, server: Server) -> None:
    data = response(status="302 Found", more=f"Location: {server.url}/secret\r\n")
    with serving(answering(data)) as outside:
        caller = make(outside.url.removeprefix("http://"))
        found = send(caller, outside.url)
    assert isinstance(found, Answer)
    assert found.status == 302
    assert server.connections == 0


@pytest.mark.parametrize("head", ["X-Long: " + "x" * 200_000, "X: x\r\n" * 200_000 + "Y: y"])
def test_headers_without_end_are_no_answer(make: Make, head: str) -> None:
    with serving(answering(response(more=f"{head}\r\n"))) as long:
        found = send(make("localhost"), long.url)
    assert found == NoAnswer(stage="sent", reason="protocol-error")


def test_a_resolver_that_is_slow_is_within_the_deadline(make: Make) -> None:
    over = threading.Event()

    def never(host: str, port: int) -> Sequence[str]:
        over.wait(60)
        return []

    caller = Caller(resolve=never)
    found = caller.call(REQUEST, headers=[], url="https://a.example", deadline_s=0.05)
    over.set()
    caller.close()
    assert found == NoAnswer(stage="not-sent", reason="dns-timeout")


# What becomes of the step.


@pytest.fixture
def world() -> Iterator[World]:
    found = World()
    yield found
    found.check()
    found.close()


def visit(world: World, step: str) -> Visit:
    return world.state(RUN).visits[step]


def test_a_refused_host_fails_the_step_at_once_and_is_not_called_again(world: World) -> None:
    world.submit(plans.plan(plans.charge("charge")))
    while world.broker.queue:
        world.deliver(weather="forbidden")
    found = visit(world, "charge")
    assert (found.phase, found.code, found.detail) == (Phase.FAILED, "host-refused", "api.example")
    assert found.attempts == 1
    assert world.state(RUN).status is Status.FAILED


def test_a_refused_host_is_a_failure_that_the_document_may_handle(world: World) -> None:
    world.submit(plans.plan(plans.charge("charge", (), plans.to("sorry")), plans.text("sorry")))
    world.deliver(weather="forbidden")
    world.heal()
    assert world.state(RUN).status is Status.SUCCEEDED
    assert world.effects(RUN) == ["sorry"]


def test_a_call_in_doubt_that_may_not_be_sent_again_stays_in_doubt(world: World) -> None:
    """The charge has happened, and durazzo does not know: a refusal of today says nothing of it."""
    world.submit(plans.plan(plans.charge("charge", (), plans.to("sorry")), plans.text("sorry")))
    world.deliver(weather="dropped-after")
    for _ in range(40):
        world.pass_time(60_000)
        world.tick()
        while world.broker.queue:
            world.deliver(weather="forbidden")
    assert visit(world, "charge").phase is not Phase.FAILED
    assert world.state(RUN).status is not Status.FAILED
    world.heal()
    assert "sorry" not in world.effects(RUN)
