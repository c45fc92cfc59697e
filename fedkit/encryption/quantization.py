"""Real numbers as integers that can be added under encryption: layers, steps, headroom.

Hospitals agree, before anybody rounds anything, on what one unit is worth (the *step*), on how wide the sum of one
number may get (the *bits* of a *field*), and on how fields and coefficients meet: several fields share a coefficient,
or one number is spread over several (see `packing`). A `Layout` holds that, layer by layer. The sum of K hospitals has
to stay inside its field, or it spills into the next one and nobody notices. Two ways to be sure of it:

- `exact_layer`: a fixed, fine step, and so many bits that each hospital may use one K-th of the room. Needs no
  agreement; for the few numbers that are agreed on.
- `packed_layer`: few bits. How large a number of an update may be is agreed on, and how many patients there are is
  added up; the step is their product divided by what is left of a field once all have rounded. No step follows from how
  large updates are: sums of bounds would tell what the sum of updates hides, as soon as signs differ.

A sum of numbers that were rounded to the nearest step tells more than their sum: in steps of other sizes it comes out
differently, and who says too many patients chooses the steps. So two random numbers are added before. One is uniform,
at most half a step up or down: then the mean of what rounding changes does not depend on the number. The other is
normal, with a standard deviation of one step: then nearly nothing else does (Wannamaker et al., "A theory of
nonsubtractive dither", IEEE Transactions on Signal Processing 48, 2000).
"""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from fedkit.encryption.packing import BLOCK, gather, pack, spread, unpack
from fedkit.encryption.ring import stream
from fedkit.encryption.schemes import EXACT_BITS, TAIL, Parameters

EXACT_STEP = 2.0**-128
DRAWS = 2  # of two numbers of a known sum, a sum in steps of anybody's choice then tells 8e-10 bits at the most
_NORMAL = ndtri((np.arange(2**16) + 0.5) / 2**16)  # each as likely as the others, up to 4.3


class Dither:
    """What is added to numbers, in steps, before they are rounded.

    secret : of one sum; or, where one process plays all, a hospital's name: what is added then follows from that and
        from the numbers, so that a study that is played again gives the same sums
    """

    def __init__(self, secret: bytes | str) -> None:
        self._public = isinstance(secret, str)
        self._key = hashlib.sha256(secret.encode() if self._public else secret)
        self._next = stream(self._key.digest())

    def draw(self, steps: np.ndarray, draws: int) -> np.ndarray:
        """Return what the next numbers get: a uniform number each or, if two are asked for, a normal one more."""
        if self._public:
            self._key.update(steps + 0.0)  # so that -0.0 is 0.0
            self._next = stream(self._key.digest())
        uniform, *normal = np.frombuffer(self._next(2 * draws * len(steps)), "<u2").reshape(draws, len(steps))
        drawn = uniform * 2.0**-16 - (0.5 - 2.0**-17)
        for words in normal:
            drawn += _NORMAL.take(words)
        return drawn


@dataclass(frozen=True)
class Layer:
    """How a run of numbers is written in coefficients."""

    size: int  # how many numbers
    step: float  # what one unit is worth
    bits: int  # of the field that holds the sum of one number
    limit: float  # the largest number, up or down, that one hospital may send, in steps
    fields: int = 1  # to a coefficient; or ...
    digits: int = 1  # ... coefficients to a number,
    digit_bits: int = 0  # and bits of a digit
    draws: int = 0  # random numbers that are added before rounding

    coefficients = property(lambda self: -(-self.size // self.fields) * self.digits)  # int: how many the layer fills

    def round(self, numbers: np.ndarray, dither: Dither | None = None, weight: float = 1.0) -> np.ndarray:
        """Return whole steps of weight x numbers, the nearest with the layer's draws; ValueError beyond the limit."""
        steps = numbers * weight
        steps /= self.step
        if not max(steps.max(initial=0), -steps.min(initial=0)) <= self.limit:  # NaN is not, either
            raise too_large(numbers * weight)
        if self.draws:
            steps += dither.draw(steps, self.draws)
        return np.rint(steps, out=steps)

    def encode(self, numbers: np.ndarray, dither: Dither | None = None, weight: float = 1.0) -> np.ndarray:
        """Round and pack weight x numbers: int64, shape [coefficients]."""
        if self.digits == 1:
            each = BLOCK // self.fields * self.fields
            parts = (numbers[at : at + each] for at in range(0, max(self.size, 1), each))
            return np.concatenate([pack(self.round(part, dither, weight), self.bits, self.fields) for part in parts])
        steps = self.round(numbers, dither, weight)
        integers = steps.astype(np.int64) if self.bits < 63 else np.array([int(step) for step in steps], dtype=object)
        return spread(integers, self.digit_bits, self.digits)

    def decode(self, coefficients: np.ndarray) -> np.ndarray:
        """Turn a sum of encoded layers, int64, into numbers: float64, shape [size]."""
        if self.digits > 1:
            return gather(coefficients, self.digit_bits, self.digits).astype(float) * self.step
        numbers = np.empty(self.size)
        for at in range(0, len(coefficients), BLOCK):
            part = numbers[at * self.fields : (at + BLOCK) * self.fields]
            part[:] = unpack(coefficients[at : at + BLOCK], self.bits, self.fields, len(part))
            part *= self.step
        return numbers


@lru_cache
def exact_layer(size: int, parameters: Parameters, step: float = EXACT_STEP, bits: int = EXACT_BITS) -> Layer:
    """Layer of a fixed step, with bits to spare: each hospital has a K-th of the room.

    As a rule 256 bits in steps of 2^-128: sums of numbers from 1e-15 to 1e30 come out right to the last digit that
    matters.
    """
    limit = (2 ** (bits - 1) - 1) // parameters.hospitals
    return Layer(size, step, bits, limit, 1, parameters.digits(bits), parameters.digit_bits)


def whole_layer(size: int, parameters: Parameters) -> Layer:
    """Layer of integers, of which a sum is below 2^63."""
    return exact_layer(size, parameters, 1.0, 64)


def weight_layer(parameters: Parameters) -> Layer:
    """Layer of the number of patients, which comes first in every letter."""
    return whole_layer(1, parameters)


class Counted(NamedTuple):
    """Patients that were added up, from which an update's step follows; a sum may not hold more than `most`."""

    patients: float = 1  # before any were
    hospitals: int = 1  # whose they are,
    of: int = 1  # and how many there are in all: who comes later may have twice as many each

    most = property(lambda s: max(s.patients, 1) * (1 if s.hospitals == s.of else 2 * s.of / s.hospitals))  # float
    late = property(lambda s: (s.most - s.patients) / max(s.of - s.hospitals, 1))  # float: at one that comes later

    def layer(self, size: int, largest: float, parameters: Parameters, draws: int = DRAWS) -> Layer:
        """Layer of patients x update, of which no number is beyond `largest`, up or down."""
        return packed_layer(size, self.most * largest, parameters, draws)


def packed_layer(size: int, bound: float, parameters: Parameters, draws: int = DRAWS) -> Layer:
    """Layer of few bits, with a step as fine as the bound allows.

    ValueError if the hospitals' rounding alone fills the field: how far it moves their sum at the most, or but with a
    probability below 2^-64, since uniform and normal numbers are sub-Gaussian.

    size : how many numbers
    bound : sum over hospitals of the largest number, up or down, that each may send
    parameters : their `bits` are the width of the field
    draws : random numbers that each hospital adds before it rounds: none, a uniform one, or a normal one, too
    """
    bits, hospitals = parameters.bits, parameters.hospitals
    reach, variance = [(0, 0), (1 / 2, 1 / 12), (1 / 2 + _NORMAL[-1], 1 / 12 + 1)][draws]
    moved = hospitals / 2 + min(hospitals * reach, TAIL * np.sqrt(hospitals * variance))
    room = 2 ** (bits - 1) - 1 - int(np.ceil(moved))  # for the sum of bounds, in steps
    if room < 1:
        raise ValueError(f"{bits} bits have no room for the sum of {hospitals} hospitals: use more, or fewer of them.")
    step = bound * (1 + 2.0**-50) / room  # what float64 may have cut off is added
    return Layer(size, step, bits, room, parameters.fields, parameters.digits(bits), parameters.digit_bits, draws)


@dataclass(frozen=True)
class Layout:
    """The layers of a vector, one behind the other: what all hospitals must agree on."""

    layers: tuple[Layer, ...]

    size = property(lambda self: sum(layer.size for layer in self.layers))  # int: numbers of the vector
    coefficients = property(lambda self: sum(layer.coefficients for layer in self.layers))  # int: that it fills

    def encode(self, numbers: np.ndarray, secret: bytes | str = "", weight: float = 1.0) -> np.ndarray:
        """Round and pack weight x numbers: int64, shape [coefficients].

        numbers : ValueError if their shape is not [size], or one is beyond its layer's limit
        secret : see `Dither`: where others hear the sum, one that nobody else knows
        """
        dither = Dither(secret)
        if numbers.shape != (self.size,):
            raise ValueError(f"{self.size} numbers in a row were agreed on, and this has shape {numbers.shape}.")
        parts = [layer.encode(part, dither, weight) for layer, part in self._parts(numbers, "size")]
        return np.concatenate([np.empty(0, np.int64), *parts])

    def rounded(self, numbers: np.ndarray, weight: float = 1.0) -> np.ndarray:
        """Return what arrives of weight x numbers: shape [size]."""
        dither, parts = Dither(""), self._parts(numbers, "size")
        return np.concatenate([layer.round(part, dither, weight) * layer.step for layer, part in parts])

    def decode(self, coefficients: np.ndarray) -> np.ndarray:
        """Turn a sum of encoded vectors into numbers: float64, shape [size]."""
        return np.concatenate([layer.decode(part) for layer, part in self._parts(coefficients, "coefficients")])

    def _parts(self, whole: np.ndarray, measure: str) -> list[tuple[Layer, np.ndarray]]:
        sizes = [getattr(layer, measure) for layer in self.layers]
        each = zip(self.layers, sizes, accumulate(sizes), strict=True)
        return [(layer, whole[end - size : end]) for layer, size, end in each]


def too_large(numbers: np.ndarray) -> ValueError:
    """Return the error that names the largest of the numbers that a hospital wanted to send."""
    said = f"A number of {np.abs(numbers).max():.3g} (patients x update) is beyond what one hospital has room for"
    return ValueError(f"{said}: did the training diverge?")
