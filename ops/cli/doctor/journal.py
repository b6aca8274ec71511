"""The journal: its keys, the workers that drive it, and its clock."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from ops.cli.doctor import deployment
from ops.cli.doctor.finding import Finding, State, counted, refused
from ops.cli.doctor.server import GROUP as REDIS
from ops.cli.telling import utc
from orchestrator.engine.state import REDIS_REWOUND
from orchestrator.errors import DurazzoError, SealBroken, SettingsRefused
from orchestrator.journal.rotation import pepper_id
from orchestrator.journal.seal import AesSeal, keyring
from orchestrator.journal.trouble import answering
from orchestrator.service import stops, unfinished
from orchestrator.settings import DEFAULT_LANE, Settings, secret_of
from orchestrator.wiring import Wiring, connect, make_seal, wire

SEALING: Final = "Sealing"
WORKERS: Final = "Workers"
PROVIDERS: Final = "Providers"
_ROUNDS: Final = 5
_SLOW_MS: Final = 100
_SKEW_MS: Final = 2_000
#: For so long a loss of writes has consequences, see journal/begin.lua. ms.
_RECENT_MS: Final = 7 * 24 * 3_600_000


def sealing(settings: Settings, *, own_file: bool) -> Finding:
    """``settings``: those in force, with the embedded server's key."""
    if not settings.seal:
        return Finding(
            group=SEALING,
            name="keys",
            state=State.WARNING,
            message="DURAZZO_SEAL=off: inputs, outputs and requests stand in Redis in clear",
            hint="unset it, and set DURAZZO_KEYS (make one with: openssl rand -base64 32)",
        )
    try:
        make_seal(settings)
    except SettingsRefused as error:
        return refused(SEALING, "keys", error)
    if own_file and not secret_of("DURAZZO_KEYS", settings.environ):
        return _own_file(settings)
    count = len(keyring(settings.keys))
    return Finding(
        group=SEALING,
        name="keys",
        message=f"{counted(count, 'key')} in DURAZZO_KEYS, which every process needs alike",
    )


def _own_file(settings: Settings) -> Finding:
    file = settings.home / "seal.key"
    others = stat.S_IMODE(file.stat().st_mode) & 0o077
    return Finding(
        group=SEALING,
        name="keys",
        state=State.WARNING if others else State.OK,
        message=f"{file}" + (", which others may read" if others else ""),
        hint=f"chmod 600 {file}" if others else "",
    )


def look(settings: Settings, *, brings_worker: bool) -> Iterator[Finding]:
    """``settings``: those in force. ``brings_worker``: `durazzo run` has one of its own."""
    keys = sealing(settings, own_file=brings_worker)
    opens = keys.state is not State.ERROR
    # Without a key, all that is not sealed can be looked at all the same.
    wiring = wire(settings if opens else replace(settings, seal=False))
    try:
        with answering():
            yield from _clock(wiring)
            yield from _rewound(wiring)
            yield keys
            if opens:
                yield from _opens(wiring)
                yield from _pepper(wiring.settings)
            yield from _workers(wiring, brings_worker=brings_worker)
            yield from _stops(wiring)
            yield from deployment.doubts(wiring, wiring.core.journal.now())
    except DurazzoError as error:
        yield refused(REDIS, "commands", error)
    finally:
        wiring.app.close()


def _clock(wiring: Wiring) -> Iterator[Finding]:
    clock, journal = wiring.core.clock, wiring.core.journal
    rounds, skew = [], 0
    for _ in range(_ROUNDS):
        began, here = clock.monotonic_ms(), clock.unix_ms()
        there = journal.now()
        rounds.append(clock.monotonic_ms() - began)
        skew = there - (here + rounds[-1] // 2)
    fastest = min(rounds)
    slow = fastest >= _SLOW_MS
    yield Finding(
        group=REDIS,
        name="latency",
        state=State.WARNING if slow else State.OK,
        message=f"{fastest} ms a round trip" if fastest else "less than 1 ms a round trip",
        hint="each step takes several: run workers nearer to Redis" if slow else "",
    )
    apart = abs(skew) >= _SKEW_MS
    ahead = "ahead of" if skew > 0 else "behind"
    yield Finding(
        group=REDIS,
        name="clock",
        state=State.WARNING if apart else State.OK,
        message=f"{abs(skew) / 1000:.1f} s {ahead} this machine's"
        if apart
        else "as this machine's",
        hint="set both by NTP; durazzo itself goes by Redis' clock" if apart else "",
    )


def _rewound(wiring: Wiring) -> Iterator[Finding]:
    journal = wiring.core.journal
    if (found := journal.rewound()) is None:
        return
    recent = journal.now() - found.at < _RECENT_MS
    calls = counted(found.missing, "call")
    yield Finding(
        group=REDIS,
        name="lost writes",
        state=State.WARNING if recent else State.OK,
        message=f"found out {utc(found.at)}: at least {calls} without a key had begun, and Redis"
        f" knew nothing of {'it' if found.missing == 1 else 'them'}",
        hint=f"what it may be about is looked up before it is sent: durazzo explain {REDIS_REWOUND}"
        if recent
        else "",
    )


def _opens(wiring: Wiring) -> Iterator[Finding]:
    """Whether the keys at hand are those that the journal was written with."""
    journal = wiring.core.journal
    for run in journal.recent(1):
        try:
            journal.inputs(run)
        except SealBroken:
            yield Finding(
                group=SEALING,
                name="journal",
                state=State.ERROR,
                message="the latest run was sealed with a key that is not at hand",
                hint="add the key that it was sealed with behind the others in DURAZZO_KEYS",
            )
        else:
            yield Finding(group=SEALING, name="journal", message="the latest run can be opened")


def _pepper(settings: Settings) -> Iterator[Finding]:
    """One value that every journal has: whether its key is at hand, and the newest."""
    seal = make_seal(settings)
    with connect(settings.redis_url) as client:
        found = pepper_id(client)
    if found is None or not isinstance(seal, AesSeal) or found == seal.ids[0]:
        return
    if found in seal.ids:
        message = f"what run keys are told by was sealed with the older key {found}"
        hint = "durazzo keys rotate brings everything under the newest, and older keys can go"
    elif found:
        message = f"what run keys are told by was sealed with key {found}, which is not at hand"
        hint = (
            "add that key behind the others in DURAZZO_KEYS; durazzo keys show says what it seals"
        )
    else:
        message = "what run keys are told by was written in clear (DURAZZO_SEAL=off)"
        hint = "set DURAZZO_SEAL=off to read this journal, or begin with an empty one"
    state = State.WARNING if found in seal.ids else State.ERROR
    yield Finding(group=SEALING, name="pepper", state=state, message=message, hint=hint)


def _workers(wiring: Wiring, *, brings_worker: bool) -> Iterator[Finding]:
    alive = wiring.core.journal.alive()
    waiting = unfinished(wiring.core)
    yield _alive(alive, brings_worker=brings_worker)
    # Nobody is to be expected.
    idle = brings_worker and not alive
    if waiting.count and not alive:
        yield Finding(
            group=WORKERS,
            name="runs",
            state=State.WARNING,
            message=f"{waiting.told} and nobody to drive them",
            hint="durazzo worker carries them on",
        )
    lanes = sorted({DEFAULT_LANE, *waiting.lanes})
    backlogs = {lane: count for lane in lanes if (count := wiring.canvas.backlog(lane))}
    said = deployment.ask(wiring, len(alive)) if alive else []
    yield from deployment.taken(said)
    yield from deployment.releases(said)
    yield from deployment.timekeeper(wiring, wanted=bool(alive or waiting.count) and not idle)
    yield from _lanes(backlogs, deployment.served(said))
    yield from deployment.idle_lanes(said, waiting.lanes, backlogs)


def _stops(wiring: Wiring) -> Iterator[Finding]:
    for stop in stops(wiring.core):
        waiting = f"; {counted(stop.waiting, 'step')} waiting for it" if stop.waiting else ""
        yield Finding(
            group=PROVIDERS,
            name=stop.provider,
            state=State.WARNING,
            message=f"stopped by {stop.by} since {utc(stop.at)}: no call to it begins{waiting}",
            hint=f"durazzo go-on {stop.provider} takes it back",
        )


def _alive(alive: frozenset[str], *, brings_worker: bool) -> Finding:
    if alive:
        # As ``workers.process.incarnation`` makes them.
        machines = {name.rsplit("-", 2)[0] for name in alive}
        message = f"{counted(len(alive), 'worker')} on {counted(len(machines), 'machine')}"
        return Finding(group=WORKERS, name="alive", message=message)
    if brings_worker:
        return Finding(group=WORKERS, name="alive", message="none; durazzo run brings its own")
    return Finding(
        group=WORKERS,
        name="alive",
        state=State.WARNING,
        message="none: no run goes on",
        hint="start one with: durazzo worker",
    )


def _lanes(backlogs: dict[str, int], served: frozenset[str]) -> Iterator[Finding]:
    for lane, count in backlogs.items():
        alone = lane not in served
        yield Finding(
            group=WORKERS,
            name=f"lane {lane}",
            state=State.WARNING if alone else State.OK,
            message=f"{counted(count, 'message')} waiting" + (", no worker seen" if alone else ""),
            hint=f"durazzo worker --lane {lane}" if alone else "",
        )
