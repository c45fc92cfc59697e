"""Keys, and three functions on bytes: encrypt and decrypt at a hospital, add at the server.

    keys = generate_keys("bfv", hospitals=4)       # at one hospital, shared with the others
    message = keys.encrypt(update, patients)       # at each hospital
    total = Server(keys.public).add(messages)      # at the server, which holds no key
    mean, patients = keys.decrypt(total)           # at each hospital

A message holds the number of patients and patients x update, both encrypted: the
server adds what it cannot read, and the division happens after decryption. The
hospitals share one secret key and encrypt with it, so there is no public key at all:
fresh noise is smaller, and the server can do nothing but add. To read on: `schemes` (which
parameters, and why), `rings` (how TenSEAL is used), `quantization` (numbers as integers).

What this does not protect: all hospitals hold the same key, so one that shows it to
the server opens every update; a decrypted CKKS sum must never go back to the server
(Li & Micciancio 2021); and the mean itself may tell something about patients. Bytes
are checked for form and key here, and for their origin in `envelopes`.
"""

from fedkit.encryption.hospital import HospitalKeys, generate_keys
from fedkit.encryption.server import Server, Sum

__all__ = ["HospitalKeys", "Server", "Sum", "generate_keys"]
