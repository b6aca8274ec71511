"""The hand-written chain's app by its name: ``celery -A ops.bench.handwritten_app worker``."""

from __future__ import annotations

from ops.bench.handwritten import create
from orchestrator.settings import from_environ

app = create(from_environ())
