"""What a provider really has and the sandbox does not play, said by the sandbox as itself.

In the provider's words it would teach the caller something about the provider that is not so. Hence
501, the header `X-Sandbox: not-played`, and a message that begins with "durazzo sandbox:".
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from ops.sandbox.exchange import Answer, Reply

CODE: Final = "sandbox-not-played"
HEADERS: Final = {
    "X-Sandbox": "not-played",
    # No further attempt is answered otherwise: what clients of Stripe and Anthropic obey.
    "Stripe-Should-Retry": "false",
    "X-Should-Retry": "false",
}


class NotPlayedError(Exception):
    """The call is answered without being carried out, as nothing that the provider would say.

    `what` is a kind, such as "Stripe's parameter expand", and holds nothing of a caller's own, for
    it is logged: names and path patterns that the provider gave.
    """

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what

    @property
    def message(self) -> str:
        return (
            f"durazzo sandbox: {self.what} is not played here. The provider has it, the sandbox "
            "has not: nothing was done. GET / on the sandbox lists what is played."
        )

    def reply(self) -> Reply:
        """Code and message stand where clients of either provider look for them."""
        said = {"code": CODE, "message": self.message}
        status = HTTPStatus.NOT_IMPLEMENTED
        body = {**said, "status": int(status), "error": {**said, "type": CODE}}
        return Answer(status=status, body=body, headers=HEADERS).reply()
