"""What may be set about the sandbox, and the credentials that it accepts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, get_args

#: `real` answers as the providers do, `documented` as their published descriptions say they do.
WorldName = Literal["real", "documented"]
WORLDS: Final[tuple[WorldName, ...]] = get_args(WorldName)

# Test credentials, fixed so that a script may write them down. They open nothing but a sandbox.
STRIPE_SECRET_KEY: Final = "sk_test_sandbox51Look4Alike7Only9NoMoney3"  # noqa: S105
TWILIO_ACCOUNT_SID: Final = "AC5a4db0c5a4db0c5a4db0c5a4db0c5a4d"
TWILIO_AUTH_TOKEN: Final = "0ddba11feedc0de50ddba11feedc0de5"  # noqa: S105
TWILIO_API_KEY_SID: Final = "SK5a4db0c5a4db0c5a4db0c5a4db0c5a4d"
TWILIO_API_KEY_SECRET: Final = "sandboxApiKeySecretOnly0000000000"  # noqa: S105

FINTECTURE_APP_ID: Final = "5a4db0c5-a4db-4c5a-8db0-c5a4db0c5a4d"
FINTECTURE_APP_SECRET: Final = "0ddba11f-eedc-40de-80dd-ba11feedc0de"  # noqa: S105
ANTHROPIC_API_KEY: Final = "sk-ant-sandbox-Look4AlikeOnly7NoModelIsAsked"


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeSettings:
    secret_key: str = STRIPE_SECRET_KEY
    #: Whether the account's dashboard has payment methods that redirect: then a confirmation
    #: without `return_url` is refused, unless the payment rules them out.
    redirect_methods: bool = False
    #: Requests per second for each endpoint, beyond which come 429s. Stripe's own is 25.
    rate: float | None = None
    #: The same for all of the account's together. Stripe's own is 25 for a test account.
    account_rate: float | None = None
    #: Counted by the second instead of with a burst, which Stripe's own limits allow.
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TwilioSettings:
    account_sid: str = TWILIO_ACCOUNT_SID
    auth_token: str = TWILIO_AUTH_TOKEN
    api_key_sid: str = TWILIO_API_KEY_SID
    api_key_secret: str = TWILIO_API_KEY_SECRET
    #: Numbers that the account owns; a `*` at the end stands for any rest. By default Twilio's own
    #: test sender and every +1 555 number.
    senders: tuple[str, ...] = ("+15005550006", "+1555*")
    rate: float | None = None
    #: Seconds after which a queued text counts as sent, and as delivered.
    sent_after: float = 1.0
    delivered_after: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FintectureSettings:
    app_id: str = FINTECTURE_APP_ID
    app_secret: str = FINTECTURE_APP_SECRET
    #: Seconds that an access token lives.
    expires_in: int = 3600
    #: Seconds after which a payer who is never seen is at the bank, and has paid. With infinity
    #: only the payer's page moves a payment on.
    pending_after: float = 1.0
    paid_after: float = 3.0
    #: Requests per second for each endpoint, as for all of them.
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicSettings:
    api_key: str = ANTHROPIC_API_KEY
    rate: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    stripe: StripeSettings = StripeSettings()
    twilio: TwilioSettings = TwilioSettings()
    fintecture: FintectureSettings = FintectureSettings()
    anthropic: AnthropicSettings = AnthropicSettings()
    world: WorldName = "real"
    #: What the ledger, the faults and the clock are shown for (`Authorization: Bearer`). Without
    #: one they are for this machine's own addresses.
    control_token: str = field(default="", repr=False)
    #: Requests that the ledger keeps; older ones are dropped and counted.
    keep_requests: int = 1_000_000
    #: Objects and keys that each provider remembers. Beyond it writes are refused with 503, for
    #: books that forget a charge would lie.
    capacity: int = 2_000_000

    @property
    def documented(self) -> bool:
        return self.world == "documented"
