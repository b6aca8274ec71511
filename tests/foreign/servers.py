"""localstripe and Prism as processes on loopback, and what each has to say about its callers."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError
from urllib.parse import urlencode

import pytest
import yaml

from ops.lab import wait_for
from orchestrator.formats.load import specs_folder
from tests.foreign import installed

#: localstripe takes any key that begins so.
SECRET_KEY: Final = "sk_test_anybody"
AUTH_TOKEN: Final = "0123456789abcdef0123456789abcdef"
SID: Final = "SM" + "e" * 32

# Its own command listens on every interface and keeps its books in a file that all users of the
# machine share. This starts the same application on loopback, with books that end with it.
_LOCALSTRIPE: Final = """
import socket
from aiohttp import web
from localstripe import resources, server
resources.Store.dump_to_disk = lambda self: None
listener = socket.create_server(("127.0.0.1", 0))
print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
web.run_app(server.app, sock=listener, print=None)
"""
_LISTENING: Final = re.compile(r"listening on (http://127\.0\.0\.1:\d+)")
_E164: Final = r"^\+[1-9][0-9]{6,14}$"
_MESSAGES: Final = "/Accounts/{AccountSid}/Messages.json"
_DIRECT: Final = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(
    url: str,
    *,
    user: str = "",
    password: str = "",
    body: str | None = None,
    method: str | None = None,
    **headers: str,
) -> tuple[int, Any]:
    """A status and the JSON of an answer, by a client that durazzo has no part in."""
    request = urllib.request.Request(
        url, method=method, data=None if body is None else body.encode()
    )
    if user:
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {pair}")
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    try:
        with _DIRECT.open(request, timeout=30) as answer:
            text = answer.read()
            return answer.status, json.loads(text) if text else None
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStripe:
    url: str

    def ask(self, path: str, body: str | None = None, **headers: str) -> tuple[int, Any]:
        return ask(f"{self.url}{path}", user=SECRET_KEY, body=body, **headers)

    def listed(self, objects: str) -> list[dict[str, Any]]:
        """Its own books: ``charges`` has the declined ones as well."""
        status, page = self.ask(f"/v1/{objects}?limit=100")
        assert status == 200
        found: list[dict[str, Any]] = page["data"]
        return found

    def paid(self) -> list[tuple[str, int]]:
        """Intent and amount of all charges that took money."""
        return [(c["payment_intent"], c["amount"]) for c in self.listed("charges") if c["paid"]]

    def card(self, number: str) -> str:
        """A payment method with one of the test numbers."""
        card = {"number": number, "exp_month": "12", "exp_year": "2030", "cvc": "123"}
        form = {"type": "card", **{f"card[{name}]": text for name, text in card.items()}}
        status, made = self.ask("/v1/payment_methods", urlencode(form))
        assert status == 200
        name: str = made["id"]
        return name

    def forget(self) -> None:
        assert ask(f"{self.url}/_config/data", method="DELETE") == (200, None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prism:
    url: str
    log: Path

    def ask(self, account: str, body: str, **headers: str) -> int:
        """The status of what ``account`` gets for this body as a new text."""
        url = f"{self.url}/Accounts/{account}/Messages.json"
        return ask(url, user=account, password=AUTH_TOKEN, body=body, **headers)[0]

    def asked(self, account: str) -> int:
        """How often it was asked for a text of this account. It may still be writing it down."""
        path = f"post /Accounts/{account}/Messages.json"
        lines = self.log.read_text().splitlines()
        return sum(path in line and "Request received" in line for line in lines)


@contextmanager
def localstripe(folder: Path) -> Iterator[LocalStripe]:
    command = [str(installed.localstripe()), "-I", "-c", _LOCALSTRIPE]
    with _listening(command, folder / "localstripe.log") as url:
        yield LocalStripe(url=url)


@contextmanager
def prism(folder: Path) -> Iterator[Prism]:
    """It answers as the description says, after it has held the request against it."""
    description = folder / "twilio.yaml"
    description.write_text(yaml.safe_dump(twilio()))
    command = [
        str(installed.prism()), "mock", "--errors", "--host", "127.0.0.1", "--port", "0",
        str(description),
    ]  # fmt: skip
    log = folder / "prism.log"
    with _listening(command, log) as url:
        yield Prism(url=url, log=log)


def twilio() -> Any:
    """The shipped description, made as strict as Twilio is about a text with a sender."""
    found = yaml.safe_load((specs_folder() / "openapi" / "twilio.yaml").read_text())
    operation = found["paths"][_MESSAGES]["post"]
    form = operation["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"]
    form["required"] = ["To", "From", "Body"]
    for number in ("To", "From"):
        form["properties"][number]["pattern"] = _E164
    message = operation["responses"]["201"]["content"]["application/json"]
    message["example"] = {"sid": SID, "status": "queued"}
    return found


@contextmanager
def _listening(command: Sequence[str], log: Path) -> Iterator[str]:
    """The URL at which the command says that it listens; the process ends with the context."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_for(
            lambda: process.poll() is not None or _LISTENING.search(log.read_text()) is not None,
            log.stem,
            seconds=60,
        )
        found = _LISTENING.search(log.read_text())
        if found is None:
            pytest.fail(f"{log.stem} does not start:\n{log.read_text()[-2000:]}", pytrace=False)
        yield found[1]
    finally:
        process.kill()
        process.wait()
