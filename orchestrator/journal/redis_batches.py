"""Batches on Redis: one script a promise, blocks of rows packed and sealed."""

from __future__ import annotations

import hashlib
import hmac
import json
import zlib
from collections.abc import Container, Mapping, Sequence
from typing import Any, Final

import redis

from orchestrator.engine.recovery import RESEND_AFTER
from orchestrator.errors import JournalUnavailable, UploadGone
from orchestrator.expressions.nodes import Json
from orchestrator.journal import counts
from orchestrator.journal.batches import (
    BLOCK,
    ERASED,
    Admitted,
    Admittee,
    Batch,
    NewBatch,
    Opened,
    Record,
    Row,
)
from orchestrator.journal.keys import Keys
from orchestrator.journal.reasons import Reasons
from orchestrator.journal.records import opened, recorded, summary
from orchestrator.journal.replies import dumps, raw, tail
from orchestrator.journal.run_keys import RunKeys, differs, fingerprint
from orchestrator.journal.scripts import Scripts
from orchestrator.journal.seal import Seal
from orchestrator.journal.trouble import answering

#: What is uploaded and not opened. ms.
_UPLOAD_LIFE: Final = 3_600_000
_NAMES: Final = ("open_batch", "admit", "end_batch", "replace")
#: A block changes when it is forgotten, or by another who erases: seldom twice in a row.
_TRIES: Final = 20
#: Blocks are read by who admits, several times while they last.
_CACHED: Final = 8


class RedisBatches:
    def __init__(
        self,
        client: redis.Redis,
        seal: Seal,
        keys: Keys | None = None,
        *,
        barrier: bool = False,
        key_life_ms: int,
    ) -> None:
        self._client = client
        self._seal = seal
        self._keys = keys or Keys()
        self._scripts = Scripts(client, _NAMES, barrier=barrier)
        self._names = RunKeys(client, seal, self._keys)
        self._reasons = Reasons(seal)
        self._key_life = key_life_ms
        self._blocks: dict[tuple[str, int], list[Row]] = {}

    # Opening.

    def mac(self, digest: bytes) -> str:
        return hmac.new(self._names.pepper(), digest, hashlib.sha256).hexdigest()[:32]

    def upload(self, upload: str, number: int, rows: Sequence[Row]) -> None:
        k = self._keys
        packed = {
            "rows": _packed([[row.number, row.key, row.inputs] for row in rows]),
            "index": _packed([[row.number, row.key] for row in rows]),
        }
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            for part, value in packed.items():
                key = k.upload(upload, part)
                pipeline.hset(key, str(number), self._seal.seal(value, f"{upload}:{part}:{number}"))
                pipeline.pexpire(key, _UPLOAD_LIFE)
            pipeline.execute()

    def discard(self, upload: str) -> None:
        with answering():
            self._client.delete(*(self._keys.upload(upload, p) for p in ("rows", "index")))

    def open(self, new: NewBatch) -> Opened:
        reply = self._open(new, with_plan=False)
        if reply[0] == b"plan-needed":
            reply = self._open(new, with_plan=True)
        if reply[0] == b"gone":
            raise UploadGone("the rows were stored too long ago, and are forgotten: start it again")
        if reply[0] == b"new":
            return Opened.NEW
        return Opened.SAME if reply[1].decode() == new.print else Opened.OTHER

    def _open(self, new: NewBatch, *, with_plan: bool) -> Any:
        k = self._keys
        plan = self._seal.seal(new.plan, new.digest) if with_plan else b""
        reads = new.reads if with_plan else {}
        words = [word for step, fields in reads.items() for word in (step, " ".join(fields))]
        head = {
            "plan": new.digest, "name": new.name, "lane": new.lane, "window": new.window,
            "total": new.total, "size": BLOCK, "print": new.print, "place": new.upload,
            "by": new.by, "scope": new.key_scope, "ratio": new.ratio, "within": new.within,
            **({"accounts": new.accounts} if new.accounts else {}),
        }  # fmt: skip
        keys = [
            k.batch(new.id), k.batch(new.id, "rows"), k.batch(new.id, "index"),
            k.upload(new.upload, "rows"), k.upload(new.upload, "index"),
            k.plan(new.digest), k.batches, k.active_batches, k.clock,
        ]  # fmt: skip
        pairs = [word for pair in head.items() for word in pair]
        values = [new.id, plan, len(reads), *words, *pairs]
        return self._scripts.call("open_batch", keys, values, durable=True)

    # Admitting.

    def known(self, batch: Batch, rows: Sequence[Row]) -> dict[int, tuple[str, bool]]:
        keyed = [(row, (batch.key_scope, row.key)) for row in rows if row.key is not None]
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            for _, key in keyed:
                pipeline.hmget(self._names.name(key), ["run", "print"])
            replies = pipeline.execute()
        found = {}
        for (row, _), (name, print_) in zip(keyed, replies, strict=True):
            if name is not None:
                run = name.decode()
                told = self._seal.open(raw(print_), f"{run}:print")
                other = differs(batch.digest, row.inputs, told, accounts=batch.accounts)
                found[row.number] = (run, not other)
        return found

    def admit(
        self, batch: Batch, starts: Sequence[str], admittees: Sequence[Admittee], *, drop: int = -1
    ) -> Admitted:
        k = self._keys
        keys = [
            k.batch(batch.id), k.batch(batch.id, "open"), k.batch(batch.id, "rows"),
            k.batch(batch.id, "out"), k.due, k.runs, k.clock, k.stops, k.active_batches,
        ]  # fmt: skip
        values: list[Any] = [
            batch.id, batch.admitted, k.run(""), RESEND_AFTER, self._key_life,
            drop if drop >= 0 else "", counts.field(counts.ACCEPTED, batch.name),
            len(starts), *starts,
        ]  # fmt: skip
        for admittee in admittees:
            values += self._admittee(batch, admittee)
        verdict, _ = self._scripts.call("admit", keys, values, durable=True)
        return Admitted(verdict.decode())

    def _admittee(self, batch: Batch, admittee: Admittee) -> list[Any]:
        row, run = admittee.row, admittee.run
        if admittee.record is not None:
            rest = recorded(self._seal, batch.id, row.number, admittee.record)
            return [row.number, summary(admittee.record), rest, *_NONE]
        inputs = self._seal.seal(dumps(row.inputs), f"{run}:inputs")
        if row.key is None:
            return [row.number, "new", inputs, *_NONE]
        told = fingerprint(batch.digest, row.inputs, accounts=batch.accounts)
        print_ = self._seal.seal(told, f"{run}:print")
        key = self._names.name((batch.key_scope, row.key))
        return [
            row.number, "new", inputs, key, print_, self._seal.seal(row.key.encode(), f"{run}:key"),
        ]  # fmt: skip

    # Looking.

    def read(self, batch: str) -> Batch | None:
        k = self._keys
        with answering(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.hgetall(k.batch(batch))
            pipeline.scard(k.batch(batch, "open"))
            pipeline.scard(k.batch(batch, "parked"))
            pipeline.hget(k.stops, f"batch:{batch}")
            head, busy, parked, stop = pipeline.execute()
        if not head:
            return None
        plain = {name.decode(): value.decode() for name, value in head.items()}
        return _batch(batch, plain, busy, parked, json.loads(stop) if stop else {})

    def all(self) -> list[str]:
        with answering():
            found: Any = self._client.zrevrange(self._keys.batches, 0, -1)
        return [name.decode() for name in found]

    def active(self) -> list[str]:
        with answering():
            found: Any = self._client.smembers(self._keys.active_batches)
        return sorted(name.decode() for name in found)

    def rows(self, batch: Batch, block: int) -> list[Row]:
        place = batch.place, block
        if place not in self._blocks:
            found = self._block(batch, "rows", block)
            if len(self._blocks) >= _CACHED:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[place] = [Row(number=n, key=key, inputs=v) for n, key, v in found]
        return self._blocks[place]

    def index(self, batch: Batch, block: int) -> list[tuple[int, str | None]]:
        return [(number, key) for number, key in self._block(batch, "index", block)]

    def _block(self, batch: Batch, part: str, block: int) -> list[Any]:
        with answering():
            sealed = self._client.hget(self._keys.batch(batch.id, part), str(block))
        if sealed is None:
            return []
        return _unpacked(self._seal.open(raw(sealed), f"{batch.place}:{part}:{block}"))

    def records(self, batch: Batch, numbers: Sequence[int]) -> list[Record | None]:
        if not numbers:
            return []
        with answering():
            found: Any = self._client.hmget(
                self._keys.batch(batch.id, "out"), [str(number) for number in numbers]
            )
        return [
            None if text is None else opened(self._seal, batch.id, number, raw(text))
            for number, text in zip(numbers, found, strict=True)
        ]

    def parked(self, batch: str) -> list[int]:
        return self._members(batch, "parked")

    def _members(self, batch: str, part: str) -> list[int]:
        with answering():
            found: Any = self._client.smembers(self._keys.batch(batch, part))
        return sorted(int(number) for number in found)

    # Ending.

    def redact(self, batch: Batch, block: int, numbers: Container[int]) -> int:
        self._blocks.pop((batch.place, block), None)
        rows = self._redacted(batch, "rows", block, numbers)
        return max(rows, self._redacted(batch, "index", block, numbers))

    def _redacted(self, batch: Batch, part: str, block: int, numbers: Container[int]) -> int:
        key, place = self._keys.batch(batch.id, part), f"{batch.place}:{part}:{block}"
        for _ in range(_TRIES):
            with answering():
                old = self._client.hget(key, str(block))
            if old is None:
                return 0
            rows = _unpacked(self._seal.open(raw(old), place))
            new = [_bare(row) if row[0] in numbers else row for row in rows]
            sealed = self._seal.seal(_packed(new), place)
            if self._scripts.call("replace", [key], [block, old, sealed]):
                return sum(row[0] in numbers for row in rows)
        raise JournalUnavailable("the rows of the batch are being changed: try again")

    def cancel(self, batch: str, *, by: str, reason: str) -> int:
        k = self._keys
        words = tail({"by": by, **self._reasons.sealed(reason, f"stops:batch:{batch}")})
        keys = [k.batch(batch), k.batch(batch, "rows"), k.active_batches, k.house, k.clock]
        return int(self._scripts.call("end_batch", keys, [batch, words]))

    def set_base(self, batch: str) -> None:
        found = self.read(batch)
        if found is None:
            return
        ends = found.ends
        ended = sum(ends.get(end, 0) for end in ("succeeded", "failed", "cancelled"))
        with answering():
            self._client.hset(
                self._keys.batch(batch),
                mapping={"base": ended, "base:failed": ends.get("failed", 0)},
            )


_NONE: Final = ("", "", "")


def _packed(rows: Sequence[Json] | list[Any]) -> bytes:
    return zlib.compress(dumps(rows), 9)


def _unpacked(packed: bytes) -> list[Any]:
    found: list[Any] = json.loads(zlib.decompress(packed))
    return found


def _bare(row: list[Any]) -> list[Any]:
    """A row of a block, or of an index, without what it brought along."""
    number, key, *inputs = row
    return [number, None if key is None else ERASED, *({} for _ in inputs)]


def _batch(
    batch: str, head: Mapping[str, str], busy: int, parked: int, stop: Mapping[str, Any]
) -> Batch:
    def counts(prefix: str) -> dict[str, int]:
        found = {n.removeprefix(prefix): int(v) for n, v in head.items() if n.startswith(prefix)}
        return {name: number for name, number in sorted(found.items()) if number}

    return Batch(
        id=batch,
        digest=head["plan"],
        name=head["name"],
        lane=head["lane"],
        window=int(head["window"]),
        total=int(head["total"]),
        admitted=int(head["next"]),
        at=int(head["at"]),
        by=head["by"],
        place=head["place"],
        size=int(head["size"]),
        key_scope=head["scope"],
        ratio=float(head["ratio"]),
        over=int(head.get("over", 0)),
        ends=counts("n:"),
        codes=counts("c:"),
        sums=counts("s:"),
        busy=busy,
        parked=parked,
        accounts=head.get("accounts", ""),
        stopped=str(stop.get("by", "")),
        stopped_code=str(stop.get("code", "")),
    )
