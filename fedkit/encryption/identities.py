"""Who somebody is: a name, a secret to sign with, and a public key to check it by.

Each hospital makes its own identity, keeps the secret in a file with a passphrase, and hands out the 32 public bytes.
So that nobody slips in a key of their own, two people read its fingerprint to each other, over the phone.
"""

import base64
import functools
import hashlib
import os
import secrets
from typing import NoReturn

from nacl.exceptions import CryptoError
from nacl.public import SealedBox
from nacl.signing import SigningKey, VerifyKey

from fedkit.encryption import vault

_KIND = "identity"
# Crockford's digits have no I, L, O or U: nothing to mistake on the phone.
_CROCKFORD = bytes.maketrans(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", b"0123456789ABCDEFGHJKMNPQRSTVWXYZ")


class Identity:
    """A name and the key pair that signs for it (Ed25519: Josefsson and Liusvaara, RFC 8032, 2017).

    name : see `check_name`
    secret : 32 bytes, random and never used elsewhere: `Identity.new` makes them
    public : attribute, 32 bytes, for everybody
    """

    def __init__(self, name: str, secret: bytes) -> None:
        self.name, self._key = check_name(name), SigningKey(secret)
        self.public = bytes(self._key.verify_key)

    @classmethod
    def new(cls, name: str) -> "Identity":
        """Make an identity with a key that nobody has had before."""
        return cls(name, secrets.token_bytes(32))

    def sign(self, data: bytes) -> bytes:
        """Return the signature of some bytes: 64 bytes, the same each time."""
        return self._key.sign(data).signature

    def unseal(self, data: bytes) -> bytes:
        """Return what somebody sealed with `seal_to`; ValueError if it was for somebody else, or was changed."""
        try:
            return SealedBox(self._key.to_curve25519_private_key()).decrypt(data)
        except (CryptoError, TypeError, ValueError):
            raise ValueError(f"This was not sealed for {self.name} ({fingerprint(self.public)}), or changed.") from None

    def save(self, path: str | os.PathLike, passphrase: str) -> None:
        """Keep it in a new file, sealed with the passphrase; raises what `vault.save` does."""
        vault.save(path, _KIND, bytes(self._key) + self.name.encode(), passphrase)

    @classmethod
    def load(cls, path: str | os.PathLike, passphrase: str) -> "Identity":
        """Return the identity that was saved; raises what `vault.load` does."""
        secret = vault.load(path, _KIND, passphrase)
        return cls(secret[32:].decode(), secret[:32])

    def __repr__(self) -> str:
        return f"Identity({self.name}, {fingerprint(self.public)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("An identity is not pickled or copied: save it with a passphrase, or sign where it is.")


@functools.lru_cache(maxsize=4096)
def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the owner of a public key (32 bytes) signed the data; False for bytes of a wrong length, too."""
    try:
        VerifyKey(public).verify(data, signature)
    except (CryptoError, ValueError):
        return False
    return True


def seal_to(public: bytes, data: bytes) -> bytes:
    """Encrypt for the owner of a public key (32 bytes) alone: 48 bytes longer, and different each time.

    It says nothing about who sealed it: sign it as well. ValueError if the bytes are nobody's public key. They are
    libsodium's sealed boxes (X25519, XSalsa20-Poly1305) and conversion of Ed25519 keys, sound beside signatures:
    Thormarker, "On using the same key pair for Ed25519 and an X25519 based KEM", IACR ePrint 2021/509.
    """
    try:
        return SealedBox(VerifyKey(public).to_curve25519_public_key()).encrypt(data)
    except (CryptoError, TypeError, ValueError):
        raise ValueError("These bytes are no public key to seal something to: ask for `identity.public`.") from None


def fingerprint(public: bytes) -> str:
    """Return what two people compare over the phone, like "K7QM-2XHD-9P1A-4T6R".

    The first 80 bits of the SHA-256: to find a second key with the same takes 2^80 tries.
    """
    text = base64.b32encode(hashlib.sha256(public).digest()[:10]).translate(_CROCKFORD).decode()
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def check_name(name: str) -> str:
    """Return a name as it is, if it can be read aloud, sent and printed; ValueError if not."""
    if not isinstance(name, str) or not (1 <= len(name) <= 100 and name == name.strip() and name.isprintable()):
        raise ValueError(
            f"A name has 1 to 100 printable characters, with no space before or after, and this is {name!r:.120}."
        )
    return name
