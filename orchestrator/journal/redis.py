"""The journal on Redis: one script a promise, one round trip a call.

The scripts are beside this file; each opens with its signature and what is atomic.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import resources
from typing import Any, Final

import redis

from orchestrator.engine.advance import Decision
from orchestrator.engine.events import Event
from orchestrator.engine.recovery import LEASE_CHECK, RESEND_AFTER
from orchestrator.engine.state import Result, State, Visit
from orchestrator.errors import JournalUnavailable, UnknownRun
from orchestrator.expressions.nodes import Json
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import (
    Acceptance,
    Began,
    Begun,
    Claim,
    Claimed,
    Committed,
    Due,
    Limit,
    NewRun,
    Ref,
    Settlement,
    Tick,
)
from orchestrator.journal.seal import Seal

#: A claim whose worker is alive but does not get on ends after this. ms.
HOLD: Final = 30_000
#: Runs taken by a tick are not taken again by another for this long. ms.
TICK_HOLD: Final = 5_000

#: Whose a provider's effect is is known for longer than anything is looked up. ms.
EFFECT_LIFE: Final = 8 * 24 * 3_600_000

#: How long a write may take to the disk. Under appendfsync everysec it takes up to a second. ms.
BARRIER: Final = 5_000

#: In place of a fence, see commit.lua.
_NO_LEASE: Final = -1

_SCRIPTS: Final = (
    "accept", "claim", "begin", "look", "commit", "control", "reopen", "mark_sent", "postpone",
    "settle", "tick", "heartbeat", "alive", "now",
)  # fmt: skip


class RedisJournal:
    def __init__(
        self, client: redis.Redis, seal: Seal, keys: Keys | None = None, *, barrier: bool = False
    ) -> None:
        """``barrier``: what must not be lost is on disk before anything follows from it."""
        self._client = client
        self._barrier = barrier
        self._seal = seal
        self._keys = keys or Keys()
        self._scripts = {name: client.register_script(_source(name)) for name in _SCRIPTS}
        self._stored: set[str] = set()
        self._pepper = b""

    # Submitting.

    def accept(self, new: NewRun) -> Acceptance:
        known = new.digest in self._stored
        reply = self._accept(new, with_plan=not known)
        if reply[0] == b"plan-needed":
            reply = self._accept(new, with_plan=True)
        self._stored.add(new.digest)
        if reply[0] == b"new":
            return Acceptance(run=new.run, new=True, at=reply[1])
        run = reply[1].decode()
        fingerprint = self._seal.open(reply[2], f"{run}:print")
        return Acceptance(run=run, new=False, conflict=fingerprint != _fingerprint(new))

    def _accept(self, new: NewRun, *, with_plan: bool) -> Any:
        k = self._keys
        keys = [*self._run_keys(new.run), k.due, k.runs, k.plan(new.digest), k.clock]
        key_value = fingerprint = b""
        if new.key is not None:
            keys.append(k.run_key(self._mac(new.key)))
            fingerprint = self._seal.seal(_fingerprint(new), f"{new.run}:print")
            key_value = self._seal.seal(new.key[1].encode(), f"{new.run}:key")
        plan = self._seal.seal(new.plan, new.digest) if with_plan else b""
        # They go with the plan, which is stored once.
        reads = new.reads if with_plan else {}
        rows = [word for step, fields in reads.items() for word in (step, " ".join(fields))]
        inputs = self._seal.seal(_dumps(new.inputs), f"{new.run}:inputs")
        return self._call("accept", keys, durable=True, args=[
            new.run, new.digest, plan, new.name, new.lane, RESEND_AFTER, inputs,
            fingerprint, key_value, len(reads), *rows, len(new.starts), *new.starts,
        ])  # fmt: skip

    def plan(self, digest: str) -> bytes:
        with _guarded():
            sealed = self._client.hget(self._keys.plan(digest), "body")
        if sealed is None:
            raise UnknownRun(f"no plan {digest} in this journal")
        return self._seal.open(_bytes(sealed), digest)

    # Driving a visit.

    def claim(self, ref: Ref, worker: str) -> Claim:
        k = self._keys
        verdict, now, plain, fields = self._call(
            "claim",
            [*self._run_keys(ref.run), k.due, k.workers, k.clock],
            [ref.run, ref.step, ref.visit, worker, HOLD, LEASE_CHECK, k.plan(""), k.lane("")],
        )
        values = dict(_pairs(fields))
        return Claim(
            verdict=Claimed(verdict.decode()),
            now=now,
            state=_state(plain),
            inputs=self._json(values.pop("inputs", None), f"{ref.run}:inputs") or {},
            frozen=self._opened(values.pop(f"q:{ref.step}", None), f"{ref.run}:q:{ref.step}"),
            outputs={
                name[2:]: self._json(sealed, f"{ref.run}:{name}") for name, sealed in values.items()
            },
        )

    def begin(
        self,
        ref: Ref,
        fence: int,
        *,
        deadline_ms: int,
        frozen: bytes | None,
        limits: Sequence[Limit],
        durable: bool = False,
    ) -> Begun:
        k = self._keys
        place = f"{ref.run}:q:{ref.step}"
        sealed = self._seal.seal(frozen, place) if frozen is not None else b""
        rates = [n for x in limits for n in (round(1_000_000 / x.per_second), x.burst)]
        verdict, now, attempt, first, until = self._call(
            "begin",
            [*self._run_keys(ref.run), k.due, k.clock, *(k.limit(x.scope) for x in limits)],
            [ref.run, ref.step, ref.visit, fence, deadline_ms, LEASE_CHECK, sealed, *rates],
            durable=durable,
        )
        return Begun(
            verdict=Began(verdict.decode()), now=now, attempt=attempt, first=first, until=until
        )

    def look(self, ref: Ref, fence: int, *, deadline_ms: int, limits: Sequence[Limit]) -> Begun:
        k = self._keys
        state, log, _ = self._run_keys(ref.run)
        rates = [n for x in limits for n in (round(1_000_000 / x.per_second), x.burst)]
        verdict, now, until = self._call(
            "look",
            [state, log, k.due, k.clock, *(k.limit(x.scope) for x in limits)],
            [ref.run, ref.step, ref.visit, fence, deadline_ms, *rates],
        )
        return Begun(verdict=Began(verdict.decode()), now=now, until=until)

    def commit(
        self, ref: Ref, fence: int, settlement: Settlement, decision: Decision | None
    ) -> Committed:
        place = f"{ref.run}:o:{ref.step}"
        outputs = settlement.outputs
        sealed = b"" if outputs is None else self._seal.seal(_dumps(outputs), place)
        scope, pause_ms = settlement.pause or ("-", 0)
        visit = settlement.visit
        keep = "1" if _may_be_needed(visit) else ""
        seq = decision.seq - 1 if decision else -1
        effect_ms = EFFECT_LIFE if settlement.effect else 0
        return self._commit(
            ref.run,
            (scope, settlement.effect or "-"),
            [ref.step, ref.visit, fence, settlement.event.encode(), visit.encode(), sealed],
            [pause_ms, keep, effect_ms, int(settlement.adopted), seq],
            decision,
        )

    def resolve(self, ref: Ref, settlement: Settlement, decision: Decision | None) -> Committed:
        return self.commit(ref, _NO_LEASE, settlement, decision)

    def decide(self, run: str, decision: Decision) -> Committed:
        rest = [0, "", 0, 0, decision.seq]
        return self._commit(run, ("-", "-"), ["", 0, 0, "", "", ""], rest, decision)

    def _commit(
        self,
        run: str,
        names: tuple[str, str],
        head: list[Any],
        rest: list[Any],
        decision: Decision | None,
    ) -> Committed:
        k = self._keys
        tail: list[Any] = ["", "", 0]
        if decision is not None:
            changed, removed = decision.fields()
            due = "" if decision.due is None else decision.due
            pairs = [word for pair in changed.items() for word in pair]
            tail = [decision.event.encode(), due, len(changed), *pairs, *removed]
        scope, effect = names
        keys = [*self._run_keys(run), k.due, k.clock, k.limit(scope), k.effect(effect)]
        verdict, _ = self._call("commit", keys, [run, *head, *rest, *tail])
        return Committed(verdict.decode())

    def control(self, run: str, kind: str, *, by: str, reason: str) -> State | None:
        tail = f',"k":{json.dumps(kind)},"by":{json.dumps(by)},"why":{json.dumps(reason)}}}'
        keys = [self._keys.run(run), self._keys.log(run), self._keys.due, self._keys.clock]
        (verdict,) = self._call("control", keys, [run, kind, tail])
        return self.read(run) if verdict == b"done" else None

    def reopen(self, run: str, step: str, seen: int, *, by: str, reason: str) -> int | None:
        tail = (
            f',"k":"retry","by":{json.dumps(by)},"why":{json.dumps(reason)}'
            f',"s":{json.dumps(step)},"n":{seen + 1}}}'
        )
        state, log, _ = self._run_keys(run)
        keys = [state, log, self._keys.due, self._keys.clock]
        _, number = self._call("reopen", keys, [run, step, seen, tail])
        return int(number) or None

    # Keeping time.

    def mark_sent(self, ref: Ref, seen: Visit, *, patience_ms: int) -> int | None:
        keys = [self._keys.run(ref.run), self._keys.log(ref.run), self._keys.due, self._keys.clock]
        values = [ref.run, ref.step, ref.visit, seen.fence, seen.phase, seen.sends, patience_ms]
        return self._call("mark_sent", keys, values) or None

    def postpone(self, times: Mapping[str, tuple[int, int]]) -> None:
        with _guarded(), self._client.pipeline(transaction=False) as pipeline:
            for run, (seq, due) in times.items():
                keys = [self._keys.run(run), self._keys.due]
                self._scripts["postpone"](keys=keys, args=[run, seq, due], client=pipeline)
            pipeline.execute()

    def settle(self, run: str) -> None:
        state, log, data = self._run_keys(run)
        self._call("settle", [state, log, self._keys.due, self._keys.clock, data], [run])

    def tick(self, leader: str, *, lease_ms: int, limit: int) -> Tick:
        k = self._keys
        leading, now, alive, *rows = self._call(
            "tick",
            [k.leader, k.due, k.workers, k.clock],
            [leader, lease_ms, limit, TICK_HOLD, k.run(""), k.lane("")],
        )
        if not leading:
            return Tick(leader=False, now=now)
        due = [(run.decode(), _state(plain), int(claimed)) for run, claimed, plain in rows]
        return Tick(
            leader=True,
            now=now,
            alive=frozenset(worker.decode() for worker in alive),
            due=tuple(Due(run=r, state=s, lane_claimed=c) for r, s, c in due if s is not None),
        )

    def heartbeat(self, worker: str, *, ttl_ms: int) -> None:
        self._call("heartbeat", [self._keys.workers, self._keys.clock], [worker, ttl_ms])

    def retire(self, worker: str) -> None:
        self.heartbeat(worker, ttl_ms=0)

    def alive(self) -> frozenset[str]:
        workers = self._call("alive", [self._keys.workers, self._keys.clock], [])
        return frozenset(worker.decode() for worker in workers)

    # Looking.

    def now(self) -> int:
        return int(self._call("now", [self._keys.clock], []))

    def read(self, run: str) -> State | None:
        with _guarded():
            plain: Any = self._client.hgetall(self._keys.run(run))
        return State.decode(_decoded(plain.items())) if plain else None

    def history(self, run: str) -> list[Event]:
        with _guarded():
            lines: Any = self._client.lrange(self._keys.log(run), 0, -1)
        return [Event.decode(line) for line in lines]

    def inputs(self, run: str) -> Mapping[str, Json]:
        return self._value(run, "inputs") or {}

    def outputs(self, run: str, steps: Sequence[str]) -> dict[str, Mapping[str, Json]]:
        found = {step: self._value(run, f"o:{step}") for step in steps}
        return {step: values for step, values in found.items() if values is not None}

    def key_of(self, run: str) -> str | None:
        with _guarded():
            sealed = self._client.hget(self._keys.data(run), "key")
        return None if sealed is None else self._seal.open(_bytes(sealed), f"{run}:key").decode()

    def recent(self, limit: int) -> list[str]:
        with _guarded():
            runs: Any = self._client.zrevrange(self._keys.runs, 0, limit - 1)
        return [run.decode() for run in runs]

    # Plumbing.

    def _run_keys(self, run: str) -> list[str]:
        return [self._keys.run(run), self._keys.log(run), self._keys.data(run)]

    def _call(self, name: str, keys: list[str], args: list[Any], *, durable: bool = False) -> Any:
        with _guarded():
            if not (durable and self._barrier):
                return self._scripts[name](keys=keys, args=args)
            # One connection: the server waits for the writes of this one only.
            with self._client.pipeline(transaction=False) as pipeline:
                self._scripts[name](keys=keys, args=args, client=pipeline)
                pipeline.execute_command("WAITAOF", 1, 0, BARRIER)  # type: ignore[no-untyped-call]
                reply, (synced, _) = pipeline.execute()
        if not synced:
            raise JournalUnavailable(
                f"Redis did not have it on disk within {BARRIER} ms; it may or may not be kept"
            )
        return reply

    def _value(self, run: str, field: str) -> Any:
        with _guarded():
            sealed = self._client.hget(self._keys.data(run), field)
        return self._json(sealed, f"{run}:{field}")

    def _opened(self, sealed: Any, place: str) -> bytes | None:
        return None if sealed is None else self._seal.open(_bytes(sealed), place)

    def _json(self, sealed: Any, place: str) -> Any:
        value = self._opened(sealed, place)
        return None if value is None else json.loads(value)

    def _mac(self, key: tuple[str, str]) -> str:
        """Run keys may name customers: their Redis keys are HMACs under a sealed pepper."""
        if not self._pepper:
            fresh = self._seal.seal(secrets.token_bytes(32), "pepper")
            with _guarded():
                self._client.set(self._keys.pepper, fresh, nx=True)
                stored = self._client.get(self._keys.pepper)
            self._pepper = self._seal.open(_bytes(stored), "pepper")
        text = "\x00".join(key).encode()
        return hmac.new(self._pepper, text, hashlib.sha256).hexdigest()[:32]


@contextmanager
def _guarded() -> Iterator[None]:
    """Redis' own troubles under the one name that callers know."""
    try:
        yield
    except (redis.ConnectionError, redis.TimeoutError) as error:
        raise JournalUnavailable(f"Redis cannot be reached ({type(error).__name__})") from error
    except (redis.ReadOnlyError, redis.OutOfMemoryError, redis.BusyLoadingError) as error:
        raise JournalUnavailable(f"Redis refuses writes ({type(error).__name__})") from error
    except redis.ResponseError as error:
        if "WAITAOF" not in str(error):
            raise
        raise JournalUnavailable(
            "DURAZZO_BARRIER needs a server that has WAITAOF (Redis 7.2, Valkey) and appendonly yes"
        ) from error


def _may_be_needed(visit: Visit) -> bool:
    """Whether the frozen request may be sent, or looked up, again after this outcome."""
    match Result(visit.result):
        case Result.SUCCEEDED | Result.FINAL:
            return False
        case Result.TRANSIENT:
            return visit.delay >= 0 or bool(visit.doubt)
        case _:
            return True


def _source(name: str) -> str:
    folder = resources.files("orchestrator.journal")
    parts = (folder / "lib.lua", folder / f"{name}.lua")
    return "".join(part.read_text(encoding="utf-8") for part in parts)


def _state(plain: list[bytes]) -> State | None:
    return State.decode(_decoded(_pairs(plain))) if plain else None


def _pairs(flat: list[Any]) -> Iterator[tuple[str, Any]]:
    for i in range(0, len(flat), 2):
        yield flat[i].decode(), flat[i + 1]


def _decoded(pairs: Any) -> dict[str, str]:
    return {(k if isinstance(k, str) else k.decode()): v.decode() for k, v in pairs}


def _bytes(value: Any) -> bytes:
    assert isinstance(value, bytes)  # noqa: S101  the client never decodes
    return value


def _dumps(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _fingerprint(new: NewRun) -> bytes:
    """What a run key stands for: this plan with these inputs, whatever their order."""
    inputs = json.dumps(new.inputs, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{new.digest}\n{inputs}".encode()).digest()
