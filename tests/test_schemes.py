import math

import numpy as np
import pytest

from fedkit.compat.tenseal import sealapi
from fedkit.encryption import messages, schemes
from fedkit.encryption.messages import Message
from fedkit.encryption.rings import Ring

# HomomorphicEncryption.org standard (2018), Table 1: ternary secret, classical: (security, N) -> bits of the modulus.
TABLE = {
    **{(128, 1024): 27, (128, 2048): 54, (128, 4096): 109},
    **{(192, 1024): 19, (192, 2048): 37, (192, 4096): 75},
    **{(256, 1024): 14, (256, 2048): 29, (256, 4096): 58},
}
HOSPITALS = [1, 3, 129, 100_000]


def options(scheme="bfv", hospitals=HOSPITALS):
    """Every option there is: the bits of a number change none, and are the fewest that fit."""
    for (security, ring), most in TABLE.items():
        for number in hospitals:
            how = (scheme, number, 4096, (number - 1).bit_length() + 3, security, ring, min(most, 60))
            yield from schemes._options(*how)


def test_the_table_is_the_standards_and_seals():
    assert {(bits, ring): most for bits, of in schemes.MOST_MODULUS_BITS.items() for ring, most in of.items()} == TABLE
    for (security, ring), most in TABLE.items():
        assert sealapi.CoeffModulus.MaxBitCount(ring, getattr(sealapi.SEC_LEVEL_TYPE, f"TC{security}")) == most
    allowed = schemes.choose("bfv", 2)._replace(ring_dimension=1024, modulus_bits=27, room_bits=10)
    assert Ring(allowed).modulus.bit_length() == 27
    with pytest.raises(ValueError, match=r"SEAL refuses .*security"):
        Ring(allowed._replace(modulus_bits=28))


@pytest.mark.parametrize("scheme", schemes.SCHEMES)
def test_what_is_chosen_is_as_safe_as_was_asked_for(scheme):
    for security in (128, 192, 256):
        for hospitals in HOSPITALS:
            for numbers, bits in [(1, 20), (14, 24), (10_000, 30), (10**6, 26)]:
                found = schemes.choose(scheme, hospitals, numbers=numbers, bits=bits, security=security)
                assert found.modulus_bits <= TABLE[security, found.ring_dimension]
                assert found[:5] == (scheme, hospitals, numbers, bits, security)


@pytest.mark.parametrize("hospitals", HOSPITALS)
def test_every_option_decrypts_the_worst_sum(hospitals):
    """All coefficients full, and as much noise as the margin that is stated allows."""
    found = list(options(hospitals=[hospitals]))
    assert len(found) > 30
    for option in found:
        ring, dropped = Ring(option, Ring(option).new_secret()), option.dropped_bits
        half = 2 ** (option.room_bits - 1)
        values = np.resize(np.array([half - 1, -half, 0, 1, -1]), option.slots)
        c0, seed = ring.encrypt(values)
        rounding = 2 ** (dropped - 1) if dropped else 0
        worst = hospitals * (21 + 0.5 + rounding) + rounding  # fresh, encoding, at hospitals; at the server
        deviation = math.sqrt(hospitals * 10.5 + (hospitals + 1) * (4**dropped / 12 if dropped else 0))
        noise = int(min(worst, 10.6 * deviation + hospitals / 2)) - 22  # this ciphertext has 21.5 of it already
        assert ring.modulus == schemes.modulus(option.ring_dimension, option.modulus_bits)
        both_ways = np.resize([noise, -noise], option.slots)
        moved = (c0.astype(np.int64) + both_ways) % ring.modulus
        assert np.array_equal(ring.decrypt(moved.astype(np.uint64), [seed]), values), option
        beyond = (c0 + np.uint64(ring.modulus // 2**option.room_bits)) % np.uint64(ring.modulus)
        assert not np.array_equal(ring.decrypt(beyond, [seed]), values), "this cannot fail"


@pytest.mark.parametrize("hospitals", [1, 3])
def test_what_is_not_sent_is_not_missed(hospitals):
    """Each option, through the messages as they travel: every hospital full, all of the same sign."""
    for option in options(hospitals=[hospitals]):
        ring = Ring(option, Ring(option).new_secret())
        most = (2 ** (option.room_bits - 1) - 1) // hospitals
        values = np.resize(np.array([most, -most, 0]), option.slots)
        total, seeds = 0, []
        for _ in range(hospitals):
            c0, seed = ring.encrypt(values)
            sent = Message(messages.OWN, bytes(10), 1, option.slots, c0, [seed]).to_bytes(option)
            arrived = Message.from_bytes(sent, option, ring.modulus, bytes(10))
            total, seeds = (total + arrived.c0) % ring.modulus, seeds + arrived.seeds
        answer = Message(messages.SUM, bytes(10), hospitals, option.slots, total, seeds).to_bytes(option)
        back = Message.from_bytes(answer, option, ring.modulus, bytes(10))
        assert np.array_equal(ring.decrypt(back.c0, back.seeds), hospitals * values), option
        assert len(sent) == messages.HEAD.size + option.message_bytes(option.slots)


@pytest.mark.parametrize("hospitals", [1, 256, 100_000])
def test_ckks_keeps_the_digits_of_exact_numbers(hospitals):
    """In each slot the noise of so many hospitals stays below a half, with 10 standard deviations to spare."""
    rng = np.random.default_rng(0)
    for option in options("ckks", [hospitals]):
        ring = Ring(option, Ring(option).new_secret())
        values = rng.integers(-(2**10), 2**10, (4, option.slots)).astype(float)
        errors = [ring.decrypt(c0, [seed]) - row for row in values for c0, seed in [ring.encrypt(row)]]
        assert 10 * math.sqrt(hospitals) * np.std(errors) < 0.5, option
        assert option.scale * 2 ** (option.room_bits - 1) <= 2 ** (option.modulus_bits - 2)


def test_the_smallest_message_is_chosen_and_small_models_get_a_small_ring():
    heart = schemes.choose("bfv", 4, numbers=14, bits=12)
    assert (heart.ring_dimension, heart.message_bytes(heart.coefficients(14, 1))) == (1024, 116)
    large = schemes.choose("bfv", 8, numbers=10**6, bits=12)
    assert large.fields == 4
    assert large.message_bytes(large.coefficients(10**6, 1)) < 1.7 * 10**6
    for numbers, bits, hospitals in [(14, 12, 4), (3000, 26, 8), (10**6, 12, 8)]:
        chosen = schemes.choose("bfv", hospitals, numbers=numbers, bits=bits)
        size = chosen.message_bytes(chosen.coefficients(numbers, 1))
        for ring, most in schemes.MOST_MODULUS_BITS[128].items():
            for other in schemes._options("bfv", hospitals, numbers, bits, 128, ring, min(most, 60)):
                assert size <= other.message_bytes(other.coefficients(numbers, 1)) * 4 / 3


SMALL, LARGE = {"hospitals": 4, "numbers": 14, "bits": 12}, {"hospitals": 1000, "numbers": 10**6, "security": 192}


@pytest.mark.parametrize(
    ("how", "words"),
    [
        (SMALL, "BFV|N = 1024|27 bits: the standard allows 27 for 128|t = 2^13|12 bits, 1 to a coefficient"),
        (SMALL, "11 of the 27 bits|4 hospitals cannot go wrong|14 numbers takes 26 coefficients and 116 bytes (8.29"),
        (LARGE, "N = 4096|60 bits: the standard allows 75 for 192|below 2^-80|1000 hospitals|1,000,000 numbers"),
        ({"numbers": 14, "bits": 48, "security": 256}, "coefficients each"),
        ({"scheme": "ckks", "numbers": 14}, "CKKS|Scale 2^28: sums up to 2^24 fit, in 1024 slots|20 slots"),
    ],
)
def test_a_choice_is_explained(how, words):
    text = schemes.choose(**how).explain()
    assert [word for word in words.split("|") if word not in text] == [], text


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"scheme": "paillier"}, "no scheme 'paillier': choose one of bfv, ckks"),
        ({"security": 100}, "128, 192 or 256 bits, not 100"),
        ({"hospitals": 0}, "1 to 100000 hospitals, and 0 were"),
        ({"hospitals": 100_001}, "1 to 100000 hospitals, and 100001 were"),
        ({"numbers": 0}, "at least one number, and 0 were"),
        ({"bits": 3}, "4 to 52 bits, not 3"),
        ({"bits": 53}, "4 to 52 bits, not 53"),
        ({"hospitals": 1000, "bits": 12}, "no room for the sum of 1000 hospitals: ask for at least 13 bits"),
        ({"scheme": "ckks", "bits": 35}, "no ring holds 35 bits for 16 hospitals in CKKS: ask for fewer .* scheme bfv"),
        ({"scheme": "ckks", "bits": 33, "security": 256}, "With 256 bits of security .* less security"),
    ],
)
def test_what_cannot_be_says_what_to_relax(how, sentence):
    with pytest.raises(ValueError, match=sentence):
        schemes.choose(**how)
