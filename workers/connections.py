"""Connections to providers: kept and used again, every wait on them inside one call's budget.

httpx and httpcore bound each read, so a server that drips a byte a second holds a caller for
ever. Here a ``Budget`` bounds the whole call, from resolving the name to the last byte of the
body; it stands in a context variable, because a kept connection outlives the call that opened
it. The budget also knows whether a byte of the request may have left, which decides between
"surely nothing happened" and "nobody knows".
"""

# ruff: noqa: ARG002 - httpcore's signatures, whose timeouts the budget replaces
from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import httpcore

from orchestrator.policy.call_hosts import CallHosts

#: Shorter than servers keep idle connections. One that closes just as a request goes out
#: leaves an unknown outcome.
_IDLE_S: Final = 3.0

Phase: TypeAlias = Literal["pool", "dns", "connect", "tls"]
#: Scheme, host and port.
Place: TypeAlias = tuple[bytes, bytes, int]
#: With ``Budget.named`` and ``Budget.exposed``: who was judged alike.
_Shelf: TypeAlias = tuple[Place, bool, bool]
#: Host and port → IP addresses. Raises OSError, UnicodeError.
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]


@dataclass(slots=True)
class Budget:
    """What is left of one call's time, and how far it came."""

    #: On the monotonic clock.
    ends: float
    phase: Phase = "pool"
    #: From here on the provider may have the request: set before the first write, not after.
    sent: bool = False
    closed: bool = False
    #: The operator named the server of this very call.
    named: bool = False
    #: It carries a credential in clear text.
    exposed: bool = False

    def left(self) -> float:
        return self.ends - time.monotonic()

    def begin(self) -> Token[Budget]:
        """Every wait of this thread is held against it, until ``end``."""
        return _budget.set(self)

    @staticmethod
    def end(token: Token[Budget]) -> None:
        _budget.reset(token)


_budget: ContextVar[Budget] = ContextVar("budget")


class Refused(Exception):
    """None of a host's addresses may be called. Nothing was sent."""

    def __init__(self, code: str, host: str) -> None:
        super().__init__(code)
        self.code = code
        self.host = host


class Connections:
    """One call at a time has a connection, so there are as many as there are calls under way.

    The one that was used last is used first: what a quiet hour does not need runs out.
    """

    def __init__(
        self, tls: ssl.SSLContext, hosts: CallHosts, resolve: Resolve | None = None
    ) -> None:
        self._tls = tls
        self._backend = _Backend(hosts, resolve or system_addresses)
        self._lock = threading.Lock()
        self._idle: dict[_Shelf, deque[httpcore.HTTPConnection]] = {}

    @contextmanager
    def lent(self, place: Place) -> Iterator[httpcore.HTTPConnection]:
        """Kept again after the block if its answer was read to the end, else closed."""
        budget = _budget.get()
        # What was judged for one kind of call is not taken for another one.
        shelf = (place, budget.named, budget.exposed)
        connection = self._kept(shelf) or self._new(place)
        try:
            yield connection
        finally:
            self._take_back(shelf, connection)

    def close(self) -> None:
        """Those that are lent are closed by whoever has them."""
        for connection in self._removed(lambda _: True):
            connection.close()

    def _kept(self, shelf: _Shelf) -> httpcore.HTTPConnection | None:
        while True:
            with self._lock:
                idle = self._idle.get(shelf)
                connection = idle.pop() if idle else None
            if connection is None or not connection.has_expired():
                return connection
            connection.close()

    def _new(self, place: Place) -> httpcore.HTTPConnection:
        # Seldom enough to look at all of them: an origin that nobody calls any more is in no
        # other one's way.
        for connection in self._removed(httpcore.HTTPConnection.has_expired):
            connection.close()
        return httpcore.HTTPConnection(
            httpcore.Origin(*place),
            ssl_context=self._tls,
            keepalive_expiry=_IDLE_S,
            network_backend=self._backend,
        )

    def _take_back(self, shelf: _Shelf, connection: httpcore.HTTPConnection) -> None:
        if not connection.is_idle():
            connection.close()
            return
        with self._lock:
            self._idle.setdefault(shelf, deque()).append(connection)

    def _removed(
        self, which: Callable[[httpcore.HTTPConnection], bool]
    ) -> list[httpcore.HTTPConnection]:
        found: list[httpcore.HTTPConnection] = []
        with self._lock:
            for shelf, idle in list(self._idle.items()):
                kept: deque[httpcore.HTTPConnection] = deque()
                for connection in idle:
                    (found if which(connection) else kept).append(connection)
                if kept:
                    self._idle[shelf] = kept
                else:
                    del self._idle[shelf]
        return found


class _Backend(httpcore.NetworkBackend):
    """Opens connections within the budget, and to addresses that were judged.

    The timeouts that it is handed are not used.
    """

    def __init__(self, hosts: CallHosts, resolve: Resolve) -> None:
        self._sockets = httpcore.SyncBackend()
        self._hosts = hosts
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        _budget.get().phase = "dns"
        addresses = self._allowed(host, port, _addresses(self._resolve, host, port))
        _budget.get().phase = "connect"
        for address in addresses[:-1]:
            try:
                return self._connect(address, port, socket_options)
            except httpcore.ConnectError:
                continue
        return self._connect(addresses[-1], port, socket_options)

    def _allowed(self, host: str, port: int, addresses: Sequence[str]) -> Sequence[str]:
        """At least one. A name that leads to several places is called at the allowed ones."""
        budget = _budget.get()
        judged = {
            ip: self._hosts.refusal(host, port, ip, named=budget.named, exposed=budget.exposed)
            for ip in addresses
        }
        allowed = [ip for ip, refusal in judged.items() if not refusal]
        if not allowed:
            raise Refused(judged[addresses[0]], host)
        return allowed

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


def system_addresses(host: str, port: int) -> Sequence[str]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos]


def _addresses(resolve: Resolve, host: str, port: int) -> Sequence[str]:
    """At least one. ``getaddrinfo`` knows no timeout, so it runs where nobody waits for it."""
    found: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found.put(resolve(host, port))
        except (OSError, UnicodeError):
            found.put(())

    threading.Thread(target=ask, daemon=True, name="durazzo-dns").start()
    try:
        addresses = found.get(timeout=_left(httpcore.ConnectTimeout))
    except queue.Empty:
        raise httpcore.ConnectTimeout from None
    if not addresses:
        raise httpcore.ConnectError
    return addresses
