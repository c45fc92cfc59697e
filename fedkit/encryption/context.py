"""The context of a sum, which hospitals and server have in common."""

import json

from fedkit.encryption import identities, messages, schemes
from fedkit.encryption.messages import Message
from fedkit.encryption.rings import Ring

PUBLIC, SECRET = b"FKP2", b"FKS2"  # what the bytes of a server and of a hospital begin with


class Context:
    """Parameters, the name of the key, and at a hospital the key itself: what TenSEAL calls a context."""

    def __init__(self, public: bytes, secret: bytes | None = None) -> None:
        try:
            about = json.loads(public.removeprefix(PUBLIC))
            self.key_id = bytes.fromhex(about.pop("key"))
            whole = all(type(value) in (str, int) for value in about.values())
            if not whole or not public.startswith(PUBLIC) or len(self.key_id) != messages.KEY_ID_BYTES:
                raise ValueError
            self.parameters = schemes.choose(**about)
            self.ring = Ring(self.parameters, secret)
        except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
            raise ValueError("These bytes are no keys: hospitals need `keys.secret`, servers `keys.public`.") from None
        self.public = bytes(public)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.scheme}, {self.parameters.hospitals} hospitals, key {self.fingerprint})"

    @property
    def scheme(self) -> str:
        """The scheme: "bfv" or "ckks"."""
        return self.parameters.scheme

    @property
    def is_private(self) -> bool:
        """Whether there is a secret key inside."""
        return self.ring.is_private

    @property
    def fingerprint(self) -> str:
        """`key_id` as two people read it to each other over the phone: equal, if they hold the same key."""
        return identities.fingerprint(self.key_id)

    def read(self, message: bytes) -> Message:
        """Take a message apart; a `MessageError` says what is wrong with it."""
        return Message.from_bytes(message, self.parameters, self.ring.modulus, self.key_id)


def each_seed(seeds: bytes) -> list[bytes]:
    """Take apart the seeds of one hospital's message: one a ciphertext."""
    return [seeds[at : at + schemes.SEED_BYTES] for at in range(0, len(seeds), schemes.SEED_BYTES)]
