"""Settings: the environment, read once and typed. Every name begins with DURAZZO_."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode, urlsplit, urlunsplit

from orchestrator.errors import SettingsRefused

DEFAULT_LANE = "default"
#: A lane is a queue's name, and Celery's option takes several with commas between.
LANE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Every setting's name; the last line's are for who develops durazzo.
NAMES = frozenset({
    "DURAZZO_ALLOW_EVICTION", "DURAZZO_ALLOW_LIVE", "DURAZZO_BARRIER", "DURAZZO_CALL_HOSTS",
    "DURAZZO_HEALTH_DIR", "DURAZZO_HEARTBEAT", "DURAZZO_HOME", "DURAZZO_KEYS", "DURAZZO_KEYS_FILE",
    "DURAZZO_KEY_LIFE",
    "DURAZZO_LANES", "DURAZZO_LIMITS", "DURAZZO_LOG", "DURAZZO_METRICS_TOKEN",
    "DURAZZO_METRICS_TOKEN_FILE",
    "DURAZZO_REDIS_URL", "DURAZZO_REDIS_URL_FILE", "DURAZZO_RETENTION", "DURAZZO_SEAL",
    "DURAZZO_SANDBOX_TOKEN", "DURAZZO_SANDBOX_TOKEN_FILE", "DURAZZO_SECRETS_DIR",
    "DURAZZO_SERVERS", "DURAZZO_SOURCE_HOSTS", "DURAZZO_DEBUG",
    "DURAZZO_CHAOS_BREAK", "DURAZZO_PUBLISHED_OPENAPI", "DURAZZO_REWRITE_GOLDEN",
})  # fmt: skip
#: Of names that begin alike.
_CLOSE = 0.8
#: Calls per second. A rate of nearly none would hold every call back for ever, in Redis, also
#: after it was corrected.
_SLOWEST, _FASTEST = 0.001, 1_000_000
#: What the Redis clients of durazzo and of Celery both take behind a ``?``.
_URL_OPTIONS = frozenset({
    "db", "ssl_ca_certs", "ssl_ca_path", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname",
    "ssl_keyfile", "virtual_host",
})  # fmt: skip
_URL_FILES = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})
_CERT_REQS = frozenset({
    f"{prefix}{word}" for word in ("none", "optional", "required") for prefix in ("", "cert_")
})
_DATABASE = re.compile(r"[0-9]{0,5}")
_DAYS = re.compile(r"[0-9]{1,6}")
#: A key that is forgotten sooner than a provider keeps its own would charge again.
_SHORTEST_DAYS, _LONGEST_DAYS = 2, 36_500
_SHORTEST_S = 0.5
_LONGEST_S = 3_600
_DAY_MS = 24 * 3_600_000
_KEY_LIFE_DAYS = 400
_RETENTION_DAYS = 30
_LAST_PORT = 65_535
#: Bytes of a file with a secret.
_LONGEST_SECRET = 65_536
_DEFAULT_PORTS = {"http": 80, "https": 443}
_SOURCE_HOST = re.compile(
    r"(?:(?P<scheme>https?)://)?(?P<host>[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
_CALL_HOST = re.compile(
    r"(?P<host>[a-z0-9_](?:[a-z0-9._-]*[a-z0-9])?|\[(?P<ip>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?"
)
_EXAMPLES = {
    "DURAZZO_SERVERS": '{"https://api.stripe.com": "http://…"}',
    "DURAZZO_LANES": '{"failed-payment-dunning": "dunning"}',
    "DURAZZO_LIMITS": '{"stripe/account": 25}',
}
_LOOPBACK = re.compile(r"localhost|127(\.[0-9]{1,3}){3}|\[::1\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    #: DURAZZO_REDIS_URL, or what the file DURAZZO_REDIS_URL_FILE holds: redis://, rediss:// or
    #: unix://; "" means the embedded server.
    redis_url: str = field(default="", repr=False)
    #: ``redis_url`` is the embedded server's: it lives and dies with this machine.
    embedded: bool = False
    #: DURAZZO_KEYS, or what the file DURAZZO_KEYS_FILE holds: sealing keys, base64, with commas
    #: between, newest first.
    keys: str = field(default="", repr=False)
    #: DURAZZO_SEAL=off: values are stored as they are.
    seal: bool = True
    #: DURAZZO_SERVERS: JSON, URL prefix → URL: where calls really go.
    servers: Mapping[str, str] = field(default_factory=dict)
    #: DURAZZO_ALLOW_LIVE=1: keys that move real money may be used.
    allow_live: bool = False
    #: DURAZZO_ALLOW_EVICTION=1: workers start on a Redis that may throw runs away when it is full.
    allow_eviction: bool = False
    #: DURAZZO_LIMITS: JSON, "provider/limit" → calls per second, for accounts with other limits.
    limits: Mapping[str, float] = field(default_factory=dict)
    #: DURAZZO_LANES: JSON, workflow → the lane of its runs, where whoever submits names none.
    lanes: Mapping[str, str] = field(default_factory=dict)
    #: DURAZZO_BARRIER=on: accepted runs, and calls without a key before they are made, are waited
    #: for until they are on Redis' disk.
    barrier: bool = False
    #: DURAZZO_SOURCE_HOSTS: comma-separated hosts that source descriptions may be fetched from,
    #: each exactly and by its port: "example.com" is https on port 443, "example.com:8443" another
    #: one. http is for those written with http:// and for localhost, 127.x.x.x and [::1].
    #: A host at a private address needs the address in the list as well. Here as origins,
    #: "https://example.com:443"; none: nothing is fetched.
    source_origins: frozenset[str] = frozenset()
    #: DURAZZO_CALL_HOSTS: comma-separated hosts that calls may go to although their addresses are
    #: not public: a name or an address, with a port or for every port, or a network as 10.0.0.0/8.
    #: Those that DURAZZO_SERVERS sends calls to need not be listed.
    call_hosts: frozenset[str] = frozenset()
    #: DURAZZO_SECRETS_DIR: a folder with one file a secret.
    secrets_dir: Path | None = None
    #: DURAZZO_HOME: the embedded server's data and key, and fetched source descriptions.
    home: Path = Path()
    #: DURAZZO_HEARTBEAT: a worker not heard of for so long has lost its leases. Seconds.
    heartbeat_ms: int = 6_000
    #: DURAZZO_KEY_LIFE: how long a run key stands for its run after its last use, also when the
    #: run has been removed. Days.
    key_life_ms: int = _KEY_LIFE_DAYS * _DAY_MS
    #: DURAZZO_RETENTION: how long a run is kept from its end on; days, or "off" for good. One that
    #: came to no good end and did something all the same is kept three times as long.
    retention_ms: int | None = _RETENTION_DAYS * _DAY_MS
    #: DURAZZO_LOG: how a worker writes its log, "json" or "console"; "": as who reads it needs it.
    log: str = ""
    #: Everything else a worker may need: credentials by name.
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def redis_password(self) -> str:
        """As it is sent, "" for none."""
        return unquote(urlsplit(self.redis_url).password or "")


def from_environ(environ: Mapping[str, str] | None = None) -> Settings:
    """Raises SettingsRefused, naming the variable, for a value that cannot be used."""
    env = os.environ if environ is None else environ
    secrets = env.get("DURAZZO_SECRETS_DIR", "")
    return Settings(
        redis_url=_url(secret_of("DURAZZO_REDIS_URL", env)),
        keys=secret_of("DURAZZO_KEYS", env),
        seal=env.get("DURAZZO_SEAL", "") != "off",
        barrier=env.get("DURAZZO_BARRIER", "") == "on",
        servers=_servers(env.get("DURAZZO_SERVERS", "")),
        limits=_limits(env.get("DURAZZO_LIMITS", "")),
        lanes=_lanes(env.get("DURAZZO_LANES", "")),
        source_origins=_source_origins(env.get("DURAZZO_SOURCE_HOSTS", "")),
        call_hosts=_call_hosts(env.get("DURAZZO_CALL_HOSTS", "")),
        allow_live=env.get("DURAZZO_ALLOW_LIVE", "") == "1",
        allow_eviction=env.get("DURAZZO_ALLOW_EVICTION", "") == "1",
        secrets_dir=Path(secrets) if secrets else None,
        home=_home(env),
        heartbeat_ms=_seconds("DURAZZO_HEARTBEAT", env.get("DURAZZO_HEARTBEAT", ""), 6_000),
        key_life_ms=_days("DURAZZO_KEY_LIFE", env.get("DURAZZO_KEY_LIFE", ""), _KEY_LIFE_DAYS),
        retention_ms=_retention(env.get("DURAZZO_RETENTION", "")),
        log=_log(env.get("DURAZZO_LOG", "")),
        environ=dict(env),
    )


def secret_of(name: str, environ: Mapping[str, str]) -> str:
    """A setting that is a secret: the variable, or the one line of the file that NAME_FILE names.

    The variable counts where both are set, as for the providers' credentials. "" for neither.
    Raises SettingsRefused, which never repeats what the file holds.
    """
    path = environ.get(f"{name}_FILE", "")
    if environ.get(name) or not path:
        return environ.get(name, "")
    try:
        with Path(path).open("rb") as file:
            text = file.read(_LONGEST_SECRET + 1)
        found = text.decode().strip("\r\n")
    except UnicodeDecodeError:
        raise SettingsRefused(f"{name}_FILE: {path} is no text in UTF-8") from None
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or "no path").lower()
        raise SettingsRefused(
            f"{name}_FILE: {path} cannot be read ({reason}): name a file that this user may read"
        ) from None
    if not found.strip() or len(text) > _LONGEST_SECRET or "\n" in found:
        raise SettingsRefused(f"{name}_FILE: {path} must hold one line, the value of {name}")
    return found


def unknown(environ: Mapping[str, str]) -> list[str]:
    """Names that begin as settings do and are none: misspelt, they silently change nothing."""
    return sorted(name for name in environ if name.startswith("DURAZZO_") and name not in NAMES)


def meant(name: str) -> str:
    """The setting that a name which is none was probably meant for; "" for no idea."""
    return next(iter(get_close_matches(name, NAMES, n=1, cutoff=_CLOSE)), "")


def _url(text: str) -> str:
    if text and not text.startswith(("redis://", "rediss://", "unix://")):
        raise SettingsRefused("DURAZZO_REDIS_URL must begin with redis://, rediss:// or unix://")
    try:
        usable = not text or _usable(text)
    except ValueError:
        usable = False
    if not usable:
        raise SettingsRefused(
            "DURAZZO_REDIS_URL cannot be used: write it as redis://host:6379/0, where 0 is the"
            f" number of a database, or as unix:///path; of options there are"
            f" {', '.join(sorted(_URL_OPTIONS))}"
        )
    return _verified(text) if text.startswith("rediss://") else text


def _verified(url: str) -> str:
    """With what a server's certificate is held to, in the one spelling that both clients take.

    Raises SettingsRefused for a file that is not there: to the clients it looks as if there were no
    connection.
    """
    parts = urlsplit(url)
    options = parse_qs(parts.query, keep_blank_values=True)
    for name in _URL_FILES & options.keys():
        if not Path(options[name][-1]).is_file():
            raise SettingsRefused(
                f"DURAZZO_REDIS_URL: {name} names no file that can be read: {options[name][-1]}"
            )
    asked = options.get("ssl_cert_reqs", ["required"])[-1].lower().removeprefix("cert_")
    query = {**options, "ssl_cert_reqs": [asked]}
    return urlunsplit(parts._replace(query=urlencode(query, doseq=True)))


def _usable(url: str) -> bool:
    """Raises ValueError as well: what is wrong is found only when it is asked for."""
    parts = urlsplit(url)
    options = parse_qs(parts.query, keep_blank_values=True)
    where = parts.path if parts.scheme == "unix" else str(parts.port or _LAST_PORT)
    (parts.hostname or "").encode("idna")
    path = "" if parts.scheme == "unix" else parts.path.removeprefix("/")
    numbers = [path, *options.get("db", []), *options.get("virtual_host", [])]
    return (
        url.isprintable()
        and bool(where)
        and options.keys() <= _URL_OPTIONS
        and all(_DATABASE.fullmatch(number) for number in numbers)
        and {word.lower() for word in options.get("ssl_cert_reqs", [])} <= _CERT_REQS
    )


def _log(text: str) -> str:
    if text not in {"", "json", "console"}:
        raise SettingsRefused("DURAZZO_LOG must be json or console, or not set")
    return text


def _object(name: str, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except json.JSONDecodeError as error:
        raise SettingsRefused(f"{name} is not JSON: {error}") from None
    except (ValueError, RecursionError):
        raise SettingsRefused(f"{name} is not JSON: a value is too large") from None
    if not isinstance(found, dict):
        raise SettingsRefused(f"{name} must be a JSON object, e.g. {_EXAMPLES[name]}")
    return found


def _servers(text: str) -> dict[str, str]:
    found = _object("DURAZZO_SERVERS", text)
    if not all(_http(url) and _http(instead) for url, instead in found.items()):
        raise SettingsRefused(
            "DURAZZO_SERVERS must be a JSON object of http or https URLs, e.g."
            f" {_EXAMPLES['DURAZZO_SERVERS']}"
        )
    return found


def _http(url: object) -> bool:
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return False
    try:
        parts = urlsplit(url)
        return url.isprintable() and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _limits(text: str) -> dict[str, float]:
    found = _object("DURAZZO_LIMITS", text)
    if not all(_rate(rate) for rate in found.values()):
        raise SettingsRefused(
            f"DURAZZO_LIMITS must be a JSON object of calls per second, from {_SLOWEST:g} to"
            f" {_FASTEST}, e.g. {_EXAMPLES['DURAZZO_LIMITS']}"
        )
    return found


def _lanes(text: str) -> dict[str, str]:
    found = _object("DURAZZO_LANES", text)
    if not all(isinstance(lane, str) and LANE.fullmatch(lane) for lane in found.values()):
        raise SettingsRefused(
            "DURAZZO_LANES must be a JSON object of lanes by workflow, each of letters, digits,"
            f" dots, dashes and underscores, e.g. {_EXAMPLES['DURAZZO_LANES']}"
        )
    return found


def _rate(rate: object) -> bool:
    number = isinstance(rate, int | float) and not isinstance(rate, bool)
    return number and _SLOWEST <= rate <= _FASTEST  # type: ignore[operator]


def _source_origins(text: str) -> frozenset[str]:
    entries = (entry.strip() for entry in text.split(","))
    return frozenset(origin for entry in entries if entry for origin in _origins(entry))


def _origins(entry: str) -> list[str]:
    found = _SOURCE_HOST.fullmatch(entry.lower())
    if found is None or int(found["port"] or 0) > _LAST_PORT:
        # Not repeated: what was pasted may be a URL with credentials.
        raise SettingsRefused(
            "DURAZZO_SOURCE_HOSTS must be host names with commas between, each exact and without"
            " a path, e.g. raw.githubusercontent.com,docs.example.com:8443,http://localhost:8080"
        )
    both = ("http", "https") if _LOOPBACK.fullmatch(found["host"]) else ("https",)
    schemes = (found["scheme"],) if found["scheme"] else both
    return [
        f"{scheme}://{found['host']}:{int(found['port'] or _DEFAULT_PORTS[scheme])}"
        for scheme in schemes
    ]


def _call_hosts(text: str) -> frozenset[str]:
    entries = {entry.strip().lower() for entry in text.split(",")} - {""}
    if not all(map(_is_call_host, entries)):
        raise SettingsRefused(
            "DURAZZO_CALL_HOSTS must be hosts or networks with commas between, without a scheme or"
            " a path, e.g. billing.internal:8080,10.0.0.0/8,[fd00::5]; a network's address ends in"
            " zeros where its mask does"
        )
    return frozenset(entries)


def _is_call_host(entry: str) -> bool:
    try:
        if "/" in entry:
            return ip_network(entry) is not None
        found = _CALL_HOST.fullmatch(entry)
        if found is None:
            return ip_address(entry) is not None
        usable = 0 < int(found["port"] or _LAST_PORT) <= _LAST_PORT
        return usable and (found["ip"] is None or ip_address(found["ip"]) is not None)
    except ValueError:
        return False


def _home(env: Mapping[str, str]) -> Path:
    if home := env.get("DURAZZO_HOME"):
        return Path(home)
    if data := env.get("XDG_DATA_HOME"):
        return Path(data) / "durazzo"
    try:
        return Path(env.get("HOME") or "~").expanduser() / ".local/share/durazzo"
    except RuntimeError:
        raise SettingsRefused(
            "no home folder is known: set DURAZZO_HOME to a folder that you may write to"
        ) from None


def _seconds(name: str, text: str, default_ms: int) -> int:
    if not text:
        return default_ms
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not _SHORTEST_S <= value <= _LONGEST_S:
        raise SettingsRefused(
            f"{name} must be a number of seconds from {_SHORTEST_S} to {_LONGEST_S}"
        )
    return round(value * 1000)


def _retention(text: str) -> int | None:
    if text == "off":
        return None
    return _days("DURAZZO_RETENTION", text, _RETENTION_DAYS, least=1, other=', or "off"')


def _days(
    name: str, text: str, default: int, *, least: int = _SHORTEST_DAYS, other: str = ""
) -> int:
    """In ms."""
    days = text or str(default)
    if not _DAYS.fullmatch(days) or not least <= int(days) <= _LONGEST_DAYS:
        raise SettingsRefused(
            f"{name} must be a whole number of days from {least} to {_LONGEST_DAYS}{other}"
        )
    return int(days) * _DAY_MS
