"""The Celery app by its name: ``celery -A workers.app worker``."""

from __future__ import annotations

from orchestrator.errors import SettingsRefused
from workers.worker import create

try:
    app = create()
except SettingsRefused as error:
    # Celery shows a traceback of whatever an app's module raises, but for this.
    raise SystemExit(f"error: {error.code}: {error.message}") from None
