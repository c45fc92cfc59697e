"""What may become of a signed message on its way: a table that every door is shown, and what adds chance to it.

The format of an envelope is written down here a second time, so that whoever tampers can sign what they like.
"""

import hashlib
import json
import struct
from dataclasses import dataclass

from hypothesis import strategies as st

from fedkit.encryption.identities import Identity

STRANGER = Identity("Intruder", b"I" * 32)
ANYTHING = st.recursive(  # that JSON can say
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text(), of, max_size=3),
    max_leaves=5,
)


@st.composite
def nearly(draw, *messages: bytes) -> bytes:
    """Parts of messages, and anything between: half of the cuts are near the start, where lengths and names are."""
    data = draw(st.sampled_from(messages))
    for _ in range(draw(st.integers(0, 3))):
        other, end = draw(st.sampled_from(messages)), draw(st.sampled_from([min(len(data), 200), len(data)]))
        first, last = sorted(draw(st.tuples(st.integers(0, end), st.integers(0, end))))
        some = draw(st.sampled_from([b"", other[first:last], other[first:]]) | st.binary(max_size=80))
        data = data[:first] + some + data[last:]
    return data


def written(fields: dict) -> bytes:
    text = json.dumps(fields, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def enveloped(head: bytes, content: bytes, identity: Identity, domain: bytes = b"fedkit envelope 1\0") -> bytes:
    """Sign any head and any content."""
    length = struct.pack("<H", len(head))
    signed = domain + length + head + hashlib.sha256(content).digest()
    return b"FKE1" + identity.sign(signed) + length + head + content


def inside(data: bytes) -> tuple[bytes, bytes]:
    """Head and content of an envelope."""
    start = 70 + int.from_bytes(data[68:70], "little")
    return data[70:start], data[start:]


def flipped(data: bytes, at: int = -1) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 1
    return bytes(changed)


@dataclass(frozen=True)
class Sent:
    """An honest message, and what its sender could have signed instead."""

    data: bytes
    identity: Identity

    def again(self, content: bytes | None = None, identity: Identity | None = None, **changes: object) -> bytes:
        head, honest = inside(self.data)
        fields = json.loads(head) | changes
        return enveloped(written(fields), honest if content is None else content, identity or self.identity)

    def otherwise(self) -> bytes:
        head, content = inside(self.data)
        return enveloped(head.replace(b":", b": ", 1), content, self.identity)

    def earlier(self) -> bytes:
        return self.again(round=json.loads(inside(self.data)[0])["round"] - 1)


# What arrives in place of a message, and a part of the sentence that refuses it.
TAMPERINGS = {
    "nothing": (lambda sent: b"", "no message of this version"),
    "another version": (lambda sent: b"FKE0" + sent.data[4:], "no message of this version"),
    "no content": (lambda sent: sent.data[: -len(inside(sent.data)[1])], "bytes"),
    "cut": (lambda sent: sent.data[:-1], "bytes"),
    "longer": (lambda sent: sent.data + b"x", "bytes"),
    "a giant": (lambda sent: sent.data + bytes(1 << 20), "bytes"),
    "a bit of the signature": (lambda sent: flipped(sent.data, 40), "is not signed with"),
    "a bit of the head": (lambda sent: flipped(sent.data, 90), "is not signed with"),
    "a bit of the content": (lambda sent: flipped(sent.data), "is not signed with"),
    "signed by a stranger": (lambda sent: sent.again(identity=STRANGER), "is not signed with"),
    "signed elsewhere": (lambda sent: enveloped(*inside(sent.data), sent.identity, b"other\0"), "is not signed with"),
    "an earlier round": (lambda sent: sent.earlier(), "it is an old one sent again"),
    "another study": (lambda sent: sent.again(study="f" * 16), "it belongs to another training"),
    "another purpose": (lambda sent: sent.again(purpose="patients"), "it was sent for something else"),
    "another name": (lambda sent: sent.again(sender="Bern"), "it was signed under another name"),
    "a head that is written otherwise": (lambda sent: sent.otherwise(), "malformed head"),
    "a head with more in it": (lambda sent: sent.again(more=1), "malformed head"),
    "a head that names nobody": (lambda sent: sent.again(hospitals=[]), "malformed head"),
    "a head that names one twice": (lambda sent: sent.again(hospitals=["Bern", "Bern"]), "malformed head"),
}
# Well signed, and of the right length: an envelope cannot tell, and what reads its content must.
HOSTILE = {
    "the numbers of others": lambda sent: sent.again(hospitals=["Bern", "Basel"]),
    "nonsense": lambda sent: sent.again(content=bytes(len(inside(sent.data)[1]))),
}
