"""The account's texts. There is no idempotency here: what is sent twice arrives twice.

As with Twilio's own test credentials there are no status callbacks: a text's way is seen by
fetching it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from email.utils import format_datetime
from itertools import islice
from typing import Final
from urllib.parse import urlencode

from ops.sandbox.books import Books, Text
from ops.sandbox.exchange import Ids
from ops.sandbox.settings import TwilioSettings
from ops.sandbox.twilio import known
from ops.sandbox.twilio.errors import about_numbers, magic, refusal, unplayed
from ops.sandbox.twilio.segments import segments

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
# What Twilio takes beside a phone number; the last of them as a sender only.
_CHANNEL: Final = re.compile(r"(whatsapp|messenger|rcs|sim):.+", re.ASCII)
_SHORT_CODE: Final = re.compile(r"[0-9]{5,6}", re.ASCII)
_SENDER_ID: Final = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9 +_&-]{1,11}", re.ASCII)
_MAX_BODY: Final = 1600
_MAX_PAGE: Final = 1000
_DAY: Final = 24 * 3600.0
#: A 201 says "queued" however soon the text leaves.
_STILL_QUEUED: Final = float("-inf")
_DATE_FILTERS: Final = ("DateSent", "DateSent>", "DateSent<")


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    sid: str
    account: str
    to: str
    sender: str
    body: str
    created: float
    num_segments: int
    #: When it leaves the queue, and when it arrives.
    leaves: float
    arrives: float

    def date_sent(self, now: float) -> float | None:
        """None while it is queued."""
        return self.leaves if now >= self.leaves else None

    def status(self, now: float) -> str:
        if now >= self.arrives:
            return "delivered"
        return "sent" if now >= self.leaves else "queued"

    def json(self, now: float) -> dict[str, object]:
        sent = self.date_sent(now)
        updated = self.arrives if now >= self.arrives else sent or self.created
        uri = f"/2010-04-01/Accounts/{self.account}/Messages/{self.sid}"
        return {
            "account_sid": self.account,
            "api_version": "2010-04-01",
            "body": self.body,
            "date_created": _rfc2822(self.created),
            "date_sent": None if sent is None else _rfc2822(sent),
            "date_updated": _rfc2822(updated),
            "direction": "outbound-api",
            "error_code": None,
            "error_message": None,
            "from": self.sender,
            "messaging_service_sid": None,
            "num_media": "0",
            "num_segments": str(self.num_segments),
            "price": None,
            "price_unit": "USD",
            "sid": self.sid,
            "status": self.status(now),
            "subresource_uris": {"media": f"{uri}/Media.json"},
            "to": self.to,
            "uri": f"{uri}.json",
        }


class Messages:
    def __init__(self, *, settings: TwilioSettings, books: Books, ids: Ids) -> None:
        self._settings = settings
        self._books = books
        self._ids = ids
        self._by_sid: dict[str, Message] = {}
        self._all: list[Message] = []
        self._by_recipient: defaultdict[str, list[Message]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._all)

    def send(self, form: Mapping[str, str], now: float) -> dict[str, object]:
        to, sender, body = _checked(form, self._settings.senders)
        message = Message(
            sid=self._ids.hexadecimal("SM"),
            account=self._settings.account_sid,
            to=to,
            sender=sender,
            body=body,
            created=now,
            num_segments=segments(body),
            leaves=now + self._settings.sent_after,
            arrives=now + self._settings.delivered_after,
        )
        self._by_sid[message.sid] = message
        self._all.append(message)
        self._by_recipient[to].append(message)
        self._books.sent(Text(sid=message.sid, to=to, sender=sender, body=body, created=now))
        return message.json(_STILL_QUEUED)

    def get(self, sid: str, now: float) -> dict[str, object] | None:
        message = self._by_sid.get(sid)
        return None if message is None else message.json(now)

    def page(self, query: Mapping[str, str], now: float) -> dict[str, object]:
        """`To`, `From`, `DateSent`, `DateSent>`, `DateSent<`, `PageSize`; newest first.

        As at Twilio a filter by date misses what is still queued, for it has no date yet.
        """
        size = _page_size(query)
        earliest, latest = _sent_between(query)
        filters = {k: v for k, v in query.items() if k in {"To", "From", *_DATE_FILTERS}}

        def wanted(message: Message) -> bool:
            sent = message.date_sent(now)
            in_time = (sent is not None and earliest <= sent < latest) or not (
                filters.keys() & set(_DATE_FILTERS)
            )
            return in_time and query.get("From") in {None, message.sender}

        after = query.get("PageToken", "").removeprefix("PA")
        found = list(islice(filter(wanted, self._newest_first(query.get("To"), after)), size + 1))
        shown, more = found[:size], len(found) > size
        number = _whole(query.get("Page", "0"), "Page")
        return self._envelope(shown, more=more, number=number, size=size, filters=filters, now=now)

    def _newest_first(self, to: str | None, after: str) -> Iterator[Message]:
        """All messages, or those to one number; only those older than `after`, if it is given."""
        messages: Sequence[Message] = self._all if to is None else self._by_recipient.get(to, [])
        newest_first = reversed(messages)
        if after:
            for message in newest_first:
                if message.sid == after:
                    break
        return newest_first

    def _envelope(
        self,
        shown: Sequence[Message],
        *,
        more: bool,
        number: int,
        size: int,
        filters: Mapping[str, str],
        now: float,
    ) -> dict[str, object]:
        def uri(**where: object) -> str:
            query = urlencode({**filters, "PageSize": size, **where})
            return f"/2010-04-01/Accounts/{self._settings.account_sid}/Messages.json?{query}"

        start = number * size
        return {
            "end": start + max(0, len(shown) - 1),
            "first_page_uri": uri(Page=0),
            "messages": [message.json(now) for message in shown],
            "next_page_uri": uri(Page=number + 1, PageToken=f"PA{shown[-1].sid}") if more else None,
            "page": number,
            "page_size": size,
            "previous_page_uri": None,
            "start": start,
            "uri": uri(Page=number),
        }


def _checked(form: Mapping[str, str], senders: Sequence[str]) -> tuple[str, str, str]:
    """To, From and Body, if Twilio would send that."""
    _check_names(form)
    to, sender, body = form.get("To", ""), form.get("From", ""), form.get("Body", "")
    if not to:
        raise refusal(21604, "A 'To' phone number is required.")
    if not sender:
        raise refusal(21603, "A 'From' phone number is required.")
    if not body:
        raise refusal(21602, "Message body is required.")
    if len(body) > _MAX_BODY:
        raise refusal(21617, "The concatenated message body exceeds the 1600 character limit.")
    _check_numbers(to, sender, senders)
    return to, sender, body


def _check_names(form: Mapping[str, str]) -> None:
    for name in known.PARAMETERS:
        if form.get(name):
            raise unplayed(f"parameter {name}")
    for name in known.SWITCHES:
        if form.get(name, "").lower() == "true":
            raise unplayed(f"parameter {name}=true")


def _check_numbers(to: str, sender: str, senders: Sequence[str]) -> None:
    for name, address in (("To", to), ("From", sender)):
        if (channel := _CHANNEL.fullmatch(address)) is not None:
            raise unplayed(f"channel {channel[1]}: in {name}")
        if _SHORT_CODE.fullmatch(address) is not None:
            raise unplayed(f"short code in {name}")
    if _SENDER_ID.fullmatch(sender) is not None:
        raise unplayed("alphanumeric sender ID in From")
    if _E164.fullmatch(to) is None:
        raise about_numbers(21211, sender=sender, to=to)
    if _E164.fullmatch(sender) is None:
        raise about_numbers(21212, sender=sender, to=to)
    if (trouble := magic(sender=sender, to=to)) is not None:
        raise trouble
    if not any(_owns(pattern, sender) for pattern in senders):
        raise about_numbers(21606, sender=sender, to=to)


def _owns(pattern: str, number: str) -> bool:
    return number.startswith(pattern[:-1]) if pattern.endswith("*") else number == pattern


def _page_size(query: Mapping[str, str]) -> int:
    size = _whole(query.get("PageSize", "50"), "PageSize")
    if not 1 <= size <= _MAX_PAGE:
        raise refusal(20001, f"PageSize must be from 1 to {_MAX_PAGE}")
    return size


def _whole(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(_MAX_PAGE)) + 5):
        raise refusal(20001, f"{name} must be a number")
    return int(text)


def _sent_between(query: Mapping[str, str]) -> tuple[float, float]:
    """From the first second to the one behind the last. `DateSent>` means that day or later."""
    earliest, latest = float("-inf"), float("inf")
    if (on := query.get("DateSent")) is not None:
        start, end = _span(on)
        earliest, latest = start, end
    if (since := query.get("DateSent>")) is not None:
        earliest = max(earliest, _span(since)[0])
    if (until := query.get("DateSent<")) is not None:
        latest = min(latest, _span(until)[1])
    return earliest, latest


def _span(text: str) -> tuple[float, float]:
    """The day or the second that a date or a time (GMT) names."""
    try:
        if len(text) == len("YYYY-MM-DD"):
            day = date.fromisoformat(text)
            start = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
            return start, start + _DAY
        moment = datetime.fromisoformat(text)
        start = moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
    except (ValueError, OverflowError):
        raise refusal(20001, f"Not a date: {text}") from None
    return start, start + 1


def _rfc2822(at: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(at), UTC))
