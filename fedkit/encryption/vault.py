"""Secrets at rest: one file each, sealed with a passphrase, that its owner alone can read.

A file is a head in the clear (mark with version, cost, salt, nonce) and the sealed secret. The key comes from the
passphrase by Scrypt (RFC 7914), with a salt of the file's own; AES-256-GCM (NIST SP 800-38D) seals the secret and
vouches for the head. Nothing is pickled.
"""

import os
import struct
import unicodedata

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

_HEAD = struct.Struct("<24sB16s12s")  # mark and version, log2 of Scrypt's n, salt, nonce
_MARK = b"fedkitV1identity".ljust(24, b"\0")
# Scrypt with n = 2^17, r = 8, p = 1 is the first that OWASP's Password Storage Cheat
# Sheet names. A guess costs 128 MiB and a third of a second, here and for a thief.
_COST = 17
# What a file may ask for: 2^20 is 1 GiB and seconds, and 2^63 would be an attack.
_COSTS = range(14, 21)
_LEAST = 12  # characters of a passphrase


def save(path: str | os.PathLike, secret: bytes, passphrase: str) -> None:
    """Seal a secret in a new file of mode 0600.

    path : FileExistsError if something is there: a secret is never overwritten
    passphrase : at least 12 characters or ValueError, however a keyboard composes them (NFKC)
    """
    if len(passphrase.strip()) < _LEAST:
        raise ValueError(f"A passphrase has at least {_LEAST} characters: take four words picked at random.")
    salt, nonce = os.urandom(16), os.urandom(12)
    head = _HEAD.pack(_MARK, _COST, salt, nonce)
    sealed = _cipher(passphrase, _COST, salt).encrypt(nonce, secret, head)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise FileExistsError(f"{path} exists, and a secret is never overwritten: choose another name.") from None
    try:
        with open(descriptor, "wb") as file:
            file.write(head + sealed)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        os.unlink(path)  # half a secret is of no use, and would be in the way
        raise


def load(path: str | os.PathLike, passphrase: str) -> bytes:
    """Return the secret that `save` sealed.

    ValueError if others may read or write the file, it is no such file, asks for an absurd cost, or does not open:
    wrong passphrase, or damaged.
    """
    with open(path, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        data = file.read()
    if mode & 0o077:
        raise ValueError(
            f"{path} is open to others on this machine (mode {mode & 0o777:03o}): have it on a disk of your own, "
            f"and say `chmod 600 {path}`."
        )
    if len(data) < _HEAD.size or not data.startswith(_MARK):
        raise ValueError(f"{path} is damaged, or was not saved by this version of the kit: take your copy of it.")
    _, cost, salt, nonce = _HEAD.unpack_from(data)
    if cost not in _COSTS:
        raise ValueError(f"{path} asks for Scrypt at 2^{cost}, which this kit does not write: it is not to be trusted.")
    try:
        return _cipher(passphrase, cost, salt).decrypt(nonce, data[_HEAD.size :], data[: _HEAD.size])
    except InvalidTag:
        raise ValueError(f"{path} does not open: the passphrase is wrong, or the file was changed.") from None


def _cipher(passphrase: str, cost: int, salt: bytes) -> AESGCM:
    text = unicodedata.normalize("NFKC", passphrase).encode("utf-8", "surrogatepass")
    return AESGCM(Scrypt(salt=salt, length=32, n=2**cost, r=8, p=1).derive(text))
