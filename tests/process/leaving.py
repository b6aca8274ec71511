"""All that leaves durazzo's processes, by where it goes, as one text each."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import httpx
import redis
from flower.urls import handlers

from ops.flower.pages import handlers as own_handlers
from ops.flower.views import Views
from orchestrator.canvas.messages import STEP_TASK
from orchestrator.wiring import connect
from tests.process.scan import unpacked

_GROUP = re.compile(r"\(.*\)")
_ALL = "draw=1&start=0&length=1000&order[0][column]=0&order[0][dir]=asc&columns[0][data]=name"


class Tap:
    """Every command that Redis executes, scripts' own included, as MONITOR tells it."""

    def __init__(self, url: str) -> None:
        self.lines: list[str] = []
        self._client = connect(url)
        self._monitor: Any = self._client.monitor()  # type: ignore[no-untyped-call]
        self._monitor.__enter__()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for entry in self._monitor.listen():
                self.lines.append(entry["command"])
        except Exception:  # noqa: BLE001  the server went away: the test is over
            return

    def text(self) -> bytes:
        return "\n".join(self.lines).encode("utf-8", "surrogateescape")

    def of(self, word: str) -> bytes:
        return "\n".join(line for line in self.lines if word in line).encode(
            "utf-8", "surrogateescape"
        )


def values(client: redis.Redis, match: str = "*") -> bytes:
    """Every key and every value, and what is packed in them."""
    readers: dict[Any, Callable[[Any], Any]] = {
        b"hash": lambda key: [word for pair in client.hgetall(key).items() for word in pair],
        b"list": lambda key: client.lrange(key, 0, -1),
        b"string": lambda key: [client.get(key)],
        b"zset": lambda key: [str(x).encode() for x in client.zrange(key, 0, -1, withscores=True)],
        b"set": lambda key: list(client.smembers(key)),
    }
    found: list[bytes] = []
    for key in client.scan_iter(match):
        held = readers[client.type(key)](key)
        found += [key, *held, *(part for value in held for part in unpacked(value))]
    return b"\n".join(found)


def dumps(client: redis.Redis) -> bytes:
    """Every value as Redis writes it to a file, not compressed."""
    client.config_set("rdbcompression", "no")
    return b"\n".join(client.dump(key) or b"" for key in client.scan_iter("*"))


def files(folder: Path, pattern: str) -> bytes:
    found = sorted(path for path in folder.glob(pattern) if path.is_file())
    return b"\n".join(path.read_bytes() for path in found)


def command_lines() -> bytes:
    """Of the processes that this one started, and of theirs."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    family = {os.getpid()}
    for _ in parents:
        family |= {pid for pid, parent in parents.items() if parent in family}
    found = [Path("/proc", str(pid), "cmdline") for pid in family - {os.getpid()}]
    return b"\n".join(path.read_bytes() for path in found if path.exists())


def routes() -> list[str]:
    """Every pattern that Flower's server answers, its own and durazzo's."""
    table = [*own_handlers(cast("Views", None)), *handlers]
    plain = (str((getattr(h, "regex", None) and h.regex.pattern) or h[0]) for h in table)
    return list(dict.fromkeys(pattern.rstrip("$") for pattern in plain))


def filled(route: str, name: str) -> str:
    """``name`` in the place of what the route asks for."""
    path = _GROUP.sub(lambda _: quote(name, safe=""), route).replace("/?", "").replace(".*", name)
    return path if path.startswith("/") else f"/{path}"


def tasks(client: httpx.Client) -> list[dict[str, Any]]:
    """Those that Flower knows."""
    found: list[dict[str, Any]] = client.get(f"/tasks/datatable?{_ALL}&search[value]=").json()[
        "data"
    ]
    return found


def ended(client: httpx.Client) -> set[str]:
    return {task["uuid"] for task in tasks(client) if task["state"] == "SUCCESS"}


def pages(client: httpx.Client, runs: list[str]) -> bytes:
    """Every answer of Flower's, to GET and to POST, about all that it knows of."""
    known = tasks(client)
    workers = list(client.get("/api/workers?refresh=1").json())
    ids = [task["uuid"] for task in known]
    some = {task["state"]: task["uuid"] for task in known}.values()
    # Of a worker that there is not Flower asks all, and waits for an answer.
    every = {
        filled(route, name): None
        for route in routes()
        for name in [
            *workers,
            *([] if route.startswith("/worker/") else [*some, runs[0], STEP_TASK]),
        ]
    }
    each = [f"/run/{run}" for run in runs]
    each += [f"{of}{one}" for of in ("/task/", "/api/task/info/") for one in ids]
    each += [f"/api/task/result/{one}" for one in some]
    each += [f"/tasks/datatable?{_ALL}&search[value]={runs[0]}", "/workers?json=1", "/api/tasks"]
    found = [json.dumps(known).encode()]
    found += [client.get(path).content for path in dict.fromkeys([*every, *each])]
    found += [client.post(path).content for path in every]
    return b"\n".join(found)


__all__ = [
    "Tap",
    "command_lines",
    "dumps",
    "ended",
    "files",
    "filled",
    "pages",
    "routes",
    "tasks",
    "values",
]
