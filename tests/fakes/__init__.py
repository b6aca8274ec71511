"""Stand-ins shared by the tests: plans, a clock, servers, a provider with a ledger."""

from __future__ import annotations
