"""Which currencies and amounts Stripe takes.

General knowledge, from Stripe's page on currencies: the codes, the currencies without a smaller
unit, and the smallest amounts. Where the page names none, 1 is taken; real accounts convert the
minimum of the currency that they are paid out in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ops.sandbox.stripe.errors import refusal

_CURRENCIES: Final = (
    "usd", "aed", "afn", "all", "amd", "ang", "aoa", "ars", "aud", "awg", "azn", "bam", "bbd",
    "bdt", "bgn", "bhd", "bif", "bmd", "bnd", "bob", "brl", "bsd", "bwp", "byn", "bzd", "cad",
    "cdf", "chf", "clp", "cny", "cop", "crc", "cve", "czk", "djf", "dkk", "dop", "dzd", "egp",
    "etb", "eur", "fjd", "fkp", "gbp", "gel", "ghs", "gip", "gmd", "gnf", "gtq", "gyd", "hkd",
    "hnl", "htg", "huf", "idr", "ils", "inr", "isk", "jmd", "jod", "jpy", "kes", "kgs", "khr",
    "kmf", "krw", "kwd", "kyd", "kzt", "lak", "lbp", "lkr", "lrd", "lsl", "mad", "mdl", "mga",
    "mkd", "mmk", "mnt", "mop", "mur", "mvr", "mwk", "mxn", "myr", "mzn", "nad", "ngn", "nio",
    "nok", "npr", "nzd", "omr", "pab", "pen", "pgk", "php", "pkr", "pln", "pyg", "qar", "ron",
    "rsd", "rub", "rwf", "sar", "sbd", "scr", "sek", "sgd", "shp", "sle", "sos", "srd", "std",
    "szl", "thb", "tjs", "tnd", "top", "try", "ttd", "twd", "tzs", "uah", "ugx", "usdc", "uyu",
    "uzs", "vnd", "vuv", "wst", "xaf", "xcd", "xcg", "xof", "xpf", "yer", "zar", "zmw",
)  # fmt: skip
_KNOWN: Final = frozenset(_CURRENCIES)
_ZERO_DECIMAL: Final = frozenset({
    "bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf",
    "xof", "xpf",
})  # fmt: skip
_THREE_DECIMAL: Final = frozenset({"bhd", "jod", "kwd", "omr", "tnd"})
_SYMBOLS: Final[Mapping[str, str]] = {"usd": "$", "eur": "€", "gbp": "£", "jpy": "¥"}
#: In the smallest unit.
_MINIMUMS: Final[Mapping[str, int]] = {
    "usd": 50, "aed": 200, "aud": 50, "bgn": 100, "brl": 50, "cad": 50, "chf": 50, "czk": 1500,
    "dkk": 250, "eur": 50, "gbp": 30, "hkd": 400, "huf": 17500, "inr": 50, "jpy": 50,
    "mxn": 1000, "myr": 200, "nok": 300, "nzd": 50, "pln": 200, "ron": 200, "sek": 300,
    "sgd": 50, "thb": 1000,
}  # fmt: skip
#: Eight digits, whatever the currency.
_MAXIMUM: Final = 99_999_999
_NAMED: Final = 12


def currency(text: str) -> str:
    """The code in lower case, if Stripe charges in it."""
    code = text.lower()
    if code not in _KNOWN:
        # Stripe names them all.
        some = ", ".join(_CURRENCIES[:_NAMED])
        more = len(_CURRENCIES) - _NAMED
        raise refusal(
            f"Invalid currency: {code}. Stripe currently supports these currencies: {some} and "
            f"{more} more",
            param="currency",
        )
    return code


def check_amount(amount: int, code: str) -> None:
    """Refuses what is less than Stripe charges in the currency, or more."""
    least = _MINIMUMS.get(code, 1)
    if amount < least:
        said = f"Amount must be at least {_shown(least, code)} {code}"
        raise refusal(said, code="amount_too_small", param="amount")
    if amount > _MAXIMUM:
        said = f"Amount must be no more than {_shown(_MAXIMUM, code)}"
        raise refusal(said, code="amount_too_large", param="amount")


def _shown(amount: int, code: str) -> str:
    places = 0 if code in _ZERO_DECIMAL else 3 if code in _THREE_DECIMAL else 2
    return f"{_SYMBOLS.get(code, '')}{amount / 10**places:,.{places}f}"
