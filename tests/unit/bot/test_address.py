"""Whose word is believed about where a request comes from."""

import pytest

from bot.api.address import client_address, networks
from control_plane.errors import Invalid

PROXIES = networks("10.0.0.0/8, 192.168.1.7, 2001:db8:1::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["198.51.100.1"], "203.0.113.9"),  # a stranger may write what they like
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["1.1.1.1, 198.51.100.1"], "198.51.100.1"),  # the first one was sent by the client itself
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["198.51.100.1, 10.2.3.4, 192.168.1.7"], "198.51.100.1"),
        ("10.0.0.1", ["10.9.9.9, 10.2.3.4"], "10.9.9.9"),  # all of them ours: the farthest
        ("10.0.0.1", ["198.51.100.1:4711"], "198.51.100.1"),
        ("10.0.0.1", ["[2001:db8:2::1]:4711"], "2001:db8:2::1"),
        ("10.0.0.1", ["2001:db8:2::1"], "2001:db8:2::1"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, <script>"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("2001:db8:1::5", ["198.51.100.1"], "198.51.100.1"),
        ("192.168.1.8", ["198.51.100.1"], "192.168.1.8"),
        ("", ["198.51.100.1"], ""),
        ("10.0.0.1", [", ".join(f"198.51.100.{n % 250}" for n in range(5000))], "198.51.100.249"),
    ],
)
def test_the_client_is_the_nearest_that_is_not_ours(peer: str, forwarded: list[str], address: str) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


def test_nobody_is_believed_unless_configured() -> None:
    assert client_address("127.0.0.1", ["198.51.100.1"], networks("")) == "127.0.0.1"


def test_what_is_no_network_is_named() -> None:
    with pytest.raises(Invalid, match=r"'10\.0\.0\.0/99' in OPSTHREAD_TRUSTED_PROXIES"):
        networks("127.0.0.1,10.0.0.0/99")
