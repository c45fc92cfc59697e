"""Keys that are used once, and four functions on bytes: encrypt, share and decrypt at a hospital, add at the server.

    letter = keys.encrypt("update", update, patients)   # letter one: needs no list, and is made before there is one
    share = keys.share(listed)                          # letter two: the key, masked, for exactly this list, once
    total = add(parameters, letters, shares)            # at the server, which holds no key
    mean, patients = keys.decrypt(total, listed)        # at each hospital

A letter holds the number of patients and patients x update, both hidden: the server adds what it cannot read, and the
division happens after decryption. Each hospital has a key of its own for each sum, and only the sum of all keys of a
list can be known, by the hospitals. Who works with the server, and is not all hospitals of a list but one, reads the
sum and no letter. To read on: `keyring` (the two letters), `ring` (the arithmetic), `schemes` (which parameters, and
why), `quantization` (numbers as integers). `shared` is CKKS with one key for all, as notebook 03 takes it apart.

What this does not protect stands in SECURITY.md: hospitals that lie, what the sum itself tells, an attacker with a
quantum computer and the archive.
"""

from fedkit.encryption.keyring import Keyring, Member, join, restore
from fedkit.encryption.messages import MessageError, digest
from fedkit.encryption.schemes import Parameters, choose
from fedkit.encryption.server import Server, add
from fedkit.encryption.shared import SharedKeys
