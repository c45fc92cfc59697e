"""Encryption on several cores: TenSEAL holds Python's lock, so each core gets a process."""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from types import ModuleType

import numpy as np

from fedkit.encryption.rings import Ring
from fedkit.encryption.schemes import Parameters

_ring: Ring | None = None  # of a worker


class Encryptor:
    """Encrypts many ciphertexts, in this process or in several; ValueError if there is to be no core.

    Parameters
    ----------
    ring
        With the secret key.
    secret
        The same key, for the other processes; it reaches them through a pipe.
    cores
        Processes; with 1, this one. They start at the first message that is worth it, and end with this object.
    """

    _WORTH = 8  # ciphertexts a core: below, handing them over takes longer than encrypting

    def __init__(self, ring: Ring, secret: bytes, cores: int) -> None:
        if cores < 1:
            raise ValueError(f"Encryption needs at least one core, and was given {cores}.")
        self._ring, self._secret, self._cores, self._pool = ring, secret, cores, None

    def encrypt(self, values: np.ndarray) -> tuple[np.ndarray, bytes]:
        """Encrypt any number of values: c0 of all ciphertexts, uint64, and their seeds."""
        slots = self._ring.parameters.slots
        share = -(-len(values) // (slots * self._cores)) * slots  # of one core, in whole ciphertexts
        if self._cores == 1 or share < self._WORTH * slots:
            return self._ring.encrypt(values)
        if self._pool is None:
            # not fork: a forked copy of a process with TensorFlow's threads in it may hang
            self._pool = ProcessPoolExecutor(
                self._cores, get_context("spawn"), _start, (self._ring.parameters, self._secret)
            )
        # A spawned process runs the script that started it once more, if it is told of one. They start in `map`.
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            pairs = self._pool.map(_encrypt, [values[at : at + share] for at in range(0, len(values), share)])
        finally:
            sys.modules["__main__"] = main
        pairs = list(pairs)
        return np.concatenate([c0 for c0, _ in pairs]), b"".join(seeds for _, seeds in pairs)


def _start(parameters: Parameters, secret: bytes) -> None:
    global _ring
    _ring = Ring(parameters, secret)


def _encrypt(values: np.ndarray) -> tuple[np.ndarray, bytes]:
    return _ring.encrypt(values)
