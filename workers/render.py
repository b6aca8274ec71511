"""A step's call → the frozen request: the bytes that every send of a visit repeats.

Credentials are not in it. They stay names (``Secret``) until each send resolves them, so a
journaled request opens nothing.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeAlias, assert_never
from urllib.parse import quote

from orchestrator.errors import NewerRelease, RenderFailed
from orchestrator.expressions.evaluate import Context, absent, evaluate
from orchestrator.expressions.nodes import (
    Array,
    Constant,
    Json,
    Missing,
    Node,
    Object,
    Secret,
    Text,
    walk,
)
from orchestrator.plan.model import Body, HttpCall
from orchestrator.policy import encoding
from orchestrator.policy.encoding import NotEncodable
from orchestrator.policy.profiles import Profile

#: No provider that durazzo knows takes more, and the journal keeps these bytes.
MAX_BODY: Final = 1024 * 1024
#: Characters of the address and the headers together; most servers take a fourth of it.
MAX_HEAD: Final = 64 * 1024
_VERSION: Final = 1
_json: Final = json.JSONEncoder(separators=(",", ":")).encode

HeaderParts: TypeAlias = tuple[str | Secret, ...]
Headers: TypeAlias = tuple[tuple[str, HeaderParts], ...]

#: The transport's own. An encoding that the document asks for would come back unread.
_TRANSPORT: Final = frozenset({
    "host", "content-length", "transfer-encoding", "connection", "expect", "accept-encoding",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class FrozenRequest:
    method: str
    #: Absolute, at the published server: whose credentials it gets goes by this.
    url: str
    #: Where it goes instead, when the run was submitted so; "" for none.
    via: str = ""
    headers: tuple[tuple[str, HeaderParts], ...]
    body: bytes | None
    #: Two sends with one key are carried out at most once; None where the API has no such thing.
    key: str | None
    #: Name of the profile that knows the API.
    provider: str

    def dump(self) -> bytes:
        document = {
            "v": _VERSION,
            "method": self.method,
            "url": self.url,
            "via": self.via,
            "headers": [[name, [_plain(part) for part in parts]] for name, parts in self.headers],
            "body": None if self.body is None else base64.b64encode(self.body).decode(),
            "key": self.key,
            "provider": self.provider,
        }
        return _json(document).encode()

    @classmethod
    def load(cls, data: bytes) -> FrozenRequest:
        """Raises NewerRelease for bytes that another version wrote."""
        document = json.loads(data)
        if document.get("v") != _VERSION:
            raise NewerRelease(
                f"a frozen request of version {document.get('v')}, this release reads {_VERSION}"
            )
        body = document["body"]
        return cls(
            method=document["method"],
            url=document["url"],
            via=document["via"],
            headers=tuple((name, tuple(map(_part, parts))) for name, parts in document["headers"]),
            body=None if body is None else base64.b64decode(body),
            key=document["key"],
            provider=document["provider"],
        )

    def header(self, name: str) -> HeaderParts | None:
        found = (parts for own, parts in self.headers if own.lower() == name.lower())
        return next(found, None)


def render(call: HttpCall, context: Context, *, profile: Profile, key: str) -> FrozenRequest:
    """Raises RenderFailed, naming the field and never its value.

    ``key`` goes out where the profile has a header for it, unless the document sets that header:
    then its value is the key.
    """
    method = call.method.upper()
    given = _headers(call, context)
    key = _own_key(profile, given) or key
    target = _target(call, context, profile)
    headers = given + _defaults(call, profile, key, given)
    _check_head(target, headers)
    return FrozenRequest(
        method=method,
        url=call.server.rstrip("/") + target,
        via=call.via.rstrip("/") + target if call.via else "",
        headers=headers,
        body=None if call.body is None else _body(call.body, context),
        key=key if profile.keys(method) else None,
        provider=profile.name,
    )


def _plain(part: str | Secret) -> str | dict[str, str]:
    return {"secret": part.name} if isinstance(part, Secret) else part


def _part(plain: str | dict[str, str]) -> str | Secret:
    return Secret(plain["secret"]) if isinstance(plain, dict) else plain


def _path(parts: Sequence[Node], context: Context) -> str:
    written = "".join(_path_part(part, context) for part in parts)
    segments = written.partition("?")[0].split("/")
    if not {".", ".."}.isdisjoint(segments):
        raise RenderFailed("the path has a '.' or '..' segment, which would name another resource")
    return written if segments[0] == "" else f"/{written}"


def _path_part(part: Node, context: Context) -> str:
    if isinstance(part, Constant):
        # As the document has it, but for what no URL may hold.
        return quote(encoding.text(part.value), safe="/?%:@!$&'()*+,;=~")
    where = f"the path value {part}"
    try:
        return encoding.path_value(_value(part, context, where))
    except NotEncodable as problem:
        raise RenderFailed(f"{where}: {problem.message}") from None


def _target(call: HttpCall, context: Context, profile: Profile) -> str:
    """Path and query. Null is left out; structures go as the profile's forms have them."""
    path = _path(call.path, context)
    pairs = [_query_pair(name, node, context, profile) for name, node in call.query]
    query = "&".join(pair for pair in pairs if pair)
    # A document may have written the beginning of a query into its path.
    return path + (("&" if "?" in path else "?") + query if query else "")


def _query_pair(name: str, node: Node, context: Context, profile: Profile) -> str:
    where = f"the query parameter {name!r}"
    try:
        return encoding.form({name: _value(node, context, where)}, profile.form_style)
    except NotEncodable as problem:
        raise RenderFailed(f"{where}: {problem.message}") from None


def _headers(call: HttpCall, context: Context) -> Headers:
    """Those of the document. One whose value is null is left out."""
    rendered = (
        (name, _header(name, node, context))
        for name, node in call.headers
        if name.lower() not in _TRANSPORT
    )
    return tuple((name, parts) for name, parts in rendered if parts)


def _header(name: str, node: Node, context: Context) -> HeaderParts:
    """Only here may a secret stand: its name is kept, its value is not there yet."""
    if isinstance(node, Secret):
        return (node,)
    if isinstance(node, Text) and any(isinstance(part, Secret) for part in node.parts):
        return tuple(piece for part in node.parts for piece in _header(name, part, context))
    where = f"the header {name!r}"
    value = _value(node, context, where)
    if value is None:
        return ()
    try:
        return (encoding.header_value(encoding.text(value)),)
    except NotEncodable as problem:
        raise RenderFailed(f"{where}: {problem.message}") from None


def _check_head(target: str, headers: Headers) -> None:
    """A document may put one long value into a thousand headers, and the journal keeps them."""
    texts = (part for name, parts in headers for part in (name, *parts) if isinstance(part, str))
    size = len(target) + sum(map(len, texts))
    if size > MAX_HEAD:
        raise RenderFailed(
            f"the address and the headers have {size} characters, {MAX_HEAD} are the most"
        )


def _defaults(call: HttpCall, profile: Profile, key: str, given: Headers) -> Headers:
    """What durazzo adds; a header that the document sets itself goes before it."""
    added = list(profile.headers)
    if call.body is not None:
        added.append(("Content-Type", call.body.content_type))
    if profile.idempotency is not None and profile.keys(call.method):
        added.append((profile.idempotency.header, key))
    names = {name.lower() for name, _ in given}
    return tuple((name, (value,)) for name, value in added if name.lower() not in names)


def _own_key(profile: Profile, given: Headers) -> str | None:
    if profile.idempotency is None:
        return None
    header = profile.idempotency.header
    own = next((parts for name, parts in given if name.lower() == header.lower()), None)
    if own == ("",):
        raise RenderFailed(f"the header {header!r} is empty, so it would protect nobody")
    return None if own is None else "".join(part for part in own if isinstance(part, str))


def _body(body: Body, context: Context) -> bytes:
    try:
        written = encoding.utf8(_written(body, _tree(body.value, context, "")))
    except NotEncodable as problem:
        raise RenderFailed(f"the body: {problem.message}") from None
    if len(written) > MAX_BODY:
        raise RenderFailed(f"the body has {len(written)} bytes, {MAX_BODY} are the most")
    return written


def _written(body: Body, value: Json) -> str:
    match body.encoding:
        case "json":
            return encoding.json_text(value)
        case "text":
            return encoding.text(value)
        case "form-brackets" | "form-repeat":
            if not isinstance(value, dict):
                raise RenderFailed("the body: a form is made of fields")
            return encoding.form(value, body.encoding)
        case _:
            assert_never(body.encoding)


def _tree(node: Node, context: Context, where: str) -> Json:
    """Structures member by member, so that a missing value is named by its field."""
    match node:
        case Object(fields):
            return {name: _tree(item, context, f"{where}/{name}") for name, item in fields}
        case Array(items):
            return [_tree(item, context, f"{where}/{i}") for i, item in enumerate(items)]
        case _:
            return _value(node, context, f"the body field {where}" if where else "the body")


@lru_cache(maxsize=4096)
def _holds_secret(node: Node) -> bool:
    """Asked of the same nodes at every call of their step."""
    return any(isinstance(inner, Secret) for inner in walk(node))


def _value(node: Node, context: Context, where: str) -> Json:
    if _holds_secret(node):
        raise RenderFailed(f"{where}: a secret may stand in a header only")
    value = evaluate(node, context)
    if isinstance(value, Missing):
        missing = ", ".join(map(str, absent(node, context)))
        raise RenderFailed(f"{where} has no value: {missing} is missing")
    return value
