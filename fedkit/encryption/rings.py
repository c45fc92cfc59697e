"""TenSEAL's SEAL: numbers in, two polynomials a ciphertext out.

A ciphertext is a pair (c0, c1) of polynomials with N coefficients modulo q. Encrypted
with the secret key, c1 is nothing but pseudo-random numbers that SEAL stretched from 64
random bytes, the *seed*; sending the seed in its place halves the message. TenSEAL's
own vectors write c1 out (OpenMined/TenSEAL#464), so this module uses the SEAL that
TenSEAL carries (``tenseal.sealapi``), and takes c0 and the seed out of what it saves.

Only arrays of numbers and 64-byte seeds go in again, put into a frame that was made
here: SEAL never reads a header that came from outside.

References
----------
SEAL's streams: ``Ciphertext::save_members`` and ``Plaintext::save_members`` of
microsoft/SEAL 4. A stream is a head of 16 bytes and its members; SEAL compresses what
it saves (zstd), and reads it uncompressed as well.
"""

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

import numpy as np
import zstandard

from fedkit.compat.tenseal import sealapi
from fedkit.encryption import packing
from fedkit.encryption.schemes import SEED_BYTES, Parameters

_HEAD = struct.Struct("<HBBBBHQ")  # mark, head size, version, compression, unused, size
_MARK, _VERSION = 0xA15E, (4, 3)
_PLAIN, _ZSTD = 0, 2
_COUNT = struct.Struct("<Q")
_SEED_KIND = 1  # Blake2xb
_IDENTITY = 32  # bytes that name a context's parameters
_NO_KEY = "a secret key of other parameters, or none at all"
_UNKNOWN = "TenSEAL's SEAL saves in a form that is not known here: install the pinned version of tenseal."


class Ring:
    """SEAL's context for a set of parameters, and the shape of its ciphertexts; `modulus` is the prime q.

    Parameters
    ----------
    parameters
        From `schemes.choose`.
    secret
        From `new_secret`; ValueError if it does not fit the parameters. A server has none.
    """

    def __init__(self, parameters: Parameters, secret: bytes | None = None) -> None:
        self.parameters, self._decryptor, self._encryptor = parameters, None, None
        size, bfv = parameters.ring_dimension, parameters.scheme == "bfv"
        settings = sealapi.EncryptionParameters(getattr(sealapi.SCHEME_TYPE, parameters.scheme.upper()))
        settings.set_poly_modulus_degree(size)
        settings.set_coeff_modulus(sealapi.CoeffModulus.Create(size, [parameters.modulus_bits]))
        if bfv:
            settings.set_plain_modulus(1 << parameters.room_bits)
        level = getattr(sealapi.SEC_LEVEL_TYPE, f"TC{parameters.security}")
        self._context = sealapi.SEALContext(settings, False, level)
        if not self._context.parameters_set():
            raise ValueError(f"SEAL refuses {parameters}: {self._context.parameters_error_message()}.")
        (prime,) = self._context.first_context_data().parms().coeff_modulus()
        self.modulus = prime.value()
        identity = struct.pack("<4Q", *self._context.first_parms_id())
        scale = 1.0 if bfv else parameters.scale
        # of a ciphertext: parameters, in NTT form or not, polynomials, N, primes, scale, correction factor
        self._about = identity + struct.pack("<?QQQdQ", not bfv, 2, size, 1, scale, 1)
        self._coder = None if bfv else sealapi.CKKSEncoder(self._context)
        self._evaluator = sealapi.Evaluator(self._context)
        if secret is not None:
            key = self._load(sealapi.SecretKey(), self._key_stream(secret), _NO_KEY)
            self._encryptor = sealapi.Encryptor(self._context, key)
            self._decryptor = sealapi.Decryptor(self._context, key)

    @property
    def is_private(self) -> bool:
        """Whether there is a secret key inside."""
        return self._decryptor is not None

    def new_secret(self) -> bytes:
        """Draw a secret key, with SEAL's generator; packed here, since what SEAL compresses varies in length."""
        with _memory() as file:
            sealapi.KeyGenerator(self._context).secret_key().save(_path(file))
            members = _decompressed(_read(file))
        numbers = np.frombuffer(members, "<u8", offset=len(members) - 8 * self.parameters.ring_dimension)
        return members[:_IDENTITY] + packing.to_bytes(numbers, self.parameters.whole_bits)

    def _key_stream(self, secret: bytes) -> bytes:
        size, bits = self.parameters.ring_dimension, self.parameters.whole_bits
        if len(secret) != _IDENTITY + packing.byte_count(size, bits):
            raise ValueError(f"SEAL refuses these bytes: {_NO_KEY}.")
        numbers = packing.from_bytes(secret[_IDENTITY:], bits, size)
        return _stream(secret[:_IDENTITY] + struct.pack("<Qd", size, 1.0) + _array(numbers))

    def encrypt(self, values: np.ndarray) -> tuple[np.ndarray, bytes]:
        """Encrypt numbers with the secret key, `Parameters.slots` to a ciphertext.

        Parameters
        ----------
        values
            BFV: int64, each within ±2^(room_bits-1). CKKS: float64. Shape [n], n > 0.

        Returns
        -------
        tuple
            c0 of all ciphertexts, uint64, shape [ciphertexts * N]; and the seed of each c1, 64 bytes a ciphertext.
        """
        size, slots, seeds = self.parameters.ring_dimension, self.parameters.slots, []
        c0 = np.empty((-(-len(values) // slots), size), np.uint64)
        start = len(self._about) + _HEAD.size + _COUNT.size
        end, tail = start + 8 * size, _HEAD.size + 1
        plain = sealapi.Plaintext()
        with _memory() as uncovered, _memory() as covered:
            for number in range(len(c0)):
                self._encode(values[number * slots : (number + 1) * slots], plain, uncovered)
                self._encryptor.encrypt_symmetric(plain).save(_path(covered))
                members = _decompressed(_read(covered))
                if len(members) != end + tail + SEED_BYTES or members[: len(self._about)] != self._about:
                    raise RuntimeError(_UNKNOWN)
                c0[number] = np.frombuffer(members, "<u8", size, start)
                seeds.append(members[end + tail :])
        return c0.reshape(-1), b"".join(seeds)

    def _encode(self, values: np.ndarray, into: "sealapi.Plaintext", file: int) -> None:
        """Put the numbers of one ciphertext into a plaintext."""
        if self._coder:
            self._coder.encode(values.tolist(), self.parameters.scale, into)
        else:
            coefficients = np.zeros(self.parameters.ring_dimension, "<u8")
            coefficients[: len(values)] = values & ((1 << self.parameters.room_bits) - 1)
            members = bytes(32) + struct.pack("<Qd", len(coefficients), 1.0) + _array(coefficients)
            self._load(into, _stream(members), "no plaintext", file)

    def expand(self, *seeds: bytes) -> np.ndarray:
        """Stretch seeds into c1, and add them up modulo q: uint64, shape [N]."""
        nothing = np.zeros(self.parameters.ring_dimension, "<u8")
        with _memory() as file:
            self._summed(nothing, seeds).save(_path(file))
            members = _decompressed(_read(file))
        return np.frombuffer(members, "<u8", offset=len(members) - nothing.nbytes)

    def decrypt(self, c0: np.ndarray, seeds: Sequence[bytes], c1: np.ndarray | None = None) -> np.ndarray:
        """Decrypt a sum of ciphertexts. BFV: int64, shape [N]. CKKS: float64, shape [N / 2].

        Parameters
        ----------
        c0
            Their sum modulo q, uint64, shape [N].
        seeds
            Of every c1 that belongs to the sum.
        c1
            Their sum modulo q in place of the seeds.
        """
        if c1 is not None:
            total = self._load(sealapi.Ciphertext(), _stream(self._about + _array(np.concatenate([c0, c1]))), "no sum")
        else:
            total = self._summed(c0, seeds)
        plain = sealapi.Plaintext()
        self._decryptor.decrypt(total, plain)
        if self._coder:
            return np.array(self._coder.decode_double(plain))
        with _memory() as file:
            plain.save(_path(file))
            members = _decompressed(_read(file))
        found = np.frombuffer(members, "<u8", offset=32 + 16 + _HEAD.size + _COUNT.size).astype(np.int64)
        half = 1 << (self.parameters.room_bits - 1)
        values = np.zeros(self.parameters.ring_dimension, np.int64)
        values[: len(found)] = ((found + half) & (2 * half - 1)) - half
        return values

    def _summed(self, c0: np.ndarray, seeds: Sequence[bytes]) -> "sealapi.Ciphertext":
        nothing = np.zeros_like(c0)
        with _memory() as file:
            total = self._seeded(c0, seeds[0], file)
            for seed in seeds[1:]:
                self._evaluator.add_inplace(total, self._seeded(nothing, seed, file))
        return total

    def _seeded(self, c0: np.ndarray, seed: bytes, file: int | None = None) -> "sealapi.Ciphertext":
        members = self._about + _array(c0) + _stream(bytes([_SEED_KIND]) + seed)
        return self._load(sealapi.Ciphertext(), _stream(members), "no ciphertext", file)

    def _load(self, into: object, stream: bytes, otherwise: str, file: int | None = None) -> object:
        with _memory() if file is None else nullcontext(file) as file:
            os.pwrite(file, stream, 0)  # what is left behind it of a longer one is not read
            try:
                into.load(self._context, _path(file))
            except (ValueError, RuntimeError):
                raise ValueError(f"SEAL refuses these bytes: {otherwise}.") from None
        return into


def add_modulo(one: np.ndarray, other: np.ndarray, modulus: int) -> None:
    """Add to `one` in place, both uint64 and below the modulus, which has less than 64 bits."""
    one += other
    np.minimum(one, one - np.uint64(modulus), out=one)  # where one is smaller than the modulus, the difference wraps


def _stream(members: bytes) -> bytes:
    """Put the head of an uncompressed SEAL stream before its members."""
    return _HEAD.pack(_MARK, _HEAD.size, *_VERSION, _PLAIN, 0, _HEAD.size + len(members)) + members


def _array(values: np.ndarray) -> bytes:
    """Write an array as SEAL does inside other streams."""
    return _stream(_COUNT.pack(len(values)) + values.astype("<u8").tobytes())


def _decompressed(stream: bytes) -> bytes:
    """Members of a stream that SEAL saved just now."""
    mark, size, *_, compression, _, length = _HEAD.unpack_from(stream)
    if (mark, size, length) != (_MARK, _HEAD.size, len(stream)) or compression not in (_PLAIN, _ZSTD):
        raise RuntimeError(_UNKNOWN)
    members = stream[_HEAD.size :]
    return members if compression == _PLAIN else zstandard.ZstdDecompressor().decompressobj().decompress(members)


@contextmanager
def _memory() -> Iterator[int]:
    """Open a file in memory: ``tenseal.sealapi`` saves to paths, and a key must not touch a disk."""
    file = os.memfd_create("seal")
    try:
        yield file
    finally:
        os.close(file)


def _path(file: int) -> str:
    return f"/proc/self/fd/{file}"


def _read(file: int) -> bytes:
    return os.pread(file, os.fstat(file).st_size, 0)
