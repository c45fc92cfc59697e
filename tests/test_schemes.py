import math

import numpy as np
import pytest

from fedkit.compat.tenseal import sealapi
from fedkit.encryption import schemes
from fedkit.encryption.ring import Ring, small
from fedkit.encryption.schemes import COINS

# Security Guidelines for Implementing Homomorphic Encryption (ePrint 2024/463), Gaussian secret: (security, N) -> bits
# of the modulus; SEAL's primes have at most 60.
TABLE = {
    **{(128, 1024): 28, (128, 2048): 55, (128, 4096): 108},
    **{(192, 2048): 38, (192, 4096): 75},
    **{(256, 2048): 30, (256, 4096): 58},
}
HOSPITALS = [1, 3, 129, 100_000]


def options(hospitals, security=(128, 192, 256)):
    """Every set of parameters that can be chosen."""
    for level in security:
        for ring, bits in schemes.MODULUS_BITS[level].items():
            for sent in range(8, bits + 4, 4):
                if (room := schemes._room(ring, bits, sent, hospitals)) >= (hospitals - 1).bit_length() + 4:
                    yield schemes.Parameters(hospitals, 4096, 26, level, ring, bits, sent, room)


def test_the_limits_are_below_those_of_the_guidelines_and_the_primes_are_seals():
    for security, of in schemes.MODULUS_BITS.items():
        for ring, bits in of.items():
            assert bits <= min(TABLE[security, ring], 60)
            (prime,) = sealapi.CoeffModulus.Create(ring, [bits])
            assert schemes.modulus(ring, bits) == prime.value()
            assert (schemes.modulus(ring, bits) % (2 * ring), schemes.modulus(ring, bits).bit_length()) == (1, bits)


@pytest.mark.parametrize("hospitals", HOSPITALS)
def test_every_option_opens_the_worst_sum(hospitals):
    """All coefficients full, and as much noise as the stated margin allows; with delta more, another number opens."""
    found, key = list(options(hospitals)), bytes(32)
    assert len(found) > 20
    for option in found:
        ring, dropped, half = Ring(option), option.dropped_bits, 2 ** (option.room_bits - 1)
        assert half <= 2**54, "the tag's numbers are far below its prime"
        values = np.resize(np.array([half - 1, -half, 0, 1, -1]), ring.size)
        s = small(key, ring.size)
        hidden = ring.hide(values, key, s, bytes(32)).astype(np.int64)
        rounding = 2 ** (dropped - 1) if dropped else 0
        worst = hospitals * (COINS + rounding) + rounding
        deviation = math.sqrt(hospitals * COINS / 2 + (hospitals + 1) * (4**dropped / 12 if dropped else 0))
        noise = int(min(worst, math.sqrt(2 * math.log(2**65)) * deviation)) - COINS  # one noise is in it already
        for sign in (1, -1):
            moved = (hidden + np.resize([sign * noise, -sign * noise], ring.size)) % ring.modulus
            assert np.array_equal(ring.show(moved.astype(np.uint64), key, s), values), option
        beyond = (hidden + option.delta) % ring.modulus
        assert not np.array_equal(ring.show(beyond.astype(np.uint64), key, s), values), "this cannot fail"


def test_the_smallest_message_is_chosen_and_small_models_get_a_small_ring():
    heart = schemes.choose(4, numbers=14, bits=12)
    assert (heart.ring_dimension, heart.message_bytes(heart.coefficients(14))) == (1024, 1024 * 9 // 8 + 28)
    for bits, most in [(12, 1.65), (26, 3.8)]:
        large = schemes.choose(8, numbers=10**6, bits=bits)
        assert large.message_bytes(large.coefficients(10**6)) < most * 10**6
    for numbers, bits, hospitals in [(14, 12, 4), (3000, 26, 8), (10**6, 12, 8)]:
        chosen = schemes.choose(hospitals, numbers=numbers, bits=bits)
        size = chosen.message_bytes(chosen.coefficients(numbers))
        for option in options(hospitals, [128]):
            other = option._replace(bits=bits)
            assert size <= other.message_bytes(other.coefficients(numbers))


SMALL, LARGE = {"hospitals": 4, "numbers": 14, "bits": 12}, {"hospitals": 1000, "numbers": 10**6, "security": 192}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (SMALL, "BFV|N = 1024|27 bits: at least 128 bits of security|room for 13 bits|12 bits, 1 to a coefficient"),
        (SMALL, "11 of the 27 bits|4 hospitals cannot go wrong|14 numbers takes 14 coefficients and 1,180 bytes|84.29"),
        (LARGE, "N = 4096|60 bits: at least 192|below 2^-64|1000 hospitals|1,000,000 numbers"),
        ({"numbers": 14, "bits": 48, "security": 256}, "coefficients each"),
    ],
)
def test_a_choice_is_explained(how, words):
    text = schemes.choose(**how).explain()
    assert [word for word in words.split("|") if word not in text] == [], text


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"security": 100}, "128, 192 or 256 bits, not 100"),
        ({"hospitals": 0}, "1 to 100000 hospitals, and 0 were"),
        ({"hospitals": 100_001}, "1 to 100000 hospitals, and 100001 were"),
        ({"numbers": 0}, "at least one number, and 0 were"),
        *(({"bits": bits}, f"4 to 52 bits, a whole number, not {bits!r}") for bits in (3, 53, 8.0, "8")),
        ({"hospitals": 1000, "bits": 12}, "no room for the sum of 1000 hospitals: ask for at least 13 bits"),
    ],
)
def test_what_cannot_be_says_what_to_relax(how, sentence):
    with pytest.raises(ValueError, match=sentence):
        schemes.choose(**how)


def test_something_is_chosen_for_whatever_may_be_asked():
    for security in (128, 192, 256):
        for hospitals in HOSPITALS:
            for numbers, bits in [(1, 20), (14, 24), (10_000, 30), (10**6, 26), (10, 52)]:
                found = schemes.choose(hospitals, numbers=numbers, bits=bits, security=security)
                assert found[:4] == (hospitals, numbers, bits, security)
                assert found.modulus_bits <= TABLE[security, found.ring_dimension]
