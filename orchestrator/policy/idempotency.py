"""The key under which a provider carries a call out once, and how long it may be trusted."""

from __future__ import annotations

import hashlib
import json

from orchestrator.policy.profiles import Profile


def key(run: str, step: str, visit: int) -> str:
    """A pure function of the intent, so whoever carries the run on sends the same one.

    43 characters (Stripe allows 255), and nothing of the customer's in it. A new visit is a new
    operation with a new key: providers replay a decline to an old one.
    """
    intent = json.dumps([run, step, visit], separators=(",", ":"))
    return "dz_" + hashlib.sha256(intent.encode()).hexdigest()[:40]


def may_resend(
    profile: Profile, *, method: str, keyed: bool, first_sent_ms: int, now_ms: int
) -> bool:
    """Whether sending the same bytes again can do nothing that was not done already."""
    if method.upper() in profile.safe_methods:
        return True
    if not keyed or profile.idempotency is None or not profile.keys(method):
        return False
    # A clock that went back says nothing about the key's age: its distance is what counts.
    return abs(now_ms - first_sent_ms) < profile.idempotency.window_ms
