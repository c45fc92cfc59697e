import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedkit.messages import Message, contains_plaintext

MESSAGE = Message("bfv", 1, b"12345678", 5000, [b"first", b""])
UPDATE = np.random.default_rng(0).normal(size=14)
NOISE = np.random.default_rng(1).bytes(65_000)


@given(
    st.sampled_from(["bfv", "ckks"]),
    st.integers(0, 65535),
    st.binary(min_size=8, max_size=8),
    st.integers(0, 2**32 - 1),
    st.lists(st.binary(max_size=50), max_size=5),
)
def test_messages_come_back(scheme, hospitals, key_id, slots, chunks):
    message = Message(scheme, hospitals, key_id, slots, chunks)
    assert Message.from_bytes(message.to_bytes()) == message


@given(st.binary(max_size=60))
def test_foreign_bytes_are_refused(data):
    with pytest.raises(ValueError, match="damaged"):
        Message.from_bytes(data)


def test_a_message_of_another_length_is_refused():
    data = MESSAGE.to_bytes()
    for wrong in (data[:-1], data + b"x", data[:-5], b"", b"XXXX" + data[4:]):
        with pytest.raises(ValueError, match="damaged"):
            Message.from_bytes(wrong)
    with pytest.raises(TypeError, match="str"):
        Message.from_bytes("text")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"scheme": "ckks"}, "ckks arrived where bfv"),
        ({"key_id": b"87654321"}, "under key"),
        ({"hospitals": 0}, "1 to 4"),
        ({"hospitals": 5}, "1 to 4"),
        ({"slots": 1}, "slots"),
        ({"slots": 4096}, "4096 slots came in 2"),
        ({"chunks": []}, "0 ciphertexts"),
    ],
)
def test_a_message_that_does_not_belong_here_is_refused(change, sentence):
    MESSAGE.check("bfv", b"12345678", 4, 4096)
    with pytest.raises(ValueError, match=sentence):
        MESSAGE._replace(**change).check("bfv", b"12345678", 4, 4096)


@pytest.mark.parametrize("kind", ["<f8", ">f8", "<f4", ">f4"])
@pytest.mark.parametrize("offset", [0, 3, 64_000])
def test_plaintext_is_found_wherever_it_stands(kind, offset):
    hidden = NOISE[:offset] + UPDATE[5:7].astype(kind).tobytes() + NOISE[offset:]
    assert contains_plaintext(hidden, UPDATE)
    assert not contains_plaintext(NOISE, UPDATE)


def test_one_number_is_found():
    assert contains_plaintext(b"...." + UPDATE[:1].tobytes(), UPDATE[:1])
    assert not contains_plaintext(b"", UPDATE[:1])


def test_round_numbers_prove_nothing():
    with pytest.raises(ValueError, match="round"):
        contains_plaintext(NOISE, np.array([0.0, 1.0, 0.5]))
