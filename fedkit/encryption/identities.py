"""Who somebody is: a name, a secret to sign with, and a public key to check it by.

Each hospital makes its own identity, keeps the secret in a file with a passphrase, and hands out the 32 public bytes.
So that nobody slips in a key of their own, two people read its fingerprint to each other, over the phone.
"""

import base64
import functools
import hashlib
import hmac
import os
import secrets
import unicodedata
from typing import NoReturn

from confusable_homoglyphs import confusables
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.secret import SecretBox
from nacl.signing import SigningKey, VerifyKey

from fedkit.encryption import vault

_BLANK = "\u115f\u1160\u2800"  # letters and signs that show as nothing
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

    def locked(self, data: bytes, about: str) -> bytes:
        """Seal data for oneself, to be kept on a disk; only as `about`, which says what it is, does it open."""
        return self._box(about).encrypt(data)

    def unlocked(self, data: bytes, about: str) -> bytes:
        """Return what `locked` sealed; ValueError if it is damaged, or another's."""
        try:
            return self._box(about).decrypt(data)
        except (CryptoError, ValueError):
            said = f"This is not what {self.name} sealed as {about!r}"
            raise ValueError(f"{said}: it is damaged, or another's.") from None

    def _box(self, about: str) -> SecretBox:
        return SecretBox(hmac.digest(bytes(self._key), f"fedkit locked {about}".encode(), "sha256"))

    def save(self, path: str | os.PathLike, passphrase: str) -> None:
        """Keep it in a new file, sealed with the passphrase; raises what `vault.save` does."""
        vault.save(os.path.expanduser(path), bytes(self._key) + self.name.encode(), passphrase)

    @classmethod
    def load(cls, path: str | os.PathLike, passphrase: str) -> "Identity":
        """Return the identity that was saved; raises what `vault.load` does."""
        secret = vault.load(os.path.expanduser(path), passphrase)
        return cls(secret[32:].decode(), secret[:32])

    def __repr__(self) -> str:
        return f"Identity({self.name}, {fingerprint(self.public)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("An identity is not pickled or copied: save it with a passphrase, or sign where it is.")


@functools.lru_cache(maxsize=512)
def verify(public: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the owner of a public key (32 bytes) signed the data; False for bytes of a wrong length, too."""
    try:
        VerifyKey(public).verify(data, signature)
    except (CryptoError, ValueError):
        return False
    return True


def exchange_key(private: bytes | None = None) -> X25519PrivateKey:
    """Return a new key for the exchanges of one study, or the one with these private bytes."""
    return X25519PrivateKey.generate() if private is None else X25519PrivateKey.from_private_bytes(private)


def seal_for(exchange: bytes, data: bytes) -> bytes:
    """Encrypt for the owner of an exchange key (its public half, 32 bytes) alone: libsodium's sealed boxes."""
    return SealedBox(PublicKey(exchange)).encrypt(data)


def unseal_by(exchange: X25519PrivateKey, data: bytes) -> bytes:
    """Return what `seal_for` sealed; ValueError if it was for another key, or was changed."""
    try:
        return SealedBox(PrivateKey(exchange.private_bytes_raw())).decrypt(data)
    except (CryptoError, TypeError, ValueError):
        raise ValueError("This was not sealed for this exchange key, or was changed.") from None


def fingerprint(public: bytes) -> str:
    """Return what two people compare over the phone, like "K7QM-2XHD-9P1A-4T6R".

    The first 80 bits of the SHA-256: to find a key with the fingerprint of somebody else takes 2^80 tries. (Two of
    one's own that agree take 2^40; a roster with such is refused.)
    """
    text = base64.b32encode(hashlib.sha256(public).digest()[:10]).translate(_CROCKFORD).decode()
    return "-".join(text[at : at + 4] for at in range(0, 16, 4))


def is_exchange_key(public: bytes) -> bool:
    """Whether a secret can be made with a public exchange key: not with one of another length, or of low order."""
    try:
        X25519PrivateKey.generate().exchange(X25519PublicKey.from_public_bytes(public))
    except (TypeError, ValueError):
        return False
    return public[-1] < 128  # the highest bit is not looked at: two would be one key


@functools.lru_cache(maxsize=512)  # every letter names its hospitals
def skeleton(name: str) -> str:
    """Return what a name looks like, the same for two that people would take for each other (Unicode TR 39)."""
    seen = "".join(
        char
        for char in unicodedata.normalize("NFKD", name)
        if unicodedata.category(char)[0] in "LNPS" and char not in _BLANK
    )
    alike = "".join(map(_prototype, "".join(map(_prototype, seen)).casefold()))
    return alike.translate(str.maketrans("l1|", "iii"))  # a large i is a small l, and a small i in another case


def _prototype(char: str) -> str:
    """Return the character, or the characters, that all who look like this one are taken for."""
    alike = confusables.confusables_data.get(char, [])
    if len(alike) != 1:  # nobody's look-alike, or the one that many look like
        return char
    other = alike[0]["c"]
    back = confusables.confusables_data.get(other, [])
    return min(char, other) if len(back) == 1 and back[0]["c"] == char else other


def check_name(name: str) -> str:
    """Return a name as it is, if it can be read aloud, sent and printed; ValueError if not."""
    right = isinstance(name, str) and len(name) <= 100 and name == name.strip() and name.isprintable()
    if not right or not skeleton(name):
        raise ValueError(f"A name has 1 to 100 characters that show, no space at an end, and this is {name!r:.120}.")
    return name
