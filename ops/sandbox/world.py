"""Everything that the sandbox remembers, and a call's way through it."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ops.sandbox.anthropic.api import Anthropic
from ops.sandbox.books import Books
from ops.sandbox.exchange import Call, Ids, Provider, Reply
from ops.sandbox.faults import Do, Fault, Faults, Trouble
from ops.sandbox.fintecture.api import Fintecture
from ops.sandbox.settings import Settings
from ops.sandbox.stripe.api import Stripe
from ops.sandbox.twilio.api import Twilio

_NO_CONTENT: Final = frozenset({204, 304})


@dataclass(frozen=True, slots=True)
class World:
    """The providers with their books, and the faults. A reset begins another one."""

    books: Books
    faults: Faults
    #: By the first part of the path.
    providers: Mapping[str, Provider]
    capacity: int

    @classmethod
    def begin(cls, settings: Settings, entropy: random.Random) -> World:
        books = Books(keep_requests=settings.keep_requests)
        ids = Ids(entropy)
        documented = settings.documented
        return cls(
            books=books,
            faults=Faults(),
            providers={
                "stripe": Stripe(
                    settings=settings.stripe, books=books, ids=ids, documented=documented
                ),
                "twilio": Twilio(settings=settings.twilio, books=books, ids=ids),
                "fintecture": Fintecture(
                    settings=settings.fintecture, books=books, ids=ids, documented=documented
                ),
                "anthropic": Anthropic(settings=settings.anthropic, books=books, ids=ids),
            },
            capacity=settings.capacity,
        )

    async def answer(self, provider: Provider, call: Call, trouble: Trouble) -> Reply | None:
        """The provider's reply. None if the connection is to be closed before anything is done."""
        fault = trouble.fault
        if fault is not None and fault.do in {Do.DROP_BEFORE, Do.STATUS}:
            await asyncio.sleep(trouble.before)
            return None if fault.do is Do.DROP_BEFORE else _scripted(fault, provider, 503)
        if call.method == "POST" and provider.size() >= self.capacity:
            return provider.failure(503)
        stored = fault is not None and fault.do is Do.STORED_STATUS
        instead = _scripted(fault, provider, 500) if fault is not None and stored else None
        return await provider.answer(call, pause=trouble.before, instead=instead)


def _scripted(fault: Fault, provider: Provider, default_status: int) -> Reply:
    """The fault's answer; what it leaves open is said as the provider would."""
    status = fault.status or default_status
    usual = provider.failure(status)
    body = usual.body if fault.body is None else json.dumps(fault.body).encode()
    return Reply(
        status=status,
        body=b"" if status in _NO_CONTENT else body,
        headers={**usual.headers, **fault.headers},
    )
