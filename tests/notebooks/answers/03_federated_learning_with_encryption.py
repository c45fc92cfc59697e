# %% Exercise 1: given
from fedkit import encryption


# %% Exercise 1: right
kilobytes = 3 * len(encryption.SharedKeys(hospitals=4).encrypt([0.5] * 14, 100)) / 1000
# %% Exercise 1: right
one = len(encryption.SharedKeys(hospitals=4).encrypt([0.5] * 2000, 100))
kilobytes = round(one * (5001 // 2048 + 1) / 1024)
# %% Exercise 1: right
import numpy as np

one = len(encryption.SharedKeys(hospitals=4).encrypt([0.5] * 2000, 100))
kilobytes = np.ceil(5001 / 2048) * one / 1e3
# %% Exercise 1: wrong
kilobytes = 2 * len(encryption.SharedKeys(hospitals=4).encrypt([0.5] * 14, 100)) / 1000
# %% Exercise 1: wrong
kilobytes = 20  # 5,000 numbers of four bytes
# %% Exercise 1: wrong
kilobytes = 3 * len(encryption.SharedKeys(hospitals=4).encrypt([0.5] * 14, 100))  # bytes
# %% Exercise 2: right
fewest_bits = 12
# %% Exercise 2: right
import numpy as np

fewest_bits = np.int64(12)
# %% Exercise 2: right
fewest_bits = 12.0
# %% Exercise 2: wrong
fewest_bits = 13
# %% Exercise 2: wrong
fewest_bits = 11
# %% Exercise 2: wrong
fewest_bits = 26
# %% Exercise 3: given
import os

import numpy as np
from fedkit.chapters.attacks import distinguishing
from tools import pairing

GAMES = 50
title = "The game of exercise 3, and its attackers"
(cell,) = (one.source for one in pairing.of("03_federated_learning_with_encryption").cells if title in one.source)
exec(cell)
# %% Exercise 3: right
import struct


def hide(update, key):
    plain = struct.pack("<14d", *update)
    return bytes(a ^ b for a, b in zip(plain, key, strict=True))


def show(message, key):
    return struct.unpack("<14d", hide_again(message, key))


def hide_again(message, key):
    return bytes(a ^ b for a, b in zip(message, key, strict=True))


# %% Exercise 3: right
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


def hide(update, key):
    nonce = os.urandom(12)
    return nonce + AESGCM(key[:32]).encrypt(nonce, np.array(update, dtype=float).tobytes(), None)


def show(message, key):
    return np.frombuffer(AESGCM(key[:32]).decrypt(message[:12], message[12:], None))


# %% Exercise 3: right
def hide(update, key):
    numbers = np.rint(np.asarray(update) * 2**40).astype(np.int64).view(np.uint64)
    return (numbers + np.frombuffer(key, np.uint64)).tobytes()


def show(message, key):
    numbers = np.frombuffer(message, np.uint64) - np.frombuffer(key, np.uint64)
    return (numbers.view(np.int64) / 2**40).tolist()


# %% Exercise 3: wrong
def hide(update, key):  # a random byte goes along
    pad = os.urandom(1)
    return pad + bytes(each ^ pad[0] for each in np.asarray(update, dtype=float).tobytes())


def show(message, key):
    return np.frombuffer(bytes(each ^ message[0] for each in message[1:]))


# %% Exercise 3: wrong
def hide(update, key):  # the whole key goes along
    return key + bytes(a ^ b for a, b in zip(np.asarray(update, dtype=float).tobytes(), key, strict=True))


def show(message, key):
    return np.frombuffer(bytes(a ^ b for a, b in zip(message[:112], message[112:], strict=True)))


# %% Exercise 3: wrong
def hide(update, key):  # eight bytes of the key, again and again
    return bytes(each ^ key[n % 8] for n, each in enumerate(np.asarray(update, dtype=float).tobytes()))


def show(message, key):
    return np.frombuffer(bytes(each ^ key[n % 8] for n, each in enumerate(message)))


# %% Exercise 3: wrong
def hide(update, key):
    return bytes(a ^ b for a, b in zip(np.asarray(update, dtype=float).tobytes(), key, strict=True))


def show(message, key):  # forgets the key
    return np.frombuffer(message)


# %% Exercise 3: wrong
def order_by(key, places):
    return np.random.default_rng([*key]).permutation(places)


def hide(update, key):  # the bytes in another order
    return np.frombuffer(np.asarray(update, dtype=float).tobytes(), np.uint8)[order_by(key, 112)].tobytes()


def show(message, key):
    return np.frombuffer(np.frombuffer(message, np.uint8)[np.argsort(order_by(key, 112))].tobytes())


# %% Exercise 3: wrong
def masks(key):
    return np.random.default_rng([*key]).normal(0, 10, 14)


def hide(update, key):  # a small random number is added to each
    return (np.asarray(update, dtype=float) + masks(key)).tobytes()


def show(message, key):
    return np.frombuffer(message) - masks(key)


# %% Exercise 3: wrong
def factors(key):
    return np.random.default_rng([*key]).normal(size=14)


def hide(update, key):  # each is multiplied by a random number
    return (np.asarray(update, dtype=float) * factors(key)).tobytes()


def show(message, key):
    return np.frombuffer(message) / factors(key)
