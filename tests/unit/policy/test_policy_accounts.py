"""Accounts: what a label stands for, and that it stands for nothing else."""

from __future__ import annotations

import pytest

from orchestrator.policy.accounts import Accounts, is_label, read, written
from orchestrator.policy.profiles import ApiKey, Basic, Bearer, Credential
from tests.unit.policy.shipped import NAMES, profile

PROFILES = {name: profile(name) for name in NAMES}


@pytest.mark.parametrize(
    ("name", "credential"),
    [
        ("stripe", Bearer(secret="STRIPE_SECRET_KEY__EU_WEST_1")),
        (
            "twilio",
            Basic(
                user_secret="TWILIO_ACCOUNT_SID__EU_WEST_1",
                password_secret="TWILIO_AUTH_TOKEN__EU_WEST_1",
            ),
        ),
        ("anthropic", ApiKey(header="x-api-key", secret="ANTHROPIC_API_KEY__EU_WEST_1")),
        ("generic", None),
    ],
)
def test_an_account_has_secrets_of_its_own_and_no_other(
    name: str, credential: Credential | None
) -> None:
    assert PROFILES[name].of_account("eu-west-1").credential == credential


def test_an_account_has_limits_of_its_own_and_its_providers_name() -> None:
    usual, eu = PROFILES["stripe"], PROFILES["stripe"].of_account("eu")
    assert [limit.name for limit in eu.limits] == [f"{limit.name}@eu" for limit in usual.limits]
    assert [limit.per_second for limit in eu.limits] == [x.per_second for x in usual.limits]
    assert (eu.name, eu.rules, eu.look_ups, eu.hosts) == (
        usual.name, usual.rules, usual.look_ups, usual.hosts,
    )  # fmt: skip


@pytest.mark.parametrize("label", ["eu", "0", "a-b", "a" * 32, "file", "b--c"])
def test_a_label_is_small_letters_digits_and_hyphens(label: str) -> None:
    assert is_label(label)


@pytest.mark.parametrize(
    "label", ["", "EU", "-eu", "e_u", "e u", "eu,twilio=x", "a" * 33, "é", "eu\n", "../eu"]
)
def test_nothing_else_is_a_label(label: str) -> None:
    assert not is_label(label)


def test_no_label_makes_a_secret_of_the_path_to_another_one() -> None:
    """STRIPE_SECRET_KEY__EU_FILE names the file that the secret of ``eu`` is in."""
    assert is_label("eu")
    assert not is_label("eu-file")


def test_what_a_run_says_of_its_accounts_is_one_text_whatever_their_order() -> None:
    given = {"twilio": "main", "stripe": "eu"}
    assert written(given) == written(dict(reversed(given.items()))) == "stripe=eu,twilio=main"
    assert read("stripe=eu,twilio=main") == given
    assert (written({}), read("")) == ("", {})


def test_a_provider_that_is_not_named_is_called_by_its_usual_account() -> None:
    accounts = Accounts(PROFILES)
    assert accounts.profile("stripe", "") is PROFILES["stripe"]
    assert accounts.profile("twilio", "stripe=eu") is PROFILES["twilio"]
    assert accounts.profile("nobody", "stripe=eu") is PROFILES["generic"]
    eu = accounts.profile("stripe", "stripe=eu,twilio=main")
    assert eu == PROFILES["stripe"].of_account("eu")
    assert accounts.profile("stripe", "stripe=eu") is eu, "it is made once"


@pytest.mark.parametrize(
    ("name", "headers", "adds"),
    [
        ("stripe", ["X-A"], True),
        ("stripe", ["authorization"], False),
        ("anthropic", ["Authorization"], True),
        ("anthropic", ["X-API-Key"], False),
        ("generic", [], False),
    ],
)
def test_a_document_that_brings_its_own_credential_gets_none(
    name: str, headers: list[str], *, adds: bool
) -> None:
    assert PROFILES[name].authorizes(headers) is adds
