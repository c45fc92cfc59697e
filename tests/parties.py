"""Hospitals of a study whose letters the test carries, and what those know who work together against one."""

import hashlib

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedkit import encryption
from fedkit.encryption import Member, digest, keyring
from fedkit.encryption.messages import PRIME, Letter, Sum
from fedkit.encryption.quantization import Layout, packed_layer
from fedkit.encryption.ring import Ring

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


def public(parameters, about, count):
    """The polynomials that everybody knows."""
    return Ring(parameters).public(keyring._public(about), count)


def folded(key, bits):
    """A sum of keys, or a share of one, as signed numbers."""
    key = key.astype(np.int64) & ((1 << bits) - 1)
    return key - (key >> bits - 1 << bits)


def group_mask(one, listed):
    """What hospitals know, and the server does not: the mask of a list's sum, and of its tag."""
    now = one._state["now"]
    return one._masks(keyring._hash(now["group"], "share", one._label(now["about"], listed)))


def sum_of_keys(one, total, listed):
    """What each hospital of a list knows once it opened: the sum of the keys."""
    bits = one.parameters.share_bits(len(listed))
    return folded(Sum.from_bytes(total, one.parameters).key - group_mask(one, listed)[0], bits)


def forged(one, listed, key, values, noise=0):
    """The sum that these keys and numbers would give: made by somebody who is a hospital and the server."""
    now, parameters = one._state["now"], one.parameters
    here, label, (words, number) = Ring(parameters), one._label(now["about"], listed), group_mask(one, listed)
    a = here.public(keyring._public(now["about"]), here.count(len(values)))
    hidden = values.astype(object) * here.delta + noise - here.times(a, key).ravel()[: len(values)]
    tag = keyring._checked(now["group"], label, values, here.size) + number
    bits = parameters.share_bits(len(listed))
    shared = (key.astype(np.uint32) + words) & np.uint32((1 << bits) - 1)
    parts = label, len(listed), (hidden % here.modulus).astype(np.uint64), shared, tag % PRIME
    return Sum(*parts).to_bytes(parameters)


def opens(parameters, letter, key):
    """What a letter holds, if this is its key."""
    found = Letter.from_bytes(letter, parameters)
    return Ring(parameters).show(found.hidden, keyring._public(found.about), key)


def stolen(stores, name, here):
    """What a thief finds on the disk of a hospital."""
    return encryption.restore(name, here.parameters, here.members, stores[name][-1])._state
