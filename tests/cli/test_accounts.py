"""``--account``: what is refused before anything is charged, and who says which account it is."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.cli.main import invoke
from tests.cli.conftest import CHARGE_AND_TEXT
from tests.cli.test_doctor import Doctor, doctor
from tests.cli.test_many import Desk, Said, desk

__all__ = ["desk", "doctor"]

INPUTS = {
    "amount": "2000",
    "currency": "usd",
    "paymentMethod": "pm_card_visa",
    "accountSid": "AC1",
    "toPhone": "+15558675309",
    "fromPhone": "+15005550006",
}
SECRETS = {
    "STRIPE_SECRET_KEY": "sk_test_usual",
    "TWILIO_ACCOUNT_SID": "AC1",
    "TWILIO_AUTH_TOKEN": "token",
}
EU = ("--account", "stripe=eu")
Run = Callable[..., Said]


@pytest.fixture(autouse=True)
def _environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REDIS_URL", "KEYS", "SEAL", "SERVERS", "ALLOW_LIVE", "SECRETS_DIR", "LIMITS"):
        monkeypatch.delenv(f"DURAZZO_{name}", raising=False)
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DURAZZO_HOME", str(tmp_path / "home"))


@pytest.fixture
def rows(tmp_path: Path) -> str:
    file = tmp_path / "rows.csv"
    with file.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(INPUTS))
        writer.writeheader()
        writer.writerows([INPUTS, INPUTS | {"amount": "3000"}])
    return str(file)


@pytest.fixture
def durazzo(capsys: pytest.CaptureFixture[str]) -> Run:
    def invoked(*words: str) -> Said:
        capsys.readouterr()
        code = invoke(words)
        out, err = capsys.readouterr()
        return Said(code=code, out=out, err=err)

    return invoked


def words(command: str, rows: str) -> list[str]:
    """A command that would charge."""
    if command == "batch":
        return ["batch", "start", str(CHARGE_AND_TEXT), "--data", rows, "--yes"]
    pairs = [word for name, text in INPUTS.items() for word in ("-i", f"{name}={text}")]
    return [command, str(CHARGE_AND_TEXT), *pairs]


COMMANDS = ["run", "start", "batch"]
DRY = ["run", "batch"]


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    "given",
    [["stripe"], ["stripe="], ["=eu"], ["stripe=EU"], ["stripe=sk_test_1"], ["stripe=a-file"],
     ["stripe=eu", "stripe=us"]],
)  # fmt: skip
def test_what_names_no_account_is_wrong_usage_and_not_repeated(
    durazzo: Run, rows: str, command: str, given: list[str]
) -> None:
    said = durazzo(*words(command, rows), *(w for text in given for w in ("--account", text)))
    assert said.code == 2
    assert "Invalid value for '--account'" in said.err
    assert "sk_test_1" not in said.err


@pytest.mark.parametrize(
    ("command", "dry"), [*((c, []) for c in COMMANDS), *((c, ["--dry-run"]) for c in DRY)]
)
def test_a_provider_that_is_not_called_is_refused_with_those_that_are(
    durazzo: Run, rows: str, command: str, dry: list[str], tmp_path: Path
) -> None:
    said = durazzo(*words(command, rows), *dry, "--account", "anthropic=eu")
    assert said.code == 2
    assert "error: unknown-provider: charge-and-sms-confirm takes no account of" in said.err
    assert "it takes one of: stripe, twilio" in said.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("command", DRY)
def test_a_dry_run_says_by_which_accounts_it_would_be_called(
    durazzo: Run, rows: str, command: str
) -> None:
    """By their labels, whether or not there is a secret; never by what that is."""
    dry = [*words(command, rows), "--dry-run"]
    assert "\naccounts: the usual one of stripe and twilio\n" in durazzo(*dry).out
    said = durazzo(*dry, *EU)
    assert "\naccounts: stripe=eu, the usual one of twilio\n" in said.out
    assert durazzo(*dry, *EU, "--json").json["accounts"] == {"stripe": "eu", "twilio": None}
    assert "sk_test" not in said.out + said.err


@pytest.mark.parametrize("command", COMMANDS)
def test_an_account_without_its_secret_charges_nobody(
    durazzo: Run, rows: str, command: str, tmp_path: Path
) -> None:
    """The usual account has one, and is another account."""
    said = durazzo(*words(command, rows), *EU)
    assert said.code == 2
    assert "error: credential-missing: the secret STRIPE_SECRET_KEY__EU is not set" in said.err
    assert "nothing was accepted, nothing was sent" in said.err
    assert not (tmp_path / "home").exists()


def test_doctor_looks_for_the_secrets_of_the_accounts(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STRIPE_SECRET_KEY")
    told = doctor(str(CHARGE_AND_TEXT), *EU)
    state, message = told["Credentials/STRIPE_SECRET_KEY__EU"]
    assert (state, "is not set (step create-payment)" in message) == ("error", True)
    assert "Credentials/STRIPE_SECRET_KEY" not in told
    assert told["Credentials/TWILIO_AUTH_TOKEN"][0] == "ok"
    monkeypatch.setenv("STRIPE_SECRET_KEY__EU", "sk_test_4711")
    told = doctor(str(CHARGE_AND_TEXT), *EU)
    assert told["Credentials/STRIPE_SECRET_KEY__EU"][0] == "ok"


def test_doctor_says_what_takes_no_account(doctor: Doctor, durazzo: Run) -> None:
    told = doctor(str(CHARGE_AND_TEXT), "--account", "anthropic=eu")
    assert told["Credentials/--account"][0] == "error"
    assert durazzo("doctor", *EU).code == 2


@pytest.mark.server
def test_a_run_says_by_which_account_it_is_called(desk: Desk, rows: str) -> None:
    both = (*EU, "--account", "twilio=main")
    started = desk(*words("start", rows), *both, "--key", "order-1")
    assert started.code == 0, started.err
    run = started.out.strip()
    assert "account stripe=eu and twilio=main" in " ".join(desk("show", run).out.split())
    assert desk("show", run, "--json").json["accounts"] == {"stripe": "eu", "twilio": "main"}
    again = desk(*words("start", rows), *EU, "--key", "order-1")
    assert again.code == 3
    assert f"for run {run} with another account:" in again.err
    usual = desk(*words("start", rows)).out.strip()
    assert "account" not in desk("show", usual).out
    assert "accounts" not in desk("show", usual, "--json").json


@pytest.mark.server
def test_a_batch_says_by_which_account_it_is_called_and_holds_for_all_of_them(
    desk: Desk, rows: str
) -> None:
    batch = [*words("batch", rows), "--detach"]
    assert "2 at a time, account stripe=eu\n" in desk(*batch, *EU, "--dry-run", "--window", "2").out
    started = desk(*batch, *EU)
    assert started.code == 0, started.err
    name = started.out.strip()
    assert "at a time, account stripe=eu\n" in desk("batch", "show", name).out
    assert desk("batch", "show", name, "--json").json["accounts"] == {"stripe": "eu"}
    assert desk("show", f"{name}-1", "--json").json["accounts"] == {"stripe": "eu"}
    assert desk(*batch, *EU).out.strip() == name
    for other in ([], ["--account", "stripe=us"]):
        said = desk(*batch, *other)
        assert said.code == 3
        assert "or another account: give another --id" in said.err
    assert desk.core.batches.all() == [name]
    own = desk(*batch, "--id", "usual")
    assert own.out.strip() == "usual"
    assert "account" not in desk("batch", "show", "usual").out
