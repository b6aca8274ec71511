"""``api`` nodes → requests: address, headers, body in the encoding that the API wants."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote_plus

from orchestrator.expressions.nodes import Constant, Node, Text
from orchestrator.formats.bodies import FORM, JSON, encoding_of, misfit, structure_in
from orchestrator.formats.diagnostics import Report
from orchestrator.formats.endpoints import Endpoint, Endpoints, is_http_url
from orchestrator.formats.expressions import Expressions, Parse
from orchestrator.formats.osop.model import Api
from orchestrator.formats.osop.names import Names
from orchestrator.formats.osop.secrets import refuse_secrets
from orchestrator.formats.scope import Where
from orchestrator.formats.source import Scalar, Tree
from orchestrator.formats.values import is_header_name, joined_path
from orchestrator.plan.model import Body, HttpCall

_ORIGIN = re.compile(r"(https?://[^/?#]+)(.*)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    #: Constant, absolute, without trailing slash.
    server: str
    #: What follows, with ``${…}`` in it.
    path: str
    written: Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    names: Names
    expressions: Expressions
    endpoints: Endpoints
    report: Report

    def call(self, node: str, api: Api) -> HttpCall | None:
        """None, with the reason in the report, if there is no address to call."""
        address = self._address(api)
        if address is None:
            return None
        endpoint = self.endpoints.of(address.server, at=address.written.place)
        path, _, query = address.path.partition("?")
        return HttpCall(
            provider=endpoint.provider.name,
            method=api.method,
            server=endpoint.server,
            via=endpoint.via,
            path=self._path(path, address.written, node),
            query=tuple(self._query(query, address.written, node)),
            headers=tuple(self._headers(api, node)),
            body=self._body(api, endpoint, node),
        )

    def _address(self, api: Api) -> Address | None:
        url, endpoint = api.url, api.endpoint
        if url is None or (endpoint is not None and is_http_url(endpoint.text)):
            return self._absolute(endpoint)
        if endpoint is None:
            return self._absolute(url)
        if not endpoint.text.startswith("/"):
            message = f"'{endpoint.text}' is no path; it is taken for a label and ignored"
            self.report.warning("osop-endpoint-label", message, endpoint.place)
            return self._absolute(url)
        server = url.text.rstrip("/")
        if "{" in server or "?" in server:
            joined = Scalar(server, server + endpoint.text, url.place)
            return self._absolute(joined)
        if not is_http_url(server):
            self._refuse(url)
            return None
        return Address(server=server, path=endpoint.text, written=endpoint)

    def _absolute(self, written: Scalar | None) -> Address | None:
        """One whole URL: its origin is the server."""
        match = None if written is None else _ORIGIN.fullmatch(written.text)
        if written is None or match is None or "{" in match[1]:
            self._refuse(written)
            return None
        return Address(server=match[1], path=match[2], written=written)

    def _refuse(self, written: Scalar | None) -> None:
        if written is not None:
            message = "expected an address like https://api.example.com, its host without ${…}"
            self.report.error("osop-url", message, written.place)

    def _path(self, path: str, written: Scalar, node: str) -> tuple[Node, ...]:
        parsed = self._checked(self.names.address, path, written, node)
        parts = parsed.parts if isinstance(parsed, Text) else (parsed,)
        return joined_path(part for part in parts if part != Constant(""))

    def _query(self, query: str, written: Scalar, node: str) -> Iterator[tuple[str, Node]]:
        for pair in filter(None, query.split("&")):
            name, _, value = pair.partition("=")
            parsed = self._checked(self.names.address, unquote_plus(value), written, node)
            yield unquote_plus(name), parsed

    def _checked(self, parse: Parse, text: str, written: Scalar, node: str) -> Node:
        """Of a part of an address: its problems are shown at the address."""
        part = Scalar(text, text, written.place)
        value = self.expressions.parsed(parse, part, Where.REQUEST, node)
        refuse_secrets(value, written.place, self.report)
        return value

    def _headers(self, api: Api, node: str) -> Iterator[tuple[str, Node]]:
        for name, value in api.headers.entries if api.headers else ():
            if name.text.lower() == "content-type":
                continue
            if not is_header_name(name.text):
                message = "the name of a header has letters, digits and - in it, and no space"
                self.report.error("osop-header-name", message, name.place)
            elif isinstance(value, Scalar) and value.value is not None:
                yield name.text, self.expressions.value(value, node)
            else:
                message = f"the header '{name.text}' is a text"
                self.report.error("osop-wrong-type", message, value.place)

    def _body(self, api: Api, endpoint: Endpoint, node: str) -> Body | None:
        if api.body is None:
            return None
        written = _content_type(api)
        default = FORM if endpoint.provider.default_encoding == "form" else JSON
        content_type = written.text if written else default
        encoding = encoding_of(content_type, endpoint.provider)
        if encoding is None:
            message = (
                f"a body of type {content_type} cannot be written; JSON, forms and text/plain can"
            )
            self.report.error("osop-unsupported-content-type", message, (written or api.body).place)
            return None
        body: Tree = api.body
        if encoding == "json" and isinstance(body, Scalar):
            body = structure_in(body) or body
        value = self.expressions.value(body, node)
        refuse_secrets(value, body.place, self.report)
        if reason := misfit(value, encoding):
            message = f"this body cannot be sent as {content_type}: {reason}"
            self.report.error("osop-payload", message, body.place)
        return Body(encoding=encoding, content_type=content_type, value=value)


def _content_type(api: Api) -> Scalar | None:
    for name, value in api.headers.entries if api.headers else ():
        if name.text.lower() == "content-type" and isinstance(value, Scalar):
            return value
    return api.content_type
