"""The network: one frozen request out, one ``Answer`` or ``NoAnswer`` back, in bounded time.

httpx bounds each read, so a server that drips a byte a second holds a caller for ever. Here a
``Budget`` bounds the whole call, from resolving the name to the last byte of the body; it stands
in a context variable, because a pooled connection outlives the call that opened it. The budget
also knows whether a byte of the request may have left, which decides between "surely nothing
happened" and "nobody knows".
"""

# ruff: noqa: ARG002 - httpcore's signatures, whose timeouts the budget replaces
from __future__ import annotations

import json
import logging
import math
import queue
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from http.cookiejar import CookieJar, DefaultCookiePolicy
from importlib.metadata import version
from typing import Final, Literal, TypeAlias
from urllib.parse import SplitResult, urlsplit

import httpcore
import httpx

from orchestrator.expressions.nodes import MISSING, Json, Missing
from orchestrator.policy.outcomes import Answer, NoAnswer, Result
from workers.render import FrozenRequest

#: An answer larger than this is none: it would be held in memory by every thread at once.
MAX_ANSWER: Final = 4 * 1024 * 1024
#: Shorter than servers keep idle connections. One that closes just as a request goes out
#: leaves an unknown outcome.
_IDLE_S: Final = 3.0
_CONNECTIONS: Final = 100

# At INFO and DEBUG they write URLs and headers: phone numbers and credentials.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

Phase: TypeAlias = Literal["pool", "dns", "connect", "tls"]


@dataclass(slots=True)
class Budget:
    """What is left of one call's time, and how far it came."""

    #: On the monotonic clock.
    ends: float
    phase: Phase = "pool"
    #: From here on the provider may have the request: set before the first write, not after.
    sent: bool = False
    closed: bool = False

    def left(self) -> float:
        return self.ends - time.monotonic()


_budget: ContextVar[Budget] = ContextVar("budget")


class Caller:
    """One per process, made after the fork, shared by its threads."""

    def __init__(self, *, max_answer: int = MAX_ANSWER, tls: ssl.SSLContext | None = None) -> None:
        """``tls``: whom to trust; None trusts the issuers that certifi lists."""
        self._max_answer = max_answer
        self._client = httpx.Client(
            transport=_Transport(tls or httpx.create_ssl_context(trust_env=False)),
            trust_env=False,
            follow_redirects=False,
            # A cookie of one customer's answer must not go out with another's request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            headers={
                "User-Agent": f"durazzo/{version('durazzo')}",
                # Nothing to unpack, so nothing that unpacks to a gigabyte.
                "Accept-Encoding": "identity",
            },
        )

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
        budget = Budget(ends=time.monotonic() + deadline_s)
        token = _budget.set(budget)
        try:
            return self._exchange(request, headers, url, deadline_s)
        except httpx.TimeoutException:
            return _no_answer(budget, "timeout")
        except (httpx.NetworkError, httpx.RemoteProtocolError) as problem:
            return _no_answer(budget, _failure(budget, problem))
        except (httpx.TransportError, httpx.InvalidURL):
            return _no_answer(budget, "invalid-request")
        finally:
            _budget.reset(token)

    def close(self) -> None:
        self._client.close()

    def _exchange(
        self,
        request: FrozenRequest,
        headers: Sequence[tuple[str, str]],
        url: str,
        deadline_s: float,
    ) -> Result:
        with self._client.stream(
            request.method,
            url,
            headers=[(name.encode(), value.encode("latin-1")) for name, value in headers],
            content=request.body,
            timeout=httpx.Timeout(None, pool=deadline_s),
        ) as response:
            body = self._read(response)
            if body is None:
                return NoAnswer(stage="sent", reason="too-large")
            return _answer(response, body)

    def _read(self, response: httpx.Response) -> bytes | None:
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_raw():
            size += len(chunk)
            if size > self._max_answer:
                return None
            chunks.append(chunk)
        return b"".join(chunks)


def rewrite(url: str, servers: Mapping[str, str]) -> str:
    """The URL with its longest matching prefix replaced; what follows the prefix is kept.

    A prefix ends where a path segment ends: ``https://h/v1`` is none of ``https://h/v10``.
    """
    best = max(
        (prefix for prefix in servers if _rest(url, prefix) is not None), key=len, default=None
    )
    if best is None:
        return url
    return servers[best].rstrip("/") + (_rest(url, best) or "")


def _rest(url: str, prefix: str) -> str | None:
    wanted, found = urlsplit(prefix.rstrip("/")), urlsplit(url)
    if _origin(wanted) != _origin(found) or not found.path.startswith(wanted.path):
        return None
    path = found.path.removeprefix(wanted.path)
    if path and not path.startswith("/"):
        return None
    return path + (f"?{found.query}" if found.query else "")


def _origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    default = {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, parts.port or default


def _no_answer(budget: Budget, reason: str) -> NoAnswer:
    if budget.sent:
        return NoAnswer(stage="sent", reason=reason)
    own = reason if reason == "invalid-request" else f"{budget.phase}-{reason}"
    return NoAnswer(stage="not-sent", reason=own)


def _failure(budget: Budget, problem: httpx.TransportError) -> str:
    if not budget.sent:
        return "failed"
    broken = isinstance(problem, httpx.RemoteProtocolError) and not budget.closed
    return "protocol-error" if broken else "reset"


def _answer(response: httpx.Response, body: bytes) -> Answer:
    value, problem = _parsed(response, body)
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status=response.status_code, headers=headers, body=value, problem=problem)


def _parsed(response: httpx.Response, body: bytes) -> tuple[Json | Missing, str]:
    """JSON whatever it calls itself; a problem only when it says that it is JSON."""
    kind = response.headers.get("content-type", "").lower()
    says_json = "json" in kind.split(";")[0]
    if response.headers.get("content-encoding", "identity").lower() != "identity":
        return MISSING, "undecodable"
    if not body:
        return MISSING, ""
    text = _decoded(body, response.charset_encoding)
    if text is None:
        return MISSING, "undecodable" if says_json else ""
    try:
        value: Json = json.loads(text, parse_constant=_refuse, parse_float=_finite)
    except (ValueError, RecursionError):
        return MISSING, "not-json" if says_json else ""
    return value, ""


def _decoded(body: bytes, charset: str | None) -> str | None:
    """UTF-8 (RFC 8259, 8.1), else what the server says it is."""
    for encoding in ("utf-8-sig", charset or "utf-8"):
        try:
            return body.decode(encoding)
        except (UnicodeDecodeError, LookupError):
            continue
    return None


def _refuse(constant: str) -> Json:
    raise ValueError(constant)


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise ValueError(text)
    return value


class _Transport(httpx.HTTPTransport):
    """httpx's own, over a pool whose sockets ask the budget."""

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(verify=tls, trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=_CONNECTIONS,
            keepalive_expiry=_IDLE_S,
            network_backend=_Backend(),
        )


class _Backend(httpcore.NetworkBackend):
    """Opens connections within the budget; the timeouts that it is handed are not used."""

    def __init__(self) -> None:
        self._sockets = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        _budget.get().phase = "dns"
        addresses = _addresses(host, port)
        _budget.get().phase = "connect"
        for address in addresses[:-1]:
            try:
                return self._connect(address, port, socket_options)
            except httpcore.ConnectError:
                continue
        return self._connect(addresses[-1], port, socket_options)

    def _connect(
        self, address: str, port: int, options: Iterable[httpcore.SOCKET_OPTION] | None
    ) -> httpcore.NetworkStream:
        stream = self._sockets.connect_tcp(
            address, port, timeout=_left(httpcore.ConnectTimeout), socket_options=options
        )
        return _Stream(stream)


class _Stream(httpcore.NetworkStream):
    def __init__(self, inner: httpcore.NetworkStream) -> None:
        self._inner = inner
        self._socket: socket.socket = inner.get_extra_info("socket")

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        data = self._inner.read(max_bytes, _left(httpcore.ReadTimeout))
        _budget.get().closed = not data
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Asks the budget before each send: a server that reads slowly is a slow server too."""
        view = memoryview(buffer)
        while view:
            self._socket.settimeout(_left(httpcore.WriteTimeout))
            _budget.get().sent = True
            with _as_httpcore():
                view = view[self._socket.send(view) :]

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        _budget.get().phase = "tls"
        left = _left(httpcore.ConnectTimeout)
        return _Stream(self._inner.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


@contextmanager
def _as_httpcore() -> Iterator[None]:
    try:
        yield
    except TimeoutError as problem:
        raise httpcore.WriteTimeout from problem
    except OSError as problem:
        raise httpcore.WriteError from problem


def _left(late: type[httpcore.TimeoutException]) -> float:
    left = _budget.get().left()
    if left <= 0:
        raise late
    return left


def _addresses(host: str, port: int) -> list[str]:
    """At least one. ``getaddrinfo`` knows no timeout, so it runs where nobody waits for it."""
    found: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def resolve() -> None:
        try:
            infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            infos = []
        found.put([str(info[4][0]) for info in infos])

    threading.Thread(target=resolve, daemon=True, name="durazzo-dns").start()
    try:
        addresses = found.get(timeout=_left(httpcore.ConnectTimeout))
    except queue.Empty:
        raise httpcore.ConnectTimeout from None
    if not addresses:
        raise httpcore.ConnectError
    return addresses
