"""A row's record in Redis: a summary that scripts count by, and the rest, sealed."""

from __future__ import annotations

import json

from orchestrator.journal.batches import Record
from orchestrator.journal.replies import dumps
from orchestrator.journal.seal import Seal


def summary(record: Record) -> str:
    """What ``count`` in lib.lua reads."""
    sums = ",".join(f"{name}={number}" for name, number in record.sums.items())
    return f"{record.end} {record.code or '-'} {sums}".rstrip()


def recorded(seal: Seal, batch: str, number: int, record: Record) -> bytes:
    """The rest of a record, sealed."""
    fields = [record.run, record.step, record.at, record.effects]
    return seal.seal(dumps(fields), f"{batch}:out:{number}")


def opened(seal: Seal, batch: str, number: int, text: bytes) -> Record:
    head, _, sealed = text.partition(b"\n")
    end, code, *sums = head.decode().split(" ")
    run, step, at, effects = json.loads(seal.open(sealed, f"{batch}:out:{number}"))
    pairs = (pair.partition("=") for pair in (sums[0].split(",") if sums else []))
    return Record(
        end=end,
        code="" if code == "-" else code,
        run=run,
        step=step,
        at=at,
        effects=effects,
        sums={name: int(sum_) for name, _, sum_ in pairs},
    )
