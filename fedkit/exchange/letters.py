"""Letters: the sender's public key, and a signed envelope, in a file.

The key in front makes a letter complete in itself: whether it is the key that was read
aloud, or stands on the roster, is compared by whoever takes the letter.
"""

import base64
import hashlib
import json
from typing import NamedTuple

from fedkit.encryption import envelopes
from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.encryption.messages import MessageError
from fedkit.exchange.folder import Folder, Found

KEY = 32  # bytes of a public key
OVERHEAD = 2048  # most bytes of a letter that are not content


class Signed(NamedTuple):
    """A letter whose signature was checked."""

    digest: str  # of the file
    sender: str  # who signed
    public: bytes  # the key that it is signed with
    study: str  # and where it stands, as `envelopes.About` says
    purpose: str  # what it is
    content: bytes  # what it says
    whole: bytes  # SHA-256 of the file

    @property
    def by(self) -> tuple[str, bytes]:
        """Who signed, and with which key."""
        return self.sender, self.public

    def json(self, **kinds: type) -> dict:
        """Return the content, a JSON object whose fields named here are of these kinds; MessageError if it is none."""
        try:
            value = json.loads(self.content)
            if isinstance(value, dict) and all(type(value.get(field)) is kind for field, kind in kinds.items()):
                return value
        except (RecursionError, ValueError):
            pass
        raise MessageError(f"A letter signed by {self.sender} is malformed: their software is another, or hostile.")


def signed(content: bytes | dict, about: About, identity: Identity) -> bytes:
    """Return a letter as it travels: the sender's key, and the envelope. A dict is written as JSON."""
    content = json.dumps(content, ensure_ascii=False).encode() if isinstance(content, dict) else content
    return identity.public + envelopes.sign(content, about, identity)


def post(folder: Folder, place: str, content: bytes | dict, about: About, identity: Identity) -> Found:
    """Sign a content, and put it in the folder."""
    return folder.post(place, identity.name, signed(content, about, identity))


def read(found: Found, study: str | None, purpose: str | None, number: int) -> Signed:
    """Check the signature of a letter, with the key in it, and all that `envelopes.read` does; MessageError if not."""
    expected = {"study": study, "purpose": purpose, "round": number, "sender": found.sender}
    most = len(found.data)  # `Folder.new` reads no file that is too long
    about, content = envelopes.read(found.data[KEY:], found.data[:KEY], **expected, size=None, most=most)
    if about.hospitals != (about.sender,):
        raise MessageError(f"{about.sender} sent what is {', '.join(about.hospitals):.200}'s: each sends its own.")
    whole = hashlib.sha256(found.data).digest()
    return Signed(found.digest, about.sender, found.data[:KEY], about.study, about.purpose, content, whole)


def packed(data: bytes) -> str:
    """Write bytes as text, for JSON."""
    return base64.b64encode(data).decode()


def unpacked(said: dict, field: str) -> bytes:
    """Read bytes that `packed` wrote into a field; MessageError if there are none."""
    try:
        return base64.b64decode(said[field], validate=True)
    except (KeyError, TypeError, ValueError):
        raise MessageError(f"A letter has no bytes in its field {field!r:.100}: it is malformed.") from None
