"""What became of a call whose answer was lost: the request that asks, and what its answer says.

The asking goes where the call went, with the call's own headers: a document's own token opens
what it made, as the profile's credential does elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from orchestrator.engine.state import Visit
from orchestrator.expressions.nodes import Missing
from orchestrator.policy import look_up
from orchestrator.policy.look_up import Sent
from orchestrator.policy.outcomes import Answer, Result
from orchestrator.policy.profiles import LookUp, Profile
from workers.render import FrozenRequest

_OK: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What a lost call is looked up by."""

    entry: LookUp
    sent: Sent
    #: A GET.
    request: FrozenRequest

    @property
    def searches(self) -> bool:
        """Among many, where another call's effect could be taken for this one's."""
        return self.entry.items is not None and not (self.sent.subject and self.entry.by_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    #: The provider's id of the effect.
    id: str
    #: The answer that was lost; None: the call surely did nothing.
    answer: Answer | None


def question(profile: Profile, request: FrozenRequest, visit: Visit) -> Question | None:
    """None when nothing can be asked that tells this call from others."""
    path = urlsplit(request.url).path
    entry = profile.look_up(request.method, path)
    if entry is None:
        return None
    sent = Sent(
        method=request.method,
        path=path,
        fields=look_up.fields_of(request.body, _content_type(request)),
        first_ms=visit.first,
        subject=visit.subject,
    )
    asked = look_up.question(entry, sent)
    if asked is None:
        return None
    return Question(entry=entry, sent=sent, request=_asking(request, path, asked))


def read(found: Question, reply: Result, now_ms: int) -> Iterator[Found] | None:
    """What the answer may be about, the likeliest first; None when it says nothing."""
    if not isinstance(reply, Answer) or reply.status != _OK or isinstance(reply.body, Missing):
        return None
    listed = look_up.candidates(found.entry, found.sent, reply.body, now_ms)
    return (Found(id=c.id, answer=look_up.answer(found.entry, c)) for c in listed)


def is_cut_off(found: Question, reply: Result) -> bool:
    """Whether what is looked for may be among what this answer leaves out."""
    return (
        found.searches
        and isinstance(reply, Answer)
        and not isinstance(reply.body, Missing)
        and look_up.is_cut_off(found.entry, reply.body)
    )


def subject_of(profile: Profile, request: FrozenRequest, reply: Result) -> str:
    """The id of what the call is about, where its answer tells and it can be asked for by that."""
    entry = profile.look_up(request.method, urlsplit(request.url).path)
    if entry is None or not entry.by_id or not isinstance(reply, Answer):
        return ""
    return look_up.subject(entry, reply.body)


def effect_of(profile: Profile, request: FrozenRequest, reply: Result) -> str:
    """``provider:id`` of what the call made, where a search could take it for another call's."""
    entry = profile.look_up(request.method, urlsplit(request.url).path)
    if entry is None or entry.items is None or not isinstance(reply, Answer):
        return ""
    found = look_up.subject(entry, reply.body)
    return f"{profile.name}:{found}" if found else ""


def _asking(request: FrozenRequest, path: str, asked: str) -> FrozenRequest:
    return replace(
        request,
        method="GET",
        url=_origin(request.url) + asked,
        via=_beside(request.via, path, asked) if request.via else "",
        headers=tuple(h for h in request.headers if _goes_along(h[0], request)),
        body=None,
        key=None,
    )


def _goes_along(header: str, request: FrozenRequest) -> bool:
    """Not what is about the body, and not the key."""
    parts = request.header(header)
    is_key = request.key is not None and parts == (request.key,)
    return not header.lower().startswith("content-") and not is_key


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _beside(via: str, path: str, asked: str) -> str:
    """``via`` ends in the part of the path that the published server does not have."""
    split = urlsplit(via)
    prefix = split.path
    # What stands before the part that both have is where the replacement lives.
    common = 0
    while common < min(len(prefix), len(path)) and prefix[-1 - common] == path[-1 - common]:
        common += 1
    own, published = prefix[: len(prefix) - common], path[: len(path) - common]
    rest = asked.removeprefix(published) if asked.startswith(published) else asked
    return f"{split.scheme}://{split.netloc}{own}{rest}"


def _content_type(request: FrozenRequest) -> str:
    parts = request.header("content-type") or ()
    return "".join(part for part in parts if isinstance(part, str)).lower()
