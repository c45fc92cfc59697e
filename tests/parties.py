"""Hospitals of a study whose letters the test carries, and what those know who work together against one."""

import hashlib
import hmac

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedkit import encryption
from fedkit.encryption import Member, digest
from fedkit.encryption.messages import PRIME, Letter, Share, Sum
from fedkit.encryption.quantization import Layout, exact_layer, packed_layer
from fedkit.encryption.ring import Ring, stream

SMALL = encryption.choose(4, numbers=14, bits=12)
WHOLE = SMALL._replace(sent_bits=28)  # which sends every bit
NAMES = ("Aarau", "Basel", "Chur", "Davos")


def secret(text):
    return hashlib.sha256(text.encode()).digest()


class Parties:
    """Hospitals with keys from their names, the same each time."""

    def __init__(self, names=NAMES, parameters=SMALL, study="study", group="group", members=None, stores=None, **how):
        exchange = {name: X25519PrivateKey.from_private_bytes(secret(f"{name} exchange")) for name in names}
        self.parameters = parameters
        self.members = {name: member(name, key) for name, key in exchange.items()} | (members or {})
        self.keys, how = {}, {"known": self.members} | how
        for name, key in exchange.items():
            arguments = (name, parameters, secret(study), self.members, key, secret(group))
            self.keys[name] = encryption.join(*arguments, **{"own": secret(f"{name} own")} | how)
            if stores is not None:
                self.keys[name].store = stores.setdefault(name, []).append

    def __getitem__(self, name):
        return self.keys[name]

    def send(self, vectors, purpose="update", weight=5, layout=None):
        """The first letters and their list; those without a vector begin the number all the same."""
        letters = {name: self[name].encrypt(purpose, own, weight, layout) for name, own in vectors.items()}
        any_ = self[min(letters)]
        coefficients = any_.coefficients(layout or any_.plain_layout(len(vectors[any_.name])))
        for name in self.keys.keys() - vectors.keys():
            self[name].begin(purpose, coefficients)
        return letters, {name: digest(letter) for name, letter in letters.items()}

    def add(self, letters, listed):
        """The second letters, and the sum."""
        letters = {name: letters[name] for name in listed}
        return encryption.add(self.parameters, letters, {name: self[name].share(listed) for name in listed})

    def play(self, vectors, **how):
        """All of one sum: it, its list, and the first letters."""
        letters, listed = self.send(vectors, **how)
        return self.add(letters, listed), listed, letters


def member(name, exchange):
    return Member(secret(f"{name} identity"), exchange.public_key().public_bytes_raw())


def packed(size=2000, bound=1000.0, parameters=SMALL):
    """A layout that fills more than one polynomial; to the nearest, so that a test knows the integers."""
    return Layout((packed_layer(size, bound, parameters, 0),))


def encoded(vector, layout, parameters=SMALL, weight=5, name=""):
    """The integers that a letter hides."""
    whole = Layout((exact_layer(1, parameters, 1.0, 64), *layout.layers))
    return whole.encode(np.concatenate([[weight], vector * weight]), name)


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


def ordered(one, listed):
    return sorted(listed, key=lambda name: one.members[name].identity)


def label(one, about, listed):
    parts = ((name.encode(), *one.members[name], listed[name]) for name in ordered(one, listed))
    return hashed(about, "list", *(part for each in parts for part in each))


def masks(secret, label, size=1024):
    """What a secret adds to a share: to its coefficients, and to its tag."""
    raw = stream(hashed(secret, "share", label))(16 + 4 * size)
    return np.frombuffer(raw, "<u4", size, 16), int.from_bytes(raw[:16], "little") % PRIME


def tag(group, label, values, size):
    """The check of a sum, in Python's integers."""
    size = min(size, len(values))
    count = -(-len(values) // size)
    drawn = np.frombuffer(stream(hashed(group, "check", label))(8 * (size + count)), "<u8").astype(object) % 2**61
    each = np.outer(drawn[size:], drawn[:size]).ravel()[: len(values)]
    return int((each * values).sum()) % PRIME


def folded(key, bits):
    """A sum of keys, or a share of one, as signed numbers."""
    key = key.astype(np.int64) & ((1 << bits) - 1)
    return key - (key >> bits - 1 << bits)


def kept(one):
    """What a hospital holds for the present number."""
    return one._state["now"]


def again(one, stored):
    """A hospital that was started again, or a thief with its disk."""
    return encryption.restore(one.name, one.parameters, one.members, stored[one.name][-1])


def group_mask(one, listed):
    """What hospitals know, and the server does not: the mask of a list's sum, and of its tag."""
    return masks(kept(one)["group"], label(one, one.about, listed), one.parameters.ring_dimension)


def unmasked(one, share, listed, secrets, mask):
    """Take known masks off a share: what is left is the key, if they were all."""
    bits, name = one.parameters.share_bits(len(listed)), label(one, one.about, listed)
    key, order = Share.from_bytes(share, one.parameters, len(listed)).key, ordered(one, listed)
    for other, pair in secrets.items():
        words = masks(pair, name)[0]
        key = key - words if order.index(one.name) < order.index(other) else key + words
    return folded(key - (mask if order[0] == one.name else 0), bits)


def forged(one, listed, key, values):
    """The sum that these keys and numbers would give: made by somebody who is a hospital and the server."""
    parameters, here = one.parameters, Ring(one.parameters)
    bits, name = parameters.share_bits(len(listed)), label(one, one.about, listed)
    words, number = masks(kept(one)["group"], name, here.size)
    product = here.times(key)(public(parameters, one.about, -(-len(values) // here.size))).ravel()[: len(values)]
    hidden = (values.astype(object) * here.delta - product) % here.modulus
    shared = (key.astype(np.uint32) + words) & np.uint32((1 << bits) - 1)
    check = (tag(kept(one)["group"], name, values, here.size) + number) % PRIME
    return Sum(name, len(listed), hidden.astype(np.uint64), shared, check).to_bytes(parameters)
