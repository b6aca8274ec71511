"""Looking at runs on Redis, in whichever form they are kept. Nothing here changes a run."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import redis

from orchestrator.engine.events import Event
from orchestrator.engine.state import State
from orchestrator.expressions.nodes import Json
from orchestrator.journal.compact import unpack
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import Listed
from orchestrator.journal.reasons import Reasons
from orchestrator.journal.redis_archive import RedisArchive, state_in
from orchestrator.journal.replies import decoded, raw, readable
from orchestrator.journal.scripts import Scripts
from orchestrator.journal.seal import Seal
from orchestrator.journal.trouble import answering

_T = TypeVar("_T")

#: Runs that one script looks at: a millisecond or so of Redis.
_PAGE: Final = 200


class RedisReading:
    def __init__(self, client: redis.Redis, seal: Seal, keys: Keys | None) -> None:
        self._client = client
        self._seal = seal
        self._keys = keys or Keys()
        self._reasons = Reasons(seal)
        self._archive = RedisArchive(client, seal, self._keys)
        self._looks = Scripts(client, ("page", "lanes"), barrier=False)

    def read(self, run: str) -> State | None:
        def live() -> Any:
            return self._client.hgetall(self._keys.run(run))

        plain = self._either(run, live, lambda text: unpack(text)[0])
        return State.decode(decoded(plain.items())) if plain else None

    def history(self, run: str, *, reasons: bool = False) -> list[Event]:
        def live() -> Any:
            return self._client.lrange(self._keys.log(run), 0, -1)

        lines = self._either(run, live, lambda text: unpack(text)[1]) or []
        events = (Event.decode(line) for line in lines)
        return [self._reasons.told(event, f"{run}:why") if reasons else event for event in events]

    def inputs(self, run: str) -> Mapping[str, Json]:
        return self._values(run, ["inputs"]).get("inputs") or {}

    def outputs(self, run: str, steps: Sequence[str]) -> dict[str, Mapping[str, Json]]:
        found = self._values(run, [f"o:{step}" for step in steps])
        return {name[2:]: values for name, values in found.items()}

    def key_of(self, run: str) -> str | None:
        found = self._values(run, ["key"])
        return str(found["key"]) if found else None

    def recent(self, limit: int) -> list[str]:
        with answering():
            runs: Any = self._client.zrevrange(self._keys.runs, 0, limit - 1)
        return [run.decode() for run in runs]

    def page(self, *, until: int, since: int, limit: int, after: str = "") -> list[Listed]:
        values = [after, until, since, limit, self._keys.run(""), self._keys.done("")]
        rows = self._looks.call("page", [self._keys.runs], values)
        return [
            Listed(
                run=run.decode(),
                accepted=int(accepted),
                state=state_in(put_away) if put_away else readable(plain),
            )
            for run, accepted, plain, put_away in rows
        ]

    def lanes(self) -> frozenset[str]:
        k, cursor = self._keys, 0
        found: set[str] = set()
        while True:
            values = [cursor, _PAGE, k.run(""), k.batch("")]
            cursor, lanes = self._looks.call("lanes", [k.due, k.active_batches], values)
            found.update(lane.decode() for lane in lanes)
            if int(cursor) == 0:
                return frozenset(found)

    def unended(self, first: int, limit: int) -> list[Listed]:
        return self._listed(self._keys.due, first, limit)

    def doubted(self, limit: int) -> list[Listed]:
        return self._listed(self._keys.doubt, 0, limit)

    def _listed(self, among: str, first: int, limit: int) -> list[Listed]:
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            found: Any = self._client.zrange(among, first, first + limit - 1)
            runs = [run.decode() for run in found]
            for run in runs:
                pipeline.hgetall(self._keys.run(run))
            states = [_readable(plain) for plain in pipeline.execute()]
        return [
            Listed(run=run, accepted=state.accepted if state else 0, state=state)
            for run, state in zip(runs, states, strict=True)
        ]

    def _either(self, run: str, live: Callable[[], _T], put_away: Callable[[bytes], _T]) -> _T:
        """What there is of a run, in either form; what ``live`` says when it is in none."""
        with answering():
            found = live()
        if found:
            return found
        text = self._archive.find(run)
        if text is not None:
            return put_away(text)
        # Taken out between the two looks, or not there at all.
        with answering():
            return live()

    def _values(self, run: str, names: Sequence[str]) -> dict[str, Any]:
        """Those that are there, by name."""
        if not names:
            return {}

        def live() -> dict[str, Any]:
            sealed: Any = self._client.hmget(self._keys.data(run), list(names))
            there = ((name, value) for name, value in zip(names, sealed, strict=True) if value)
            return {name: self._value(value, run, name) for name, value in there}

        def put_away(text: bytes) -> dict[str, Any]:
            found = self._archive.values(run, text)
            return {name: found[name] for name in names if name in found}

        return self._either(run, live, put_away)

    def _value(self, sealed: Any, run: str, name: str) -> Any:
        opened = self._seal.open(raw(sealed), f"{run}:{name}")
        return opened.decode() if name == "key" else json.loads(opened)


def _readable(plain: dict[bytes, bytes]) -> State | None:
    return readable([part for pair in plain.items() for part in pair])
