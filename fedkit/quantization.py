"""Real numbers as integers that can be added under encryption, several to a coefficient.

A scheme that adds integers exactly (BFV) needs three agreements between hospitals
before anybody rounds anything: what one unit is worth (the *step*), how wide the
sum of one number may get (the *bits* of a *field*), and how many fields share one
coefficient. A `Layout` holds them, layer by layer, and turns a vector into the
coefficients to encrypt, and the decrypted sum of them back into numbers.

The sum of K hospitals has to stay inside its field, or it spills into the next one
and nobody notices. Two ways to be sure of it:

- `wide_layer`: one number a coefficient, a fixed step; each hospital may use one
  K-th of the room. Needs no agreement; for the few numbers that are agreed on.
- `packed_layer`: several numbers a coefficient. Each hospital promises a bound on
  its own numbers, the bounds are added up, encrypted like everything else, and the
  step is the sum of the bounds divided by the `headroom` of a field.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDE_STEP = 2.0**-22  # in patients x update: K hospitals' mean is off by at most K * 2^-23 / patients


def headroom(bits: int, hospitals: int) -> int:
    """How large a sum of bounds may be, in steps, to fit a signed field once rounded.

    Rounding adds at most half a step a hospital, so M + K/2 <= 2^(bits-1) - 1.

    Parameters
    ----------
    bits
        Width of the field that holds the sum.
    hospitals
        K, how many hospitals are added up.

    Raises
    ------
    ValueError
        If the hospitals' rounding alone fills the field.
    """
    room = 2 ** (bits - 1) - 1 - -(-hospitals // 2)
    if room < 1:
        raise ValueError(
            f"A field of {bits} bits has no room for the sum of {hospitals} hospitals: use wider fields (fewer to a "
            "coefficient), or fewer hospitals."
        )
    return room


def pack(integers: np.ndarray, bits: int, fields: int) -> np.ndarray:
    """Put `fields` signed integers into one: digits in base 2^bits.

    Negative digits borrow from the next one, and `unpack` gives the loan back, so
    packed integers can be added like plain ones.

    Parameters
    ----------
    integers
        int64, shape [n], each within ±2^(bits-1).
    bits, fields
        Width of a field, and fields to a coefficient; bits * fields <= 62.

    Returns
    -------
    numpy.ndarray
        int64, shape [ceil(n / fields)].
    """
    digits = np.zeros((-(-len(integers) // fields), fields), dtype=np.int64)
    digits.reshape(-1)[: len(integers)] = integers
    return digits @ (np.int64(1) << bits * np.arange(fields, dtype=np.int64))


def unpack(coefficients: np.ndarray, bits: int, fields: int, size: int) -> np.ndarray:
    """Take signed integers out of the fields `pack` put them in, or out of a sum of such.

    Parameters
    ----------
    coefficients
        int64, shape [ceil(size / fields)].
    bits, fields
        As in `pack`.
    size
        n, how many integers there are.

    Returns
    -------
    numpy.ndarray
        int64, shape [size], each in -2^(bits-1) .. 2^(bits-1) - 1.
    """
    half, rest = np.int64(1) << (bits - 1), np.asarray(coefficients, dtype=np.int64)
    digits = np.empty((len(rest), fields), dtype=np.int64)
    for field in range(fields):
        digits[:, field] = ((rest + half) & (2 * half - 1)) - half
        rest = (rest - digits[:, field]) >> bits
    return digits.reshape(-1)[:size]


@dataclass(frozen=True)
class Layer:
    """How a run of numbers is written in integers.

    Attributes
    ----------
    size : int
        How many numbers.
    step : float
        What one unit is worth.
    bits, fields : int
        Width of the field that holds the sum, and fields to a coefficient.
    limit : int
        The largest integer, up or down, that one hospital may put in a field.
    """

    size: int
    step: float
    bits: int
    fields: int
    limit: int

    @property
    def coefficients(self) -> int:
        """How many coefficients the layer fills."""
        return -(-self.size // self.fields)


def wide_layer(size: int, bits: int, hospitals: int) -> Layer:
    """One number a coefficient, in steps of `WIDE_STEP`; each hospital has a K-th of the room."""
    return Layer(size, WIDE_STEP, bits, 1, (2 ** (bits - 1) - 1) // hospitals)


def packed_layer(size: int, bound: float, bits: int, fields: int, hospitals: int) -> Layer:
    """Several numbers a coefficient, with a step as fine as the hospitals' bounds allow.

    Parameters
    ----------
    size
        How many numbers.
    bound
        Sum over hospitals of the largest number, up or down, that each may send.
        It was itself summed in steps of `WIDE_STEP`, so half such a step a
        hospital is added.
    bits, fields, hospitals
        As in `Layer` and `headroom`; at most 32 bits, so that float64 rounds rightly.
    """
    room = headroom(bits, hospitals)
    return Layer(size, (bound + hospitals * WIDE_STEP / 2) / room, bits, fields, room)


@dataclass(frozen=True)
class Layout:
    """The layers of a vector, one behind the other: what all hospitals must agree on."""

    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """How many numbers the vector has."""
        return sum(layer.size for layer in self.layers)

    @property
    def coefficients(self) -> int:
        """How many coefficients it fills."""
        return sum(layer.coefficients for layer in self.layers)

    def encode(self, numbers: np.ndarray) -> np.ndarray:
        """Round to the nearest step and pack.

        Parameters
        ----------
        numbers
            Shape [size], finite.

        Returns
        -------
        numpy.ndarray
            int64, shape [coefficients].

        Raises
        ------
        ValueError
            If the vector has another length, or a number is beyond its layer's limit.
        """
        if len(numbers) != self.size:
            raise ValueError(f"The hospitals agreed on {self.size} numbers, and this vector has {len(numbers)}.")
        packed = []
        for layer, part in zip(self.layers, np.split(numbers, self._cuts()), strict=True):
            steps = np.rint(part / layer.step)
            if np.abs(steps).max(initial=0) > layer.limit:
                raise ValueError(
                    f"A number of {np.abs(part).max():.3g} (patients x update) is beyond the "
                    f"{layer.limit * layer.step:.3g} that one hospital has room for: did the training diverge?"
                )
            packed.append(pack(steps.astype(np.int64), layer.bits, layer.fields))
        return np.concatenate(packed)

    def decode(self, coefficients: np.ndarray) -> np.ndarray:
        """Turn a sum of encoded vectors into numbers: float64, shape [size]."""
        ends = np.cumsum([layer.coefficients for layer in self.layers])[:-1]
        parts = np.split(np.asarray(coefficients, dtype=np.int64), ends)
        return np.concatenate(
            [
                unpack(part, layer.bits, layer.fields, layer.size) * layer.step
                for layer, part in zip(self.layers, parts, strict=True)
            ]
        )

    def _cuts(self) -> np.ndarray:
        return np.cumsum([layer.size for layer in self.layers])[:-1]


def maxima(vector: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Return the largest absolute value of each layer: shape [layers]."""
    return np.array([np.abs(part).max(initial=0.0) for part in np.split(vector, np.cumsum(sizes)[:-1])])
