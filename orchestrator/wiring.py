"""One place where ports meet adapters: what a process of durazzo is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

import redis
import yaml
from celery import Celery
from redis.backoff import NoBackoff
from redis.retry import Retry

from orchestrator.canvas.app import make_app
from orchestrator.canvas.canvas import Canvas
from orchestrator.clock import SystemClock, SystemEntropy
from orchestrator.driver import Driver, Plans
from orchestrator.errors import JournalUnavailable, SettingsRefused
from orchestrator.journal.durability import ask
from orchestrator.journal.fitness import Judgement, judge
from orchestrator.journal.line import ANSWER, CONNECT, HEALTH, Patience
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.seal import AesSeal, NoSeal, Seal, keyring
from orchestrator.journal.trouble import answering
from orchestrator.policy.profiles import Profile, check, parse
from orchestrator.service.core import Core
from orchestrator.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    settings: Settings
    core: Core
    canvas: Canvas
    app: Celery


def wire(settings: Settings, app: Celery | None = None) -> Wiring:
    """Raises SettingsRefused for settings that cannot work; connects to nothing yet."""
    app = app or make_app(settings)
    journal = RedisJournal(
        connect(settings.redis_url),
        make_seal(settings),
        barrier=settings.barrier,
        # Who could tell what the embedded server lost dies with it, and every command restarts it.
        guard=not settings.embedded,
        key_life_ms=settings.key_life_ms,
    )
    plans = Plans(journal)
    canvas = Canvas(app)
    core = Core(
        journal=journal,
        plans=plans,
        driver=Driver(journal, plans, canvas),
        profiles=limited(load_profiles(), settings.limits),
        clock=SystemClock(),
        entropy=SystemEntropy(),
    )
    return Wiring(settings=settings, core=core, canvas=canvas, app=app)


def reach(url: str) -> None:
    """One try within seconds, TLS and login with it: a command's first.

    Raises JournalUnavailable, and says why, where ``connect``'s clients would try for long.
    """
    client = redis.Redis.from_url(
        url, socket_timeout=CONNECT, socket_connect_timeout=CONNECT, retry=Retry(NoBackoff(), 0)
    )  # fmt: skip
    try:
        with answering():
            answers = client.ping()  # type: ignore[no-untyped-call,unused-ignore]
    except (AttributeError, TypeError, ValueError):
        # The client trusts that it is Redis who speaks.
        answers = False
    finally:
        client.close()
    if not answers:
        raise JournalUnavailable("Redis cannot be used: what answers there is something else")


def connect(url: str) -> redis.Redis:
    return redis.Redis.from_url(
        url,
        socket_timeout=ANSWER,
        socket_connect_timeout=CONNECT,
        health_check_interval=HEALTH,
        retry=Patience(),
    )


def examine(settings: Settings) -> list[Judgement]:
    """What the server's settings mean for runs. A worker asks it once, at its start.

    Raises JournalUnavailable when it cannot be asked.
    """
    reach(settings.redis_url)
    with connect(settings.redis_url) as client:
        told = ask(client)
    return judge(told, barrier=settings.barrier, allow_eviction=settings.allow_eviction)


def make_seal(settings: Settings) -> Seal:
    if not settings.seal:
        return NoSeal()
    if not settings.keys:
        raise SettingsRefused(
            "no sealing key is set: set DURAZZO_KEYS (make one with: openssl rand -base64 32),"
            " or DURAZZO_SEAL=off to store values in clear"
        )
    return AesSeal(keyring(settings.keys))


def limited(profiles: Mapping[str, Profile], rates: Mapping[str, float]) -> dict[str, Profile]:
    """The profiles with an account's own rates. Raises SettingsRefused for a limit that is none."""
    known = {f"{p.name}/{limit.name}" for p in profiles.values() for limit in p.limits}
    if unknown := sorted(set(rates) - known):
        raise SettingsRefused(
            f"DURAZZO_LIMITS: no limit {unknown[0]!r}; there are {', '.join(sorted(known))}"
        )
    return {name: _limited(profile, rates) for name, profile in profiles.items()}


def _limited(profile: Profile, rates: Mapping[str, float]) -> Profile:
    limits = []
    for limit in profile.limits:
        rate = rates.get(f"{profile.name}/{limit.name}", limit.per_second)
        burst = limit.burst if rate == limit.per_second else max(1, round(rate))
        limits.append(replace(limit, per_second=rate, burst=burst))
    return replace(profile, limits=tuple(limits))


@cache
def load_profiles() -> Mapping[str, Profile]:
    """The shipped provider profiles by name, checked against their schema."""
    specs = resources.files("specs")
    schema = json.loads((specs / "schemas" / "provider.schema.json").read_text())
    profiles = {}
    for file in sorted((specs / "providers").iterdir(), key=lambda f: f.name):
        document = yaml.safe_load(file.read_text())
        if problems := check(document, schema):
            raise SettingsRefused(f"specs/providers/{file.name}: {'; '.join(problems)}")
        profile = parse(document)
        profiles[profile.name] = profile
    return profiles
