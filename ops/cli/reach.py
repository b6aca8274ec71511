"""Whether somebody listens there: a connection is opened and closed, nothing is sent."""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

#: For all that are asked together. s.
PATIENCE: Final = 3.0


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A host and its port; port 0: the path of a Unix socket."""

    host: str
    port: int

    def __str__(self) -> str:
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def place_of(url: str) -> Place:
    """``url``: as ``Settings.redis_url``."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return Place(unquote(parts.path), 0)
    return Place(parts.hostname or "localhost", parts.port or 6379)


def refusals(places: Iterable[Place], patience: float = PATIENCE) -> dict[Place, str]:
    """Why no connection came about, by place; "" when one did. All at the same time."""
    reasons = dict.fromkeys(places, f"no answer in {patience:g} s")
    answers: queue.SimpleQueue[tuple[Place, str]] = queue.SimpleQueue()

    def ask(place: Place) -> None:
        answers.put((place, _refusal(place, patience)))

    for place in reasons:
        # Looking up a name knows no timeout: the thread is not waited for.
        threading.Thread(target=ask, args=(place,), daemon=True, name="durazzo-reach").start()
    ends = time.monotonic() + patience
    for _ in range(len(reasons)):
        try:
            place, reason = answers.get(timeout=max(ends - time.monotonic(), 0.001))
        except queue.Empty:
            break
        reasons[place] = reason
    return reasons


def refusal(place: Place, patience: float = PATIENCE) -> str:
    return refusals([place], patience)[place]


def _refusal(place: Place, patience: float) -> str:
    try:
        _connect(place, patience)
    except socket.gaierror:
        return "its name is not known"
    except TimeoutError:
        return f"no answer in {patience:g} s"
    except ConnectionRefusedError:
        return "it refuses the connection"
    except OSError as error:
        return (error.strerror or type(error).__name__).lower()
    except (UnicodeError, OverflowError):
        return "its name cannot be one"
    return ""


def _connect(place: Place, patience: float) -> None:
    if place.port:
        socket.create_connection((place.host, place.port), timeout=patience).close()
        return
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(patience)
        line.connect(place.host)
