"""One address, one spelling: what only looks like another is none."""

import pytest

from control_plane.addresses import normal_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ann@example.com", "ann@example.com"),
        (" Ann.Smith+ops@Example.COM ", "ann.smith+ops@example.com"),
        ("o'neil@xn--bcher-kva.example", "o'neil@xn--bcher-kva.example"),
        ("root@localhost", "root@localhost"),
        ("аnn@example.com", None),  # a Cyrillic a
        ("ann@exаmple.com", None),
        ("ann＠example.com", None),  # a full-width @, which NFKC makes an @
        ("\u212aate@example.com", None),  # the sign for kelvin, which lower() makes a k
        ("stra\u00dfe@example.com", None),
        ("ann\u200b@example.com", None),
        ("\uff41nn@example.com", None),
        ("ann@b\u0131g.example", None),  # a dotless i
        ("ann@example.com\nbob@example.com", None),
        ("ann@example.com,bob@example.com", None),
        ("Ann <ann@example.com>", None),
        ('"ann"@example.com', None),
        ("ann@@example.com", None),
        ("ann@-example.com", None),
        ("ann@example..com", None),
        ("ann@", None),
        ("@example.com", None),
        ("ann", None),
        ("", None),
        ("a" * 65 + "@example.com", None),
        ("a@" + ".".join(["b" * 60] * 6), None),
    ],
)
def test_an_address_has_one_spelling(text: str, expected: str | None) -> None:
    assert normal_address(text) == expected
