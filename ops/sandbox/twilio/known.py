"""What Twilio has beside what is played: paths and parameters, from its own description.

They are answered with "not played". Anything else that is not played, Twilio does not know either:
it ignores a parameter that it does not know.
"""

from __future__ import annotations

from typing import Final

from ops.sandbox.paths import Paths

ACCOUNT: Final = "/2010-04-01/Accounts/:AccountSid"
# By their first part only: whether Twilio knows the rest is not looked at.
_FAR: Final = (
    "Addresses", "Applications", "AuthorizedConnectApps", "AvailablePhoneNumbers", "Balance",
    "Calls", "Conferences", "ConnectApps", "IncomingPhoneNumbers", "Keys", "Notifications",
    "OutgoingCallerIds", "Queues", "Recordings", "SIP", "SMS", "SigningKeys", "Tokens",
    "Transcriptions", "Usage",
)  # fmt: skip
PATHS: Final = Paths(
    "GET,POST /2010-04-01/Accounts.json",
    "GET,POST /2010-04-01/Accounts/:AccountSid.json",
    f"DELETE,POST {ACCOUNT}/Messages/:Sid.json",
    f"GET {ACCOUNT}/Messages/:Sid/Media.json",
    f"DELETE,GET {ACCOUNT}/Messages/:Sid/Media/:MediaSid.json",
    f"POST {ACCOUNT}/Messages/:Sid/Feedback.json",
    # Without an ending Twilio speaks XML.
    f"GET,POST {ACCOUNT}/Messages",
    f"GET,POST {ACCOUNT}/Messages.xml",
    f"GET {ACCOUNT}/Messages.csv",
    f"GET {ACCOUNT}/Messages/:Sid.xml",
    *(f"DELETE,GET,POST {ACCOUNT}/{each}.json" for each in _FAR),
    *(f"DELETE,GET,POST {ACCOUNT}/{each}/*" for each in _FAR),
)

#: Each would have another text sent, another sender, or another time.
PARAMETERS: Final = (
    "ContentSid", "ContentVariables", "FallbackFrom", "MediaUrl", "MessagingServiceSid",
    "PersistentAction", "ScheduleType", "SendAt",
)  # fmt: skip
#: The same, when they are true.
SWITCHES: Final = ("SendAsMms", "ShortenUrls", "SmartEncoded")
