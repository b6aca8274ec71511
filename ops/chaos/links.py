"""Lines that can be cut: proxies between a worker and what it talks to.

One thread serves them all. A line carries bytes and reads none of them.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self, TypeAlias

#: A Unix socket's path, or a port on loopback.
Address: TypeAlias = str | int
_CHUNK: Final = 65_536
_BACKLOG: Final = 1024
#: For a port that somebody else has for a moment. s.
_PATIENCE: Final = 10.0
_AGAIN: Final = 0.05
#: What no trouble lasts. s.
_LONGEST: Final = 60.0


@dataclass(slots=True, eq=False)
class _Call:
    """One connection: both its ends."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    task: asyncio.Task[None] | None = None

    def ends(self) -> list[asyncio.StreamWriter]:
        return [end for end in (self.near, self.far) if end is not None]


class Link:
    """One line. Everything here but the constructor runs in the loop's thread."""

    def __init__(self, name: str, to: Address) -> None:
        self.name = name
        self.at: Address = 0
        self._to = to
        self._calls: set[_Call] = set()
        self._there = asyncio.Event()
        self._back = asyncio.Event()
        self._there.set()
        self._back.set()
        self._server: asyncio.Server | None = None

    async def listen(self, at: Address) -> None:
        """At this address from now on; port 0 is a free one."""
        self._server = await _served(self._serve, at)
        self.at = at or int(self._server.sockets[0].getsockname()[1])

    async def lead(self, to: Address) -> None:
        """Somewhere else from now on, as an address does upon a failover."""
        self._to = to
        await self.cut()

    async def cut(self) -> None:
        for call in self._calls:
            for end in call.ends():
                end.transport.abort()

    async def stall(self, seconds: float) -> None:
        """Nothing moves either way; then all of it arrives."""
        self._there.clear()
        await self._hold(seconds)
        self._there.set()

    async def swallow(self, seconds: float) -> None:
        """What is asked is carried out; its answer is lost with the connection."""
        self._back.clear()
        await asyncio.sleep(seconds)
        await self.cut()
        self._back.set()

    async def refuse(self, seconds: float) -> None:
        self._close()
        await self.cut()
        await asyncio.sleep(seconds)
        loop = asyncio.get_running_loop()
        ends = loop.time() + _PATIENCE
        while True:
            try:
                return await self.listen(self.at)
            except OSError:
                if loop.time() > ends:
                    raise
            await asyncio.sleep(_AGAIN)

    async def end(self) -> None:
        self._close()
        tasks = [call.task for call in self._calls if call.task is not None]
        self._there.set()
        self._back.set()
        await self.cut()
        await asyncio.gather(*tasks)

    async def _hold(self, seconds: float) -> None:
        self._back.clear()
        await asyncio.sleep(seconds)
        self._back.set()

    def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _serve(self, reader: asyncio.StreamReader, near: asyncio.StreamWriter) -> None:
        call = _Call(near=near, task=asyncio.current_task())
        self._calls.add(call)
        try:
            there, call.far = await _connected(self._to)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(_pump(reader, call.far, self._there))
                ways.create_task(_pump(there, near, self._back))
        except* OSError:
            # Whoever is at the other end learns it by the end of the connection.
            pass
        finally:
            for end in call.ends():
                # What has arrived here is still passed on.
                end.close()
            for end in call.ends():
                with suppress(OSError):
                    await end.wait_closed()
            self._calls.discard(call)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, gate: asyncio.Event
) -> None:
    """Raises OSError at either end's end: one way without the other is no connection here."""
    while data := await reader.read(_CHUNK):
        await gate.wait()
        writer.write(data)
        await writer.drain()
    raise ConnectionResetError


async def _served(serve: Callable[..., Coroutine[Any, Any, None]], at: Address) -> asyncio.Server:
    if isinstance(at, str):
        return await asyncio.start_unix_server(serve, at, backlog=_BACKLOG)
    return await asyncio.start_server(serve, "127.0.0.1", at, backlog=_BACKLOG)


async def _connected(to: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(to, str):
        return await asyncio.open_unix_connection(to)
    return await asyncio.open_connection("127.0.0.1", to)


class Links:
    """The thread that serves them, and the way to it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="links", daemon=True)
        self._links: list[Link] = []
        self._lasting: list[Future[None]] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for link in self._links:
            self._run(link.end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def lay(self, name: str, *, to: Address, at: Address = 0) -> Link:
        link = Link(name, to)
        self._run(link.listen(at))
        self._links.append(link)
        return link

    def begin(self, trouble: Coroutine[Any, Any, None]) -> None:
        """Of a link's; it lasts by itself."""
        self._lasting.append(asyncio.run_coroutine_threadsafe(trouble, self._loop))

    def calm(self) -> None:
        """Returns when every trouble is over. Raises what one raised."""
        while self._lasting:
            self._lasting.pop().result(_LONGEST)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE)
