"""What Fintecture has beside what is played, from its descriptions; scopes and grants inferred.

It is answered with "not played". Anything else that is not played, Fintecture does not know either.
"""

from __future__ import annotations

from typing import Final

from ops.sandbox.paths import Paths

PATHS: Final = Paths(
    "POST /oauth/refreshtoken",
    "POST /oauth/secure/accesstoken",
    "PATCH /pis/v2/payments/:id",
    "GET /pis/v2/payments/:id/refunds",
    "POST /pis/v2/refund",
    "POST /pis/v2/request-to-pay",
    "POST /pis/v2/request-for-payout",
    "GET /pis/v2/settlements",
    "GET /pis/v2/settlements/:id",
    "GET,POST /ais/v1/*",
    "GET /res/v1/*",
)
SCOPES: Final = frozenset({"AIS", "AIS PIS", "PIS AIS", "customers"})
GRANTS: Final = frozenset({"authorization_code", "refresh_token"})
#: Members of `data.attributes`; an answer would show them.
ATTRIBUTES: Final = ("beneficiary", "customer_id", "end_to_end_id")
METHODS: Final = frozenset({"smart_transfer", "bnpl"})
