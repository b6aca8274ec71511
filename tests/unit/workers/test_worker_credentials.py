from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from orchestrator.errors import CredentialMissing, RenderFailed
from orchestrator.expressions.nodes import Secret
from orchestrator.policy.profiles import Profile, parse
from workers.credentials import Credentials, LiveKeyRefused, Whose, whose
from workers.render import FrozenRequest, HeaderParts

SPECS = Path(__file__).parents[3] / "specs" / "providers"
LIVE = ("sk_live_", "rk_live_")
ENVIRON = {
    "STRIPE_SECRET_KEY": "sk_test_1",
    "TWILIO_ACCOUNT_SID": "AC1",
    "TWILIO_AUTH_TOKEN": "token",
    "ANTHROPIC_API_KEY": "sk-ant-1",
}


def profile(name: str) -> Profile:
    return parse(yaml.safe_load((SPECS / f"{name}.yaml").read_text()))


def request(
    *headers: tuple[str, HeaderParts], url: str = "https://api.stripe.com/v1"
) -> FrozenRequest:
    return FrozenRequest(
        method="POST", url=url, headers=headers, body=None, key=None, provider="stripe"
    )


def credentials(
    environ: dict[str, str] | None = None, *, allow_live: bool = False, folder: Path | None = None
) -> Credentials:
    return Credentials(
        ENVIRON if environ is None else environ,
        folder,
        live_key_prefixes=LIVE,
        allow_live=allow_live,
    )


def test_a_secret_comes_from_the_environment_a_file_or_the_folder(tmp_path: Path) -> None:
    (tmp_path / "C").write_text("from the folder\n")
    (tmp_path / "b.txt").write_text("from the file\r\n")
    environ = {"A": "from the environment", "B_FILE": str(tmp_path / "b.txt")}
    found = credentials(environ, folder=tmp_path)
    assert [found.resolve(name) for name in ("A", "B", "C")] == [
        "from the environment",
        "from the file",
        "from the folder",
    ]


def test_a_rotated_secret_counts_from_the_next_send_on(tmp_path: Path) -> None:
    found = credentials({}, folder=tmp_path)
    for value in ("old", "new"):
        (tmp_path / "A").write_text(value)
        assert found.resolve("A") == value


@pytest.mark.parametrize("environ", [{}, {"A": ""}, {"A": "\n"}, {"A_FILE": "/nowhere/at/all"}])
def test_a_missing_secret_is_named(environ: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(CredentialMissing, match=r"secret A "):
        credentials(environ, folder=tmp_path).resolve("A")


def test_a_secret_that_would_begin_another_header_is_refused_and_not_shown() -> None:
    with pytest.raises(CredentialMissing) as caught:
        credentials({"A": "abc\r\nX-Evil: 1"}).resolve("A")
    assert "abc" not in caught.value.message


@pytest.mark.parametrize("name", ["DURAZZO_KEYS", "durazzo_keys", "../etc/passwd", "a b", "", "1"])
def test_no_document_sends_durazzos_own_keys_or_any_file(name: str, tmp_path: Path) -> None:
    found = credentials({name: "value"}, folder=tmp_path)
    with pytest.raises(CredentialMissing, match="not the name"):
        found.resolve(name)


def test_a_profiles_credential_is_added() -> None:
    found = credentials()
    assert found.authorize(request(("X-A", ("1",))), profile("stripe")) == [
        ("X-A", "1"),
        ("Authorization", "Bearer sk_test_1"),
    ]
    to_twilio = request(url="https://api.twilio.com/2010-04-01")
    assert found.authorize(to_twilio, profile("twilio")) == [
        ("Authorization", "Basic QUMxOnRva2Vu")
    ]
    to_anthropic = request(url="https://api.anthropic.com/v1/messages")
    assert found.authorize(to_anthropic, profile("anthropic")) == [("x-api-key", "sk-ant-1")]
    assert found.authorize(request(url="https://other.example"), profile("generic")) == []


def test_a_documents_own_authorization_wins() -> None:
    own = request(("authorization", ("Bearer ", Secret("STRIPE_SECRET_KEY"))))
    assert credentials().authorize(own, profile("stripe")) == [
        ("authorization", "Bearer sk_test_1")
    ]
    assert credentials({}).authorize(request(("Authorization", ("Bearer x",))), profile("stripe"))


@pytest.mark.parametrize(
    "url",
    [
        "https://api.stripe.com.evil.example/v1",
        "https://evil.example/api.stripe.com",
        "https://api.stripe.com@evil.example/",
    ],
)
def test_a_profiles_credential_goes_to_its_own_hosts_only(url: str) -> None:
    with pytest.raises(CredentialMissing, match="not a host"):
        credentials().authorize(request(url=url), profile("stripe"))


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", (Secret("LIVE"),)),
        ("Authorization", ("Bearer ", Secret("LIVE"))),
        ("Authorization", ("Bearer sk_live_pasted",)),
        ("Authorization", ("Basic cmtfbGl2ZV8xOg==",)),
        ("X-Other", ("rk_live_1",)),
    ],
)
def test_a_live_key_is_refused_however_it_is_sent(header: tuple[str, HeaderParts]) -> None:
    environ = ENVIRON | {"LIVE": "sk_live_1"}
    with pytest.raises(LiveKeyRefused) as caught:
        credentials(environ).authorize(request(header), profile("generic"))
    assert "live_" not in caught.value.message
    assert credentials(environ, allow_live=True).authorize(request(header), profile("generic"))


def test_a_live_key_of_the_profile_is_refused_unless_allowed() -> None:
    environ = {"STRIPE_SECRET_KEY": "rk_live_1"}
    with pytest.raises(LiveKeyRefused):
        credentials(environ).authorize(request(), profile("stripe"))
    allowed = credentials(environ, allow_live=True).authorize(request(), profile("stripe"))
    assert allowed == [("Authorization", "Bearer rk_live_1")]


def test_what_a_header_cannot_carry_is_refused_by_its_name() -> None:
    with pytest.raises(RenderFailed, match="Authorization") as caught:
        credentials({"STRIPE_SECRET_KEY": "Ω"}).authorize(request(), profile("stripe"))
    assert "Ω" not in caught.value.message


def test_a_basic_token_that_is_no_base64_is_still_only_a_header() -> None:
    own = request(("Authorization", ("Basic !",)))
    assert credentials().authorize(own, profile("stripe")) == [("Authorization", "Basic !")]


def test_logs_learn_a_secret_before_it_is_used() -> None:
    learned: list[str] = []
    found = Credentials(ENVIRON, learn=learned.append)
    found.authorize(request(), replace(profile("twilio"), hosts=("api.stripe.com",)))
    assert learned == ["AC1", "token", "QUMxOnRva2Vu"]


@pytest.mark.parametrize(
    ("headers", "via", "owner"),
    [
        ((), "", Whose.HOUSE),
        ((("Authorization", ("Bearer ", Secret("STRIPE_SECRET_KEY"))),), "", Whose.HOUSE),
        ((("authorization", ("Bearer ", Secret("OTHER_KEY"))),), "", Whose.DOCUMENT),
        ((("Authorization", ("Bearer sk_test_typo",)),), "", Whose.RUN),
        ((), "http://elsewhere.example/v1", Whose.DOCUMENT),
        ((("Authorization", (Secret("STRIPE_SECRET_KEY"),)),), "http://x", Whose.DOCUMENT),
    ],
)  # fmt: skip
def test_whose_trouble_a_refused_credential_is(
    headers: tuple[tuple[str, HeaderParts], ...], via: str, owner: Whose
) -> None:
    assert whose(replace(request(*headers), via=via), profile("stripe")) is owner
