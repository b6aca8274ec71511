"""Redis: whether it is there, and how well it keeps what it acknowledged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from shutil import disk_usage
from typing import Final

from ops.cli.doctor.finding import Finding, State, refused
from ops.cli.reach import place_of, refusal
from ops.embedded import serving
from orchestrator.errors import JournalUnavailable, SettingsRefused
from orchestrator.journal.durability import Durability, ask
from orchestrator.settings import Settings
from orchestrator.wiring import connect, reach

GROUP: Final = "Redis"
_UNREACHABLE: Final = JournalUnavailable.exit_code
_FULL: Final = 0.95
_FILLING: Final = 0.8
_MIB: Final = 1024 * 1024
#: Bytes: less is soon used up by the append-only file, which is written twice when it shrinks.
_ROOM: Final = 200 * _MIB


def look(settings: Settings, stack: ExitStack) -> tuple[list[Finding], Settings | None]:
    """All about the server, and settings that point at it when it can be used."""
    began, at = _begin(settings, stack)
    found = [began] if settings.redis_url else [began, room(settings.home)]
    if at is None:
        return found, None
    try:
        return [*found, *_told(at)], at
    except JournalUnavailable as error:
        hint = (
            "correct address, user and password in DURAZZO_REDIS_URL (rediss:// is for TLS),"
            " or wait and try again"
        )
        return [_broken(error.message, hint)], None


def room(home: Path, free: Callable[[Path], int] = lambda at: disk_usage(at).free) -> Finding:
    """Whether the embedded server can go on writing. ``free``: bytes, of a folder's disk."""
    try:
        left = free(next(path for path in (home, *home.absolute().parents) if path.is_dir()))
    except OSError:
        message = f"the room in {home} cannot be measured"
        return Finding(group=GROUP, name="disk", state=State.UNKNOWN, message=message)
    message = f"{left // _MIB} MiB are free in {home}"
    if left >= _ROOM:
        return Finding(group=GROUP, name="disk", message=message)
    return _warning("disk", message, "make room: a full disk ends every run that is under way")


def _begin(settings: Settings, stack: ExitStack) -> tuple[Finding, Settings | None]:
    """Settings that point at a server that answers, for as long as ``stack`` is open.

    The embedded server is started as for any other command.
    """
    if settings.redis_url:
        return _named(settings)
    try:
        at = stack.enter_context(serving(settings))
    except SettingsRefused as error:
        return refused(GROUP, "server", error), None
    except JournalUnavailable:
        return _broken(
            "the embedded server does not start",
            f"see {settings.home / 'valkey.log'}",
        ), None
    return Finding(group=GROUP, name="server", message=f"embedded, data in {settings.home}"), at


def _named(settings: Settings) -> tuple[Finding, Settings | None]:
    place = place_of(settings.redis_url)
    if reason := refusal(place):
        return _broken(
            f"nothing answers at {place}: {reason}",
            "start Redis there, correct DURAZZO_REDIS_URL, or unset it for the embedded server",
        ), None
    return Finding(group=GROUP, name="server", message=f"{place} answers"), settings


def _told(settings: Settings) -> list[Finding]:
    """What the server says of itself. Raises JournalUnavailable when it lets nobody in."""
    reach(settings.redis_url)
    client = connect(settings.redis_url)
    try:
        told = ask(client)
    finally:
        client.close()
    return [
        _version(told), _persistence(told), _eviction(told), _memory(told), *_writable(told),
    ]  # fmt: skip


def _version(told: Durability) -> Finding:
    if told.server is None:
        return _unsaid("version", "INFO")
    waits = {
        True: ", with WAITAOF",
        False: ", without WAITAOF (Redis 7.2 and Valkey have it)",
        None: "",
    }
    return Finding(group=GROUP, name="version", message=told.server + waits[told.waitaof])


def _persistence(told: Durability) -> Finding:
    match told:
        case Durability(aof=None):
            return _unsaid("persistence", "INFO")
        case Durability(aof=True, fsync=fsync):
            return _file(fsync)
        case Durability(snapshots=False):
            lost = "nothing is written to disk: a restart loses every run, and what it charged"
        case Durability(snapshots=True):
            lost = "snapshots only: a crash loses every run, and every charge, since the last one"
        case _:
            lost = "no append-only file: a crash loses at least all since the last snapshot"
    return _warning("persistence", lost, "set appendonly yes, and appendfsync everysec or always")


def _file(fsync: str | None) -> Finding:
    match fsync:
        case "always":
            lost = "a power cut loses nothing that was acknowledged"
        case "everysec":
            lost = "a power cut can lose the last second"
        case None:
            return Finding(
                group=GROUP,
                name="persistence",
                state=State.UNKNOWN,
                message="append-only file; CONFIG is not allowed, so appendfsync is not known",
                hint="everysec can lose a second at a power cut, always nothing",
            )
        case _:
            return _warning(
                "persistence",
                "append-only file, appendfsync no: a power cut can lose half a minute",
                "set appendfsync everysec or always",
            )
    return Finding(
        group=GROUP, name="persistence", message=f"append-only file, appendfsync {fsync}: {lost}"
    )


def _eviction(told: Durability) -> Finding:
    if told.eviction is None:
        return _unsaid("eviction", "INFO")
    if told.eviction == "noeviction":
        return Finding(group=GROUP, name="eviction", message="noeviction: nothing is thrown away")
    # Only the allkeys-… policies take what has no expiry, and only under a limit.
    certain = told.eviction.startswith("allkeys") and bool(told.limit)
    return Finding(
        group=GROUP,
        name="eviction",
        state=State.ERROR if certain else State.WARNING,
        message=f"maxmemory-policy {told.eviction}: a full server throws runs or messages away",
        hint="set maxmemory-policy noeviction",
    )


def _memory(told: Durability) -> Finding:
    if told.used is None or told.limit is None:
        return _unsaid("memory", "INFO")
    used = f"{told.used / _MIB:.1f} MiB used"
    if not told.limit:
        return Finding(group=GROUP, name="memory", message=f"{used}, no maxmemory is set")
    share = told.used / told.limit
    message = f"{used} of {told.limit / _MIB:.1f} MiB ({share:.0%})"
    if share < _FILLING:
        return Finding(group=GROUP, name="memory", message=message)
    return Finding(
        group=GROUP,
        name="memory",
        state=State.ERROR if share >= _FULL else State.WARNING,
        message=message,
        hint="raise maxmemory: a full server accepts no run and no outcome",
        code=_UNREACHABLE,
    )


def _writable(told: Durability) -> Iterator[Finding]:
    if told.replica:
        yield _broken(
            "it is a replica, which refuses writes",
            "name the primary in DURAZZO_REDIS_URL",
            name="role",
        )
    if told.failing:
        yield _broken(
            "its last write to disk failed: it may refuse writes until one succeeds",
            "look at the server's log, and whether its disk is full",
            name="disk",
        )


def _warning(name: str, message: str, hint: str) -> Finding:
    return Finding(group=GROUP, name=name, state=State.WARNING, message=message, hint=hint)


def _unsaid(name: str, command: str) -> Finding:
    return Finding(
        group=GROUP,
        name=name,
        state=State.UNKNOWN,
        message=f"could not be checked: the server does not answer {command}",
        hint="it must persist (appendonly yes) and never evict (maxmemory-policy noeviction)"
        if name != "version"
        else "",
    )


def _broken(message: str, hint: str, *, name: str = "server") -> Finding:
    return Finding(
        group=GROUP,
        name=name,
        state=State.ERROR,
        message=message,
        hint=hint,
        code=_UNREACHABLE,
    )
