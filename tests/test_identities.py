import copy
import hashlib
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_box_seal

from fedkit.encryption.identities import (
    Identity,
    check_name,
    exchange_key,
    fingerprint,
    is_exchange_key,
    seal_for,
    skeleton,
    unseal_by,
    verify,
)

PASSPHRASE = "correct horse battery staple"
NAMES = ["北京协和医院", "St. John's (east) #2", "x" * 100]
BASEL, ZURICH = Identity("Basel", bytes(32)), Identity("Universitätsspital Zürich", b"\1" * 32)


def test_it_signs_as_the_standard_says():
    """RFC 8032, section 7.1, test 2."""
    identity = Identity("RFC", bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"))
    public = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    signature = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    assert (identity.public, identity.sign(b"\x72")) == (public, signature)
    assert verify(public, signature, b"\x72")


@given(st.binary(max_size=100) | st.binary(min_size=999, max_size=999), st.integers(0, 511), st.data())
def test_a_signature_is_for_one_key_and_one_text(text, bit, data):
    signature = BASEL.sign(text)
    assert verify(BASEL.public, signature, text)
    assert not verify(ZURICH.public, signature, text)
    for other in (data.draw(st.binary(max_size=100).filter(lambda drawn: drawn != text)), text + b"more"):
        assert not verify(BASEL.public, signature, other)
    for other in ((int.from_bytes(signature) ^ 1 << bit).to_bytes(64), signature[:-1], signature + b"x", b""):
        assert not verify(BASEL.public, other, text)
    assert not verify(data.draw(st.binary(max_size=70)), signature, text)


def test_each_new_identity_has_its_own_key_that_is_saved_and_comes_back(tmp_path, cheap, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert len({made.public for made in (Identity.new("Basel"), Identity.new("Basel"))}) == 2
    ZURICH.save("~/zurich.key", PASSPHRASE)
    back = Identity.load("~/zurich.key", PASSPHRASE)
    assert (back.name, back.public, back.sign(b"text")) == (ZURICH.name, ZURICH.public, ZURICH.sign(b"text"))
    with pytest.raises(ValueError, match="passphrase is wrong"):
        Identity.load(tmp_path / "zurich.key", PASSPHRASE + "s")


def test_what_is_shown_of_it_is_no_secret_and_it_is_not_pickled():
    assert repr(ZURICH) == f"Identity(Universitätsspital Zürich, {fingerprint(ZURICH.public)})"
    shown = repr(ZURICH) + repr(vars(ZURICH))
    assert "\\x01" * 4 not in shown
    assert "01" * 8 not in shown
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="save it with a passphrase"):
            way(BASEL)


@given(st.binary(max_size=300), st.data())
def test_what_is_sealed_opens_for_one_person_unchanged(text, data):
    mine, other = exchange_key(b"1" * 32), exchange_key(b"2" * 32)
    public = mine.public_key().public_bytes_raw()
    sealed, kept = seal_for(public, text), BASEL.locked(text, "keys")
    assert unseal_by(mine, sealed) == unseal_by(mine, crypto_box_seal(text, public)) == text
    assert BASEL.unlocked(kept, "keys") == text
    assert sealed != seal_for(public, text)
    at = data.draw(st.integers(0, 8 * len(kept) - 1))
    changed = (int.from_bytes(kept, "little") ^ 1 << at).to_bytes(len(kept), "little")
    for identity, bad, about in [
        (ZURICH, kept, "keys"),
        (BASEL, kept, "own"),
        (BASEL, changed, "keys"),
        (BASEL, b"", ""),
    ]:
        with pytest.raises(ValueError, match="damaged, or another's"):
            identity.unlocked(bad, about)
    for key, bad in [(other, sealed), (mine, sealed[:-1]), (mine, sealed + b"\0"), (mine, b"")]:
        with pytest.raises(ValueError, match="or was changed"):
            unseal_by(key, bad)


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(32), b"\1" + bytes(31), "x" * 32, None, b"\7" * 31 + b"\x87"])
def test_a_key_for_exchanges_is_one(public):
    assert not is_exchange_key(public)
    assert is_exchange_key(exchange_key().public_key().public_bytes_raw())


@pytest.mark.parametrize(
    "name", ["CIinic A", "clinic a", "Cl\u0456ni\u0441 \u0410", "Clinic A\ufe0f", "Clinic A\u3164", "Ｃlinic A"]
)
def test_names_that_look_alike_have_one_skeleton(name):
    assert skeleton(name) == skeleton("Clinic A") != skeleton("Clinic B")


@given(st.binary(min_size=32, max_size=32))
def test_a_fingerprint_is_80_bits_of_the_hash_in_crockfords_digits(public):
    number = int.from_bytes(hashlib.sha256(public).digest()) >> 176
    digits = ["0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> 5 * place & 31] for place in reversed(range(16))]
    assert fingerprint(public).replace("-", "") == "".join(digits)
    assert [len(group) for group in fingerprint(public).split("-")] == [4, 4, 4, 4]


@pytest.mark.parametrize("name", ["", " Basel", "Basel ", "x" * 101, "two\nlines", "\u202elesaB", "\ud800", "\u3164"])
def test_names_that_cannot_be_read_aloud_are_refused(name):
    with pytest.raises(ValueError, match="1 to 100 characters"):
        Identity(name, bytes(32))
    assert [check_name(name) for name in NAMES] == NAMES
