"""The arithmetic of a letter, against Python's own integers and against SEAL."""

import os
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedkit.compat.tenseal import sealapi
from fedkit.encryption import ring, schemes
from fedkit.encryption.ring import Ring, small
from fedkit.encryption.schemes import COINS

RINGS = sorted({pair for of in schemes.MODULUS_BITS.values() for pair in of.items()})
KEY, OTHER = bytes(range(32)), bytes(32)


def parameters(size=1024, bits=27, room=12, hospitals=4):
    return schemes.Parameters(hospitals, 14, 12, 128, size, bits, -(-bits // 4) * 4, room)


def whole(values):
    """A polynomial as one integer: 16 bytes a coefficient."""
    return int.from_bytes(b"".join(int(value).to_bytes(16, "little") for value in values), "little")


def exact_product(a, s, q):
    """Of two polynomials where x^N = -1, by one product of large integers: object, shape [N]."""
    size, total = len(a), 0
    for sign in (1, -1):
        raw = (whole(a) * whole(np.maximum(sign * s, 0))).to_bytes(32 * size, "little")
        parts = np.array([int.from_bytes(raw[at : at + 16], "little") for at in range(0, len(raw), 16)], object)
        total = total + sign * (parts[:size] - parts[size:])
    return total % q


def keys_of(hospitals, size, seed=0):
    """What the sum of so many keys looks like: the same mean and variance."""
    drawn = np.rint(np.random.default_rng(seed).normal(0, np.sqrt(hospitals * COINS / 2), size))
    return drawn.astype(np.int64)


@pytest.mark.parametrize(("size", "bits"), RINGS)
@pytest.mark.parametrize("hospitals", [1, 100_000])
def test_the_product_is_exact(size, bits, hospitals):
    here = Ring(parameters(size, bits))
    a, s = here.public(KEY, 2), keys_of(hospitals, size)
    a[1, ::2], a[1, 1::2] = here.modulus - 1, here.modulus // 2
    product = here.times(s)(a)
    assert np.abs(product).max() < 2**62
    for row, found in zip(a, product, strict=True):
        assert np.array_equal(found.astype(object) % here.modulus, exact_product(row, s, here.modulus))


@pytest.mark.parametrize(("size", "bits"), RINGS)
def test_it_is_exact_for_the_worst_keys_too_or_says_that_it_cannot_be(size, bits):
    here = Ring(parameters(size, bits))
    a = here.public(KEY, 1)
    for hospitals in (1, 100, 3000, 100_000):
        s = COINS * hospitals * np.where(a[0] > here.modulus // 2, 1, -1)[::-1]
        if hospitals == 100_000 and bits > 40:
            with pytest.raises(ValueError, match="too large to multiply exactly"):
                here.times(s)(a)
        else:
            product = here.times(s)(a)[0].astype(object) % here.modulus
            assert np.array_equal(product, exact_product(a[0], s, here.modulus))


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1), st.sampled_from(RINGS), st.integers(1, 5000))
def test_what_was_hidden_is_shown_from_the_sum_of_the_keys(seed, kind, count):
    choice = parameters(*kind, room=min(kind[1] - 12, 55))
    here, rng, half = Ring(choice), np.random.default_rng(seed), 2 ** (choice.room_bits - 3)
    values = rng.integers(-half, half, (3, count))
    values[:, 0] = half
    keys = [small(rng.bytes(32), here.size) for _ in values]
    hidden = [here.hide(row, KEY, key, rng.bytes(32)) for row, key in zip(values, keys, strict=True)]
    total = hidden[0].copy()
    for other in hidden[1:]:
        ring.add_modulo(total, other, here.modulus)
    assert np.array_equal(total, sum(each.astype(object) for each in hidden) % here.modulus)
    assert np.array_equal(here.show(total, KEY, sum(keys)), values.sum(axis=0))
    with_another = here.show(total, KEY, sum(keys) + small(OTHER, here.size))
    assert count < 50 or np.mean(with_another == values.sum(axis=0)) < 0.1


@pytest.mark.parametrize(("size", "bits"), [(1024, 27), (2048, 54), (4096, 60)])
def test_the_noise_of_the_sum_is_the_sum_of_the_noises_whatever_the_numbers(size, bits):
    """A known noise must not depend on single numbers: rule 18 of an encoding that is linear."""
    here, rng = Ring(parameters(size, bits, bits - 14)), np.random.default_rng(0)
    values, s = rng.integers(-(2 ** (bits - 17)), 2 ** (bits - 17), (3, size)), np.zeros(size, np.int64)
    noises = [rng.bytes(32) for _ in values]
    hidden = sum(here.hide(row, KEY, s, noise).astype(object) for row, noise in zip(values, noises, strict=True))
    found = (hidden - values.sum(axis=0).astype(object) * here.delta) % here.modulus
    found = np.where(found > here.modulus // 2, found - here.modulus, found)
    assert np.array_equal(found, sum(small(noise, size) for noise in noises))
    assert np.abs(found).max() > 10


def test_key_and_noise_have_42_coins_a_side():
    drawn = small(KEY, 10**6)
    assert (drawn.min() >= -COINS, drawn.max() <= COINS, COINS) == (True, True, 42)
    assert np.var(drawn) == pytest.approx(21, rel=0.01)
    assert abs(np.mean(drawn)) < 0.03  # six standard errors
    assert np.mean(drawn**4) / 21**2 == pytest.approx(3 - 1 / 42, rel=0.02)
    assert abs(np.corrcoef(drawn[:-1], drawn[1:])[0, 1]) < 0.006
    assert np.array_equal(small(KEY, 100), small(KEY, 100))
    assert np.mean(small(KEY, 1000) == small(OTHER, 1000)) < 0.15
    # two honest hospitals whose sum is known: what one key is then known to is half of its variance
    one, other = small(KEY, 10**6), small(OTHER, 10**6)
    left = [np.var(one[one + other == total]) for total in (-6, 0, 6)]
    assert min(left) >= 10.17, "sigma 3.19, of the standard"


@pytest.mark.parametrize(("size", "bits"), RINGS)
def test_the_public_polynomials_are_uniform_and_the_same_for_all(size, bits):
    here = Ring(parameters(size, bits))
    drawn = here.public(KEY, 20)
    assert (drawn.shape, drawn.min() >= 0, drawn.max() < here.modulus) == ((20, size), True, True)
    assert np.array_equal(drawn, Ring(parameters(size, bits)).public(KEY, 20))
    assert np.array_equal(drawn[:3], here.public(KEY, 3))
    counts = np.bincount(drawn.ravel() * 16 // here.modulus if bits < 59 else drawn.ravel() // (here.modulus // 16 + 1))
    assert ((counts - drawn.size / 16) ** 2).sum() / (drawn.size / 16) < 60  # chi squared, 15 degrees: p < 1e-6
    assert not np.array_equal(drawn, here.public(OTHER, 20))


def test_numbers_beyond_the_modulus_are_drawn_again():
    """Where a third of what is drawn is too large, which no modulus here is."""
    here = Ring(parameters())
    here.modulus = 2**26 + 2**25
    drawn = here.public(KEY, 30)
    assert (drawn.max() < here.modulus, drawn.max() > 0.99 * here.modulus) == (True, True)
    assert np.mean(drawn) == pytest.approx(here.modulus / 2, rel=0.02)


class Seal:
    """SEAL's own decryptor, under a key that is given to it.

    What it reads is put together here: a stream is a head of 16 bytes (mark, length of the head, version, no
    compression), and what `save_members` of microsoft/SEAL 4 writes of an object.
    """

    def __init__(self, choice, key):
        self.size, self.room = choice.ring_dimension, choice.room_bits
        settings = sealapi.EncryptionParameters(sealapi.SCHEME_TYPE.BFV)
        settings.set_poly_modulus_degree(self.size)
        settings.set_coeff_modulus(sealapi.CoeffModulus.Create(self.size, [choice.modulus_bits]))
        settings.set_plain_modulus(1 << self.room)
        self.context = sealapi.SEALContext(settings, False, sealapi.SEC_LEVEL_TYPE.TC128)
        (prime,) = self.context.first_context_data().parms().coeff_modulus()
        self.modulus = prime.value()
        name = struct.pack("<4Q", *self.context.first_parms_id())
        # of a ciphertext: parameters, not in NTT form, polynomials, N, primes, scale, correction factor
        self.about = name + struct.pack("<?QQQdQ", False, 2, self.size, 1, 1.0, 1)
        plain = self.loaded(sealapi.Plaintext(), self.plain(bytes(32), key & ((1 << self.room) - 1)))
        sealapi.Evaluator(self.context).transform_to_ntt_inplace(plain, self.context.first_parms_id())
        secret = self.loaded(sealapi.SecretKey(), self.plain(name, self.numbers(plain)))
        self.decryptor = sealapi.Decryptor(self.context, secret)

    def loaded(self, into, members):
        file = os.memfd_create("seal")
        try:
            os.pwrite(file, stream(members), 0)
            into.load(self.context, f"/proc/self/fd/{file}")
        finally:
            os.close(file)
        return into

    def plain(self, name, values):
        return name + struct.pack("<Qd", len(values), 1.0) + array(values)

    def numbers(self, plain):
        found = plain.dyn_array()
        return np.array([found.at(at) for at in range(found.size())], np.uint64)

    def decrypt(self, c0, c1):
        plain, pair = sealapi.Plaintext(), np.concatenate([c0, c1.astype(np.uint64)])
        self.decryptor.decrypt(self.loaded(sealapi.Ciphertext(), self.about + array(pair)), plain)
        values, found = np.zeros(self.size, np.int64), self.numbers(plain).astype(np.int64)
        values[: len(found)] = found
        return values - (values >= 1 << self.room - 1) * (1 << self.room)


def stream(members):
    return struct.pack("<HBBBBHQ", 0xA15E, 16, 4, 3, 0, 0, 16 + len(members)) + members


def array(values):
    return stream(struct.pack("<Q", len(values)) + values.astype("<u8").tobytes())


@pytest.mark.parametrize(("size", "bits", "room"), [(1024, 27, 13), (2048, 54, 30), (4096, 60, 46)])
def test_a_sum_of_ours_opens_with_seals_own_decryptor(size, bits, room):
    """Numbers of at most delta / 4: beyond them SEAL, which rounds q m / t, and delta m part by more than noise."""
    choice = parameters(size, bits, room, 8)
    here, rng = Ring(choice), np.random.default_rng(1)
    most = min(2 ** (room - 1), here.delta // 4) // 8
    values = rng.integers(-most, most, (8, size))
    keys = [small(rng.bytes(32), size) for _ in values]
    hidden = [here.hide(row, KEY, key, rng.bytes(32)) for row, key in zip(values, keys, strict=True)]
    total = (sum(each.astype(object) for each in hidden) % here.modulus).astype(np.uint64)
    theirs = Seal(choice, sum(keys))
    assert theirs.modulus == here.modulus == schemes.modulus(size, bits)
    assert np.array_equal(theirs.decrypt(total, here.public(KEY, 1)[0]), values.sum(axis=0))
    assert np.array_equal(here.show(total, KEY, sum(keys)), values.sum(axis=0))
    assert np.mean(Seal(choice, sum(keys[1:])).decrypt(total, here.public(KEY, 1)[0]) == values.sum(axis=0)) < 0.1
