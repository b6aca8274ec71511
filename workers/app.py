"""The Celery app by its name: ``celery -A workers.app worker``."""

from __future__ import annotations

from workers.worker import create

app = create()
