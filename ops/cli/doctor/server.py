"""Redis: whether it is there, and how well it keeps what it acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from shutil import disk_usage
from typing import Final

from ops.cli.doctor.finding import Finding, State, refused
from ops.cli.reach import place_of, refusal
from ops.embedded import serving
from orchestrator.errors import JournalUnavailable, SettingsRefused
from orchestrator.settings import Settings
from orchestrator.wiring import examine

GROUP: Final = "Redis"
_UNREACHABLE: Final = JournalUnavailable.exit_code
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
    return [
        Finding(
            group=GROUP,
            name=one.name,
            state=State(one.grade.value),
            message=one.message,
            hint=one.hint,
            code=1 if one.name == "eviction" else _UNREACHABLE,
        )
        for one in examine(settings)
    ]


def _warning(name: str, message: str, hint: str) -> Finding:
    return Finding(group=GROUP, name=name, state=State.WARNING, message=message, hint=hint)


def _broken(message: str, hint: str, *, name: str = "server") -> Finding:
    return Finding(
        group=GROUP,
        name=name,
        state=State.ERROR,
        message=message,
        hint=hint,
        code=_UNREACHABLE,
    )
