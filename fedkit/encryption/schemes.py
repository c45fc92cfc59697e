"""Which parameters an encryption scheme gets: safe, sufficient, and no larger than that.

Adding needs one prime q, and no Galois, relinearisation or public keys. How large q may
be follows from the ring dimension N and the security wanted (`MOST_MODULUS_BITS`); how
many bits of a coefficient are left for numbers follows from the noise of the sum:

- A fresh ciphertext has noise of at most 21 (SEAL's centred binomial, variance 10.5),
  and encoding rounds once, by at most 1/2.
- The lowest d bits of a coefficient are noise anyway, so they are not sent: rounding
  by at most 2^(d-1), once at each hospital, and once at the server.
- The sum of K hospitals decrypts rightly while all this stays below q / 2t. Either the
  worst case fits (then nothing can go wrong at all), or the noise's sub-Gaussian tail
  is below 2^-80 a coefficient. Wrong decryptions would leak something about the key
  (Li & Micciancio 2021), so the margin belongs to the security.

BFV (Fan & Vercauteren 2012) adds integers modulo t, exactly; numbers are put into
coefficients, so a message need not send the coefficients that it does not use. CKKS
(Cheon et al. 2017) adds real numbers, approximately, in N / 2 slots that are spread
over all coefficients.
"""

import math
from functools import cache
from typing import NamedTuple

SCHEMES = ("bfv", "ckks")

# HomomorphicEncryption.org standard (Albrecht et al. 2018), Table 1, ternary secret,
# classical attacks: security -> ring dimension N -> most bits of the modulus.
MOST_MODULUS_BITS = {
    128: {1024: 27, 2048: 54, 4096: 109},
    192: {1024: 19, 2048: 37, 4096: 75},
    256: {1024: 14, 2048: 29, 4096: 58},
}
MOST_PRIME_BITS = 60  # of SEAL
MOST_HOSPITALS = 100_000
SEED_BYTES = 64  # what SEAL stretches into the second polynomial of a fresh ciphertext

_FRESH_BOUND, _FRESH_VARIANCE = 21, 10.5
_TAIL = math.sqrt(2 * math.log(2 * 2.0**80))  # 10.6 standard deviations: P < 2^-80 if sub-Gaussian
_CKKS_ROOM_BITS = 25  # a sum in one slot lies within +-2^24
EXACT_BITS = 128  # of the few numbers that must be exact, see `quantization`


class Parameters(NamedTuple):
    """What hospitals and server agree on before the first key is made."""

    scheme: str  # "bfv" or "ckks"
    hospitals: int  # K, the most that may be added up
    numbers: int  # of the update that the choice was made for; others fit too
    bits: int  # wanted of one number's sum, sign included
    security: int  # in bits
    ring_dimension: int  # N
    modulus_bits: int  # of the prime q
    sent_bits: int  # of each coefficient, a multiple of 4: q's bits without those that are not sent
    room_bits: int  # of the sum in one coefficient (BFV: t = 2^room_bits) or slot (CKKS), sign included

    @property
    def slots(self) -> int:
        """Numbers that one ciphertext carries (BFV: before packing)."""
        return self.ring_dimension if self.scheme == "bfv" else self.ring_dimension // 2

    @property
    def scale(self) -> float:
        """CKKS: what a number is multiplied with before it is rounded; one bit of q is left for noise."""
        return 2.0 ** (self.modulus_bits - 1 - self.room_bits)

    @property
    def whole_bits(self) -> int:
        """Of a coefficient of which nothing stays behind, a multiple of 4."""
        return -(-self.modulus_bits // 4) * 4

    @property
    def dropped_bits(self) -> int:
        """Lowest bits of a coefficient that are not sent."""
        return max(self.modulus_bits - self.sent_bits, 0)

    @property
    def fields(self) -> int:
        """BFV: how many numbers share a coefficient."""
        return max(self.room_bits // self.bits, 1)

    @property
    def digit_bits(self) -> int:
        """Of a digit, where a number is wider than a coefficient: K of them fit."""
        return self.room_bits - (self.hospitals - 1).bit_length()

    def digits(self, bits: int) -> int:
        """How many coefficients one number takes whose sum has so many bits."""
        return 1 if bits <= self.room_bits else 1 + -(-(bits + 1 - self.room_bits) // self.digit_bits)

    def coefficients(self, numbers: int, exact: int) -> int:
        """Coefficients (CKKS: slots) for the numbers of an update and a few exact ones."""
        a_number = 1 / self.fields if self.bits <= self.room_bits else self.digits(self.bits)
        return math.ceil(numbers * (a_number if self.scheme == "bfv" else 1)) + exact * self.digits(EXACT_BITS)

    def message_bytes(self, coefficients: int) -> int:
        """Bytes of ciphertext, seeds included, that one hospital sends for so many coefficients."""
        ciphertexts = -(-coefficients // self.slots)
        carried = coefficients if self.scheme == "bfv" else ciphertexts * self.ring_dimension
        return (carried * self.sent_bits + 7) // 8 + SEED_BYTES * ciphertexts

    def explain(self) -> str:
        """Say what was chosen and why, in words."""
        most = MOST_MODULUS_BITS[self.security][self.ring_dimension]
        coefficients = self.coefficients(self.numbers, 1)
        size = self.message_bytes(coefficients)
        lines = [
            f"{self.scheme.upper()}, ring dimension N = {self.ring_dimension}, one prime q of {self.modulus_bits} "
            f"bits: the standard allows {most} for {self.security} bits of security."
        ]
        if self.scheme == "bfv":
            worst = _noise(self.hospitals, self.dropped_bits) == _worst_noise(self.hospitals, self.dropped_bits)
            margin = "cannot go wrong" if worst else "goes wrong in a coefficient with a probability below 2^-80"
            each = self.digits(self.bits)
            share = f"{each} coefficients each" if each > 1 else f"{self.fields} to a coefficient"
            lines += [
                f"Plain modulus t = 2^{self.room_bits}: numbers of {self.bits} bits, {share}.",
                f"{self.dropped_bits} of the {self.modulus_bits} bits of a coefficient are not sent; the sum of up to "
                f"{self.hospitals} hospitals {margin}.",
            ]
        else:
            lines.append(
                f"Scale 2^{math.log2(self.scale):.0f}: sums up to 2^{self.room_bits - 1} fit, in {self.slots} slots."
            )
        lines.append(
            f"An update of {self.numbers:,} numbers takes {coefficients:,} "
            f"{'coefficients' if self.scheme == 'bfv' else 'slots'} and {size:,} bytes "
            f"({size / self.numbers:.2f} a number; float32 takes 4)."
        )
        return "\n".join(lines)


def choose(
    scheme: str = "bfv", hospitals: int = 16, *, numbers: int = 4096, bits: int = 26, security: int = 128
) -> Parameters:
    """Choose the parameters that make the message of one hospital smallest; ValueError says what to relax.

    Where everything fits into one ciphertext, the smallest such ring is taken, which is
    the fastest, unless a larger one saves a quarter of the bytes.

    Parameters
    ----------
    scheme
        "bfv" (integers, exact) or "ckks" (real numbers, approximate).
    hospitals
        The most that will be added up.
    numbers
        In an update: the parameters of the model.
    bits
        Of one number's sum, sign and headroom included: 12 are enough to train with, 26 are as fine as float32.
    security
        128, 192 or 256 bits.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"There is no scheme {scheme!r}: choose one of {', '.join(SCHEMES)}.")
    if security not in MOST_MODULUS_BITS:
        raise ValueError(f"Security comes in 128, 192 or 256 bits, not {security}: 128 is what the field calls safe.")
    if not 1 <= hospitals <= MOST_HOSPITALS:
        raise ValueError(f"Keys are made for 1 to {MOST_HOSPITALS} hospitals, and {hospitals} were asked for.")
    if numbers < 1:
        raise ValueError(f"An update has at least one number, and {numbers} were asked for.")
    if not 4 <= bits <= 52:
        raise ValueError(f"A number gets 4 to 52 bits, not {bits}: float32 itself has 24.")
    if bits < (hospitals - 1).bit_length() + 3:
        raise ValueError(
            f"{bits} bits have no room for the sum of {hospitals} hospitals: ask for at least "
            f"{(hospitals - 1).bit_length() + 3} bits, or for fewer hospitals."
        )
    options = [
        option
        for ring, most in MOST_MODULUS_BITS[security].items()
        for option in _options(scheme, hospitals, numbers, bits, security, ring, min(most, MOST_PRIME_BITS))
    ]
    if not options:
        raise ValueError(
            f"With {security} bits of security no ring holds {bits} bits for {hospitals} hospitals in "
            f"{scheme.upper()}: ask for fewer bits, fewer hospitals, less security"
            f"{', or the scheme bfv' if scheme == 'ckks' else ''}."
        )

    def size(option: Parameters) -> int:
        return option.message_bytes(option.coefficients(numbers, 1))

    best = min(options, key=size)
    small = [
        option
        for option in options
        if option.coefficients(numbers, 1) <= option.slots and size(option) <= size(best) * 4 / 3
    ]
    return min(small, key=lambda option: (option.ring_dimension, size(option)), default=best)


@cache
def modulus(ring: int, bits: int) -> int:
    """Return the prime q that SEAL takes: the largest of so many bits that is 1 modulo 2N."""
    return next(q for q in range(2**bits - 2 * ring + 1, 0, -2 * ring) if pow(2, q - 1, q) == 1)


def _options(
    scheme: str, hospitals: int, numbers: int, bits: int, security: int, ring: int, modulus_bits: int
) -> list[Parameters]:
    """Every way to use a ring: what is not sent costs room."""
    fixed = (scheme, hospitals, numbers, bits, security, ring, modulus_bits)
    whole = -(-modulus_bits // 4) * 4
    if scheme == "ckks":  # a slot has the noise of all coefficients, and digits of exact numbers must outlive it
        noise = _TAIL * math.sqrt(hospitals * (_FRESH_VARIANCE + 1 / 12) * ring / 2)
        option = Parameters(*fixed, whole, _CKKS_ROOM_BITS)
        return [option] if option.scale >= max(2.0**bits, 2 * noise) else []
    options = []
    for sent in range(8, whole + 1, 4):
        noise = _noise(hospitals, max(modulus_bits - sent, 0))
        room = math.floor(math.log2(modulus(ring, modulus_bits)) - 1 - math.log2(noise) - 1e-3)
        if room >= (hospitals - 1).bit_length() + 4:
            options.append(Parameters(*fixed, sent, room))
    return options


def _worst_noise(hospitals: int, dropped: int) -> float:
    """Bound on a coefficient's noise in the sum of so many hospitals."""
    rounding = 2.0 ** (dropped - 1) if dropped else 0.0
    return hospitals * (_FRESH_BOUND + 0.5 + rounding) + rounding


def _noise(hospitals: int, dropped: int) -> float:
    """Bound on a coefficient's noise: what is always, or but for 2^-80, not exceeded, whichever is smaller."""
    rounding = 4.0**dropped / 12 if dropped else 0.0
    variance = hospitals * (_FRESH_VARIANCE + rounding) + rounding
    return min(_worst_noise(hospitals, dropped), _TAIL * math.sqrt(variance) + hospitals / 2)
