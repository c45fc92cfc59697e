"""What travels, in an envelope that says what it is and whose, and is signed.

An envelope is a frame (mark with version, signature, length of the head), the head (`About`, as JSON) and the content.
It is opened in an order that gives a forger nothing to work on: type and length, then the signature, with the key of
the hospital it is *expected from*, and only then the head. What the content is worth is for the reader of the content
to find out: a signature says who sent it, not that it is honest.
"""

import functools
import hashlib
import json
import struct
from collections.abc import Mapping
from typing import NamedTuple

from fedkit.encryption import identities
from fedkit.encryption.identities import Identity
from fedkit.encryption.messages import MessageError

_FRAME = struct.Struct("<4s64sH")  # mark and version, signature, bytes of the head
_MARK = b"FKE1"
_DOMAIN = b"fedkit envelope 1\0"  # so that what is signed here means nothing anywhere else
_HINTS = {
    "study": "it belongs to another training",
    "purpose": "it was sent for something else",
    "round": "it is an old one sent again, or one of the two is not in step",
    "sender": "it was signed under another name",
}


class About(NamedTuple):
    """What a message is."""

    study: str  # which training, and where it stands: hex digits
    purpose: str  # what is inside: "statistics", "patients", "update", "clear", "scores", "list", "share", "sum" ...
    round: int  # 0 before the first; or the number of the sum
    sender: str  # who signs
    hospitals: tuple[str, ...]  # whose numbers are inside: (sender,) for a hospital's own


def sign(content: bytes, about: About, identity: Identity) -> bytes:
    """Put a content in a signed envelope: 70 bytes and the head longer.

    ValueError if somebody else is said to be the sender, a hospital's name is none, or the head exceeds 64 KiB.
    """
    if about.sender != identity.name:
        raise ValueError(f"{identity.name} cannot sign for {about.sender}: each signs what is their own.")
    for name in about.hospitals:
        identities.check_name(name)
    head = _written(about)
    if len(head) > 0xFFFF:
        raise ValueError(f"The names of {len(about.hospitals)} hospitals take {len(head)} bytes, and 65535 fit.")
    return _FRAME.pack(_MARK, identity.sign(_signed(head, content)), len(head)) + head + content


def read(
    data: bytes,
    public: bytes,
    *,
    study: str | None,
    purpose: str | None,
    round: int,
    sender: str,
    size: int | None,
    most: int = 0,
) -> tuple[About, bytes]:
    """Open an envelope, if it is the one that is expected: what it is, and the content.

    A MessageError says what is otherwise; nothing else is ever raised, whatever the data.

    data : what arrived, whatever it is
    public : key of the sender that is expected, 32 bytes (`Roster`)
    study, purpose, round, sender : what `About` must say; its `hospitals` are for the caller to compare
    size, most : bytes of the content: exactly `size`, or if that is None, at most `most`
    """
    if not isinstance(data, bytes) or len(data) < _FRAME.size or not data.startswith(_MARK):
        raise MessageError(f"What came from {sender} is no message of this version of the kit: update both, ask again.")
    start = content_start(data)
    found = len(data) - start
    if found < 0 or (found > most if size is None else found != size):
        allowed = f"at most {most}" if size is None else f"{size}"
        raise MessageError(
            f"The message from {sender} has room for {max(found, 0)} bytes of content, and {allowed} were expected: "
            "it was cut or made longer, or was made with other settings."
        )
    head, content = data[_FRAME.size : start], data[start:]
    if not identities.verify(public, data[4:68], _signed(head, content)):
        raise MessageError(
            f"The message said to be from {sender} is not signed with {sender}'s key "
            f"({identities.fingerprint(public)}): it was changed on the way, or somebody else sent it."
        )
    about = _parsed(head, sender)
    expected = {"study": study, "purpose": purpose, "round": round, "sender": sender}
    for field, wanted in expected.items():
        said = getattr(about, field)
        if wanted is not None and said != wanted:
            raise MessageError(
                f"A message signed by {sender} has {field} {said!r:.80}, and {wanted!r:.80} is expected: "
                f"{_HINTS[field]}."
            )
    return about, content


def content_start(data: bytes) -> int:
    """Where the content of an envelope begins."""
    return _FRAME.size + _FRAME.unpack_from(data)[2]


class Roster(dict[str, bytes]):
    """Who takes part: names, and the public key that each signs with (32 bytes, compared over the phone).

    ValueError if a name is none (`identities.check_name`), a key is not 32 bytes, or two have the same key. For a name
    that is not on it, ``roster[name]`` raises a MessageError.
    """

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        super().__init__(keys)
        owners: dict[str, str] = {}
        for name, public in self.items():
            identities.check_name(name)
            if not isinstance(public, bytes) or len(public) != 32:
                raise ValueError(f"The public key of {name} must be 32 bytes: ask them for `identity.public`.")
            if (owner := owners.setdefault(identities.fingerprint(public), name)) != name:
                raise ValueError(f"{owner} and {name} have keys of one fingerprint: each hospital makes its own.")

    def __missing__(self, name: str) -> bytes:
        raise MessageError(f"{name!r:.120} is not on the roster: only {', '.join(self)} take part.")

    def fingerprints(self) -> dict[str, str]:
        """Name -> fingerprint, for people to compare."""
        return {name: identities.fingerprint(public) for name, public in self.items()}


def _signed(head: bytes, content: bytes) -> bytes:
    """Return what is signed: all of it, the content as its SHA-256."""
    return _DOMAIN + struct.pack("<H", len(head)) + head + hashlib.sha256(content).digest()


@functools.lru_cache(maxsize=256)  # who plays all parties reads what it has just written
def _written(about: About) -> bytes:
    return json.dumps(about._asdict(), sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


def _parsed(head: bytes, sender: str) -> About:
    """Read a head, which may be hostile though it is signed: there is one way to write it, and no other is read."""
    try:
        fields = json.loads(head)
        about = About(**fields | {"hospitals": tuple(map(identities.check_name, fields["hospitals"]))})
        typed = type(about.round) is int and all(isinstance(text, str) for text in (*about[:2], about.sender))
        if typed and 0 < len(set(about.hospitals)) == len(about.hospitals) and _written(about) == head:
            return about
    except (KeyError, RecursionError, TypeError, ValueError):
        pass
    raise MessageError(f"A message signed by {sender} has a malformed head: their software is another, or hostile.")
