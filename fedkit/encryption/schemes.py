"""Which parameters the encryption gets: safe, sufficient, and no larger than that.

Adding needs one prime q, and no Galois, relinearisation or public keys. How large q may be follows from the ring
dimension N and the security wanted (`MODULUS_BITS`); how many bits of a coefficient are left for numbers, from noise:

- Noise and key come from the centred binomial distribution with 42 coins a side: at most `COINS`, variance `COINS` / 2.
  Twice what SEAL takes, so that 10.5 are left to two honest hospitals whose sum is known.
- The lowest d bits of a coefficient are noise anyway and are not sent: rounding by at most 2^(d-1), at each hospital,
  and once at the server.
- The sum of K hospitals opens rightly while all this stays below delta / 2, where delta = q / 2^room. Either the worst
  case fits (then nothing can go wrong at all), or the noise's sub-Gaussian tail is below 2^-64 a coefficient: then the
  check of the sum says so, and the round is lost.

BFV (Fan and Vercauteren 2012) adds integers exactly; what a message does not use of its coefficients is not sent.
"""

import math
from functools import cache
from typing import NamedTuple

COINS = 42
# Security -> N -> bits of q. Bossuat et al., "Security Guidelines for Implementing Homomorphic Encryption", ePrint
# 2024/463, allow 28, 55 and 108 bits at 128 bits of security for a Gaussian key (37, 75 and 29, 58 above); SEAL's
# primes have at most 60. The lattice estimator (commit 27a581b, MATZOV) says 137 and 131 bits for 27 and 54.
MODULUS_BITS = {128: {1024: 27, 2048: 54, 4096: 60}, 192: {2048: 37, 4096: 60}, 256: {2048: 29, 4096: 58}}
MOST_HOSPITALS = 100_000
EXACT_BITS = 256  # of the few numbers that must be exact, see `quantization`

TAIL = math.sqrt(2 * math.log(2 * 2.0**64))  # 9.5 standard deviations: P < 2^-64 if sub-Gaussian
_MOST_ROOM = 55  # the check of a sum (see `keyring`) wants coefficients far below 2^61


class Parameters(NamedTuple):
    """What hospitals and server agree on before the first key is made."""

    hospitals: int  # K, the most that may be added up
    numbers: int  # of the update that the choice was made for; others fit too
    bits: int  # wanted of one number's sum, sign included
    security: int  # in bits
    ring_dimension: int  # N
    modulus_bits: int  # of the prime q
    sent_bits: int  # of each coefficient, a multiple of 4: q's bits without those that are not sent
    room_bits: int  # of the sum in one coefficient, sign included

    modulus = property(lambda self: modulus(self.ring_dimension, self.modulus_bits))  # the prime q
    delta = property(lambda self: self.modulus >> self.room_bits)  # an integer is multiplied with it, then comes noise
    dropped_bits = property(lambda self: max(self.modulus_bits - self.sent_bits, 0))  # lowest ones of a coefficient
    fields = property(lambda self: max(self.room_bits // self.bits, 1))  # numbers that share a coefficient
    # Of a digit, where a number is wider than a coefficient: K of them fit.
    digit_bits = property(lambda self: self.room_bits - (self.hospitals - 1).bit_length())

    def digits(self, bits: int) -> int:
        """How many coefficients one number takes whose sum has so many bits."""
        return 1 if bits <= self.room_bits else 1 + -(-(bits + 1 - self.room_bits) // self.digit_bits)

    def coefficients(self, numbers: int) -> int:
        """Coefficients for the numbers of an update."""
        return -(-numbers // self.fields) * self.digits(self.bits)

    def message_bytes(self, coefficients: int) -> int:
        """Bytes that one hospital sends in a round for so many coefficients: ciphertext, and key share."""
        return (coefficients * self.sent_bits + 7) // 8 + self.share_bytes(self.hospitals)

    def share_bits(self, hospitals: int) -> int:
        """Bits of one coefficient of a key share: the fewest in which the sum of so many keys fits."""
        return (2 * COINS * hospitals).bit_length()

    def share_bytes(self, hospitals: int) -> int:
        """Bytes of a key share for a list of so many hospitals, its tag left out."""
        return self.ring_dimension * self.share_bits(hospitals) // 8

    def explain(self) -> str:
        """Say what was chosen and why, in words."""
        coefficients = self.coefficients(self.numbers)
        size, each = self.message_bytes(coefficients), self.digits(self.bits)
        worst = _noise(self.hospitals, self.dropped_bits) == _worst_noise(self.hospitals, self.dropped_bits)
        margin = "cannot go wrong" if worst else "goes wrong in a coefficient with a probability below 2^-64"
        share = f"{each} coefficients each" if each > 1 else f"{self.fields} to a coefficient"
        return f"""\
BFV, ring dimension N = {self.ring_dimension}, one prime q of {self.modulus_bits} bits: at least {self.security} bits \
of security.
A coefficient has room for {self.room_bits} bits: numbers of {self.bits} bits, {share}.
{self.dropped_bits} of the {self.modulus_bits} bits of a coefficient are not sent; the sum of up to {self.hospitals} \
hospitals {margin}.
An update of {self.numbers:,} numbers takes {coefficients:,} coefficients and {size:,} bytes, the key share included \
({size / self.numbers:.2f} a number; float32 takes 4)."""


@cache
def choose(hospitals: int = 16, *, numbers: int = 4096, bits: int = 28, security: int = 128) -> Parameters:
    """Choose the parameters that make the message of one hospital smallest; ValueError says what to relax.

    hospitals : the most that will be added up
    numbers : in an update: the parameters of the model
    bits : of one number's sum, sign and headroom included: 12 are enough to train with, 28 take 4 bytes
    security : 128, 192 or 256 bits
    """
    if security not in MODULUS_BITS:
        raise ValueError(f"Security comes in 128, 192 or 256 bits, not {security}: 128 is what the field calls safe.")
    if not 1 <= hospitals <= MOST_HOSPITALS:
        raise ValueError(f"Keys are made for 1 to {MOST_HOSPITALS} hospitals, and {hospitals} were asked for.")
    if numbers < 1:
        raise ValueError(f"An update has at least one number, and {numbers} were asked for.")
    if not hasattr(bits, "__index__") or not 4 <= bits <= 52:
        raise ValueError(f"A number gets 4 to 52 bits, a whole number, not {bits!r}: float32 itself has 24.")
    if bits < (least := (hospitals - 1).bit_length() + 3):
        said = f"{bits} bits have no room for the sum of {hospitals} hospitals"
        raise ValueError(f"{said}: ask for at least {least} bits, or for fewer hospitals.")
    options = [
        Parameters(hospitals, numbers, bits, security, ring, modulus_bits, sent, room)
        for ring, modulus_bits in MODULUS_BITS[security].items()
        for sent in range(8, modulus_bits + 4, 4)
        if (room := _room(ring, modulus_bits, sent, hospitals)) >= (hospitals - 1).bit_length() + 4
    ]
    return min(options, key=lambda option: (option.message_bytes(option.coefficients(numbers)), option))


@cache
def modulus(ring: int, bits: int) -> int:
    """Return the prime q that SEAL takes: the largest of so many bits that is 1 modulo 2N."""
    return next(q for q in range(2**bits - 2 * ring + 1, 0, -2 * ring) if pow(2, q - 1, q) == 1)


def _room(ring: int, modulus_bits: int, sent: int, hospitals: int) -> int:
    """Bits that are left for numbers: what is not sent costs room."""
    noise = _noise(hospitals, max(modulus_bits - sent, 0))
    return min(math.floor(math.log2(modulus(ring, modulus_bits)) - 1 - math.log2(noise) - 1e-3), _MOST_ROOM)


def _worst_noise(hospitals: int, dropped: int) -> float:
    """Bound on a coefficient's noise in the sum of so many hospitals."""
    rounding = 2.0 ** (dropped - 1) if dropped else 0.0
    return hospitals * (COINS + rounding) + rounding


def _noise(hospitals: int, dropped: int) -> float:
    """Bound on a coefficient's noise: what is always, or but for 2^-64, not exceeded, whichever is smaller."""
    rounding = 4.0**dropped / 12 if dropped else 0.0
    variance = hospitals * (COINS / 2 + rounding) + rounding
    return min(_worst_noise(hospitals, dropped), TAIL * math.sqrt(variance))
