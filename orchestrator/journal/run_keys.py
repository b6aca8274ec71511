"""Run keys: what Redis calls them, and what they stand for."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping

import redis

from orchestrator.expressions.nodes import Json
from orchestrator.journal.keys import Keys
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

    def pepper(self) -> bytes:
        """It keys whatever must be told apart and not be guessed. Made once a journal."""
        if not self._pepper:
            fresh = self._seal.seal(secrets.token_bytes(32), "pepper")
            with answering():
                self._client.set(self._keys.pepper, fresh, nx=True)
                stored = self._client.get(self._keys.pepper)
            self._pepper = self._seal.open(raw(stored), "pepper")
        return self._pepper

    def _mac(self, key: tuple[str, str]) -> str:
        text = "\x00".join(key).encode()
        return hmac.new(self.pepper(), text, hashlib.sha256).hexdigest()[:32]


def fingerprint(digest: str, inputs: Mapping[str, Json], *, accounts: str = "") -> bytes:
    """What a run key stands for: this plan with these inputs, whatever their order.

    By the accounts that it names; without, as the first release wrote it.
    """
    what = f"{digest} {accounts}" if accounts else digest
    return f"{what}\n{hashlib.sha256(_ordered(inputs)).hexdigest()}".encode()


def differs(
    digest: str, inputs: Mapping[str, Json], known: bytes, *, accounts: str = ""
) -> tuple[str, ...]:
    """In what a known fingerprint is another: "plan", "account", "inputs"."""
    if len(known) == hashlib.sha256().digest_size:
        # As 0.1 wrote it: one digest over both, which does not tell them apart.
        same = hashlib.sha256(digest.encode() + b"\n" + _ordered(inputs)).digest() == known
        return (*(() if same else ("plan", "inputs")), *(("account",) if accounts else ()))
    ours = _parts(fingerprint(digest, inputs, accounts=accounts))
    pairs = zip(("plan", "account", "inputs"), ours, _parts(known), strict=True)
    return tuple(name for name, now, then in pairs if now != then)


def _parts(print_: bytes) -> tuple[bytes, bytes, bytes]:
    what, inputs = print_.split(b"\n")
    digest, _, accounts = what.partition(b" ")
    return digest, accounts, inputs


def _ordered(inputs: Mapping[str, Json]) -> bytes:
    return json.dumps(inputs, sort_keys=True, separators=(",", ":")).encode()
