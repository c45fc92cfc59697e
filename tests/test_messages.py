import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tampering import nearly

from fedkit.encryption import messages, schemes
from fedkit.encryption.messages import PRIME, Letter, MessageError, Share, Sum

# It drops bits of a coefficient, and 4 of the 20 that are left are a half byte; some numbers are beyond the modulus.
DROPS = schemes.choose(4, numbers=14, bits=12)._replace(sent_bits=20)
WHOLE = schemes.choose(480, bits=52)
ABOUT, LABEL = bytes(range(32)), bytes(range(32, 64))
SIZES = {
    Letter: lambda p, size, k: messages.letter_bytes(p, size),
    Share: lambda p, size, k: messages.share_bytes(p, k),
}
SIZES[Sum] = messages.sum_bytes
each = pytest.mark.parametrize("kind", SIZES)


def made(kind, parameters=DROPS, size=5, hospitals=3, seed=0):
    rng = np.random.default_rng(seed)
    hidden = rng.integers(0, parameters.modulus, size).astype(np.uint64)
    key = rng.integers(0, 1 << parameters.share_bits(hospitals), parameters.ring_dimension)
    own = {"about": ABOUT, "label": LABEL, "hospitals": hospitals, "hidden": hidden, "key": key, "tag": PRIME - 1}
    return kind(*(own[field] for field in kind._fields))


def written(found, parameters=DROPS, hospitals=3):
    return found.to_bytes(parameters, hospitals) if isinstance(found, Share) else found.to_bytes(parameters)


def read(kind, data, parameters=DROPS, hospitals=3):
    return kind.from_bytes(data, parameters, *([hospitals] if kind is Share else []))


@settings(deadline=None)
@given(
    st.sampled_from(list(SIZES)),
    st.sampled_from([DROPS, WHOLE]),
    st.integers(1, 10_000),
    st.integers(3, 480),
    st.integers(0, 2**32 - 1),
)
def test_messages_come_back(kind, parameters, size, hospitals, seed):
    parameters = parameters._replace(hospitals=480)
    sent = made(kind, parameters, size, hospitals, seed)
    data = written(sent, parameters, hospitals)
    assert len(data) == SIZES[kind](parameters, size, hospitals)
    both = messages.letter_bytes(parameters, size) + messages.share_bytes(parameters, 480)
    assert parameters.message_bytes(size) == both - 2 * 44, "without their heads, and the tag"
    found = read(kind, data, parameters, hospitals)
    for field, one, other in zip(kind._fields, sent, found, strict=True):
        if field == "hidden":
            lost = np.abs(one.astype(np.int64) - other.astype(np.int64))
            assert np.minimum(lost, parameters.modulus - lost).max() <= (1 << parameters.dropped_bits) // 2
            assert other.max() < parameters.modulus
        else:
            assert np.array_equal(one, other), field


def test_the_format_is_the_one_written_down():
    key, parameters = np.array([0b1, 0b10, 0b10000001] + [0] * 1021), DROPS._replace(sent_bits=16)
    hidden = np.array([0x123, 0x456, 0x789], np.uint64) << np.uint64(11)
    assert Letter(ABOUT, hidden).to_bytes(parameters) == b"FKL1" + ABOUT + struct.pack("<Q3H", 3, 0x123, 0x456, 0x789)
    bits = bytes([1, 2, 0x81]) + bytes(1021)
    assert Share(LABEL, key, 7).to_bytes(parameters, 3) == b"FKS1" + LABEL + bits + struct.pack("<Q", 7)
    total = b"FKT1" + LABEL + struct.pack("<QI3H", 3, 3, 0x123, 0x456, 0x789) + bits + struct.pack("<Q", 7)
    assert Sum(LABEL, 3, hidden, key, 7).to_bytes(parameters) == total
    assert Sum(LABEL, 3, hidden, key - 2**40, 7).to_bytes(parameters) == total, "keys count modulo a power of 2"
    nine = np.frombuffer(Share(LABEL, key, 7).to_bytes(parameters, 5)[36:-8], np.uint8)
    assert nine[:4].tolist() == [1, 4, 4, 2]  # 9 bits each, lowest first


ANY = [*(written(made(kind)) for kind in SIZES), Letter(ABOUT, np.zeros(0, np.uint64)).to_bytes(DROPS)]


@settings(max_examples=300)
@given(st.sampled_from(list(SIZES)), nearly(*ANY))
def test_whatever_arrives_is_read_as_it_is_or_refused(kind, data):
    with contextlib.suppress(MessageError):
        assert written(read(kind, data))[:36] == data[:36]
        assert len(written(read(kind, data))) == len(data)


@each
def test_what_does_not_belong_here_is_refused(kind):
    data = written(made(kind))
    others = [written(made(other)) for other in SIZES if other is not kind]
    others += [None, "text", b"", bytes(500), data[:30], bytearray(data), b"FKL0" + data[4:], data[:-1], data + b"x"]
    for bad in others:
        with pytest.raises(MessageError, match="it is damaged, or of another version of the kit"):
            read(kind, bad)


def test_what_has_the_right_length_and_cannot_be_is_refused():
    most = (DROPS.modulus - 1) >> DROPS.dropped_bits
    for kind in (Letter, Sum):
        good, bad = made(kind), made(kind)
        good.hidden[0], bad.hidden[0] = most << DROPS.dropped_bits, (most + 1) << DROPS.dropped_bits
        assert read(kind, written(good)).hidden.max() < DROPS.modulus
        with pytest.raises(MessageError, match="numbers beyond the modulus"):
            read(kind, written(bad))
    for kind in (Share, Sum):
        with pytest.raises(MessageError, match="a tag that is none"):
            read(kind, written(made(kind)._replace(tag=PRIME)))
    for hospitals in (0, DROPS.hospitals + 1):  # though it is as long as it would be
        for bad in (made(Sum, hospitals=hospitals), made(Share, hospitals=hospitals)):
            with pytest.raises(MessageError, match=f"is of {hospitals} hospitals"):
                read(type(bad), written(bad, DROPS, hospitals), DROPS, hospitals)


def test_no_memory_is_taken_for_what_is_only_claimed(monkeypatch):
    whole = {kind: written(made(kind)) for kind in (Letter, Sum)}
    monkeypatch.setattr(messages, "np", None)
    monkeypatch.setattr(messages.packing, "from_bytes", None)
    for kind, data in whole.items():
        with pytest.raises(MessageError, match="it is damaged"):
            read(kind, data[:36] + struct.pack("<Q", 2**62) + data[44:])
