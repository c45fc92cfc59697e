"""Ways to add up the hospitals' updates, each in three steps: a hospital's, the server's, a hospital's.

An engine is a name, a few facts for the table, and three functions: ``encrypt(hospital) ->
message``, ``add(messages) -> answer`` and ``decrypt(answer) -> mean``. All work on the same
update, and all that need to round do it with the step that fedkit's aggregator would agree on.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from fedkit import encryption
from fedkit.compat.tenseal import ts
from fedkit.encryption import envelopes, quantization, schemes
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.encryption.quantization import Layout

GROWTH = 2.0  # as `aggregators.EncryptedMean` promises by default


class Updates(NamedTuple):
    """One update a hospital: vectors float64 of shape [p], patients, and how many numbers each layer has."""

    vectors: list[np.ndarray]
    patients: list[int]
    sizes: tuple[int, ...]

    @classmethod
    def like_training(cls, hospitals: int, sizes: Sequence[int], deviations: Sequence[float]) -> "Updates":
        """Normal values, each layer on its own scale; half of the variance is common to all hospitals."""
        rng = np.random.default_rng(0)
        deviation = np.repeat(deviations, sizes)
        common = rng.normal(size=sum(sizes))
        vectors = [
            deviation * rng.uniform(0.5, 2) * (common + rng.normal(size=sum(sizes))) / np.sqrt(2)
            for _ in range(hospitals)
        ]
        return cls(vectors, [int(count) for count in rng.integers(50, 1500, hospitals)], tuple(sizes))

    @property
    def mean(self) -> np.ndarray:
        return np.average(self.vectors, axis=0, weights=self.patients)

    def layout(self, parameters: schemes.Parameters) -> Layout:
        """What the aggregator agrees on: a step from the sum of patients x bound, layer by layer."""
        pairs = zip(self.vectors, self.patients, strict=True)
        bounds = sum(count * GROWTH * quantization.maxima(vector, self.sizes) for vector, count in pairs)
        return Layout(
            tuple(quantization.packed_layer(n, bound, parameters) for n, bound in zip(self.sizes, bounds, strict=True))
        )


class Engine(NamedTuple):
    """One row of the table."""

    name: str
    scheme: str
    bits: int | None
    encrypt: Callable[[int], bytes | list[bytes]]
    add: Callable[[list], bytes | list[bytes]]
    decrypt: Callable[..., np.ndarray]


def fedkit(updates: Updates, scheme: str, bits: int, signed: bool = False) -> Engine:
    """Ours, through the public functions; signed: with the envelopes that a server insists on."""
    hospitals = len(updates.vectors)
    how = {"hospitals": hospitals, "numbers": sum(updates.sizes), "bits": bits}
    keys = encryption.generate_keys(scheme, **how)
    server = encryption.Server(keys.public)
    layout = updates.layout(keys.parameters) if scheme == "bfv" else keys.plain_layout(sum(updates.sizes))
    names = [f"hospital {number}" for number in range(hospitals)]
    identities = {name: Identity.new(name) for name in [*names, "server"]}
    asked = {"study": keys.key_id.hex(), "purpose": "update", "round": 1}

    def sign(content: bytes, sender: str, about: Sequence[str]) -> bytes:
        return envelopes.sign(content, About(**asked, sender=sender, hospitals=tuple(about)), identities[sender])

    def read(message: bytes, sender: str, size: int | None, most: int) -> bytes:
        return envelopes.read(message, identities[sender].public, **asked, sender=sender, size=size, most=most)[1]

    def encrypt(number: int) -> bytes:
        content = keys.encrypt(updates.vectors[number], updates.patients[number], layout)
        return sign(content, names[number], [names[number]]) if signed else content

    def add(messages: list[bytes]) -> bytes:
        total = encryption.Sum(server)
        for name, message in zip(names, messages, strict=True):
            total.add(read(message, name, keys.message_bytes(layout), 0) if signed else message)
        return sign(total.to_bytes(), "server", names) if signed else total.to_bytes()

    def decrypt(answer: bytes) -> np.ndarray:
        return keys.decrypt(read(answer, "server", None, 1 << 30) if signed else answer, layout)[0]

    name = f"fedkit {scheme.upper()} {bits} bits{', signed' * signed}"
    return Engine(name, scheme, bits, encrypt, add, decrypt)


def nvflare(updates: Updates, public_key: bool = False, contexts: bool = False) -> Engine:
    """NVFlare's default, reproduced: the same calls of TenSEAL, in the same order, none of its code.

    - Context as `HEBuilder` (nvflare/lighter/impl/he.py) makes it by default: CKKS, N = 8192,
      primes of 60, 40 and 40 bits, scale 2^40, symmetric encryption, relinearisation keys.
    - `HEModelEncryptor` (nvflare/app_opt/he/model_encryptor.py): each tensor times the
      hospital's weight, one ``ckks_vector`` a tensor; `CKKSVectorDecomposer` serialises it.
    - `HEInTimeAccumulateWeightedAggregator`: loads and adds tensor by tensor as messages
      arrive, multiplies once by 1 / the sum of weights, and `HEModelShareableGenerator`
      serialises; the multiplication drops a prime, which nearly halves the download.
    - `HEModelDecryptor`: loads and decrypts tensor by tensor.

    Left out, in its favour: adding the mean to the encrypted global model, logging, transport.

    Parameters
    ----------
    updates
        The update of each hospital.
    public_key
        Encrypt with a public key, which is TenSEAL's own default, and slower.
    contexts
        Send the context beside every tensor, as `CKKSVectorDecomposer` does; left out in its
        favour otherwise.
    """
    kind = ts.ENCRYPTION_TYPE.ASYMMETRIC if public_key else ts.ENCRYPTION_TYPE.SYMMETRIC
    context = ts.context(ts.SCHEME_TYPE.CKKS, 8192, coeff_mod_bit_sizes=[60, 40, 40], encryption_type=kind)
    context.generate_relin_keys()
    context.global_scale = 2**40
    server = ts.context_from(context.serialize(save_public_key=public_key, save_galois_keys=False))
    cuts = np.cumsum(updates.sizes)[:-1]

    def encrypt(number: int) -> list[bytes]:
        message = []
        for tensor in np.split(updates.vectors[number], cuts):
            vector = ts.ckks_vector(context, tensor * np.float64(updates.patients[number]))
            message.append(vector.serialize())
            if contexts:
                message.append(vector.context().serialize())
        return message

    def add(messages: list[list[bytes]]) -> list[bytes]:
        total = None
        for message in messages:
            tensors = []
            for at in range(0, len(message), 1 + contexts):
                owner = ts.context_from(message[at + 1]) if contexts else server
                tensors.append(ts.ckks_vector_from(owner, message[at]))
            total = tensors if total is None else [one + other for one, other in zip(total, tensors, strict=True)]
        return [(tensor * (1.0 / sum(updates.patients))).serialize() for tensor in total]

    def decrypt(answer: list[bytes]) -> np.ndarray:
        return np.concatenate([ts.ckks_vector_from(context, tensor).decrypt() for tensor in answer])

    name = "NVFlare's, public key" if public_key else f"NVFlare default{', all it sends' * contexts}"
    return Engine(name, "ckks", None, *map(_quietly, (encrypt, add, decrypt)))


def _quietly(function: Callable) -> Callable:
    """TenSEAL prints a warning for each tensor that is larger than a ciphertext, from C++."""

    def quiet(*arguments):
        with _no_output():
            return function(*arguments)

    return quiet


@contextmanager
def _no_output() -> Iterator[None]:
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)
