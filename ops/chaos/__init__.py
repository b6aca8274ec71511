"""Chaos: a storm over real processes, judged by the books of the sandbox."""

from __future__ import annotations
