"""How a session looks from outside: as Fintecture shows it, and as its description says.

Real: `meta.session_id`, `meta.url`, `meta.status`, `meta.code`, `meta.type`, the amount as a text
under `data.attributes`, the statuses, and a list's rows with a `meta` of their own are those of
Fintecture's SDKs and integrations. That a session which was just opened shows the number 201 as its
status, when `transfer_state` becomes `completed`, and a list's `meta` are inferred; that its rows
have the `created_at` of the description, and beside their attributes, is inferred as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final, Protocol

from ops.sandbox.exchange import Body
from ops.sandbox.fintecture.sessions import Session, Stage


class Shape(Protocol):
    def status(self, stage: Stage) -> str:
        """A stage in this world's words."""

    def opened(self, session: Session, url: str) -> Body: ...

    def payment(self, session: Session, now: float) -> Body: ...

    def payments(self, sessions: Iterable[Session], now: float) -> Body: ...


class Real:
    _STATUS: Final[Mapping[Stage, str]] = {
        Stage.OPENED: "provider_required",
        Stage.AT_BANK: "payment_pending",
        Stage.PAID: "payment_created",
        Stage.REFUSED: "payment_unsuccessful",
    }

    def status(self, stage: Stage) -> str:
        return self._STATUS[stage]

    def opened(self, session: Session, url: str) -> Body:
        return {"meta": {"session_id": session.id, "url": url, "status": 201, "code": 200}}

    def payment(self, session: Session, now: float) -> Body:
        meta = self._meta(session, now) | {"type": "PayByBank", "code": 200}
        return {"meta": meta, "data": _data(session, now)}

    def payments(self, sessions: Iterable[Session], now: float) -> Body:
        rows = [
            {"meta": self._meta(each, now), **_data(each, now), "created_at": _iso(each.created)}
            for each in sessions
        ]
        return {"meta": {"code": 200}, "data": rows}

    def _meta(self, session: Session, now: float) -> dict[str, object]:
        return {"session_id": session.id, "status": self.status(session.stage(now))}


class Documented:
    _STATUS: Final[Mapping[Stage, str]] = {
        Stage.OPENED: "payment_created",
        Stage.AT_BANK: "payment_pending",
        Stage.PAID: "payment_completed",
        Stage.REFUSED: "payment_rejected",
    }

    def status(self, stage: Stage) -> str:
        return self._STATUS[stage]

    def opened(self, session: Session, url: str) -> Body:
        status = self.status(Stage.OPENED)
        return {"meta": {"session_id": session.id, "url": url, "status": status, "code": "200"}}

    def payment(self, session: Session, now: float) -> Body:
        return {
            "id": session.id,
            "type": "PIS",
            "attributes": _attributes(session),
            "status": self.status(session.stage(now)),
            "created_at": _iso(session.created),
            "updated_at": _iso(session.changed(now)),
        }

    def payments(self, sessions: Iterable[Session], now: float) -> Body:
        rows = [self.payment(session, now) for session in sessions]
        return {"data": rows, "meta": {"count": len(rows)}}


def _data(session: Session, now: float) -> dict[str, object]:
    return {
        "type": "payments",
        "attributes": _attributes(session),
        "transfer_state": "completed" if session.stage(now) is Stage.PAID else None,
    }


def _attributes(session: Session) -> dict[str, object]:
    order = session.order
    return {
        "amount": order.amount,
        "currency": order.currency,
        "communication": order.communication,
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")
