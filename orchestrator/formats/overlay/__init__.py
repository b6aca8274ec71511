"""OpenAPI Overlay 1.0 over any document: https://spec.openapis.org/overlay/v1.0.0.html."""

from __future__ import annotations
