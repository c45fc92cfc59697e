"""Ways to add up the hospitals' updates, each in three steps: a hospital's, the server's, a hospital's.

An engine is a name, a few facts for the table, and three functions: ``encrypt(hospital) -> message``, ``add(messages)
-> answer`` and ``decrypt(answer) -> mean``. All work on the same update, and all that need to round do it with the
step that fedkit's aggregator would agree on.
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from fedkit import encryption
from fedkit.compat.tenseal import ts
from fedkit.encryption import envelopes, packing, quantization, schemes
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.encryption.quantization import Layout

AGREED = 2.0  # times the largest number of an update may be sent


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

    def weighted(self, number: int) -> np.ndarray:
        return self.vectors[number] * self.patients[number]

    def layout(self, parameters: schemes.Parameters) -> Layout:
        """What hospitals agree on: a step from the sum of patients, and the largest number."""
        largest = AGREED * max(np.abs(vector).max() for vector in self.vectors)
        return Layout((quantization.packed_layer(sum(self.sizes), sum(self.patients) * largest, parameters),))


class Engine(NamedTuple):
    """One row of the table."""

    name: str
    scheme: str
    bits: int | None
    encrypt: Callable[[int], bytes | list[bytes]]
    add: Callable[[list], bytes | list[bytes]]
    decrypt: Callable[..., np.ndarray]
    start: Callable[[], None] = lambda: None  # before each repetition, and not timed: keys
    share: Callable[[int], bytes] | None = None  # a hospital's second letter, once all first ones are there


def fedkit(updates: Updates, bits: int, signed: bool = False) -> Engine:
    """Ours, through the public functions; signed: with the envelopes that a server insists on."""
    hospitals, numbers = len(updates.vectors), sum(updates.sizes)
    parameters = encryption.choose(hospitals, numbers=numbers, bits=bits)
    layout = updates.layout(parameters)
    names = [f"hospital {number}" for number in range(hospitals)]
    identities = {name: Identity.new(name) for name in [*names, "server"]}
    keys, letters, asked = [], {}, {"study": "00", "round": 0}

    def start() -> None:
        exchange = {name: X25519PrivateKey.generate() for name in names}
        public = {name: key.public_key().public_bytes_raw() for name, key in exchange.items()}
        members = {name: encryption.Member(identities[name].public, public[name]) for name in names}
        study, group = os.urandom(32), os.urandom(32)
        how = {"known": names, "least": hospitals}
        keys[:] = [
            encryption.join(name, parameters, study, members, exchange[name], group, own=os.urandom(32), **how)
            for name in names
        ]
        letters.clear()

    def sign(content: bytes, sender: str, purpose: str, about: Sequence[str]) -> bytes:
        if not signed:
            return content
        about = About(**asked, purpose=purpose, sender=sender, hospitals=tuple(about))
        return envelopes.sign(content, about, identities[sender])

    def read(message: bytes, sender: str, purpose: str) -> bytes:
        how = {"purpose": purpose, "sender": sender, "size": None, "most": 1 << 30}
        return envelopes.read(message, identities[sender].public, **asked, **how)[1] if signed else message

    def encrypt(number: int) -> bytes:
        content = keys[number].encrypt("update", updates.vectors[number], updates.patients[number], layout)
        return sign(content, names[number], "update", [names[number]])

    def share(number: int) -> bytes:
        if not letters:  # which the server's list brings along
            letters.update({name: encryption.digest(key.letter) for name, key in zip(names, keys, strict=True)})
        return sign(keys[number].share(letters), names[number], "share", [names[number]])

    def add(messages: list[tuple[bytes, bytes]]) -> bytes:
        server = encryption.Server(parameters)
        for name, (letter, _) in zip(names, messages, strict=True):
            server.take(read(letter, name, "update"))
        for name, (_, second) in zip(names, messages, strict=True):
            server.take_share(read(second, name, "share"))
        return sign(server.total(), "server", "sum", names)

    def decrypt(answer: bytes) -> np.ndarray:
        return keys[0].decrypt(read(answer, "server", "sum"), letters, layout)[0]

    return Engine(f"fedkit {bits} bits{', signed' * signed}", "bfv", bits, encrypt, add, decrypt, start, share)


def nvflare(updates: Updates, public_key: bool = False, contexts: bool = False) -> Engine:
    """NVFlare's default, reproduced: the same calls of TenSEAL, in the same order, none of its code.

    - Context as `HEBuilder` (nvflare/lighter/impl/he.py) makes it by default: CKKS, N = 8192,
      primes of 60, 40 and 40 bits, scale 2^40, symmetric encryption, relinearisation keys.
      `public_key`: TenSEAL's own default, and slower.
    - `HEModelEncryptor` (nvflare/app_opt/he/model_encryptor.py): each tensor times the
      hospital's weight, one ``ckks_vector`` a tensor; `CKKSVectorDecomposer` serialises it.
      `contexts`: beside every tensor its context, as it does; left out in its favour otherwise.
    - `HEInTimeAccumulateWeightedAggregator`: loads and adds tensor by tensor as messages
      arrive, multiplies once by 1 / the sum of weights, and `HEModelShareableGenerator`
      serialises; the multiplication drops a prime, which nearly halves the download.
    - `HEModelDecryptor`: loads and decrypts tensor by tensor.

    Left out, in its favour: adding the mean to the encrypted global model, logging, transport.
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
    return Engine(name, "ckks", None, encrypt, add, decrypt)


# What encryption is measured against: plain sending, and the least that it can cost. The patients stand before the
# numbers, in 8 bytes.


def plain(updates: Updates) -> Engine:
    """Float32."""

    def encrypt(number: int) -> bytes:
        return np.uint64(updates.patients[number]).tobytes() + updates.vectors[number].astype("<f4").tobytes()

    def add(messages: list[bytes]) -> bytes:
        weights = [int.from_bytes(message[:8], "little") for message in messages]
        vectors = (np.frombuffer(message, "<f4", offset=8) for message in messages)
        total = sum(vector * np.float64(weight) for vector, weight in zip(vectors, weights, strict=True))
        return (total / sum(weights)).astype("<f4").tobytes()

    def decrypt(answer: bytes) -> np.ndarray:
        return np.frombuffer(answer, "<f4").astype(np.float64)

    return Engine("plain float32", "none", 32, encrypt, add, decrypt)


def quantised(updates: Updates, bits: int) -> Engine:
    """The integers that fedkit would encrypt, as they are: `fields` to a word, whole bytes (and a half)."""
    fields = 60 // bits
    parameters = schemes.choose(len(updates.vectors), bits=bits)._replace(room_bits=fields * bits)
    layout, word = updates.layout(parameters), -(-fields * bits // 4) * 4
    mask = (1 << word) - 1

    def encrypt(number: int) -> bytes:
        words = layout.encode(updates.weighted(number))
        return np.uint64(updates.patients[number]).tobytes() + packing.to_bytes(words & mask, word)

    def add(messages: list[bytes]) -> bytes:
        total = sum(packing.from_bytes(message[8:], word, layout.coefficients) for message in messages)
        patients = sum(int.from_bytes(message[:8], "little") for message in messages)
        return np.uint64(patients).tobytes() + packing.to_bytes(total & np.uint64(mask), word)

    def decrypt(answer: bytes) -> np.ndarray:
        words = packing.from_bytes(answer[8:], word, layout.coefficients).astype(np.int64)
        signed = (words << 64 - word) >> 64 - word
        return layout.decode(signed) / int.from_bytes(answer[:8], "little")

    return Engine(f"plain integers {bits} bits", "none", bits, encrypt, add, decrypt)


def stream_cipher(updates: Updates, bits: int) -> Engine:
    """The bound: integers of at most 16 bits plus a one-time pad, from a key that all hospitals share (AES-CTR).

    Any hospital reads any other's, and nothing that adds can be smaller.
    Each hospital has a nonce; who decrypts takes all pads away. The patients are padded too.
    """
    parameters = schemes.choose(len(updates.vectors), bits=bits)._replace(room_bits=bits)
    layout, key, mask = updates.layout(parameters), os.urandom(16), np.uint64((1 << bits) - 1)

    def pad(number: int) -> tuple[np.ndarray, np.ndarray]:
        stream = Cipher(algorithms.AES(key), modes.CTR(number.to_bytes(8, "big") + bytes(8))).encryptor()
        found = stream.update(bytes(8 + 2 * layout.size))
        return np.frombuffer(found, "<u8", 1), np.frombuffer(found, "<u2", offset=8)

    def packed(patients: np.ndarray, values: np.ndarray) -> bytes:
        if bits == 16:
            return patients.tobytes() + values.tobytes()
        pairs = np.zeros(-(-len(values) // 2), np.uint64)
        pairs |= values[::2] & mask
        pairs[: len(values) // 2] |= (values[1::2] & mask) << np.uint64(bits)
        return patients.tobytes() + packing.to_bytes(pairs, 2 * bits)

    def unpacked(message: bytes) -> tuple[np.ndarray, np.ndarray]:
        patients = np.frombuffer(message, "<u8", 1)
        if bits == 16:
            return patients, np.frombuffer(message, "<u2", offset=8)
        pairs, values = packing.from_bytes(message[8:], 2 * bits, -(-layout.size // 2)), np.empty(layout.size, "<u2")
        values[::2] = pairs & mask
        values[1::2] = pairs[: layout.size // 2] >> np.uint64(bits)
        return patients, values

    def encrypt(number: int) -> bytes:
        own, pads = pad(number)
        steps = layout.encode(updates.weighted(number)).astype(np.uint16)
        return packed(own + np.uint64(updates.patients[number]), steps + pads)

    def add(messages: list[bytes]) -> bytes:
        patients, total = np.zeros(1, np.uint64), np.zeros(layout.size, np.uint16)
        for own, values in map(unpacked, messages):
            patients, total = patients + own, np.add(total, values, out=total)
        return packed(patients, total)

    def decrypt(answer: bytes) -> np.ndarray:
        patients, values = unpacked(answer)
        for number in range(len(updates.vectors)):
            own, pads = pad(number)
            patients, values = patients - own, values - pads
        signed = (values << np.uint16(16 - bits)).view(np.int16) >> 16 - bits
        return layout.decode(signed.astype(np.int64)) / int(patients[0])

    return Engine(f"bound: stream cipher {bits} bits", "pad", bits, encrypt, add, decrypt)
