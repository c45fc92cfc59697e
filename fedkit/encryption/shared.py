"""CKKS with one key that all hospitals share, by TenSEAL's own vectors: to learn with, and to see what that key opens.

    keys = SharedKeys(hospitals=4)              # at one hospital, handed to the others
    message = keys.encrypt(update, patients)    # at each hospital
    total = keys.server.add(messages)           # at the server, whose context has no secret key
    mean, patients = keys.decrypt(total)        # at each hospital

Any hospital opens any other's message. A decrypted sum must never go back to the server: with the ciphertext it shows
the noise, and the noise betrays the key (Li and Micciancio, EUROCRYPT 2021).
"""

import struct
from collections.abc import Iterable

import numpy as np

from fedkit.compat.tenseal import ts
from fedkit.encryption.keyring import divided
from fedkit.encryption.messages import MessageError
from fedkit.encryption.quantization import Layout, too_large
from fedkit.encryption.schemes import Parameters

SLOTS = 2048  # of a ciphertext: N / 2
SCALE, ROOM_BITS = 2.0**34, 24
_SIZE = struct.Struct("<I")
# Adding needs none of the other keys.
_NO_MORE = {"save_public_key": False, "save_galois_keys": False, "save_relin_keys": False}


class SharedKeys:
    """The key that hospitals share, and what is done with it; a copy without it is the `server`'s.

    hospitals : the most that are added up: each may use so large a part of a slot
    """

    def __init__(self, hospitals: int) -> None:
        settings = {"coeff_mod_bit_sizes": [60, 16], "encryption_type": ts.ENCRYPTION_TYPE.SYMMETRIC}
        self._context = ts.context(ts.SCHEME_TYPE.CKKS, 2 * SLOTS, **settings)
        self._context.global_scale = SCALE
        # digits of numbers that must be exact need whole units of a slot
        self.parameters = Parameters(hospitals, 1, ROOM_BITS, 128, 2 * SLOTS, 60, 60, ROOM_BITS)
        self.server = SharedServer(self._context.serialize(save_secret_key=False, **_NO_MORE))

    def secret_bytes(self) -> int:
        """Return how many bytes are handed to each other hospital."""
        return len(self._context.serialize(save_secret_key=True, **_NO_MORE))

    def encrypt(self, vector: np.ndarray, weight: float, layout: Layout | None = None) -> bytes:
        """Encrypt the weight, and weight x vector [p]: ValueError if a number is too large for the sum to hold.

        layout : of numbers that must be exact: whole digits; real numbers, with noise, if None
        """
        numbers = np.asarray(vector, np.float64) * weight
        numbers = np.append(weight, numbers if layout is None else layout.encode(numbers))
        if not np.abs(numbers).max() <= 2**ROOM_BITS / self.parameters.hospitals:
            raise too_large(numbers)
        parts = [numbers[at : at + SLOTS].tolist() for at in range(0, len(numbers), SLOTS)]
        return _joined(ts.ckks_vector(self._context, part) for part in parts)

    def decrypt(self, total: bytes, layout: Layout | None = None) -> tuple[np.ndarray, float]:
        """Decrypt, and divide: the weighted mean [p] and the number of patients; MessageError if it does not open."""
        numbers = np.concatenate([one.decrypt() for one in _read(self._context, total)])
        rest = numbers[1:] if layout is None else layout.decode(np.rint(numbers[1:]).astype(np.int64))
        return divided(np.append(np.rint(numbers[0]), rest))


class SharedServer:
    """Adds CKKS messages: it holds TenSEAL's parameters, and no secret key."""

    def __init__(self, public: bytes) -> None:
        self.public, self._context = public, ts.context_from(public)

    def add(self, messages: Iterable[bytes]) -> bytes:
        """Add messages up; MessageError if one is damaged or of another length, or there is none."""
        total: list = []
        for found in (_read(self._context, message) for message in messages):
            if total and [one.size() for one in found] != [one.size() for one in total]:
                raise MessageError("Messages of different lengths cannot be added up.")
            total = [one + other for one, other in zip(total, found, strict=True)] if total else found
        if not total:
            raise MessageError("There is no message to add: at least one hospital must send one.")
        return _joined(total)


def _joined(parts: Iterable["ts.CKKSVector"]) -> bytes:
    return b"".join(_SIZE.pack(len(part)) + part for part in (one.serialize() for one in parts))


def _read(context: "ts.Context", message: bytes) -> list["ts.CKKSVector"]:
    """Return the ciphertexts in a message, whose sender was checked; MessageError if TenSEAL cannot."""
    found, at = [], 0
    try:
        while at < len(message):
            start = at + _SIZE.size
            at = start + _SIZE.unpack_from(message, at)[0]
            found.append(ts.ckks_vector_from(context, message[start:at]))
    except (RuntimeError, TypeError, ValueError, struct.error):
        found = []
    if not found or at != len(message):
        raise MessageError("This message is damaged, or of another key's context: ask for it again.")
    return found
