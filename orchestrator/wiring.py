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

from orchestrator.admission import Admission
from orchestrator.canvas.app import make_app
from orchestrator.canvas.canvas import Canvas
from orchestrator.clock import SystemClock, SystemEntropy
from orchestrator.driver import Driver, Plans
from orchestrator.errors import JournalUnavailable, SettingsRefused
from orchestrator.journal.client import Client
from orchestrator.journal.durability import ask
from orchestrator.journal.fitness import Judgement, judge
from orchestrator.journal.line import ANSWER, CONNECT, CONNECTIONS, HEALTH, Patience
from orchestrator.journal.redis import RedisJournal
from orchestrator.journal.redis_archive import RedisArchive
from orchestrator.journal.redis_batches import RedisBatches
from orchestrator.journal.seal import AesSeal, NoSeal, Seal, keyring
from orchestrator.journal.trouble import answering
from orchestrator.policy.accounts import is_label
from orchestrator.policy.profiles import Limit, Profile, check, parse
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
    client, seal = connect(settings.redis_url), make_seal(settings)
    batches = RedisBatches(client, seal, barrier=settings.barrier, key_life_ms=settings.key_life_ms)
    journal = RedisJournal(
        client,
        seal,
        barrier=settings.barrier,
        # Who could tell what the embedded server lost dies with it, and every command restarts it.
        guard=not settings.embedded,
        key_life_ms=settings.key_life_ms,
    )
    plans = Plans(journal)
    canvas = Canvas(app)
    admission = Admission(batches, plans, canvas)
    core = Core(
        journal=journal,
        batches=batches,
        plans=plans,
        driver=Driver(journal, plans, canvas, admission.fill),
        admission=admission,
        archive=RedisArchive(client, seal, life_ms=settings.retention_ms),
        profiles=limited(load_profiles(), settings.limits, live=settings.allow_live),
        clock=SystemClock(),
        entropy=SystemEntropy(),
        lanes=settings.lanes,
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
    return Client.from_url(
        url,
        socket_timeout=ANSWER,
        socket_connect_timeout=CONNECT,
        health_check_interval=HEALTH,
        max_connections=CONNECTIONS,
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


def limited(
    profiles: Mapping[str, Profile], rates: Mapping[str, float], *, live: bool = False
) -> dict[str, Profile]:
    """The profiles with an account's own rates. Raises SettingsRefused for a limit that is none.

    ``live``: live keys are allowed, so that no rate of a test account holds.
    """
    known = {f"{p.name}/{limit.name}" for p in profiles.values() for limit in p.limits}
    if unknown := sorted(rate for rate in rates if _limit_of(rate) not in known):
        raise SettingsRefused(
            f"DURAZZO_LIMITS: no limit {unknown[0]!r}; there are {', '.join(sorted(known))},"
            " each of one account with @ and its label behind"
        )
    return {name: _limited(profile, rates, live=live) for name, profile in profiles.items()}


def _limit_of(rate: str) -> str:
    """A limit of one account is the provider's, with "@" and the account's label behind."""
    limit, _, label = rate.partition("@")
    return limit if is_label(label) else rate


def _limited(profile: Profile, rates: Mapping[str, float], *, live: bool) -> Profile:
    own = (rate for rate in rates if rate.startswith(f"{profile.name}/"))
    labels = sorted({label for _, _, label in (rate.partition("@") for rate in own) if label})
    return replace(
        profile,
        limits=_paced(profile, rates, live=live),
        account_limits=tuple(
            (label, _paced(profile, rates, f"@{label}", live=live)) for label in labels
        ),
    )


def _paced(
    profile: Profile, rates: Mapping[str, float], account: str = "", *, live: bool
) -> tuple[Limit, ...]:
    limits = []
    for limit in profile.limits:
        name = f"{profile.name}/{limit.name}"
        usual = limit.per_second if live else limit.test_per_second or limit.per_second
        rate = rates.get(name + account, rates.get(name, usual))
        burst = max(1, round(limit.burst * rate / limit.per_second))
        limits.append(replace(limit, per_second=rate, burst=burst))
    return tuple(limits)


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
