import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedkit.encryption import messages, schemes
from fedkit.encryption.messages import LARGE_SUM, OWN, SUM, Message, MessageError, contains_plaintext, message_bytes

# With room for so many hospitals that their seeds are longer than one c1, packed; the modulus is any of so many bits.
BFV = schemes.choose("bfv", 4, numbers=14, bits=12)._replace(hospitals=57)  # drops bits, 4 of a coefficient are a half
WHOLE = schemes.choose("bfv", 4, bits=52)._replace(hospitals=481)
CKKS = schemes.choose("ckks", 4)._replace(hospitals=225)
MODULUS = {BFV: 2**27 - 2**13 + 1, WHOLE: 2**60 - 2**14 + 1, CKKS: 2**54 - 2**12 + 1}
each = pytest.mark.parametrize("parameters", MODULUS, ids=["bfv", "whole", "ckks"])
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


@settings(deadline=None)
@given(
    st.sampled_from(list(MODULUS)),
    st.sampled_from([(OWN, 1), (SUM, 1), (SUM, 4), (LARGE_SUM, None)]),
    st.integers(1, 10_000),
    st.integers(0, 2**32 - 1),
)
def test_messages_come_back(parameters, kind, coefficients, seed):
    kind, hospitals = kind[0], kind[1] or parameters.hospitals
    sent = message(parameters, kind, coefficients, hospitals, seed)
    data = sent.to_bytes(parameters)
    assert len(data) == message_bytes(parameters, coefficients, hospitals, kind)
    found = read(data, parameters)
    assert (found[:4], found.seeds) == (sent[:4], sent.seeds)
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


OURS = message(BFV)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        *[(bad, "damaged or was not made by this version") for bad in ("text", None, b"", b"FKM1" + bytes(500))],
        (message(CKKS).to_bytes(CKKS), "message in ckks arrived where bfv was agreed"),
        (OURS._replace(key_id=bytes(10)), "under another key arrived: were the keys renewed"),
        (OURS._replace(hospitals=0), "0 hospitals were added up, .* room for 1 to 57"),
        (message(BFV, SUM, hospitals=58), "58 hospitals were added up, .* room for 1 to 57"),
        (message(BFV, OWN, hospitals=2), "2 hospitals were added up"),
        (OURS._replace(hospitals=2**32 - 1), "4294967295 hospitals"),
        *[(OURS._replace(kind=kind), "not its length") for kind in (0, 4, LARGE_SUM)],
        (OURS.to_bytes(BFV)[:-1], "5 coefficients from 1 hospitals has .* not its length"),
        (OURS.to_bytes(BFV) + b"x", "not its length"),
        (OURS._replace(coefficients=0), "message of 0 coefficients"),
        (messages.HEAD.pack(b"FKM2", OWN, b"bfv", KEY, 1, 0), "message of 0 coefficients"),
        (OURS._replace(coefficients=2**64 - 1), "message of 18446744073709551615 coefficients"),
    ],
)
def test_what_does_not_belong_here_is_named(data, sentence):
    with pytest.raises(MessageError, match=sentence):
        read(data.to_bytes(BFV) if isinstance(data, Message) else data)


@each
def test_what_has_the_right_length_and_cannot_be_is_refused(parameters):
    q, many, size = MODULUS[parameters], parameters.hospitals, parameters.slots + 1  # two ciphertexts
    kinds = (OWN, 1), (SUM, 3), (LARGE_SUM, many)
    own, three, large = (message(parameters, kind, size, hospitals) for kind, hospitals in kinds)
    for sent in (own, three, large):
        sent.c0[0] = q - 1
        assert read(sent.to_bytes(parameters), parameters).c0.max() < q
    c0, c1, (a, b, c) = own.c0.copy(), large.c1.copy(), three.seeds
    c0[0], c1[0] = ((q - 1 >> parameters.dropped_bits) + 1) << parameters.dropped_bits, q
    # not for two hospitals, not for two ciphertexts, not here for one and there for the other
    twice = [a, b, a], [a, a, a], [a, b, c[:64] + b[64:]], [a, b, a[64:] + a[:64]]
    refused = [(bad, "beyond the modulus") for bad in (own._replace(c0=c0), large._replace(c0=c0))]
    refused += [(large._replace(c1=c1), "beyond the modulus")]
    refused += [
        (three._replace(seeds=seeds), "same seed twice: somebody's numbers would count more") for seeds in twice
    ]
    refused += [(own._replace(seeds=[own.seeds[0][:64] * 2]), "same seed twice")]
    refused += [(large._replace(hospitals=few), f"sum of {few} hospitals came without") for few in (1, 2, 3, many - 1)]
    for bad, sentence in refused:
        with pytest.raises(MessageError, match=sentence):
            read(bad.to_bytes(parameters), parameters)
    assert [messages.sends_seeds(parameters, hospitals) for hospitals in (many - 1, many)] == [True, False]


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
