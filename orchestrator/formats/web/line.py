"""Sockets that are late together: httpcore's network, within one deadline and to judged addresses.

httpcore bounds each read, so a server that drips a byte a second would hold a reader for ever.
"""

# ruff: noqa: ARG002 - httpcore's signatures, whose timeouts the deadline replaces
from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

import httpcore

from orchestrator.clock import Clock

#: Host and port → IP addresses. Raises OSError.
Resolve: TypeAlias = Callable[[str, int], Sequence[str]]
#: Host, port and IP addresses → those that may be connected to, at least one. Raises for none.
Judge: TypeAlias = Callable[[str, int, Sequence[str]], Sequence[str]]
Stage: TypeAlias = Literal["name", "connection", "tls", "answer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    clock: Clock
    #: On the clock's monotonic time. ms.
    ends: int

    def left(self, late: type[httpcore.TimeoutException]) -> float:
        """Seconds. Raises ``late`` when there are none."""
        left = (self.ends - self.clock.monotonic_ms()) / 1000
        if left <= 0:
            raise late
        return left


class Line(httpcore.NetworkBackend):
    """Resolves a name once, and connects to what was judged of its addresses."""

    def __init__(
        self, deadline: Deadline, *, connect_s: float, resolve: Resolve, judge: Judge
    ) -> None:
        self._sockets = httpcore.SyncBackend()
        self._deadline = deadline
        self._connect_s = connect_s
        self._resolve = resolve
        self._judge = judge
        #: How far it came, and with whom: what a failure is explained by.
        self.stage: Stage = "name"
        self.host = ""
        #: Why its certificate was not taken, if it was not.
        self.distrust = ""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        self.stage, self.host = "name", host
        addresses = self._judge(host, port, self._addresses(host, port))
        self.stage = "connection"
        for address in addresses[:-1]:
            try:
                return self._connect(address, port)
            except httpcore.ConnectError:
                continue
        return self._connect(addresses[-1], port)

    def failed(self) -> str:
        """What did not happen, for a person."""
        match self.stage:
            case "name":
                return f"the name {self.host} was not resolved"
            case "connection":
                return f"no connection to {self.host}"
            case "tls":
                return f"no TLS connection to {self.host}{self.distrust}"
            case "answer":
                return f"no whole HTTP answer from {self.host}"
            case _:
                assert_never(self.stage)

    def _connect(self, address: str, port: int) -> httpcore.NetworkStream:
        seconds = min(self._connect_s, self._deadline.left(httpcore.ConnectTimeout))
        try:
            stream = self._sockets.connect_tcp(address, port, timeout=seconds)
        except httpcore.ConnectTimeout:
            # Not the deadline, which is longer: the message has no time to name.
            raise httpcore.ConnectError from None
        self.stage = "answer"
        return _Stream(self, stream, self._deadline)

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        """At least one. Resolving knows no timeout, so it runs where nobody waits for it."""
        found: queue.SimpleQueue[Sequence[str]] = queue.SimpleQueue()

        def resolve() -> None:
            try:
                found.put(self._resolve(host, port))
            except (OSError, UnicodeError):
                found.put(())

        threading.Thread(target=resolve, daemon=True, name="durazzo-source-name").start()
        try:
            addresses = found.get(timeout=self._deadline.left(httpcore.ConnectTimeout))
        except queue.Empty:
            raise httpcore.ConnectTimeout from None
        if not addresses:
            raise httpcore.ConnectError
        return addresses


class _Stream(httpcore.NetworkStream):
    def __init__(self, line: Line, inner: httpcore.NetworkStream, deadline: Deadline) -> None:
        self._line = line
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._inner.read(max_bytes, self._deadline.left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._inner.write(buffer, self._deadline.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        self._line.stage = "tls"
        left = self._deadline.left(httpcore.ConnectTimeout)
        try:
            secured = self._inner.start_tls(ssl_context, server_hostname, left)
        except httpcore.ConnectError as problem:
            if isinstance(cause := problem.__cause__, ssl.SSLCertVerificationError):
                self._line.distrust = f" ({cause.verify_message})"
            raise
        self._line.stage = "answer"
        return _Stream(self._line, secured, self._deadline)

    def get_extra_info(self, info: str) -> object:
        return self._inner.get_extra_info(info)


def system_addresses(host: str, port: int) -> Sequence[str]:
    infos = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(info[4][0]) for info in infos]
