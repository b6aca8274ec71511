"""Finished runs on Redis: one string each, once nobody is likely to look at them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import redis

from orchestrator.engine.state import State, Status
from orchestrator.errors import DurazzoError, NewerRelease
from orchestrator.journal.archive import LIFE, STANDING, Erased, Tidied
from orchestrator.journal.compact import Finished, opened, pack, unpack, values_of
from orchestrator.journal.keys import Keys
from orchestrator.journal.reasons import Reasons, without
from orchestrator.journal.replies import decoded, raw, tail
from orchestrator.journal.run_keys import RunKeys
from orchestrator.journal.scripts import Scripts
from orchestrator.journal.seal import Seal
from orchestrator.journal.trouble import answering

#: A run that was taken out is put away again after this, as settle.lua has it. ms.
WAIT: Final = 60_000
#: One that cannot be put away is looked at again after this. ms.
_LATER: Final = 24 * 3_600_000
#: As the command line calls what should not be.
_BUG: Final = "bug"
_NAMES: Final = ("overdue", "put_away", "take_out", "forget")

_Hash: TypeAlias = dict[bytes, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A run as its three keys hold it."""

    run: str
    plain: _Hash
    log: Sequence[bytes]
    data: _Hash

    @property
    def is_over(self) -> bool:
        return b"end" in self.plain and b"outbox" not in self.plain


class RedisArchive:
    def __init__(
        self,
        client: redis.Redis,
        seal: Seal,
        keys: Keys | None = None,
        *,
        life_ms: int | None = LIFE,
    ) -> None:
        """``life_ms``: how long a run is kept from its end on; None for good."""
        self._client = client
        self._seal = seal
        self._keys = keys or Keys()
        self._life = life_ms
        self._scripts = Scripts(client, _NAMES, barrier=False)
        self._reasons = Reasons(seal)
        self._names = RunKeys(client, seal, self._keys)

    # Putting away.

    def tidy(self, limit: int) -> Tidied:
        k = self._keys
        lives: Sequence[Any] = ("", "")
        if self._life is not None:
            lives = (self._life, self._life * STANDING)
        removed, found = self._scripts.call(
            "overdue",
            [k.ended, k.kept, k.standing, k.runs, k.clock],
            [limit, *lives, k.done("")],
        )
        places = {found[i].decode(): found[i + 1] for i in range(0, len(found), 2)}
        put_away, left = self._put_away(places) if places else (0, [])
        return Tidied(put_away=put_away, removed=removed, left=tuple(left))

    def _put_away(self, places: Mapping[str, bytes]) -> tuple[int, list[tuple[str, str]]]:
        """``places``: run → where it stands in ``ended``. Two round trips for all of them."""
        left: list[tuple[str, str]] = []
        calls = [self._call(one, places[one.run], left) for one in self._read(list(places))]
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            for keys, args in calls:
                self._scripts["put_away"](keys=keys, args=args, client=pipeline)
            return sum(pipeline.execute()), left

    def _call(
        self, one: Whole, place: bytes, left: list[tuple[str, str]]
    ) -> tuple[list[str], list[Any]]:
        """Keys and arguments of put_away.lua. ``left``: is told when the run cannot be."""
        k, kept = self._keys, self._keys.kept
        text, over = b"", _LATER if one.is_over else 0
        if one.is_over:
            try:
                state = State.decode(decoded(one.plain.items()))
                text, over = self._packed(one), state.ended
                kept = k.standing if _stands(state) else kept
            except (DurazzoError, ValueError) as error:
                left.append((one.run, getattr(error, "code", _BUG)))
        keys = [*self._run_keys(one.run), k.done(one.run), k.ended, kept]
        return keys, [one.run, one.plain.get(b"seq", b""), len(one.log), place, text, over]

    def _packed(self, one: Whole) -> bytes:
        """Raises NewerRelease, SealBroken, ValueError."""
        values = opened(self._seal, one.run, one.data)
        return pack(self._seal, one.run, Finished(plain=one.plain, log=one.log, values=values))

    def _read(self, runs: Sequence[str]) -> list[Whole]:
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            for run in runs:
                state, log, data = self._run_keys(run)
                pipeline.hgetall(state)
                pipeline.lrange(log, 0, -1)
                pipeline.hgetall(data)
            told = iter(pipeline.execute())
        rows = zip(runs, told, told, told, strict=True)
        return [Whole(run=run, plain=p, log=log, data=data) for run, p, log, data in rows]

    # Reading.

    def find(self, run: str) -> bytes | None:
        """What ``plain``, ``log`` and ``values`` read; None for a run that was not put away."""
        with answering():
            found = self._client.get(self._keys.done(run))
        return None if found is None else raw(found)

    def values(self, run: str, text: bytes) -> dict[str, Any]:
        """Raises SealBroken."""
        found = values_of(self._seal, run, text)
        return {n: v.decode() if n == "key" else json.loads(v) for n, v in found.items()}

    # Taking out.

    def take_out(self, run: str) -> bool:
        """It stands again as it did; False for a run that was not put away. Raises SealBroken."""
        text = self.find(run)
        if text is None:
            return False
        while text is not None and not self._take_out(run, text):
            # It was sealed anew meanwhile, or somebody else has taken it out.
            text = self.find(run)
        return True

    def _take_out(self, run: str, text: bytes) -> bool:
        k = self._keys
        plain, log = unpack(text)
        values = values_of(self._seal, run, text)
        fields = [word for pair in plain.items() for word in pair]
        sealed = [w for n, v in values.items() for w in (n, self._seal.seal(v, f"{run}:{n}"))]
        keys = [*self._run_keys(run), k.done(run), k.ended, k.kept, k.standing, k.clock]
        args = [run, text, WAIT, len(plain), *fields, len(log), *log, *sealed]
        return bool(self._scripts.call("take_out", keys, args))

    # Forgetting.

    def forget(self, run: str, *, by: str, reason: str) -> Erased | None:
        self.take_out(run)
        (one,) = self._read([run])
        if not one.is_over:
            return None
        k = self._keys
        changed = {i: new for i, line in enumerate(one.log) if (new := without(line)) != line}
        why = self._reasons.sealed(reason, f"{run}:why")
        state, log, data = self._run_keys(run)
        lines = [word for pair in changed.items() for word in pair]
        done = self._scripts.call(
            "forget",
            [state, log, data, k.ended, k.clock],
            [run, one.plain.get(b"seq", b""), len(one.log), WAIT,
             tail({"k": "forget", "by": by, **why}), *lines],
        )  # fmt: skip
        names = tuple(sorted(name.decode() for name in one.data))
        return Erased(values=names, reasons=len(changed)) if done else None

    def keyed(self, scope: str, key: str) -> str | None:
        with answering():
            found: Any = self._client.hget(self._names.name((scope, key)), "run")
        return found.decode() if found else None

    def _run_keys(self, run: str) -> list[str]:
        k = self._keys
        return [k.run(run), k.log(run), k.data(run)]


def _stands(state: State) -> bool:
    """It did something, though it came to no good end: somebody may still have to undo it."""
    return state.end != Status.SUCCEEDED and bool(state.effects)


def state_in(text: bytes) -> State | None:
    """Of a run that was put away. None for what a newer release wrote."""
    try:
        return State.decode(decoded(unpack(text)[0].items()))
    except NewerRelease:
        return None


__all__ = ["WAIT", "RedisArchive", "Whole", "state_in"]
