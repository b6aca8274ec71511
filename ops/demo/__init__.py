"""The demo: its processes, its acts, and what each must come to."""

from __future__ import annotations
