import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedkit.encryption import messages, schemes
from fedkit.encryption.messages import LARGE_SUM, OWN, SUM, Message, MessageError, contains_plaintext, message_bytes

BFV = schemes.choose("bfv", 4, numbers=14, bits=12)  # drops bits, 4 of a coefficient are half a byte
WHOLE = schemes.choose("bfv", 4, bits=52)
CKKS = schemes.choose("ckks", 4)
MODULUS = {BFV: 2**27 - 2**13 + 1, WHOLE: 2**60 - 2**14 + 1, CKKS: 2**54 - 2**12 + 1}  # any number of so many bits
MANY = {BFV: 57, WHOLE: 481, CKKS: 225}  # hospitals whose seeds are longer than one c1, packed
ROOMY = {}  # the same, with room for so many
for _few, _many in MANY.items():
    ROOMY[_few] = _few._replace(hospitals=_many)
    MODULUS[ROOMY[_few]] = MODULUS[_few]
KEY = bytes(range(10))
UPDATE = np.random.default_rng(0).normal(size=14)
NOISE = np.random.default_rng(1).bytes(65_000)


def message(parameters, kind=OWN, coefficients=5, hospitals=1, seed=0):
    rng, count = np.random.default_rng(seed), messages.ciphertexts(parameters, coefficients)
    q, size = MODULUS[parameters], messages.carried(parameters, coefficients)
    c0 = rng.integers(0, q, size).astype(np.uint64)
    c1 = rng.integers(0, q, count * parameters.ring_dimension).astype(np.uint64)
    if kind == LARGE_SUM:
        return Message(kind, KEY, hospitals, coefficients, c0, [], c1)
    return Message(kind, KEY, hospitals, coefficients, c0, [rng.bytes(64 * count) for _ in range(hospitals)])


def read(data, parameters=BFV):
    return Message.from_bytes(data, parameters, MODULUS[parameters], KEY)


kinds = st.sampled_from([(OWN, 1), (SUM, 1), (SUM, 4), (LARGE_SUM, None)])


@settings(deadline=None)
@given(st.sampled_from([BFV, WHOLE, CKKS]), kinds, st.integers(1, 10_000), st.integers(0, 2**32 - 1))
def test_messages_come_back(parameters, kind, coefficients, seed):
    kind = kind[0], kind[1] or MANY[parameters]
    parameters = ROOMY[parameters]
    sent = message(parameters, kind[0], coefficients, kind[1], seed)
    data = sent.to_bytes(parameters)
    assert len(data) == message_bytes(parameters, coefficients, kind[1], kind[0])
    found = read(data, parameters)
    assert found[:4] == sent[:4]
    assert found.seeds == sent.seeds
    assert found.c1 is None if sent.c1 is None else np.array_equal(found.c1, sent.c1)
    lost = np.abs(found.c0.astype(np.int64) - sent.c0.astype(np.int64))
    q = MODULUS[parameters]
    assert np.minimum(lost, q - lost).max() <= (2 ** (parameters.dropped_bits - 1) if parameters.dropped_bits else 0)
    assert found.c0.max() < q


def test_the_format_is_the_one_written_down():
    sent = message(BFV, SUM, 3, 2)
    numbers = [int(value) >> 11 for value in sent.c0]
    head = b"FKM2\2bfv\0" + KEY + struct.pack("<IQ", 2, 3)
    assert sent.to_bytes(BFV) == head + struct.pack("<3H", *numbers) + b"".join(sent.seeds)
    assert messages.HEAD.size == len(head) == 31


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ("text", "damaged or was not made by this version"),
        (None, "damaged or was not made by this version"),
        (b"", "damaged or was not made by this version"),
        (b"FKM1" + bytes(500), "damaged or was not made by this version"),
        (message(CKKS).to_bytes(CKKS), "message in ckks arrived where bfv was agreed"),
        (message(BFV)._replace(key_id=bytes(10)).to_bytes(BFV), "under another key arrived: were the keys renewed"),
        (message(BFV)._replace(hospitals=0).to_bytes(BFV), "0 hospitals were added up, .* room for 1 to 4"),
        (message(BFV, SUM, hospitals=5).to_bytes(BFV), "5 hospitals were added up, .* room for 1 to 4"),
        (message(BFV, OWN, hospitals=2).to_bytes(BFV), "2 hospitals were added up"),
        (message(BFV)._replace(hospitals=2**32 - 1).to_bytes(BFV), "4294967295 hospitals"),
        (message(BFV)._replace(kind=0).to_bytes(BFV), "not its length"),
        (message(BFV)._replace(kind=4).to_bytes(BFV), "not its length"),
        (message(BFV)._replace(kind=LARGE_SUM).to_bytes(BFV), "not its length"),
        (message(BFV).to_bytes(BFV)[:-1], "5 coefficients from 1 hospitals has .* not its length"),
        (message(BFV).to_bytes(BFV) + b"x", "not its length"),
        (message(BFV)._replace(coefficients=0).to_bytes(BFV), "message of 0 coefficients"),
        (messages.HEAD.pack(b"FKM2", OWN, b"bfv", KEY, 1, 0), "message of 0 coefficients"),
        (message(BFV)._replace(coefficients=2**64 - 1).to_bytes(BFV), "message of 18446744073709551615 coefficients"),
    ],
)
def test_what_does_not_belong_here_is_named(data, sentence):
    with pytest.raises(MessageError, match=sentence):
        read(data)


@pytest.mark.parametrize("parameters", [BFV, WHOLE, CKKS])
def test_numbers_beyond_the_modulus_are_refused(parameters):
    q, many, parameters = MODULUS[parameters], MANY[parameters], ROOMY[parameters]
    for kind, hospitals in ((OWN, 1), (LARGE_SUM, many)):
        sent = message(parameters, kind, hospitals=hospitals)
        sent.c0[0] = q - 1
        assert read(sent.to_bytes(parameters), parameters).c0.max() < q
        sent.c0[0] = ((q - 1 >> parameters.dropped_bits) + 1) << parameters.dropped_bits
        with pytest.raises(MessageError, match="beyond the modulus"):
            read(sent.to_bytes(parameters), parameters)
    sent.c0[0], sent.c1[0] = 0, q
    with pytest.raises(MessageError, match="beyond the modulus"):
        read(sent.to_bytes(parameters), parameters)


@pytest.mark.parametrize("parameters", [BFV, WHOLE, CKKS])
def test_no_seed_stands_in_a_message_twice(parameters):
    """Not for two hospitals, not for two ciphertexts, not here for one and there for the other."""
    size = parameters.slots + 1  # two ciphertexts
    sent = message(parameters, SUM, size, 3)
    assert read(sent.to_bytes(parameters), parameters).seeds == sent.seeds
    one, two, three = sent.seeds
    own = message(parameters, OWN, size)
    for bad in (
        sent._replace(seeds=[one, two, one]),
        sent._replace(seeds=[one, one, one]),
        sent._replace(seeds=[one, two, three[:64] + two[64:]]),
        sent._replace(seeds=[one, two, one[64:] + one[:64]]),
        own._replace(seeds=[own.seeds[0][:64] * 2]),
    ):
        with pytest.raises(MessageError, match="same seed twice: somebody's numbers would count more than once"):
            read(bad.to_bytes(parameters), parameters)


@pytest.mark.parametrize("parameters", [BFV, WHOLE, CKKS])
def test_a_sum_without_seeds_is_one_of_so_many_that_seeds_would_be_longer(parameters):
    many, parameters = MANY[parameters], ROOMY[parameters]
    assert read(message(parameters, LARGE_SUM, hospitals=many).to_bytes(parameters), parameters).seeds == []
    assert messages.sends_seeds(parameters, many - 1)
    assert not messages.sends_seeds(parameters, many)
    for few in (1, 2, 3, many - 1):
        with pytest.raises(MessageError, match=f"sum of {few} hospitals came without their seeds"):
            read(message(parameters, LARGE_SUM, hospitals=few).to_bytes(parameters), parameters)


def test_no_memory_is_taken_for_what_is_only_claimed(monkeypatch):
    monkeypatch.setattr(messages.packing, "from_bytes", None)
    monkeypatch.setattr(messages, "np", None)
    for kind in (OWN, SUM, LARGE_SUM):
        with pytest.raises(MessageError, match="not its length"):
            read(b"FKM2" + bytes([kind]) + b"bfv\0" + KEY + struct.pack("<IQ", 1, 2**40) + bytes(500))


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", ">f4"])
@pytest.mark.parametrize("offset", [0, 1, 3, 64_000])
def test_plaintext_is_found_wherever_it_stands(kind, offset):
    hidden = NOISE[:offset] + UPDATE[5:7].astype(kind).tobytes() + NOISE[offset:]
    assert contains_plaintext(hidden, UPDATE)
    assert not contains_plaintext(NOISE, UPDATE)
    plain = UPDATE.tobytes()[3:40]
    assert contains_plaintext(NOISE[:offset] + plain[7:15] + NOISE, plain)
    assert not contains_plaintext(NOISE, plain)
    assert contains_plaintext(b"...." + UPDATE[:1].tobytes(), UPDATE[:1])
    assert not contains_plaintext(b"", UPDATE[:1])


def test_what_proves_nothing_is_refused():
    with pytest.raises(ValueError, match="round"):
        contains_plaintext(NOISE, np.array([0.0, 1.0, 0.5]))
    with pytest.raises(ValueError, match="8 bytes"):
        contains_plaintext(b"1234567", b"1234567")
