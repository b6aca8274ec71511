"""The shipped profiles, for these tests."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from orchestrator.expressions.nodes import Json
from orchestrator.policy.profiles import Profile, parse

SPECS = Path(__file__).parents[3] / "specs"
NAMES = sorted(path.stem for path in (SPECS / "providers").glob("*.yaml"))


def document(name: str) -> dict[str, Json]:
    loaded: dict[str, Json] = yaml.safe_load((SPECS / "providers" / f"{name}.yaml").read_text())
    return loaded


def schema() -> dict[str, Json]:
    path = SPECS / "schemas" / "provider.schema.json"
    loaded: dict[str, Json] = json.loads(path.read_text())
    return loaded


def profile(name: str) -> Profile:
    return parse(document(name))
