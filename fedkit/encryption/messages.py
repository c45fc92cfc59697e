"""The two letters of a hospital, and the sum of a list's, as bytes; who sent them stands in an envelope (`envelopes`).

    letter one      mark | about | coefficients | hidden integers, packed
    letter two      mark | label | share of the key, packed | tag
    sum             mark | label | coefficients | hospitals | sum of the integers | of the shares | of the tags

`about` names what a letter is for, `label` also the list that it is added up in (see `keyring`). How many bytes a
message has follows from its head, and any other length is refused. Nothing is pickled.
"""

import hashlib
import struct
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from fedkit.encryption import packing
from fedkit.encryption.schemes import Parameters

PRIME = 2**61 - 1  # tags are numbers below it
_NAMES = {b"FKL1": "letter", b"FKS1": "key share", b"FKT1": "sum"}
_LETTER, _SHARE, _SUM = _NAMES
_ONE, _TWO, _TOTAL = struct.Struct("<4s32sQ"), struct.Struct("<4s32s"), struct.Struct("<4s32sQI")
_TAG = struct.Struct("<Q")


class MessageError(ValueError):
    """Bytes that arrived and cannot be taken: the sentence says why, and what to do."""


class Letter(NamedTuple):
    """A first letter taken apart."""

    about: bytes
    hidden: np.ndarray  # uint64, shape [coefficients]

    def to_bytes(self, parameters: Parameters) -> bytes:
        """Put it together as it travels; lowest bits that are noise anyway stay behind."""
        return _ONE.pack(_LETTER, self.about, len(self.hidden)) + _packed(self.hidden, parameters)

    @classmethod
    def from_bytes(cls, data: bytes, parameters: Parameters) -> "Letter":
        """Take apart what arrived; MessageError if it is no letter."""
        _, about, size = _head(data, _ONE, _LETTER, lambda size: letter_bytes(parameters, size))
        return cls(about, _unpacked(memoryview(data)[_ONE.size :], parameters, size))


class Share(NamedTuple):
    """A second letter taken apart."""

    label: bytes
    key: np.ndarray  # int64 modulo 2^`share_bits`, shape [N]
    tag: int

    def to_bytes(self, parameters: Parameters, hospitals: int) -> bytes:
        """Put it together as it travels."""
        return _TWO.pack(_SHARE, self.label) + _bits(self.key, parameters.share_bits(hospitals)) + _TAG.pack(self.tag)

    @classmethod
    def from_bytes(cls, data: bytes, parameters: Parameters, hospitals: int) -> "Share":
        """Take apart what arrived; MessageError if it is no share in a sum of so many hospitals."""
        _, label = _head(data, _TWO, _SHARE, lambda: share_bytes(parameters, hospitals))
        return cls(label, *_key_and_tag(data, _TWO.size, parameters, hospitals))


class Sum(NamedTuple):
    """A sum taken apart."""

    label: bytes
    hospitals: int
    hidden: np.ndarray  # uint64, shape [coefficients]
    key: np.ndarray  # as in `Share`
    tag: int

    def to_bytes(self, parameters: Parameters) -> bytes:
        """Put it together as it travels."""
        head = _TOTAL.pack(_SUM, self.label, len(self.hidden), self.hospitals)
        key = _bits(self.key, parameters.share_bits(self.hospitals))
        return head + _packed(self.hidden, parameters) + key + _TAG.pack(self.tag)

    @classmethod
    def from_bytes(cls, data: bytes, parameters: Parameters) -> "Sum":
        """Take apart what arrived; MessageError if it is no sum."""
        _, label, size, hospitals = _head(data, _TOTAL, _SUM, lambda *claimed: sum_bytes(parameters, *claimed))
        at = _TOTAL.size + packing.byte_count(size, parameters.sent_bits)
        hidden = _unpacked(memoryview(data)[_TOTAL.size : at], parameters, size)
        return cls(label, hospitals, hidden, *_key_and_tag(data, at, parameters, hospitals))


def letter_bytes(parameters: Parameters, coefficients: int) -> int:
    """Length of a first letter."""
    return _ONE.size + packing.byte_count(coefficients, parameters.sent_bits)


def share_bytes(parameters: Parameters, hospitals: int) -> int:
    """Length of a second letter, in a list of so many hospitals."""
    return _TWO.size + parameters.share_bytes(hospitals) + _TAG.size


def sum_bytes(parameters: Parameters, coefficients: int, hospitals: int) -> int:
    """Length of a sum."""
    share = parameters.share_bytes(hospitals) + _TAG.size
    return _TOTAL.size + packing.byte_count(coefficients, parameters.sent_bits) + share


def digest(letter: bytes) -> bytes:
    """Return what stands for a first letter in a list: 32 bytes."""
    return hashlib.sha256(letter).digest()


def _head(data: bytes, head: struct.Struct, mark: bytes, length: Callable[..., int]) -> tuple:
    """Read the head of a message, if all of it has the length that its head claims."""
    if isinstance(data, bytes) and len(data) >= head.size and data[:4] == mark:
        found = head.unpack_from(data)
        if len(data) == length(*found[2:]):
            return found
    said = f"This is no {_NAMES[mark]} of the length it should have"
    raise MessageError(f"{said}: it is damaged, or of another version of the kit.")


def _packed(hidden: np.ndarray, parameters: Parameters) -> bytes:
    return packing.to_bytes(hidden >> np.uint64(parameters.dropped_bits), parameters.sent_bits)


def _unpacked(data: memoryview, parameters: Parameters, size: int) -> np.ndarray:
    hidden, dropped = packing.from_bytes(data, parameters.sent_bits, size), parameters.dropped_bits
    for at in range(0, size, packing.BLOCK):
        part = hidden[at : at + packing.BLOCK]
        if int(part.max()) > (parameters.modulus - 1) >> dropped:
            raise MessageError("A message holds numbers beyond the modulus: it is damaged.")
        if dropped:
            part <<= np.uint64(dropped)
            part |= np.uint64(1 << dropped - 1)  # the middle of what the bits that stayed behind can be
            np.minimum(part, part - np.uint64(parameters.modulus), out=part)  # modulo q: the difference wraps
    return hidden


def _bits(values: np.ndarray, bits: int) -> bytes:
    """Write numbers modulo 2^bits one behind the other, lowest bit first."""
    each = values.astype("<u4")[:, None].view(np.uint8)
    return np.packbits(np.unpackbits(each, axis=1, count=bits, bitorder="little"), bitorder="little").tobytes()


def _key_and_tag(data: bytes, at: int, parameters: Parameters, hospitals: int) -> tuple[np.ndarray, int]:
    """Read what `_bits` wrote, and the tag behind it."""
    bits, (tag,) = parameters.share_bits(hospitals), _TAG.unpack_from(data, len(data) - _TAG.size)
    if not 1 <= hospitals <= parameters.hospitals or tag >= PRIME:
        raise MessageError(f"A message has a tag that is none, or is of {hospitals} hospitals: it is damaged.")
    each = np.unpackbits(np.frombuffer(data, np.uint8, len(data) - _TAG.size - at, at), bitorder="little")
    return each.reshape(-1, bits).astype(np.int64) @ (1 << np.arange(bits)), tag
