"""Sealing: authenticated, bound to its place, with keys that rotate."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import SealBroken, SettingsRefused
from orchestrator.journal.seal import KEY_BYTES, AesSeal, NoSeal, keyring, new_key

OLD, NEW = b"o" * KEY_BYTES, b"n" * KEY_BYTES


@given(st.binary(max_size=200), st.text(max_size=20))
def test_what_is_sealed_opens_in_its_place(value: bytes, place: str) -> None:
    seal = AesSeal([NEW])
    assert seal.open(seal.seal(value, place), place) == value


@given(st.binary(min_size=8, max_size=50))
def test_what_is_sealed_cannot_be_read(value: bytes) -> None:
    assert value not in AesSeal([NEW]).seal(value, "run:inputs")


def test_the_same_value_is_never_the_same_bytes() -> None:
    seal = AesSeal([NEW])
    assert len({seal.seal(b"4242", "p") for _ in range(50)}) == 50


def test_a_value_moved_to_another_place_does_not_open() -> None:
    seal = AesSeal([NEW])
    with pytest.raises(SealBroken):
        seal.open(seal.seal(b"x", "run-1:inputs"), "run-2:inputs")


@given(st.integers(0, 80), st.integers(1, 255))
def test_a_changed_byte_is_found_wherever_it_is(position: int, change: int) -> None:
    seal = AesSeal([NEW])
    sealed = bytearray(seal.seal(b"fifty bytes of a customer's data, more or less....", "p"))
    sealed[position % len(sealed)] ^= change
    with pytest.raises(SealBroken):
        seal.open(bytes(sealed), "p")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01abcd", b"\x00plain", b"\x02" + b"x" * 40])
def test_what_was_never_sealed_does_not_open(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        AesSeal([NEW]).open(sealed, "p")


def test_a_value_cut_short_does_not_open() -> None:
    seal = AesSeal([NEW])
    sealed = seal.seal(b"value", "p")
    for length in range(len(sealed)):
        with pytest.raises(SealBroken):
            seal.open(sealed[:length], "p")


def test_the_first_key_seals_and_all_of_the_ring_open() -> None:
    old = AesSeal([OLD]).seal(b"x", "p")
    ring = AesSeal([NEW, OLD])
    assert ring.open(old, "p") == b"x"
    fresh = ring.seal(b"y", "p")
    assert AesSeal([NEW]).open(fresh, "p") == b"y"
    with pytest.raises(SealBroken):
        AesSeal([OLD]).open(fresh, "p")


def test_sealing_switched_off_opens_its_own_and_nothing_sealed() -> None:
    assert NoSeal().open(NoSeal().seal(b"x", "p"), "p") == b"x"
    with pytest.raises(SealBroken, match="DURAZZO_KEYS"):
        NoSeal().open(AesSeal([NEW]).seal(b"x", "p"), "p")


def test_sealing_switched_on_does_not_take_clear_values_for_sealed_ones() -> None:
    with pytest.raises(SealBroken):
        AesSeal([NEW]).open(NoSeal().seal(b"x", "p"), "p")


def test_a_broken_seal_says_where_and_never_what() -> None:
    sealed = AesSeal([OLD]).seal(b"+15005550006", "run-1:inputs")
    with pytest.raises(SealBroken) as caught:
        AesSeal([NEW]).open(sealed, "run-1:inputs")
    assert "run-1:inputs" in caught.value.message
    assert "15005550006" not in caught.value.message


def test_a_new_key_is_a_ring_of_one() -> None:
    (key,) = keyring(new_key())
    assert len(key) == KEY_BYTES
    assert new_key() != new_key()


def test_a_ring_is_read_newest_first_in_either_base64() -> None:
    standard = base64.b64encode(b"\xfb\xff" * 16).decode()
    urlsafe = base64.urlsafe_b64encode(b"\xfb\xff" * 16).decode()
    assert keyring(f"{standard}, {new_key()}")[0] == b"\xfb\xff" * 16
    assert keyring(urlsafe) == [b"\xfb\xff" * 16]


@pytest.mark.parametrize(
    "text", ["", "short", "!!!", base64.b64encode(b"x" * 31).decode(), "ü" * 44]
)
def test_a_key_that_is_none_is_refused_by_number_and_not_repeated(text: str) -> None:
    with pytest.raises(SettingsRefused) as caught:
        keyring(f"{new_key()},{text}")
    assert "key 2" in caught.value.message
    assert not text or text not in caught.value.message
