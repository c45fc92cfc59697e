import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedkit.encryption import messages, schemes
from fedkit.encryption.messages import PRIME, Letter, MessageError, Share, Sum

DROPS = schemes.choose(4, numbers=14, bits=12)  # bits of a coefficient, and 4 of those that are left are a half byte
WHOLE = schemes.choose(480, bits=52)
ABOUT, LABEL = bytes(range(32)), bytes(range(32, 64))
KINDS = {"letter": Letter, "share": Share, "sum": Sum}


def made(kind, parameters=DROPS, size=5, hospitals=3, seed=0):
    rng = np.random.default_rng(seed)
    hidden = rng.integers(0, parameters.modulus, size).astype(np.uint64)
    key = rng.integers(0, 1 << parameters.share_bits(hospitals), parameters.ring_dimension).astype(np.uint32)
    tag = int(rng.integers(0, PRIME))
    parts = {"letter": (ABOUT, hidden), "share": (LABEL, key, tag), "sum": (LABEL, hospitals, hidden, key, tag)}
    return KINDS[kind](*parts[kind])


def written(found, parameters=DROPS, hospitals=3):
    return found.to_bytes(parameters, hospitals) if isinstance(found, Share) else found.to_bytes(parameters)


def read(kind, data, parameters=DROPS, hospitals=3):
    return KINDS[kind].from_bytes(data, parameters, *([hospitals] if kind == "share" else []))


@settings(deadline=None)
@given(
    st.sampled_from(list(KINDS)),
    st.sampled_from([DROPS, WHOLE]),
    st.integers(1, 10_000),
    st.integers(3, 480),
    st.integers(0, 2**32 - 1),
)
def test_messages_come_back(kind, parameters, size, hospitals, seed):
    parameters = parameters._replace(hospitals=480)
    sent = made(kind, parameters, size, hospitals, seed)
    data = written(sent, parameters, hospitals)
    sizes = {
        "letter": messages.letter_bytes(parameters, size),
        "share": messages.share_bytes(parameters, hospitals),
        "sum": messages.sum_bytes(parameters, size, hospitals),
    }
    assert len(data) == sizes[kind]
    found = read(kind, data, parameters, hospitals)
    for field in sent._fields:
        one, other = getattr(sent, field), getattr(found, field)
        if field == "hidden":
            lost = np.abs(one.astype(np.int64) - other.astype(np.int64))
            most = 2 ** (parameters.dropped_bits - 1) if parameters.dropped_bits else 0
            assert np.minimum(lost, parameters.modulus - lost).max() <= most
            assert other.max() < parameters.modulus
        else:
            assert np.array_equal(one, other), field


def test_the_format_is_the_one_written_down():
    key = np.zeros(1024, np.uint32)
    key[:3] = 0b1, 0b10, 0b10000001
    hidden = np.array([0x123, 0x456, 0x789], np.uint64) << np.uint64(11)
    parameters = DROPS._replace(sent_bits=16)
    assert Letter(ABOUT, hidden).to_bytes(parameters) == b"FKL1" + ABOUT + struct.pack("<Q3H", 3, 0x123, 0x456, 0x789)
    bits = bytes([1, 2, 0x81]) + bytes(1021)
    assert Share(LABEL, key, 7).to_bytes(parameters, 3) == b"FKS1" + LABEL + bits + struct.pack("<Q", 7)
    total = b"FKT1" + LABEL + struct.pack("<QI3H", 3, 3, 0x123, 0x456, 0x789) + bits + struct.pack("<Q", 7)
    assert Sum(LABEL, 3, hidden, key, 7).to_bytes(parameters) == total
    nine = np.frombuffer(Share(LABEL, key, 7).to_bytes(parameters, 5)[36:-8], np.uint8)
    assert nine[:4].tolist() == [1, 4, 4, 2]  # 9 bits each, lowest first


@pytest.mark.parametrize("kind", KINDS)
def test_what_does_not_belong_here_is_refused(kind):
    data = written(made(kind))
    others = [written(made(other)) for other in KINDS if other != kind]
    odd = [None, "text", b"", bytes(500), data[:30], bytearray(data), b"FKL0" + data[4:], *others]
    for bad in odd:
        with pytest.raises(MessageError, match="it is damaged, or another version of the kit made it"):
            read(kind, bad)
    for bad in (data[:-1], data + b"x"):
        with pytest.raises(MessageError, match="bytes: it is damaged"):
            read(kind, bad)


def test_what_has_the_right_length_and_cannot_be_is_refused():
    fine = DROPS._replace(sent_bits=20)  # of whose numbers some are beyond the modulus
    most = (fine.modulus - 1) >> fine.dropped_bits
    for kind in ("letter", "sum"):
        sent, bad = made(kind), made(kind)
        sent.hidden[0], bad.hidden[0] = most << fine.dropped_bits, (most + 1) << fine.dropped_bits
        assert read(kind, written(sent, fine), fine).hidden.max() < fine.modulus
        with pytest.raises(MessageError, match="numbers beyond the modulus"):
            read(kind, written(bad, fine), fine)
    for kind in ("share", "sum"):
        assert read(kind, written(made(kind)._replace(tag=PRIME - 1))).tag == PRIME - 1
        with pytest.raises(MessageError, match="tag beyond its prime"):
            read(kind, written(made(kind)._replace(tag=PRIME)))
    for hospitals in (0, DROPS.hospitals + 1, 2**32 - 1):
        with pytest.raises(MessageError, match=f"A sum of {hospitals} hospitals"):
            read("sum", written(made("sum"))[:44] + struct.pack("<I", hospitals) + written(made("sum"))[48:])
    with pytest.raises(MessageError, match="key share for 5 hospitals has"):
        read("share", written(made("share")), hospitals=5)
    with pytest.raises(MessageError, match="key share for 0 hospitals has"):
        read("share", b"FKS1" + bytes(40), hospitals=0)


def test_no_memory_is_taken_for_what_is_only_claimed(monkeypatch):
    whole = {kind: written(made(kind)) for kind in ("letter", "sum")}
    monkeypatch.setattr(messages, "np", None)
    monkeypatch.setattr(messages.packing, "from_bytes", None)
    for kind, data in whole.items():
        with pytest.raises(MessageError, match="it is damaged"):
            read(kind, data[:36] + struct.pack("<Q", 2**62) + data[44:])
