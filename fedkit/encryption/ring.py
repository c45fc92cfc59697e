"""Polynomials with N coefficients modulo q, where x^N = -1: the arithmetic of a letter, and nothing else.

    hidden = delta m + e - a s      modulo q        (`hide`, at a hospital)
    a S + sum of hidden = delta M + E               (`show`, where the sum S of the keys s is known)

This is the one place where the kit writes its own cryptography: TenSEAL chooses `a` itself, and here all hospitals must
use the same `a` for the sum of their keys to open the sum of their letters. What it lacks (constant time, an audit)
stands in SECURITY.md; the tests open letters with SEAL's own decryptor.

The product a S is computed by complex floating-point FFTs and is exact all the same: its coefficients are integers, so
an error below 1/2 is rounded away. For FFTs of length 2^n the error of each coefficient is below |a| |S| times
(1+e)^(3n) (1+e sqrt 5)^(3n+1) (1+b)^(3n) - 1, with e = 2^-53 and roots right to b (Percival 2003; Brent, Percival and
Zimmermann, Math. Comp. 76, 2007); `_error` is that with three more products, and roots right to 4 e. `a` is
taken apart into so many pieces that the bound holds for the norms at hand, which are measured.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedkit.encryption.packing import BLOCK
from fedkit.encryption.schemes import COINS, Parameters


def stream(key: bytes) -> Callable[[int], bytes]:
    """Return what gives the next bytes of a pseudo-random stream (AES-256, counter mode): a key is used once."""
    update = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor().update
    return lambda size: update(bytes(size))


def small(key: bytes, count: int) -> np.ndarray:
    """Draw from the centred binomial distribution with `COINS` coins a side: int64, shape [count], within ±`COINS`."""
    return _tossed(stream(key), count)


def _tossed(coins: Callable[[int], bytes], count: int) -> np.ndarray:
    """Count heads: the difference of two binomials of n coins each is one binomial of 2 n coins, less n."""
    raw = coins(12 * count)
    heads = np.bitwise_count(np.frombuffer(raw, "<u8", count)).astype(np.int64)
    heads += np.bitwise_count(np.frombuffer(raw, "<u4", count, 8 * count) & np.uint32(2 ** (2 * COINS - 64) - 1))
    heads -= COINS
    return heads


class Ring:
    """The ring of a set of parameters."""

    def __init__(self, parameters: Parameters) -> None:
        self.size, self.modulus, self.delta = parameters.ring_dimension, parameters.modulus, parameters.delta
        self.bits, doublings = parameters.modulus_bits, 3 * math.log2(self.size)
        self._fold = (1 << self.bits) % self.modulus  # below 2^21
        # Square roots of the roots of unity: by them, x^N = -1 becomes x^N = 1.
        self._turn = np.exp(1j * np.pi * np.arange(self.size) / self.size)
        self._back = self._turn.conj()
        self._error = (doublings + math.sqrt(5) * (doublings + 4) + doublings + 3 * 4) * 2.0**-53 * (1 + 1e-9)

    def public(self, key: bytes, count: int) -> np.ndarray:
        """Stretch a key that everybody knows into uniform polynomials: int64, shape [count, N]."""
        return self._reduced(self._uniform(stream(key), count))

    def _uniform(self, source: Callable[[int], bytes], count: int) -> np.ndarray:
        """Take the next words of a stream, without those not below the modulus; centred, for a small norm."""
        found = np.empty(0, np.uint64)
        while wanted := count * self.size - len(found):
            words = np.frombuffer(source(8 * wanted), "<u8") & np.uint64((1 << self.bits) - 1)
            if words.max() >= self.modulus:
                words = words[words < np.uint64(self.modulus)]
            found = np.concatenate([found, words]) if len(found) else words
        return found.view(np.int64).reshape(count, self.size) - self.modulus // 2

    def times(self, s: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        """Return what multiplies polynomials, int64 [n, N] between ±q, by a small one [N], exactly modulo q.

        Its results lie between ±2^62; it raises a ValueError if s is too large to be a sum of keys.
        """
        spectrum, length = np.fft.fft(s * self._turn), float(np.linalg.norm(s))

        def product(a: np.ndarray) -> np.ndarray:
            for width in (-(-self.bits // 2), -(-self.bits // 4)):
                z = self._pairs(a, width)
                if self._error * length * np.linalg.norm(z.view(float), axis=-1).max() < 0.5:
                    break
            else:
                raise ValueError("The sum of the keys is too large to multiply exactly: it is no sum of keys.")
            for factor, transform in ((self._turn, np.fft.fft), (spectrum, np.fft.ifft)):
                z *= factor
                transform(z, out=z)
            z *= self._back
            whole, low = np.rint(z.view(float)).astype(np.int64), self.bits - width  # below 2^46, by the bound
            *pieces, total = (pair[:, part::2] for pair in whole for part in (0, 1))
            for piece in reversed(pieces):  # times 2^width, modulo q
                total = (total >> low) * self._fold + ((total & (1 << low) - 1) << width) + piece
            return total

        return product

    def _pairs(self, a: np.ndarray, width: int) -> np.ndarray:
        """Take `a` apart into pieces of so many bits, two to a complex number: complex128, shape [pairs, n, N]."""
        places, half = range(0, self.bits, width)[:-1], 1 << width - 1
        lifted = a + sum(half << place for place in places)
        pieces = [(lifted >> place & 2 * half - 1) - half for place in places] + [lifted >> places[-1] + width]
        z = np.empty((len(pieces) // 2, *a.shape), np.complex128)
        z.real, z.imag = pieces[::2], pieces[1::2]
        return z

    def hide(self, values: np.ndarray, public: bytes, s: np.ndarray, noise: bytes) -> np.ndarray:
        """Hide integers [n] under a small key: uint64, shape [n].

        values : int64, whose sum fits the parameters' room
        public, noise : keys of 32 bytes for the stretches that `a` and the noise come from
        s : int64, shape [N], from `small`
        """
        hidden, coins = np.empty(len(values), np.int64), stream(noise)
        for part, product in self._stretched(public, s, len(values)):
            own = values[part] * self.delta
            own += _tossed(coins, len(own))
            own -= product
            hidden[part] = self._reduced(own)
        return hidden.view(np.uint64)

    def show(self, hidden: np.ndarray, public: bytes, s: np.ndarray) -> np.ndarray:
        """Return the integers in a sum [n] of what was hidden, from the sum of the keys: int64, shape [n].

        ValueError if that is too large to be a sum of keys.
        """
        shown = np.empty(len(hidden), np.int64)
        for part, product in self._stretched(public, s, len(hidden)):
            raw = self._reduced(product + hidden[part].view(np.int64))
            raw -= self.modulus * (raw > (self.modulus - self.delta) // 2)  # to -2^room / 2 ... 2^room / 2 - 1
            raw += self.delta // 2
            np.floor_divide(raw, self.delta, out=shown[part])
        return shown

    def _stretched(self, public: bytes, s: np.ndarray, count: int) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield a block of places among so many coefficients, and what a s has there."""
        source, times, each = stream(public), self.times(s), max(BLOCK, self.size)
        for at in range(0, count, each):
            length = min(each, count - at)
            product = times(self._uniform(source, -(-length // self.size)))
            yield slice(at, at + length), product.reshape(-1)[:length]

    def _reduced(self, numbers: np.ndarray) -> np.ndarray:
        """Reduce to 0 ... q - 1, in place."""
        numbers -= numbers // self.modulus * self.modulus  # which numpy does faster than %
        return numbers


def add_modulo(one: np.ndarray, other: np.ndarray, modulus: int) -> None:
    """Add to `one` in place, both uint64 and below the modulus, which has less than 64 bits."""
    for at in range(0, len(one), BLOCK):
        part = one[at : at + BLOCK]
        part += other[at : at + BLOCK]
        np.minimum(part, part - np.uint64(modulus), out=part)  # where it is below the modulus, the difference wraps
