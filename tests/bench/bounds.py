"""What encryption is measured against: plain sending, and the least that encryption can cost. See `engines`."""

import os

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from engines import Engine, Updates

from fedkit.encryption import packing, schemes


def plain(updates: Updates) -> Engine:
    """Float32, and the number of patients beside it."""

    def encrypt(number: int) -> bytes:
        return np.uint64(updates.patients[number]).tobytes() + updates.vectors[number].astype("<f4").tobytes()

    def add(messages: list[bytes]) -> bytes:
        weights = [int.from_bytes(message[:8], "little") for message in messages]
        total = 0.0
        for weight, message in zip(weights, messages, strict=True):
            total = total + np.frombuffer(message, "<f4", offset=8) * np.float64(weight)
        return (total / sum(weights)).astype("<f4").tobytes()

    def decrypt(answer: bytes) -> np.ndarray:
        return np.frombuffer(answer, "<f4").astype(np.float64)

    return Engine("plain float32", "none", 32, encrypt, add, decrypt)


def quantised(updates: Updates, bits: int) -> Engine:
    """The integers that fedkit would encrypt, as they are: `fields` to a word, whole bytes (and a half)."""
    fields = 60 // bits
    parameters = schemes.choose("bfv", len(updates.vectors), bits=bits)._replace(room_bits=fields * bits)
    layout, word = updates.layout(parameters), -(-fields * bits // 4) * 4
    mask = (1 << word) - 1

    def encrypt(number: int) -> bytes:
        words = layout.encode(updates.vectors[number] * updates.patients[number])
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
    """The bound: integers plus a one-time pad modulo 2^bits, from a key that all hospitals share (AES-CTR).

    As secret as our scheme is with its shared key, and nothing that adds can be smaller.
    Each hospital has a nonce; who decrypts takes all pads away. The patients are padded too.
    """
    parameters = schemes.choose("bfv", len(updates.vectors), bits=bits)._replace(room_bits=bits)
    layout, key, mask = updates.layout(parameters), os.urandom(16), np.uint16((1 << bits) - 1)

    def pad(number: int) -> tuple[np.ndarray, np.ndarray]:
        stream = Cipher(algorithms.AES(key), modes.CTR(number.to_bytes(8, "big") + bytes(8))).encryptor()
        found = stream.update(bytes(8 + 2 * layout.size))
        return np.frombuffer(found, "<u8", 1), np.frombuffer(found, "<u2", offset=8)

    def packed(patients: np.ndarray, values: np.ndarray) -> bytes:
        if bits == 16:
            return patients.tobytes() + values.tobytes()
        pairs = np.zeros(-(-len(values) // 2), np.uint64)
        pairs |= values[::2] & mask
        pairs[: len(values) // 2] |= (values[1::2] & mask).astype(np.uint64) << np.uint64(bits)
        return patients.tobytes() + packing.to_bytes(pairs, 2 * bits)

    def unpacked(message: bytes) -> tuple[np.ndarray, np.ndarray]:
        patients = np.frombuffer(message, "<u8", 1)
        if bits == 16:
            return patients, np.frombuffer(message, "<u2", offset=8)
        pairs, values = packing.from_bytes(message[8:], 2 * bits, -(-layout.size // 2)), np.empty(layout.size, "<u2")
        values[::2] = pairs & np.uint64(mask)
        values[1::2] = pairs[: layout.size // 2] >> np.uint64(bits)
        return patients, values

    def encrypt(number: int) -> bytes:
        own, pads = pad(number)
        steps = layout.encode(updates.vectors[number] * updates.patients[number]).astype(np.uint16)
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
