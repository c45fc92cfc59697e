import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedkit.encryption.packing import byte_count, from_bytes, gather, pack, spread, to_bytes, unpack

FIELDS = st.integers(2, 62).flatmap(lambda bits: st.tuples(st.just(bits), st.integers(1, 62 // bits)))


@given(st.data(), FIELDS, st.just(1) | st.integers(2, 40), st.integers(1, 5))
def test_packed_integers_come_back_and_can_be_added(data, field, hospitals, size):
    bits, fields = field
    half = 2 ** (bits - 1)
    most = (half - 1) // hospitals
    least = -half if hospitals == 1 else -most
    rows = st.lists(st.sampled_from([least, most]) | st.integers(least, most), min_size=size, max_size=size)
    integers = np.array([data.draw(rows) for _ in range(hospitals)])
    total = sum(pack(row, bits, fields) for row in integers)
    assert len(total) == -(-size // fields)
    if integers.min() >= -most:
        assert np.abs(total).max() < 2 ** (bits * fields - 1), "a sum must not leave the room of its coefficient"
    assert np.array_equal(unpack(total, bits, fields, size), integers.sum(axis=0))


def test_a_negative_digit_borrows_from_the_next():
    assert pack(np.array([-1, 1]), 26, 2).tolist() == [2**26 - 1]
    assert spread(np.array([-1, 255, 128]), 8, 2).tolist() == [-1, 0, -1, 1, -128, 1]


@given(st.data(), st.integers(4, 30), st.integers(1, 12), st.integers(1, 40))
def test_numbers_wider_than_a_coefficient_can_be_added(data, bits, digits, hospitals):
    most = 2 ** (bits * digits - 1) - 1
    integers = data.draw(st.lists(st.integers(-most, most), min_size=hospitals, max_size=hospitals))
    rows = [spread(np.array([integer, -integer], dtype=object), bits, digits) for integer in integers]
    assert all(np.abs(row).max() <= 2 ** (bits - 1) for row in rows), "a digit must not be wider than it is said to be"
    assert gather(sum(rows), bits, digits).tolist() == [sum(integers), -sum(integers)]


@given(st.data(), st.integers(2, 16).map(lambda halves: 4 * halves))
def test_integers_become_so_many_bits(data, bits):
    values = data.draw(st.lists(st.sampled_from([0, 2**bits - 1]) | st.integers(0, 2**bits - 1), max_size=9))
    written = to_bytes(np.array(values, np.uint64), bits)
    assert len(written) == byte_count(len(values), bits) <= len(values) * bits / 8 + 0.5
    assert from_bytes(written + b"more", bits, len(values)).tolist() == values
    assert from_bytes(written, bits, len(values)).flags.writeable


def test_the_bytes_are_the_ones_written_down():
    """Whole bytes lowest first, then the half bytes, two of them in one."""
    assert to_bytes(np.array([0x123, 0x456, 0x789], np.uint64), 12) == bytes.fromhex("23 56 89 41 07")
    assert to_bytes(np.array([0x1234, 0xABCD], np.uint64), 16) == bytes.fromhex("34 12 cd ab")


def test_too_few_bytes_are_no_integers():
    with pytest.raises(ValueError, match="buffer"):
        from_bytes(bytes(9), 20, 4)
