"""Operation → what a call of it needs: method, server, path, parameters, media types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urljoin, urlsplit

from orchestrator.expressions.nodes import Json
from orchestrator.openapi.description import (
    Description,
    DescriptionRefused,
    Entry,
    JsonObject,
)

Location = Literal["path", "query", "header", "cookie"]
_VARIABLE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    name: str
    location: Location
    required: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PathVariable:
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    #: The operationId, or "POST /path" where it has none.
    id: str
    method: str
    #: Absolute, without trailing slash, e.g. "https://api.twilio.com/2010-04-01";
    #: "" if the description names none that is absolute.
    server: str
    #: Literal text and variables in turn, e.g. ("/v1/things/", PathVariable("id")).
    path: tuple[str | PathVariable, ...]
    parameters: tuple[Parameter, ...] = ()
    #: Media types of the request body, in the description's order; empty: takes no body.
    media_types: tuple[str, ...] = ()
    #: Names of the security schemes; credentials themselves are the provider profiles'.
    security: tuple[str, ...] = ()

    @property
    def path_variables(self) -> tuple[str, ...]:
        return tuple(part.name for part in self.path if isinstance(part, PathVariable))


def operation(description: Description, entry: Entry) -> Operation:
    """Raises DescriptionRefused, also for a dangling reference among the parameters."""
    named = entry.operation.get("operationId")
    return Operation(
        id=named if isinstance(named, str) else f"{entry.method.upper()} {entry.path}",
        method=entry.method.upper(),
        server=_server(description, entry),
        path=path_parts(entry.path),
        parameters=_parameters(description, entry),
        media_types=_media_types(description, entry),
        security=_security(description, entry),
    )


def path_parts(template: str) -> tuple[str | PathVariable, ...]:
    parts: list[str | PathVariable] = []
    end = 0
    for match in _VARIABLE.finditer(template):
        parts.extend((template[end : match.start()], PathVariable(name=match[1])))
        end = match.end()
    parts.append(template[end:])
    return tuple(part for part in parts if part)


def _server(description: Description, entry: Entry) -> str:
    """The nearest ``servers`` wins, and of those the first (OpenAPI 3.1, "Server Object")."""
    for holder in (entry.operation, entry.path_item, description.root):
        servers = holder.get("servers")
        if isinstance(servers, list) and servers and isinstance(servers[0], dict):
            return _absolute(description, _filled(description, servers[0]))
    return _absolute(description, "/")


def _filled(description: Description, server: JsonObject) -> str:
    url = server.get("url")
    if not isinstance(url, str):
        raise DescriptionRefused("openapi-no-server", f"a server of {description.name} has no url")
    variables = server.get("variables")
    known: JsonObject = variables if isinstance(variables, dict) else {}

    def default(match: re.Match[str]) -> str:
        variable = known.get(match[1])
        value = variable.get("default") if isinstance(variable, dict) else None
        if value is None:
            message = f"the server of {description.name} has no default for {{{match[1]}}}"
            raise DescriptionRefused("openapi-no-server", message)
        return str(value)

    return _VARIABLE.sub(default, url)


def _absolute(description: Description, url: str) -> str:
    absolute = urljoin(description.url, url)
    parts = urlsplit(absolute)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        return ""
    return absolute.rstrip("/")


def _parameters(description: Description, entry: Entry) -> tuple[Parameter, ...]:
    """The operation's override the path's of the same name and place."""
    found: dict[tuple[str, str], Parameter] = {}
    for holder in (entry.path_item, entry.operation):
        for written in _list(holder.get("parameters")):
            parameter = _parameter(description.resolved(written))
            if parameter is not None:
                found[parameter.name, parameter.location] = parameter
    return tuple(found.values())


def _parameter(value: Json) -> Parameter | None:
    match value:
        case {"name": str(name), "in": "path" | "query" | "header" | "cookie" as location, **rest}:
            return Parameter(name=name, location=location, required=rest.get("required") is True)
        case _:
            return None


def _media_types(description: Description, entry: Entry) -> tuple[str, ...]:
    body = description.resolved(entry.operation.get("requestBody"))
    content = body.get("content") if isinstance(body, dict) else None
    return tuple(content) if isinstance(content, dict) else ()


def _security(description: Description, entry: Entry) -> tuple[str, ...]:
    own = entry.operation.get("security")
    written = own if own is not None else description.root.get("security")
    names = (name for item in _list(written) if isinstance(item, dict) for name in item)
    return tuple(dict.fromkeys(names))


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
