"""The wire: from a request on a socket to a provider and back, past any scripted trouble."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import random
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlsplit

from aiohttp import web

from ops.sandbox.books import Arrival
from ops.sandbox.clock import MovableClock
from ops.sandbox.control import Control
from ops.sandbox.exchange import Call, Clock, Provider, Reply
from ops.sandbox.faults import Do, Trouble
from ops.sandbox.guard import admits
from ops.sandbox.settings import Settings
from ops.sandbox.unplayed import NotPlayedError
from ops.sandbox.world import World

_LOG = logging.getLogger(__name__)
#: It says nothing of what answers: without a name aiohttp gives its own, and its version.
_ASKED: Final = {"WWW-Authenticate": "Bearer", "Server": "sandbox"}


class Sandbox:
    """The request handler: `web.Server(sandbox.handle)`."""

    def __init__(self, settings: Settings, *, clock: Clock, entropy: random.Random) -> None:
        self._clock = MovableClock(clock)
        self._token = settings.control_token
        self._control = Control(settings, clock=self._clock, entropy=entropy)
        #: What was asked for and is not played, each said once.
        self._missed: set[str] = set()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        path, query = _target(request.raw_path)
        provider = self._control.world.providers.get(path[1:].partition("/")[0])
        if provider is None:
            return await self._controlled(request, path, query)
        return await self._provide(request, provider, path, query)

    async def _controlled(
        self, request: web.BaseRequest, path: str, query: str
    ) -> web.StreamResponse:
        authorization = request.headers.get("Authorization", "")
        host = request.headers.get("Host", "")
        if not admits(self._token, path=path, authorization=authorization, host=host):
            return web.Response(status=401, headers=_ASKED)
        return self._control.answer(request.method, path, query, await request.read())

    async def _provide(
        self, request: web.BaseRequest, provider: Provider, path: str, query: str
    ) -> web.StreamResponse:
        body = await _body(request)
        world = self._control.world
        trouble = world.faults.strike(request.method, path)
        call = Call(
            method=request.method,
            path=path[path.find("/", 1) :] if "/" in path[1:] else "/",
            query=query,
            headers=request.headers,
            body=body or b"",
            at=self._clock(),
        )
        arrival = Arrival(
            method=call.method,
            path=path,
            key=call.headers.get("Idempotency-Key"),
            at=call.at,
            digest=hashlib.sha256(call.body).digest(),
            fault=trouble.label,
        )
        world.books.arrived(arrival)
        if body is None:
            reply: Reply | None = provider.failure(413)
        else:
            reply = await self._answer(world, provider, call, trouble)
        if reply is None:
            return _dropped(request)
        arrival.executed = reply.executed
        if trouble.after:
            await asyncio.sleep(trouble.after)
        if trouble.do is Do.DROP_AFTER:
            return _dropped(request)
        arrival.status = reply.status
        if trouble.fault is not None and trouble.do is Do.DRIP:
            return await _dripped(request, reply, trouble.fault.seconds)
        return web.Response(status=reply.status, body=reply.body, headers=reply.headers)

    async def _answer(
        self, world: World, provider: Provider, call: Call, trouble: Trouble
    ) -> Reply | None:
        try:
            return await world.answer(provider, call, trouble)
        except NotPlayedError as error:
            if error.what not in self._missed:
                self._missed.add(error.what)
                _LOG.warning("%s", error.message)
            return error.reply()


def _target(raw_path: str) -> tuple[str, str]:
    """Path and query as they were sent: neither `//` nor a trailing slash is mended."""
    if not raw_path.startswith("/"):
        split = urlsplit(raw_path)
        return unquote(split.path) or "/", split.query
    path, _, query = raw_path.partition("?")
    return unquote(path) if "%" in path else path, query


async def _body(request: web.BaseRequest) -> bytes | None:
    """None if it is longer than the megabyte that aiohttp takes."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None


def _dropped(request: web.BaseRequest) -> web.Response:
    """Closes the connection. The response is for aiohttp only and reaches nobody."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _dripped(
    request: web.BaseRequest, reply: Reply, seconds_a_byte: float
) -> web.StreamResponse:
    response = web.StreamResponse(status=reply.status, headers=reply.headers)
    response.content_length = len(reply.body)
    with suppress(ConnectionError):  # the client may lose patience
        await response.prepare(request)
        for byte in reply.body:
            await response.write(bytes([byte]))
            await asyncio.sleep(seconds_a_byte)
        await response.write_eof()
    return response
