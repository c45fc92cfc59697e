"""Polynomials with N coefficients modulo q, where x^N = -1: the arithmetic of a letter, and nothing else.

    hidden = delta m + e - a s      modulo q        (`hide`, at a hospital)
    a S + sum of hidden = delta M + E               (`show`, where the sum S of the keys s is known)

This is the one place where the kit writes its own cryptography: TenSEAL chooses `a` itself, and here all hospitals must
use the same `a` for the sum of their keys to open the sum of their letters. What it lacks (constant time, an audit)
stands in SECURITY.md; the tests open letters with SEAL's own decryptor.

The product a S is computed by complex floating-point FFTs and is exact all the same: its coefficients are integers, so
an error below 1/2 is rounded away. For FFTs of length 2^n the error of each coefficient is below |a| |S| times
(1+e)^(3n) (1+e sqrt 5)^(3n+1) (1+b)^(3n) - 1, with e = 2^-53 and roots right to b (Percival 2003; Brent, Percival and
Zimmermann, Math. Comp. 76, 2007); `_ERROR` is that with three more products, and roots right to 4 e. `a` is
taken apart into so many pieces that the bound holds for the norms at hand, which are measured.
"""

import math
from functools import cached_property

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedkit.encryption.schemes import COINS, Parameters

_BLOCK = 8  # polynomials at a time, which fit a cache


def stretch(key: bytes, size: int) -> bytes:
    """Return the first `size` bytes of a pseudo-random stream (AES-256 in counter mode): a key of 32 bytes is used once.

    References
    ----------
    NIST SP 800-38A, 2001.
    """
    return Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update(bytes(size))


def small(key: bytes, count: int) -> np.ndarray:
    """Draw from the centred binomial distribution with `COINS` coins a side: int64, shape [count], within ±`COINS`.

    The difference of two binomials of n coins each is one binomial of 2 n coins, less n.
    """
    first, rest = 8 * count, 4 * count
    raw = stretch(key, first + rest)
    heads = np.bitwise_count(np.frombuffer(raw, "<u8", count)).astype(np.int64)
    return heads + np.bitwise_count(np.frombuffer(raw, "<u4", count, first) & np.uint32(2**20 - 1)) - COINS


class Ring:
    """The ring of a set of parameters."""

    def __init__(self, parameters: Parameters) -> None:
        self.size, self.modulus, self.delta = parameters.ring_dimension, parameters.modulus, parameters.delta
        self.bits = parameters.modulus_bits

    @cached_property
    def _turn(self) -> np.ndarray:
        """Square roots of the roots of unity, by which x^N = -1 becomes x^N = 1."""
        return np.exp(1j * np.pi * np.arange(self.size) / self.size)

    @cached_property
    def _error(self) -> float:
        doublings = 3 * math.log2(self.size)
        return (doublings + math.sqrt(5) * (doublings + 4) + doublings + 3 * 4) * 2.0**-53 * (1 + 1e-9)

    def count(self, coefficients: int) -> int:
        """How many polynomials so many coefficients fill."""
        return -(-coefficients // self.size)

    def public(self, key: bytes, count: int) -> np.ndarray:
        """Stretch a key that everybody knows into uniform polynomials: int64, shape [count, N]."""
        wanted = count * self.size
        spare = 64
        while True:
            raw = np.frombuffer(stretch(key, 8 * (wanted + spare)), "<u8") & np.uint64((1 << self.bits) - 1)
            if int(raw[:wanted].max(initial=0)) >= self.modulus:
                raw = raw[raw < np.uint64(self.modulus)]
            if len(raw) >= wanted:
                return raw[:wanted].astype(np.int64).reshape(count, self.size)
            spare *= 8

    def times(self, a: np.ndarray, s: np.ndarray) -> np.ndarray:
        """Multiply polynomials by a small one, exactly.

        Parameters
        ----------
        a
            int64, shape [n, N], in 0 ... q - 1.
        s
            int64, shape [N].

        Returns
        -------
        numpy.ndarray
            int64, shape [n, N]: congruent modulo q, and between ±2^62.
        """
        s, length = s.astype(np.float64), float(np.linalg.norm(s))
        spectrum = np.fft.fft(s * self._turn)
        for pieces in (2, 4):
            width = -(-self.bits // pieces)
            product = self._times(a, spectrum, length, pieces, width)
            if product is not None:
                return product
        raise ValueError("The sum of the keys is too large to multiply exactly: it is no sum of keys.")

    def _times(self, a: np.ndarray, spectrum: np.ndarray, length: float, pieces: int, width: int) -> np.ndarray | None:
        """Multiply with `a` in so many pieces of so many bits; None where rounding might go wrong."""
        product, half = np.empty(a.shape, np.int64), 1 << width - 1
        fold, low = (1 << self.bits) % self.modulus, self.bits - width
        for at in range(0, len(a), _BLOCK):
            rest, parts = a[at : at + _BLOCK], []
            for _ in range(pieces - 1):
                parts.append(((rest + half) & (2 * half - 1)) - half)
                rest = (rest - parts[-1]) >> width
            parts.append(rest)
            total: np.ndarray | int = 0
            for first in range(pieces - 2, -1, -2):  # two pieces are one complex number
                z = parts[first] + 1j * parts[first + 1]
                if self._error * length * float(np.linalg.norm(z, axis=-1).max()) >= 0.5:
                    return None
                z = np.fft.ifft(np.fft.fft(z * self._turn, axis=-1) * spectrum, axis=-1) * self._turn.conj()
                for piece in (z.imag, z.real):
                    if isinstance(total, np.ndarray):  # times 2^width, modulo q, in 62 bits
                        total %= self.modulus
                        over = total >> low
                        total = ((total - (over << low)) << width) + over * fold
                    total = total + np.rint(piece).astype(np.int64)
            product[at : at + _BLOCK] = total
        return product

    def hide(self, values: np.ndarray, public: bytes, s: np.ndarray, noise: bytes) -> np.ndarray:
        """Hide integers [n] under a small key: uint64, shape [n].

        Parameters
        ----------
        values
            int64, whose sum fits the parameters' room.
        public, noise
            Keys of 32 bytes for the stretches that `a` and the noise come from.
        s
            int64, shape [N], from `small`.
        """
        hidden = values * self.delta + small(noise, len(values))
        hidden -= self._product(public, s, len(values))
        return np.mod(hidden, self.modulus, out=hidden).view(np.uint64)

    def show(self, hidden: np.ndarray, public: bytes, s: np.ndarray) -> np.ndarray:
        """Return the integers in a sum [n] of what was hidden, from the sum of the keys: int64, shape [n].

        ValueError if that is too large to be a sum of keys.
        """
        raw = (hidden.view(np.int64) + self._product(public, s, len(hidden))) % self.modulus
        raw -= self.modulus * (raw > (self.modulus - self.delta) // 2)  # -2^room / 2 is a number, 2^room / 2 is none
        return (raw + self.delta // 2) // self.delta

    def _product(self, public: bytes, s: np.ndarray, count: int) -> np.ndarray:
        return self.times(self.public(public, self.count(count)), s).reshape(-1)[:count]


def add_modulo(one: np.ndarray, other: np.ndarray, modulus: int) -> None:
    """Add to `one` in place, both uint64 and below the modulus, which has less than 64 bits."""
    one += other
    np.minimum(one, one - np.uint64(modulus), out=one)  # where one is smaller than the modulus, the difference wraps
