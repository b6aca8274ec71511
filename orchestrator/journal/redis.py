"""The journal on Redis: one script a promise, one round trip a call.

The scripts are beside this file; each opens with its signature and what is atomic. What only looks
at runs is in redis_reading.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import redis

from orchestrator.engine.advance import Decision
from orchestrator.engine.events import Event
from orchestrator.engine.recovery import LEASE_CHECK, RESEND_AFTER
from orchestrator.engine.state import VERSION, Result, State, Status, Visit
from orchestrator.errors import UnknownRun
from orchestrator.journal import counts
from orchestrator.journal.batches import Record, row_of
from orchestrator.journal.counts import Attempt
from orchestrator.journal.keys import Keys
from orchestrator.journal.port import (
    GRACE,
    Acceptance,
    Began,
    Begun,
    Claim,
    Claimed,
    Committed,
    Due,
    Limit,
    NewRun,
    Pace,
    Ref,
    Rewound,
    Settlement,
    Stop,
    Tick,
    Wake,
)
from orchestrator.journal.records import recorded, summary
from orchestrator.journal.redis_reading import RedisReading
from orchestrator.journal.replies import dumps, pairs, raw, readable, state_of, tail
from orchestrator.journal.run_keys import RunKeys, differs, fingerprint
from orchestrator.journal.scripts import Scripts
from orchestrator.journal.seal import Seal
from orchestrator.journal.trouble import answering
from orchestrator.journal.witness import Seen, Witness

#: A claim whose worker is alive but does not get on ends after this. ms.
HOLD: Final = 30_000
#: Runs of a newer release are met again by this one's timekeeper after this. ms.
NEWER_CHECK: Final = 15_000
#: Runs taken by a tick are not taken again by another for this long. ms.
TICK_HOLD: Final = 5_000

#: Whose a provider's effect is is known for longer than anything is looked up. ms.
EFFECT_LIFE: Final = 8 * 24 * 3_600_000

#: A run key stands for its run for so long after its last use, unless it is set otherwise. ms.
KEY_LIFE: Final = 400 * 24 * 3_600_000

#: Of a batch, so many runs must have ended before it is judged whether too many fail.
_LEAST: Final = 20
#: A run that waits for longer leaves its place in the window to another. ms.
_LONG: Final = 60_000

#: What an answer of ``begin`` says of begins that are remembered, see witness.py.
_TOLD: Final = 3

#: In place of a fence, see commit.lua.
_NO_LEASE: Final = -1

_SCRIPTS: Final = (
    "accept", "claim", "begin", "look", "commit", "control", "reopen", "stop", "go_on", "mark_sent",
    "postpone", "settle", "tick", "heartbeat", "alive", "now", "writable",
)  # fmt: skip


class RedisJournal(RedisReading):
    def __init__(
        self,
        client: redis.Redis,
        seal: Seal,
        keys: Keys | None = None,
        *,
        barrier: bool = False,
        guard: bool = True,
        key_life_ms: int = KEY_LIFE,
    ) -> None:
        """``barrier``: what must not be lost is on disk before anything follows from it.

        ``guard``: begins without a key are remembered, so that a loss of them is found out; with
        the barrier there is none to be found. ``key_life_ms``: how long a run key stands for its
        run, from its last use.
        """
        super().__init__(client, seal, keys)
        self._witness = Witness() if guard and not barrier else None
        self._key_life = key_life_ms
        self._scripts = Scripts(client, _SCRIPTS, barrier=barrier)
        self._names = RunKeys(client, seal, self._keys)
        self._stored: set[str] = set()

    # Submitting.

    def accept(self, new: NewRun) -> Acceptance:
        reply = self._accept(new, with_plan=new.digest not in self._stored)
        if reply[0] == b"plan-needed":
            reply = self._accept(new, with_plan=True)
        self._stored.add(new.digest)
        if reply[0] == b"new":
            return Acceptance(run=new.run, new=True, at=reply[1])
        _, name, print_, at, there = reply
        run = name.decode()
        known = self._seal.open(print_, f"{run}:print")
        differing = differs(new.digest, new.inputs, known, accounts=new.accounts)
        return Acceptance(run=run, new=False, differs=differing, gone=not there, at=at)

    def _accept(self, new: NewRun, *, with_plan: bool) -> Any:
        k = self._keys
        keys = [*self._run_keys(new.run), k.due, k.runs, k.plan(new.digest), k.clock]
        key_value = print_ = b""
        if new.key is not None:
            keys.append(self._names.name(new.key))
            told = fingerprint(new.digest, new.inputs, accounts=new.accounts)
            print_ = self._seal.seal(told, f"{new.run}:print")
            key_value = self._seal.seal(new.key[1].encode(), f"{new.run}:key")
        plan = self._seal.seal(new.plan, new.digest) if with_plan else b""
        # They go with the plan, which is stored once.
        reads = new.reads if with_plan else {}
        rows = [word for step, fields in reads.items() for word in (step, " ".join(fields))]
        inputs = self._seal.seal(dumps(new.inputs), f"{new.run}:inputs")
        return self._scripts.call("accept", keys, durable=True, args=[
            new.run, new.digest, plan, new.name, new.lane, RESEND_AFTER, inputs,
            print_, key_value, self._key_life, k.run(""), new.deadline, new.within,
            new.accounts, counts.field(counts.ACCEPTED, new.name), len(reads), *rows,
            len(new.starts), *new.starts,
        ])  # fmt: skip

    def plan(self, digest: str) -> bytes:
        with answering():
            sealed = self._client.hget(self._keys.plan(digest), "body")
        if sealed is None:
            raise UnknownRun(f"no plan {digest} in this journal")
        return self._seal.open(raw(sealed), digest)

    # Driving a visit.

    def claim(self, ref: Ref, worker: str, *, mine: bool = False) -> Claim:
        k = self._keys
        verdict, now, plain, fields = self._scripts.call(
            "claim",
            [*self._run_keys(ref.run), k.due, k.workers, k.clock],
            [
                ref.run,
                ref.step,
                ref.visit,
                worker,
                HOLD,
                LEASE_CHECK,
                k.plan(""),
                k.lane(""),
                VERSION,
                int(mine),
                ref.send,
                "fresh" if ref.fresh else "claimed",
            ],
        )
        values = dict(pairs(fields))
        return Claim(
            verdict=Claimed(verdict.decode()),
            now=now,
            state=state_of(plain),
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
        provider: str = "",
    ) -> Begun:
        k = self._keys
        place = f"{ref.run}:q:{ref.step}"
        sealed = self._seal.seal(frozen, place) if frozen is not None else b""
        scopes = [k.limit(x.scope) for x in limits]
        head = [ref.run, ref.step, ref.visit, fence, deadline_ms, LEASE_CHECK, sealed, provider]
        keyless = ["1", *self._remembered()] if durable else ["", "", "", 0]
        houses = [k.due, k.clock, k.stops, k.waiters(provider), k.server]
        verdict, now, attempt, first, until, *told = self._scripts.call(
            "begin",
            [*self._run_keys(ref.run), *houses, *scopes],
            [*head, *keyless, *_held_up(provider), *_rates(limits)],
            durable=durable,
        )
        return Begun(
            verdict=Began(verdict.decode()),
            now=now,
            attempt=attempt,
            first=first,
            until=until,
            at=told[3] if len(told) > _TOLD else now,
            missing=self._heard(told[:_TOLD]) if durable else 0,
        )

    def look(self, ref: Ref, fence: int, *, deadline_ms: int, limits: Sequence[Limit]) -> Begun:
        k = self._keys
        state, log, _ = self._run_keys(ref.run)
        verdict, now, until, *turn = self._scripts.call(
            "look",
            [state, log, k.due, k.clock, *(k.limit(x.scope) for x in limits)],
            [ref.run, ref.step, ref.visit, fence, deadline_ms, *_rates(limits)],
        )
        at, looks = turn or (now, 0)
        verdict = Began(verdict.decode())
        return Begun(verdict=verdict, now=now, until=until, at=at, looks=looks)

    def commit(
        self, ref: Ref, fence: int, settlement: Settlement, decision: Decision | None
    ) -> Committed:
        place = f"{ref.run}:o:{ref.step}"
        outputs = settlement.outputs
        sealed = b"" if outputs is None else self._seal.seal(dumps(outputs), place)
        scope, pause_ms = settlement.pause or ("-", 0)
        visit = settlement.visit
        keep = "1" if _may_be_needed(visit) else ""
        seq = decision.seq - 1 if decision else -1
        effect_ms = EFFECT_LIFE if settlement.effect else 0
        pause = f"{pause_ms} refused" if settlement.refused else pause_ms
        return self._commit(
            ref.run,
            (scope, settlement.effect or "-", *settlement.freed),
            [ref.step, ref.visit, fence, settlement.event.encode(), visit.encode(), sealed],
            [pause, keep, effect_ms, int(settlement.adopted), seq],
            decision,
            attempt=settlement.attempt,
        )

    def resolve(self, ref: Ref, settlement: Settlement, decision: Decision | None) -> Committed:
        event = settlement.event
        words = dict(event.fields)
        words |= self._reasons.sealed(str(words.pop("why", "")), f"{ref.run}:why")
        settlement = replace(settlement, event=replace(event, fields=words))
        return self.commit(ref, _NO_LEASE, settlement, decision)

    def decide(self, run: str, decision: Decision) -> Committed:
        rest = [0, "", 0, 0, decision.seq]
        return self._commit(run, ("-", "-"), ["", 0, 0, "", "", ""], rest, decision)

    def _commit(
        self,
        run: str,
        names: tuple[str, ...],
        head: list[Any],
        rest: list[Any],
        decision: Decision | None,
        *,
        attempt: Attempt | None = None,
    ) -> Committed:
        k = self._keys
        call = ["", "", 0] if attempt is None else [*attempt.fields(), max(0, attempt.ms)]
        tail: list[Any] = ["", "", "", *call, "", "", 0, 0]
        if decision is not None:
            changed, removed = decision.fields()
            due = "" if decision.due is None else decision.due
            counted = counts.decided(decision)
            tail = [decision.event.encode(), due, _standing(decision), *call]
            tail += [counts.doubt(decision), counts.parked(decision)]
            tail += [len(changed), *_words(changed), len(counted), *_words(counted), *removed]
        scope, effect, *freed = names
        keys = [*self._run_keys(run), k.due, k.clock, k.limit(scope), k.effect(effect)]
        keys += [k.busy(scope) for scope in freed]
        verdict, _ = self._scripts.call("commit", keys, [run, *head, *rest, *tail])
        return Committed(verdict.decode())

    def control(self, run: str, kind: str, *, by: str, reason: str) -> State | None:
        words = tail({"k": kind, "by": by, **self._reasons.sealed(reason, f"{run}:why")})
        keys = [self._keys.run(run), self._keys.log(run), self._keys.due, self._keys.clock]
        (verdict,) = self._scripts.call("control", keys, [run, kind, words])
        return self.read(run) if verdict == b"done" else None

    def reopen(
        self,
        run: str,
        step: str,
        seen: int,
        *,
        by: str,
        reason: str,
        batch: str = "",
        in_turn: bool = False,
    ) -> int | None:
        why = self._reasons.sealed(reason, f"{run}:why")
        words = tail({"k": "retry", "by": by, **why, "s": step, "n": seen + 1})
        state, log, _ = self._run_keys(run)
        keys = [state, log, self._keys.due, self._keys.clock]
        values = [run, step, seen, words]
        if batch:
            keys += [self._keys.batch(batch, part) for part in ("", "open", "out")]
            values += [row_of(run), int(in_turn)]
        verdict, number = self._scripts.call("reopen", keys, values)
        if verdict == b"absent" and self._archive.take_out(run):
            verdict, number = self._scripts.call("reopen", keys, values)
        return None if verdict in {b"absent", b"moved"} else int(number)

    # The house's own.

    def stop(self, provider: str, *, by: str, reason: str) -> Stop:
        k = self._keys
        words = tail({"by": by, **self._reasons.sealed(reason, f"stops:{provider}")})
        keys = [k.stops, k.house, k.clock]
        return self._stop(
            provider, self._scripts.call("stop", keys, [provider, words], durable=True)
        )

    def go_on(self, provider: str, *, by: str, reason: str, pace: Pace) -> Wake:
        words = tail({"by": by, **self._reasons.sealed(reason, f"stops:{provider}")})
        return self._go_on(provider, words, pace, 0)

    def wake(self, provider: str, *, pace: Pace, woken: int) -> Wake:
        return self._go_on(provider, "", pace, woken)

    def _go_on(self, provider: str, tail: str, pace: Pace, before: int) -> Wake:
        k = self._keys
        taken_back, woken, left = self._scripts.call(
            "go_on",
            [k.stops, k.house, k.waiters(provider), k.due, k.clock],
            [provider, tail, pace.batch, pace.spacing_us, pace.spread_ms, before, k.run("")],
        )
        return Wake(taken_back=bool(taken_back), woken=woken, left=left)

    def stops(self, *, reasons: bool = False) -> list[Stop]:
        with answering():
            plain: Any = self._client.hgetall(self._keys.stops)
            found = [self._stop(p.decode(), plain[p], reasons=reasons) for p in sorted(plain)]
            waiting = [self._client.zcard(self._keys.waiters(one.provider)) for one in found]
        return [replace(one, waiting=n) for one, n in zip(found, waiting, strict=True)]

    def _stop(self, provider: str, text: bytes, *, reasons: bool = False) -> Stop:
        fields = json.loads(text)
        why = self._reasons.opened(fields, f"stops:{provider}").get("why", "") if reasons else ""
        return Stop(provider=provider, at=fields["t"], by=fields["by"], reason=why)

    def house(self, *, reasons: bool = False) -> list[Event]:
        with answering():
            lines: Any = self._client.lrange(self._keys.house, 0, -1)
        events = (Event.decode(line) for line in lines)
        return [self._reasons.told(e, _place(e)) if reasons else e for e in events]

    # Keeping time.

    def mark_sent(self, ref: Ref, seen: Visit, *, patience_ms: int) -> int | None:
        keys = [self._keys.run(ref.run), self._keys.log(ref.run), self._keys.due, self._keys.clock]
        values = [ref.run, ref.step, ref.visit, seen.fence, seen.phase, seen.sends, patience_ms]
        return self._scripts.call("mark_sent", keys, values) or None

    def postpone(self, times: Mapping[str, tuple[int, int]]) -> None:
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            for run, (seq, due) in times.items():
                keys = [self._keys.run(run), self._keys.due]
                self._scripts["postpone"](keys=keys, args=[run, seq, due], client=pipeline)
            pipeline.execute()

    def settle(self, run: str, batch: str = "", record: Record | None = None) -> bool:
        k = self._keys
        state, log, data = self._run_keys(run)
        keys = [state, log, k.due, k.clock, data]
        values: list[Any] = [run]
        if record is not None:
            row = row_of(run)
            keys += [k.batch(batch, part) for part in ("", "open", "parked", "out")]
            keys += [k.stops, k.house]
            sealed = recorded(self._seal, batch, row, record)
            values += [batch, row, summary(record), sealed, _LEAST]
        _, fill = self._scripts.call("settle", keys, values)
        return bool(fill)

    def tick(self, leader: str, *, lease_ms: int, limit: int) -> Tick:
        k = self._keys
        leading, now, alive, *rows = self._scripts.call(
            "tick",
            [k.leader, k.due, k.workers, k.clock],
            [leader, lease_ms, limit, TICK_HOLD, k.run(""), k.lane(""), VERSION, NEWER_CHECK],
        )
        if not leading:
            return Tick(leader=False, now=now)
        due = [
            (run.decode(), readable(plain), int(claimed), int(fresh))
            for run, claimed, fresh, plain in rows
        ]
        return Tick(
            leader=True,
            now=now,
            alive=frozenset(worker.decode() for worker in alive),
            due=tuple(
                Due(run=r, state=s, lane_claimed=c, lane_fresh=f)
                for r, s, c, f in due
                if s is not None
            ),
            newer=tuple(run for run, state, _, _ in due if state is None),
        )

    def heartbeat(self, worker: str, *, ttl_ms: int) -> int:
        keys = [self._keys.workers, self._keys.clock, self._keys.server]
        _, *told = self._scripts.call("heartbeat", keys, [worker, ttl_ms, *self._remembered()])
        return self._heard(told)

    def retire(self, worker: str) -> None:
        self.heartbeat(worker, ttl_ms=0)

    def alive(self) -> frozenset[str]:
        workers = self._scripts.call("alive", [self._keys.workers, self._keys.clock], [])
        return frozenset(worker.decode() for worker in workers)

    # The server's own.

    def require_writable(self) -> None:
        self._scripts.call("writable", [], [])

    def rewound(self) -> Rewound | None:
        with answering():
            at, missing = self._client.hmget(self._keys.server, ["rewound", "missing"])
        return Rewound(at=int(at), missing=int(missing or 0)) if at else None

    def now(self) -> int:
        return int(self._scripts.call("now", [self._keys.clock], []))

    # Plumbing.

    def _remembered(self) -> list[Any]:
        """As the scripts want it."""
        if self._witness is None:
            return ["", "", 0]
        seen = self._witness.seen
        return [seen.begun, seen.life, GRACE]

    def _heard(self, told: Sequence[Any]) -> int:
        """``told``: what an answer says of begins. How many are missing, at least."""
        if self._witness is None or not told:
            return 0
        missing, begun, life = told
        self._witness.saw(Seen(begun, life.decode()))
        return int(missing)

    def _run_keys(self, run: str) -> list[str]:
        return [self._keys.run(run), self._keys.log(run), self._keys.data(run)]

    def _opened(self, sealed: Any, place: str) -> bytes | None:
        return None if sealed is None else self._seal.open(raw(sealed), place)

    def _json(self, sealed: Any, place: str) -> Any:
        value = self._opened(sealed, place)
        return None if value is None else json.loads(value)


def _rates(limits: Sequence[Limit]) -> list[int]:
    """As the scripts want them."""
    return [n for x in limits for n in (round(1_000_000 / x.per_second), x.burst, x.concurrency)]


def _held_up(provider: str) -> list[str]:
    return [counts.field(kind, provider) for kind in (counts.LIMITED, counts.STOPPED)]


def _place(event: Event) -> str:
    """Of the reason of one of the house's own events."""
    who = event.fields["p"] if "p" in event.fields else f"batch:{event.fields['b']}"
    return f"stops:{who}"


def _words(pairs: Mapping[str, Any]) -> list[Any]:
    return [word for pair in pairs.items() for word in pair]


def _standing(decision: Decision) -> str:
    """What a run is left at, as the window of its batch sees it."""
    if decision.after.status is Status.UNKNOWN:
        return "parked"
    waits = decision.due is not None and decision.due > decision.event.at + _LONG
    return "idle" if waits and decision.after.status is Status.WAITING else "busy"


def _may_be_needed(visit: Visit) -> bool:
    """Whether the frozen request may be sent, or looked up, again after this outcome."""
    match Result(visit.result):
        case Result.SUCCEEDED | Result.FINAL:
            return False
        case Result.TRANSIENT:
            return visit.delay >= 0 or bool(visit.doubt)
        case _:
            return True
