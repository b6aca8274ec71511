"""``durazzo doctor``: what is missing, and what to do."""

from __future__ import annotations
