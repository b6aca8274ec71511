"""Which addresses are public, and which others the operator's settings let calls go to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from orchestrator.policy.addresses import is_public, meant, read
from orchestrator.policy.call_hosts import CallHosts
from orchestrator.settings import from_environ

#: Addresses that no stranger's text may lead to.
INSIDE = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "172.16.0.1", "172.31.255.1",
    "192.168.1.1", "169.254.169.254", "100.64.0.1", "100.100.100.200", "168.63.129.16",
    "192.0.0.192", "192.0.2.1", "198.18.0.1", "203.0.113.1", "224.0.0.1", "239.255.255.250",
    "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:169.254.169.254", "::ffff:127.0.0.1", "fe80::1",
    "fe80::1%2", "fec0::1", "fc00::1", "fd00:ec2::254", "fd20:ce::254", "ff02::1",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::",
    "2002:a9fe:a9fe::1", "2001::1", "2001:1::1", "2001:db8::1", "3fff::1", "100::1",
    "192.0.0.9", "192.88.99.1",
]  # fmt: skip
OUTSIDE = [
    "8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700:4700::1111", "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]  # fmt: skip


def hosts(listed: str = "", servers: dict[str, str] | None = None) -> CallHosts:
    return CallHosts.of(
        from_environ({"DURAZZO_CALL_HOSTS": listed}).call_hosts, servers or {}, trusts_via=True
    )


@pytest.mark.parametrize("ip", INSIDE)
def test_no_address_inside_is_public(ip: str) -> None:
    found = read(ip)
    assert found is not None
    assert not is_public(found)
    assert hosts().refusal("name.example", 443, ip) == "host-refused"


@pytest.mark.parametrize("ip", OUTSIDE)
def test_a_public_address_is_called(ip: str) -> None:
    assert hosts().refusal("name.example", 443, ip) == ""


@pytest.mark.parametrize(
    ("host", "ip"),
    [
        ("2130706433", "127.0.0.1"),
        ("0x7f000001", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("127.1", "127.0.0.1"),
        ("0177.0.0.01", "127.0.0.1"),
        ("169.254.43518", "169.254.169.254"),
        ("0", "0.0.0.0"),
        ("127.0.0.1.", "127.0.0.1"),
        ("LocalHost", "127.0.0.1"),
        ("a.localhost.", "127.0.0.1"),
        ("::FFFF:7f00:1", "127.0.0.1"),
        ("[::1]", "::1"),
    ],
)
def test_an_address_is_recognised_however_it_is_written(host: str, ip: str) -> None:
    assert meant(host) == ip_address(ip)


@pytest.mark.parametrize(
    "host",
    ["", "a.example", "localhost.example", "256.1", "1.2.3.4.5", "4294967296", "09", "0x", "1..2"],
)
def test_a_name_is_no_address(host: str) -> None:
    assert meant(host) is None


@pytest.mark.parametrize(
    ("listed", "host", "port", "ip"),
    [
        ("billing.internal", "billing.internal", 8080, "10.0.0.5"),
        ("Billing.Internal:8080", "billing.internal", 8080, "10.0.0.5"),
        ("10.0.0.0/8", "any.example", 443, "10.9.9.9"),
        ("10.0.0.5:8080", "any.example", 8080, "10.0.0.5"),
        ("10.0.0.5", "10.0.0.5", 1, "10.0.0.5"),
        ("fd00::/8", "any.example", 443, "fd00::7"),
        ("[fd00::7]:81", "any.example", 81, "fd00::7"),
        ("fd00::7", "any.example", 443, "fd00::7"),
        ("localhost:81", "127.0.0.1", 81, "127.0.0.1"),
        ("localhost", "::1", 81, "::1"),
        ("x.example, 169.254.169.254", "any.example", 80, "169.254.169.254"),
    ],
)
def test_what_is_listed_is_called_though_it_is_private(
    listed: str, host: str, port: int, ip: str
) -> None:
    assert hosts(listed).refusal(host, port, ip) == ""
    assert hosts().refusal(host, port, ip) == "host-refused"


@pytest.mark.parametrize(
    ("listed", "host", "port", "ip"),
    [
        ("billing.internal:8080", "billing.internal", 8081, "10.0.0.5"),
        ("billing.internal", "a.billing.internal", 80, "10.0.0.5"),
        ("10.0.0.0/8", "any.example", 443, "192.168.0.1"),
        ("10.0.0.5:8080", "10.0.0.5", 8081, "10.0.0.5"),
        # Whoever answers for the name could send every call to a cloud's credentials.
        ("billing.internal", "billing.internal", 80, "169.254.169.254"),
        ("billing.internal", "billing.internal", 80, "::ffff:169.254.169.254"),
        ("billing.internal", "billing.internal", 80, "fd00:ec2::254"),
    ],
)
def test_what_is_not_listed_is_refused_beside_it(
    listed: str, host: str, port: int, ip: str
) -> None:
    assert hosts(listed).refusal(host, port, ip) == "host-refused"


def test_where_servers_are_replaced_calls_go_and_to_no_other_port_there() -> None:
    found = hosts(servers={"https://api.stripe.com": "http://127.0.0.1:8099/stripe"})
    assert found.refusal("127.0.0.1", 8099, "127.0.0.1") == ""
    assert found.refusal("127.0.0.1", 6379, "127.0.0.1") == "host-refused"


def test_a_credential_goes_in_clear_text_only_where_the_operator_says() -> None:
    assert hosts().refusal("a.example", 80, "8.8.8.8", exposed=True) == "clear-text-refused"
    assert hosts("a.example").refusal("a.example", 80, "8.8.8.8", exposed=True) == ""
    assert hosts("10.0.0.0/8").refusal("a.example", 80, "10.0.0.5", exposed=True) == ""
    assert hosts().refusal("a.example", 80, "10.0.0.5", exposed=True) == "host-refused"


def test_a_server_that_the_operator_named_may_be_private_and_no_clouds_service() -> None:
    assert hosts().refusal("127.0.0.1", 81, "127.0.0.1", named=True) == ""
    assert hosts().refusal("a.example", 81, "169.254.169.254", named=True) == "host-refused"


@pytest.mark.parametrize(
    ("server", "via", "refused"),
    [
        ("http://127.0.0.1:8080/v1", "", "127.0.0.1:8080"),
        ("https://[::1]/v1", "", "[::1]:443"),
        ("http://0x7f.1", "", "0x7f.1:80"),
        ("https://a.example", "", ""),
        ("http://replaced.localhost/v1", "", ""),
        ("http://replaced.localhost.a.test", "", ""),
        ("https://a.example", "http://127.0.0.1:81", ""),
        ("https://a.example", "http://169.254.169.254", "169.254.169.254:80"),
        ("http://127.0.0.1:99999", "", ""),
    ],
)
def test_what_is_written_tells_where_calls_are_refused(server: str, via: str, refused: str) -> None:
    found = hosts(servers={"http://replaced.localhost": "https://b.example"})
    assert found.refuses(server, via) == refused


def test_what_is_given_as_a_server_is_no_operators_word_where_others_work() -> None:
    found = CallHosts.of((), {})
    assert found.refuses("https://a.example", "http://127.0.0.1:81") == "127.0.0.1:81"
