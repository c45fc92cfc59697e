"""Hospitals of a study whose letters the test carries, and what those know who work together against one."""

import hashlib
import hmac

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedkit import encryption
from fedkit.encryption import Member, digest
from fedkit.encryption.messages import PRIME, Letter, Sum
from fedkit.encryption.quantization import Layout, packed_layer
from fedkit.encryption.ring import Ring, stretch

SMALL = encryption.choose(4, numbers=14, bits=12)
WHOLE = SMALL._replace(sent_bits=28)  # which sends every bit
NAMES = ("Aarau", "Basel", "Chur", "Davos")


def secret(text):
    return hashlib.sha256(text.encode()).digest()


class Parties:
    """Hospitals with keys from their names, the same each time."""

    def __init__(self, names=NAMES, parameters=SMALL, study="study", members=None, stores=None, **how):
        self.parameters, self.group = parameters, secret("group")
        self.exchange = {name: X25519PrivateKey.from_private_bytes(secret(f"{name} exchange")) for name in names}
        self.members = {name: member(name, key) for name, key in self.exchange.items()} | (members or {})
        self.keys = {}
        for name, key in self.exchange.items():
            own, known = secret(f"{name} own"), how.get("known", self.members)
            arguments = (name, parameters, secret(study), self.members, key, self.group)
            self.keys[name] = encryption.join(*arguments, **{"own": own, "known": known} | how)
            if stores is not None:
                self.keys[name].store = stores.setdefault(name, []).append

    def __getitem__(self, name):
        return self.keys[name]

    def encrypt(self, vectors, purpose="update", weight=5, layout=None):
        """The first letters, and for those without a vector nothing but the next number."""
        found = {name: self[name].encrypt(purpose, own, weight, layout) for name, own in vectors.items()}
        coefficients = self[min(found)].coefficients(
            layout or self[min(found)].plain_layout(len(min(vectors.items())[1]))
        )
        for name in self.keys.keys() - vectors.keys():
            self[name].begin(purpose, coefficients)
        return found

    def share(self, listed):
        return {name: self[name].share(listed) for name in listed}

    def play(self, vectors, **how):
        """All of one sum: it, the list, the first letters, and the second ones."""
        letters = self.encrypt(vectors, **how)
        listed = {name: digest(letter) for name, letter in letters.items()}
        shares = self.share(listed)
        return encryption.add(self.parameters, letters, shares), listed, letters, shares


def member(name, exchange):
    return Member(secret(f"{name} identity"), exchange.public_key().public_bytes_raw())


def vectors(names=NAMES, size=3, seed=0):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=size) for name in names}


def packed(size=2000, bound=1000.0, parameters=SMALL):
    """A layout that fills more than one polynomial."""
    return Layout((packed_layer(size, bound, parameters),))


# What is written down a second time, as an attacker would


def hashed(key, what, *parts):
    text = b"".join(len(part).to_bytes(4, "big") + part for part in (what.encode(), *parts))
    return hmac.digest(key, text, "sha256")


def public(parameters, about, count):
    """The polynomials that everybody knows."""
    return Ring(parameters).public(hashed(about, "public"), count)


def opens(parameters, letter, key):
    """What a letter holds, if this is its key."""
    found = Letter.from_bytes(letter, parameters)
    return Ring(parameters).show(found.hidden, hashed(found.about, "public"), key)


def label(one, about, listed):
    order = sorted(listed, key=lambda name: one.members[name].identity)
    return hashed(about, "list", *(part for n in order for part in (n.encode(), *one.members[n], listed[n])))


def masks(secret, label, size=1024):
    """What a secret adds to a share: to its coefficients, and to its tag."""
    raw = stretch(hashed(secret, "share", label), 16 + 4 * size)
    return np.frombuffer(raw, "<u4", size, 16), int.from_bytes(raw[:16], "little") % PRIME


def tag(group, label, values, size):
    """The check of a sum, in Python's integers."""
    size = min(size, len(values))
    count = -(-len(values) // size)
    drawn = np.frombuffer(stretch(hashed(group, "check", label), 8 * (size + count)), "<u8").astype(object) % 2**61
    each = np.outer(drawn[size:], drawn[:size]).ravel()[: len(values)]
    return int((each * values).sum()) % PRIME


def folded(key, bits):
    """A sum of keys, or a share of one, as signed numbers."""
    key = key.astype(np.int64) & ((1 << bits) - 1)
    return key - (key >> bits - 1 << bits)


def kept(one):
    """What a hospital holds for the present number."""
    return one._state["now"]


def stolen(stores, name, here):
    """What a thief finds on the disk of a hospital."""
    return encryption.restore(name, here.parameters, here.members, stores[name][-1])._state


def group_mask(one, listed):
    """What hospitals know, and the server does not: the mask of a list's sum, and of its tag."""
    return masks(kept(one)["group"], label(one, one.about, listed), one.parameters.ring_dimension)


def sum_of_keys(one, total, listed):
    """What each hospital of a list knows once it opened: the sum of the keys."""
    bits = one.parameters.share_bits(len(listed))
    return folded(Sum.from_bytes(total, one.parameters).key - group_mask(one, listed)[0], bits)


def forged(one, listed, key, values):
    """The sum that these keys and numbers would give: made by somebody who is a hospital and the server."""
    parameters, here = one.parameters, Ring(one.parameters)
    words, number = group_mask(one, listed)
    product = here.times(public(parameters, one.about, -(-len(values) // here.size)), key).ravel()[: len(values)]
    hidden = (values.astype(object) * here.delta - product) % here.modulus
    bits, name = parameters.share_bits(len(listed)), label(one, one.about, listed)
    shared = (key.astype(np.uint32) + words) & np.uint32((1 << bits) - 1)
    check = (tag(kept(one)["group"], name, values, here.size) + number) % PRIME
    return Sum(name, len(listed), hidden.astype(np.uint64), shared, check).to_bytes(parameters)
