"""Documents for tests: short ones, their sources in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ops.cli.explain import pages
from orchestrator.errors import Diagnostic, DocumentRefused
from orchestrator.formats.load import (
    FileSources,
    Loaded,
    Provider,
    SourceResolver,
    SourceText,
    SourceUnresolved,
    bundled,
    load,
    specs_folder,
)

PUBLISHED = specs_folder() / "published"

PROVIDERS = (
    Provider(
        name="stripe",
        hosts=("api.stripe.com",),
        default_encoding="form",
        money=(("POST", "/v1/payment_intents"), ("POST", "/v1/payment_intents/*/confirm")),
    ),
    Provider(
        name="twilio",
        hosts=("api.twilio.com",),
        form_style="form-repeat",
        default_encoding="form",
    ),
    Provider(name="fintecture", hosts=("api.fintecture.com",)),
    Provider(name="anthropic", hosts=("api.anthropic.com",)),
)

#: Two operations of a shop; enough for most documents.
SHOP = """
openapi: 3.1.0
servers: [{url: "https://shop.example/v1/"}]
paths:
  /orders:
    post:
      operationId: createOrder
      requestBody: {content: {application/json: {}}}
  /orders/{id}:
    parameters: [{name: id, in: path, required: true}]
    get:
      operationId: getOrder
"""


@dataclass(frozen=True)
class Shelf:
    """Source descriptions by name."""

    texts: Mapping[str, str] = field(default_factory=lambda: {"shop": SHOP})

    def read(self, name: str, url: str) -> SourceText:
        if name not in self.texts:
            raise SourceUnresolved(f"no {name} at {url}")
        return SourceText(text=self.texts[name], file=f"{name}.yaml")


def arazzo(steps: str, *, inputs: str = "", outputs: str = "", extra: str = "") -> str:
    """A document over the shop; ``steps`` is YAML indented by six spaces."""
    return f"""arazzo: 1.0.1
info: {{title: t, version: "1"}}
sourceDescriptions:
  - {{name: shop, url: shop.yaml, type: openapi}}
workflows:
  - workflowId: w
    {"inputs: " + inputs if inputs else ""}
    steps:
{steps}
    {"outputs: " + outputs if outputs else ""}
{extra}
"""


def loaded(
    text: str,
    *,
    workflow: str | None = None,
    sources: SourceResolver | None = None,
    strict: bool = False,
    servers: Mapping[str, str] | None = None,
) -> Loaded:
    try:
        found = load(
            text,
            file="flow.yaml",
            workflow=workflow,
            sources=sources or Shelf(),
            providers=PROVIDERS,
            strict=strict,
            servers=servers or {},
        )
    except DocumentRefused as refusal:
        assert_explained(refusal.diagnostics)
        raise
    assert_explained(found.diagnostics)
    return found


def assert_explained(diagnostics: tuple[Diagnostic, ...]) -> None:
    """Whatever a test has durazzo say has a page: see ``ops/docs/codes``."""
    assert {d.code for d in diagnostics} - pages().keys() == set()


def refused(
    text: str,
    *,
    workflow: str | None = None,
    sources: SourceResolver | None = None,
    strict: bool = False,
) -> tuple[Diagnostic, ...]:
    with pytest.raises(DocumentRefused) as caught:
        loaded(text, workflow=workflow, sources=sources, strict=strict)
    return caught.value.diagnostics


def codes(diagnostics: tuple[Diagnostic, ...]) -> list[str]:
    return [d.code for d in diagnostics]


def published(name: str) -> str:
    return (PUBLISHED / name).read_text()


def shipped_sources(folder: Path | None = None) -> FileSources:
    return FileSources(shipped=bundled(specs_folder()), folder=folder)
