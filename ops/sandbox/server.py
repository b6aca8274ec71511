"""The server: `serve` runs it until it is told to stop, `BackgroundSandbox` beside a test."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import shlex
import signal
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from aiohttp import web

from ops.sandbox.control import DOCUMENTED
from ops.sandbox.exchange import Clock
from ops.sandbox.settings import (
    ANTHROPIC_API_KEY,
    FINTECTURE_APP_ID,
    FINTECTURE_APP_SECRET,
    STRIPE_SECRET_KEY,
    TWILIO_ACCOUNT_SID,
    TWILIO_AUTH_TOKEN,
    Settings,
)
from ops.sandbox.wire import Sandbox

WARNING: Final = (
    "these are look-alikes of Stripe, Twilio, Fintecture and Anthropic for tests: they move no "
    "money, send no texts and ask no model"
)
_DEFAULTS: Final = Settings()
#: Seconds that calls under way get to end when the server stops.
_GRACE: Final = 2.0


@asynccontextmanager
async def listening(sandbox: Sandbox, *, host: str, port: int, grace: float) -> AsyncIterator[str]:
    """Serves meanwhile, and gives the base URL. Port 0 is a free port."""
    server = web.Server(sandbox.handle, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=grace)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port, backlog=1024).start()
        bound = runner.addresses[0][1]
        yield f"http://{f'[{host}]' if ':' in host else host}:{bound}"
    finally:
        await runner.cleanup()


def env_lines(base_url: str) -> str:
    """What points durazzo at the sandbox, for a shell to source."""
    pairs = _variables(base_url).items()
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in pairs)


def _variables(base_url: str) -> dict[str, str]:
    servers = {
        "https://api.stripe.com": f"{base_url}/stripe",
        "https://api.twilio.com": f"{base_url}/twilio",
        "https://api.fintecture.com": f"{base_url}/fintecture",
        "https://api-sandbox.fintecture.com": f"{base_url}/fintecture",
        "https://api.anthropic.com": f"{base_url}/anthropic",
    }
    return {
        "DURAZZO_SERVERS": json.dumps(servers),
        "STRIPE_SECRET_KEY": STRIPE_SECRET_KEY,
        "TWILIO_ACCOUNT_SID": TWILIO_ACCOUNT_SID,
        "TWILIO_AUTH_TOKEN": TWILIO_AUTH_TOKEN,
        "FINTECTURE_APP_ID": FINTECTURE_APP_ID,
        "FINTECTURE_APP_SECRET": FINTECTURE_APP_SECRET,
        "ANTHROPIC_API_KEY": ANTHROPIC_API_KEY,
    }


def write_private(path: Path, text: str) -> None:
    """Writes a file at once or not at all, for its owner's eyes only."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:  # mkstemp's mode is 0600
            file.write(text)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def serve(
    *,
    port: int,
    host: str = "127.0.0.1",
    env_file: Path | None,
    announce: Callable[[str], None],
    settings: Settings = _DEFAULTS,
) -> None:
    """Serves until SIGTERM or SIGINT. OSError if the port is taken or the file cannot be written.

    The file is written, and the address announced, once the port is bound.
    """
    asyncio.run(_serve(port, host, env_file, announce, settings))


async def _serve(
    port: int,
    host: str,
    env_file: Path | None,
    announce: Callable[[str], None],
    settings: Settings,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with suppress(NotImplementedError):  # Windows: there Ctrl-C raises KeyboardInterrupt
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    sandbox = Sandbox(settings, clock=time.time, entropy=_entropy())
    async with listening(sandbox, host=host, port=port, grace=_GRACE) as base_url:
        if env_file is not None:
            write_private(env_file, env_lines(base_url))
        announce(f"sandbox listening on {base_url}")
        announce(WARNING)
        if settings.documented:
            announce(DOCUMENTED)
        await stop.wait()


def _entropy() -> random.Random:
    return random.Random()  # noqa: S311 - names, not secrets


class BackgroundSandbox:
    """A sandbox in a thread of this process, on a free loopback port.

    >>> with BackgroundSandbox() as sandbox:
    ...     sandbox.faults({"match": "POST /twilio/*", "do": "drop_after"})
    ...     sandbox.ledger()["duplicates"]
    {'charges': 0, 'messages': 0}
    """

    def __init__(self, settings: Settings = _DEFAULTS, *, clock: Clock = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self._bound: Future[tuple[str, Callable[[], object]]] = Future()
        self._thread = threading.Thread(target=self._run, name="sandbox", daemon=True)
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        self.url, self._end = self._bound.result()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()
        self._thread.join()

    @property
    def env(self) -> Mapping[str, str]:
        """The variables of `env_lines`, for a process to be started with."""
        return _variables(self.url)

    def ledger(self, *, requests: bool = True) -> dict[str, Any]:
        return self._ask("GET", "/ledger" if requests else "/ledger?requests=0")

    def summary(self) -> dict[str, Any]:
        return self._ask("GET", "/ledger/summary")

    def faults(self, faults: Mapping[str, object] | Sequence[Mapping[str, object]]) -> None:
        """Scripts faults on top of those there are. ValueError if one is not well defined."""
        self._ask("POST", "/faults", faults)

    def advance(self, seconds: float) -> None:
        """Moves the sandbox's clock forward."""
        self._ask("POST", "/clock", {"advance": seconds})

    def reset(self) -> None:
        self._ask("POST", "/reset")

    def _ask(self, method: str, path: str, document: object = None) -> dict[str, Any]:
        body = None if document is None else json.dumps(document)
        with closing(http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=30)) as line:
            line.request(method, path, body)
            answer = line.getresponse()
            said: dict[str, Any] = json.load(answer)
        if answer.status != http.HTTPStatus.OK:
            raise ValueError(said["error"]["message"])
        return said

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # handed to the thread that waits for it
            if self._bound.done():
                raise
            self._bound.set_exception(error)

    async def _serve(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        sandbox = Sandbox(self._settings, clock=self._clock, entropy=_entropy())
        async with listening(sandbox, host="127.0.0.1", port=0, grace=0.1) as base_url:
            self._bound.set_result((base_url, lambda: loop.call_soon_threadsafe(stop.set)))
            await stop.wait()
