"""The network: one frozen request out, one ``Answer`` or ``NoAnswer`` back, in bounded time."""

from __future__ import annotations

import base64
import codecs
import json
import logging
import math
import ssl
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from importlib.metadata import version
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit

import httpcore
import httpx

from orchestrator.expressions.nodes import MISSING, Json, Missing, Secret
from orchestrator.policy.call_hosts import CallHosts
from orchestrator.policy.outcomes import Answer, NoAnswer, Result
from workers.connections import (
    Budget,
    Connections,
    Place,
    Refused,
    Resolve,
    system_addresses,
)
from workers.render import FrozenRequest

#: An answer larger than this is none: it would be held in memory by every thread at once.
MAX_ANSWER: Final = 4 * 1024 * 1024
#: Headers that are credentials whatever they hold.
_CREDENTIALS: Final = frozenset({"authorization", "cookie", "proxy-authorization", "x-api-key"})
_PUBLIC: Final = CallHosts()
#: In a request without a body a server may still want to be told that there is none.
_WITH_BODY: Final = frozenset({"POST", "PUT", "PATCH"})

# At INFO and DEBUG they write URLs and headers: phone numbers and credentials.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a request goes, as the wire has it."""

    place: Place
    url: httpcore.URL
    #: The Host header, and the password of a URL that has one, by lower-case names.
    headers: Mapping[bytes, tuple[bytes, bytes]]


class Caller:
    """One per process, made after the fork, shared by its threads."""

    def __init__(
        self,
        *,
        hosts: CallHosts = _PUBLIC,
        max_answer: int = MAX_ANSWER,
        tls: ssl.SSLContext | None = None,
        resolve: Resolve = system_addresses,
    ) -> None:
        """``tls``: whom to trust; None trusts the issuers that certifi lists."""
        self._hosts = hosts
        self._max_answer = max_answer
        tls = tls or httpx.create_ssl_context(trust_env=False)
        self._connections = Connections(tls, hosts, resolve)
        self._own = {
            b"accept": (b"Accept", b"*/*"),
            # Nothing to unpack, so nothing that unpacks to a gigabyte.
            b"accept-encoding": (b"Accept-Encoding", b"identity"),
            b"connection": (b"Connection", b"keep-alive"),
            b"user-agent": (b"User-Agent", f"durazzo/{version('durazzo')}".encode()),
        }

    def call(
        self,
        request: FrozenRequest,
        *,
        headers: Sequence[tuple[str, str]],
        url: str,
        deadline_s: float,
    ) -> Result:
        """``headers``: all of them, resolved. ``url``: where it really goes (``rewrite``).

        Never raises for what a network or a server does.
        """
        budget = Budget(
            ends=time.monotonic() + deadline_s,
            named=bool(request.via) and self._hosts.trusts_via,
        )
        token = budget.begin()
        try:
            target = _target(url)
            budget.exposed = _exposed(request, headers, target)
            return self._exchange(request, headers, target)
        except Refused as refused:
            return NoAnswer(stage="not-sent", reason=refused.code, refused=refused.host)
        except httpcore.TimeoutException:
            return _no_answer(budget, "timeout")
        except (httpcore.NetworkError, httpcore.RemoteProtocolError) as problem:
            return _no_answer(budget, _failure(budget, problem))
        except (httpcore.LocalProtocolError, httpx.InvalidURL):
            return _no_answer(budget, "invalid-request")
        finally:
            Budget.end(token)

    def close(self) -> None:
        self._connections.close()

    def _exchange(
        self, request: FrozenRequest, headers: Sequence[tuple[str, str]], target: Target
    ) -> Result:
        sent = httpcore.Request(
            request.method.encode(),
            target.url,
            headers=self._headers(request, headers, target),
            content=request.body,
        )
        with self._connections.lent(target.place) as connection:
            response = connection.handle_request(sent)
            try:
                body = self._read(response)
            finally:
                response.close()
        if body is None:
            return NoAnswer(stage="sent", reason="too-large")
        return _answer(response, body)

    def _headers(
        self, request: FrozenRequest, headers: Sequence[tuple[str, str]], target: Target
    ) -> list[tuple[bytes, bytes]]:
        """The request's own, and of the transport's those that it has none of."""
        given = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        named = {name.lower() for name, _ in given}
        ours = {**target.headers, **self._own}
        wire = [pair for name, pair in ours.items() if name not in named] + given
        if request.body or request.method in _WITH_BODY:
            wire.append((b"Content-Length", b"%d" % len(request.body or b"")))
        return wire

    def _read(self, response: httpcore.Response) -> bytes | None:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_stream():
            size += len(chunk)
            if size > self._max_answer:
                return None
            chunks.append(chunk)
        return b"".join(chunks)


def _exposed(request: FrozenRequest, headers: Sequence[tuple[str, str]], target: Target) -> bool:
    """Whether a credential would go out in clear text: a secret, or what is called one."""
    if target.place[0] == b"https":
        return False
    # Beside the request's own there are those that the profile, or the URL, authorizes it by.
    authorized = len(headers) > len(request.headers) or b"authorization" in target.headers
    secret = any(isinstance(part, Secret) for _, parts in request.headers for part in parts)
    return authorized or secret or any(name.lower() in _CREDENTIALS for name, _ in headers)


@lru_cache(maxsize=256)
def _target(url: str) -> Target:
    """Raises InvalidURL."""
    parsed = httpx.URL(url)
    default = {"http": 80, "https": 443}.get(parsed.scheme)
    if default is None or not parsed.host:
        raise httpx.InvalidURL("neither http:// nor https://")
    headers = {b"host": (b"Host", parsed.netloc)}
    if parsed.userinfo:
        word = base64.b64encode(unquote(parsed.userinfo.decode()).encode())
        headers[b"authorization"] = (b"Authorization", b"Basic " + word)
    scheme, host, port = parsed.raw_scheme, parsed.raw_host, parsed.port or default
    return Target(
        place=(scheme, host, port),
        url=httpcore.URL(scheme=scheme, host=host, port=port, target=parsed.raw_path),
        headers=headers,
    )


def rewrite(url: str, servers: Mapping[str, str]) -> str:
    """The URL with its longest matching prefix replaced; what follows the prefix is kept.

    A prefix ends where a path segment ends: ``https://h/v1`` is none of ``https://h/v10``.
    """
    if not servers:
        return url
    parts = urlsplit(url)
    origin = _origin(parts)
    rests = {prefix: _rest(parts, origin, prefix) for prefix in servers}
    best = max((p for p, rest in rests.items() if rest is not None), key=len, default=None)
    if best is None:
        return url
    return servers[best].rstrip("/") + (rests[best] or "")


def _rest(url: SplitResult, origin: tuple[str, str | None, int | None], prefix: str) -> str | None:
    wanted, path = _prefix(prefix)
    if wanted != origin or not url.path.startswith(path):
        return None
    path = url.path.removeprefix(path)
    if path and not path.startswith("/"):
        return None
    return path + (f"?{url.query}" if url.query else "")


@lru_cache(maxsize=256)
def _prefix(prefix: str) -> tuple[tuple[str, str | None, int | None], str]:
    parts = urlsplit(prefix.rstrip("/"))
    return _origin(parts), parts.path


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def _no_answer(budget: Budget, reason: str) -> NoAnswer:
    if budget.sent:
        return NoAnswer(stage="sent", reason=reason)
    own = reason if reason == "invalid-request" else f"{budget.phase}-{reason}"
    return NoAnswer(stage="not-sent", reason=own)


def _failure(budget: Budget, problem: Exception) -> str:
    if not budget.sent:
        return "failed"
    broken = isinstance(problem, httpcore.RemoteProtocolError) and not budget.closed
    return "protocol-error" if broken else "reset"


def _answer(response: httpcore.Response, body: bytes) -> Answer:
    headers = _joined(response.headers)
    value, problem = _parsed(headers, body)
    return Answer(status=response.status, headers=headers, body=value, problem=problem)


def _joined(pairs: Sequence[tuple[bytes, bytes]]) -> dict[str, str]:
    """By lower-case names. RFC 9110, 5.3: what came twice is one list."""
    charset = _charset_of(pairs)
    headers: dict[str, list[str]] = {}
    for raw, value in pairs:
        headers.setdefault(raw.decode(charset).lower(), []).append(value.decode(charset))
    return {name: ", ".join(texts) for name, texts in headers.items()}


def _charset_of(pairs: Sequence[tuple[bytes, bytes]]) -> str:
    """UTF-8 if all of them are, else what RFC 9110, 5.5 calls historical."""
    try:
        b"\n".join(part for pair in pairs for part in pair).decode()
    except UnicodeDecodeError:
        return "iso-8859-1"
    return "utf-8"


def _parsed(headers: Mapping[str, str], body: bytes) -> tuple[Json | Missing, str]:
    """JSON whatever it calls itself; a problem only when it says that it is JSON."""
    kind = headers.get("content-type", "")
    says_json = "json" in kind.lower().partition(";")[0]
    if headers.get("content-encoding", "identity").lower() != "identity":
        return MISSING, "undecodable"
    if not body:
        return MISSING, ""
    text = _decoded(body, kind)
    if text is None:
        return MISSING, "undecodable" if says_json else ""
    try:
        value: Json = _json.decode(text)
    except (ValueError, RecursionError):
        return MISSING, "not-json" if says_json else ""
    return value, ""


def _decoded(body: bytes, kind: str) -> str | None:
    """UTF-8 (RFC 8259, 8.1), else what the server says it is."""
    try:
        return body.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError:
        pass
    message = Message()
    message["Content-Type"] = kind
    try:
        return body.decode(message.get_content_charset("utf-8"))
    except (UnicodeDecodeError, LookupError):
        return None


def _refuse(constant: str) -> Json:
    raise ValueError(constant)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


_json: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)
