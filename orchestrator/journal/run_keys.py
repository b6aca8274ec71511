"""Run keys: what Redis calls them, and what they stand for."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets

import redis

from orchestrator.journal.keys import Keys
from orchestrator.journal.port import NewRun
from orchestrator.journal.replies import raw
from orchestrator.journal.seal import Seal
from orchestrator.journal.trouble import answering


class RunKeys:
    """They may name customers: their Redis keys are HMACs under a sealed pepper."""

    def __init__(self, client: redis.Redis, seal: Seal, keys: Keys) -> None:
        self._client = client
        self._seal = seal
        self._keys = keys
        self._pepper = b""

    def name(self, key: tuple[str, str]) -> str:
        """Of a (scope, key), in Redis."""
        return self._keys.run_key(self._mac(key))

    def _mac(self, key: tuple[str, str]) -> str:
        if not self._pepper:
            fresh = self._seal.seal(secrets.token_bytes(32), "pepper")
            with answering():
                self._client.set(self._keys.pepper, fresh, nx=True)
                stored = self._client.get(self._keys.pepper)
            self._pepper = self._seal.open(raw(stored), "pepper")
        text = "\x00".join(key).encode()
        return hmac.new(self._pepper, text, hashlib.sha256).hexdigest()[:32]


def fingerprint(new: NewRun) -> bytes:
    """What a run key stands for: this plan with these inputs, whatever their order."""
    inputs = json.dumps(new.inputs, sort_keys=True, separators=(",", ":"))
    return f"{new.digest}\n{hashlib.sha256(inputs.encode()).hexdigest()}".encode()


def differs(new: NewRun, known: bytes) -> tuple[str, ...]:
    if len(known) == hashlib.sha256().digest_size:
        # As 0.1 wrote it: one digest over both, which does not tell them apart.
        inputs = json.dumps(new.inputs, sort_keys=True, separators=(",", ":"))
        same = hashlib.sha256(f"{new.digest}\n{inputs}".encode()).digest() == known
        return () if same else ("plan", "inputs")
    pairs = zip(("plan", "inputs"), fingerprint(new).split(b"\n"), known.split(b"\n"), strict=True)
    return tuple(name for name, now, then in pairs if now != then)
