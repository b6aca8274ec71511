"""Which URLs, hosts and addresses may be fetched from."""

from __future__ import annotations

import pytest

from orchestrator.errors import SettingsRefused
from orchestrator.formats.web.address import follow, parse
from orchestrator.settings import from_environ
from tests.unit.formats.web.site import hosts


def origins(text: str) -> set[str]:
    return set(from_environ({"DURAZZO_SOURCE_HOSTS": text}).source_origins)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", set()),
        (" , ", set()),
        ("Example.com", {"https://example.com:443"}),
        ("a.example, b.example:8443", {"https://a.example:443", "https://b.example:8443"}),
        ("http://a.example", {"http://a.example:80"}),
        ("https://a.example", {"https://a.example:443"}),
        ("localhost", {"http://localhost:80", "https://localhost:443"}),
        ("127.0.0.1:81", {"http://127.0.0.1:81", "https://127.0.0.1:81"}),
        ("[::1]:81", {"http://[::1]:81", "https://[::1]:81"}),
        ("10.0.0.5", {"https://10.0.0.5:443"}),
    ],
)
def test_http_is_only_for_loopback_and_where_the_list_says_http(
    text: str, expected: set[str]
) -> None:
    assert origins(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "*.example.com",
        ".example.com",
        "a.example/specs",
        "https://a.example/",
        "https://",
        "ftp://a.example",
        "a.example:x",
        "a.example:99999",
        "me:secret@a.example",
        "a example",
    ],
)
def test_a_list_that_is_none_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(SettingsRefused, match="DURAZZO_SOURCE_HOSTS must be") as caught:
        origins(f"b.example,{text}")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://a.example/x.yaml", True),
        ("https://A.EXAMPLE:443/x.yaml?y#z", True),
        ("https://a.example:8443/x.yaml", False),
        ("http://a.example/x.yaml", False),
        ("https://b.a.example/x.yaml", False),
        ("https://a.example.b/x.yaml", False),
        ("https://a.example./x.yaml", False),
        ("http://plain.example/x.yaml", True),
        ("https://plain.example/x.yaml", False),
        ("http://localhost:8080/x.yaml", True),
    ],
)
def test_a_host_is_listed_exactly_with_its_port_and_scheme(url: str, *, allowed: bool) -> None:
    listed = hosts("a.example", "http://plain.example", "localhost:8080")
    assert listed.allow(parse(url)) is allowed


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("https://me:secret@a.example/x", "user or a password"),
        ("https://secret@a.example/x", "user or a password"),
        ("https://a.example\\@secret.example/x", "user or a password"),
        ("file:///etc/secret", "no https URL"),
        ("ftp://secret.example/x", "no https URL"),
        ("https:///secret", "no https URL"),
        ("https://[secret/x", "no URL"),
        ("https://secret.example:99999/x", "no URL"),
        ("https://a.example/secret\ud800", "no URL"),
        ("https://a.example/secret\x00\n", "no URL"),
        ("https://a.example/" + "secret" * 1_000, "longer than"),
    ],
)
def test_a_url_that_cannot_be_fetched_is_refused_without_repeating_it(
    url: str, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem) as caught:
        parse(url)
    assert "secret" not in str(caught.value)


def test_what_goes_out_is_encoded_and_without_the_fragment() -> None:
    address = parse("HTTPS://A.example:443/ä b%20c/[x]?q=ü&r=%2F#part")
    assert address.url == "https://a.example/%C3%A4%20b%20c/%5Bx%5D?q=%C3%BC&r=%2F"
    assert parse("http://[::1]:8080").url == "http://[::1]:8080/"


@pytest.mark.parametrize(
    ("location", "leads_to"),
    [
        ("other.yaml", "https://a.example/dir/other.yaml"),
        ("/other.yaml", "https://a.example/other.yaml"),
        ("//b.example/other.yaml", "https://b.example/other.yaml"),
        ("http://a.example/x", "http://a.example/x"),
        ("", "https://a.example/dir/x.yaml"),
    ],
)
def test_a_redirect_is_relative_to_where_it_came_from(location: str, leads_to: str) -> None:
    assert follow(parse("https://a.example/dir/x.yaml"), location).url == leads_to


PRIVATE = [
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.5", "172.16.0.1", "192.168.1.1", "100.64.0.1",
    "169.254.169.254", "224.0.0.1", "239.255.255.250", "255.255.255.255", "240.0.0.1",
    "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "64:ff9b:1::1",
    "2002:7f00:1::", "2001:0:7f00:1::", "2001:db8::1", "not-an-address",
]  # fmt: skip


@pytest.mark.parametrize("ip", PRIVATE)
def test_a_listed_name_does_not_lead_into_the_network_that_durazzo_runs_in(ip: str) -> None:
    assert not hosts("a.example", "http://a.example:80").allow_ip(ip, 443)


@pytest.mark.parametrize(
    "ip", ["93.184.215.14", "2606:4700::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e"]
)
def test_a_public_address_may_be_connected_to(ip: str) -> None:
    assert hosts("a.example").allow_ip(ip, 443)


@pytest.mark.parametrize(
    ("entry", "ip", "allowed"),
    [
        ("10.0.0.5", "10.0.0.5", True),
        ("10.0.0.5", "::ffff:10.0.0.5", True),
        ("10.0.0.5", "10.0.0.6", False),
        ("10.0.0.5:8443", "10.0.0.5", False),
        ("169.254.169.254", "169.254.169.254", True),
        ("[fd12:0::1]", "fd12::1", True),
        ("localhost", "127.0.0.1", True),
        ("localhost", "::1", True),
        ("localhost", "10.0.0.5", False),
        ("127.0.0.1", "127.0.0.2", False),
    ],
)
def test_a_private_address_is_allowed_when_it_is_listed_itself_with_its_port(
    entry: str, ip: str, *, allowed: bool
) -> None:
    assert hosts("a.example", entry).allow_ip(ip, 443) is allowed
