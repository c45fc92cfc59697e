"""What is taken out of SEAL's streams, and put back, against SEAL itself and against the ring's arithmetic."""

import os

import numpy as np
import pytest

from fedkit.compat.tenseal import sealapi
from fedkit.encryption import rings, schemes
from fedkit.encryption.rings import Ring

SMALL = schemes.choose("bfv", 4, numbers=14, bits=12)
CHOICES = [SMALL, schemes.choose("bfv", 4), schemes.choose("ckks", 4)]


def private(choice):
    return Ring(choice, Ring(choice).new_secret())


@pytest.fixture(scope="module", params=CHOICES, ids=lambda choice: f"{choice.scheme} {choice.ring_dimension}")
def ring(request):
    return private(request.param)


def numbers(ring, seed):
    return np.random.default_rng(seed).integers(-500, 500, ring.parameters.slots)


def test_as_many_ciphertexts_as_are_needed(ring):
    slots, size = ring.parameters.slots, ring.parameters.ring_dimension
    assert (ring.is_private, Ring(ring.parameters).is_private) == (True, False)
    values = np.random.default_rng(6).integers(-500, 500, 2 * slots + 3)
    c0, seeds = ring.encrypt(values)
    assert (len(c0), len(seeds), c0.max() < ring.modulus) == (3 * size, 3 * 64, True)
    found = np.concatenate([ring.decrypt(c0[at * size :][:size], [seeds[at * 64 :][:64]]) for at in range(3)])
    assert np.abs(found - np.pad(values, (0, slots - 3))).max() < (1e-4 if ring.parameters.scheme == "ckks" else 1)


def test_adding_is_seals_adding(ring):
    (one, seed), (other, another) = ring.encrypt(numbers(ring, 1)), ring.encrypt(numbers(ring, 2))
    total = sealapi.Ciphertext()
    sealapi.Evaluator(ring._context).add(ring._seeded(one, seed), ring._seeded(other, another), total)
    array = total.dyn_array()  # read through SEAL's own interface, number by number
    c0, c1 = np.array([array.at(at) for at in range(array.size())], np.uint64).reshape(2, -1)
    assert np.array_equal((one + other) % ring.modulus, c0)
    stretched, more = ring.expand(seed), ring.expand(another)
    assert len(set(stretched.tolist())) > 0.99 * len(stretched)
    assert np.array_equal((stretched + more) % ring.modulus, c1)
    by_seeds, by_sum = ring.decrypt(c0, [seed, another]), ring.decrypt(c0, [], c1)
    assert np.array_equal(by_seeds, by_sum)
    expected = numbers(ring, 1) + numbers(ring, 2)
    assert np.abs(by_sum - expected).max() < (1e-4 if ring.parameters.scheme == "ckks" else 1)


def test_the_noise_is_what_the_parameters_count_on():
    """c0 + c1 * s, computed here, is the noise: in a small ring int64 holds the products."""
    ring = private(SMALL)
    size, q, quarter = SMALL.ring_dimension, ring.modulus, 2 ** (SMALL.room_bits - 2)
    unit = np.zeros(size, np.uint64)
    unit[0] = q // 4
    s = np.rint(ring.decrypt(np.zeros(size, np.uint64), [], unit) / quarter).astype(np.int64)
    assert set(s) == {-1, 0, 1}, "the table of the standard is about ternary secrets"
    assert 0.25 < np.mean(s == 0) < 0.42
    noise = []
    for _ in range(30):
        c0, seed = ring.encrypt(np.zeros(size, np.int64))
        product = np.convolve(ring.expand(seed).astype(np.int64), s)
        product[: size - 1] -= product[size:]  # X^N = -1
        found = (c0.astype(np.int64) + product[:size]) % q
        noise.append(np.where(found > q // 2, found - q, found))
    assert np.abs(noise).max() <= 21
    assert abs(np.var(noise) - 10.5) < 0.4  # four standard errors, 30,720 samples
    assert abs(np.mean(noise)) < 0.08


def test_another_key_reads_nothing_and_nothing_looks_the_same_twice(ring):
    one, other = (ring.encrypt(numbers(ring, 5)) for _ in range(2))
    found = private(ring.parameters).decrypt(one[0], [one[1]])
    assert np.mean(np.abs(found - numbers(ring, 5)) < 1) < 0.02
    assert one[1] != other[1]
    assert np.mean(one[0] == other[0]) < 0.01
    secrets = {Ring(ring.parameters).new_secret() for _ in range(4)}
    assert (len(secrets), len(set(map(len, secrets)))) == (4, 1)  # a length that varied would tell runs apart


def test_what_is_no_secret_key_of_these_parameters_is_refused():
    own, small = Ring(CHOICES[1]).new_secret(), len(Ring(SMALL).new_secret())
    hostile = [(SMALL, secret) for secret in (b"", b"nonsense" * 20, bytes(small), own)]
    for choice, secret in [*hostile, (CHOICES[1], own[:-1]), (CHOICES[2], own)]:
        with pytest.raises(ValueError, match="SEAL refuses these bytes: a secret key of other parameters, or none at"):
            Ring(choice, secret)


@pytest.mark.parametrize(
    "change",
    [
        lambda stream: b"\0" + stream[1:],  # another mark
        lambda stream: stream[:5] + b"\1" + stream[6:],  # zlib, which SEAL may have been built with
        lambda stream: stream + b"more",
        lambda stream: rings._stream(rings._decompressed(stream) + b"more"),
        lambda stream: rings._stream(b"\0" + rings._decompressed(stream)[1:]),  # of other parameters
        lambda stream: rings._stream(rings._decompressed(stream)[:-80]),  # without a seed
    ],
)
def test_a_seal_that_saves_otherwise_is_noticed(monkeypatch, change):
    ring, read = private(SMALL), rings._read
    monkeypatch.setattr(rings, "_read", lambda path: change(read(path)))
    with pytest.raises(RuntimeError, match="install the pinned version of tenseal"):
        ring.encrypt(np.ones(3, np.int64))


def test_no_file_is_left_open():
    secret = Ring(SMALL).new_secret()
    ring = Ring(SMALL, secret)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        c0, seed = ring.encrypt(np.ones(3, np.int64))
        ring.decrypt(c0, [seed])
        with pytest.raises(ValueError, match="SEAL refuses"):
            Ring(SMALL, bytes(len(secret)))
    assert len(os.listdir("/proc/self/fd")) == before
