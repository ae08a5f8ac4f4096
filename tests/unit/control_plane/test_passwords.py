"""Passwords: hashed with Argon2id, compared whatever the keyboard, and never True without a stored hash."""

import pytest
from argon2 import PasswordHasher

from control_plane.errors import Invalid
from control_plane.passwords import Passwords

WEAK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
PASSWORD = "correct horse battery staple"


async def test_a_hash_is_argon2id_with_the_recommended_cost_and_its_own_salt() -> None:
    passwords = Passwords()
    one, two = await passwords.hash(PASSWORD), await passwords.hash(PASSWORD)
    assert one != two
    assert one.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.matches(one, PASSWORD)
    assert not await passwords.matches(one, PASSWORD + " ")


async def test_nothing_stored_matches_nothing() -> None:
    passwords = Passwords(WEAK)
    for stored in (None, "", "plain", "$argon2id$broken"):
        assert not await passwords.matches(stored, "")
        assert not await passwords.matches(stored, PASSWORD)


async def test_composed_and_decomposed_letters_are_the_same_password() -> None:
    passwords = Passwords(WEAK)
    assert await passwords.matches(await passwords.hash("gar\u00e7on gar\u00e7on"), "garc\u0327on garc\u0327on")


async def test_short_and_endless_passwords_are_refused() -> None:
    passwords = Passwords(WEAK)
    for password in ("", "x" * 11, "x" * 1025):
        with pytest.raises(Invalid, match=f"has {len(password)}"):
            await passwords.hash(password)
    stored = await passwords.hash("x" * 1024)
    assert await passwords.matches(stored, "x" * 1024)
    assert not await passwords.matches(stored, "x" * 1025)
    assert not await passwords.matches(stored, "\ud800\x00" * 8)


async def test_a_hash_of_yesterdays_cost_is_outdated() -> None:
    stored = await Passwords(WEAK).hash(PASSWORD)
    assert Passwords().outdated(stored)
    assert await Passwords().matches(stored, PASSWORD)
