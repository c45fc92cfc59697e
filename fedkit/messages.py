"""What travels between hospitals and server: one bytes object a message.

A message is a short head in the clear (scheme, how many hospitals it sums, which
key, how many slots) and ciphertexts, each with its length before it. Nothing is
pickled, and a message that is not exactly as long as it says is refused.
"""

import struct
from typing import NamedTuple

import numpy as np

_HEAD = struct.Struct("<4s4sH8sI")  # mark and version, scheme, hospitals, key id, slots
_LENGTH = struct.Struct("<I")
_MARK = b"FKM1"


class Message(NamedTuple):
    """A message taken apart.

    Attributes
    ----------
    scheme : str
        "bfv" or "ckks".
    hospitals : int
        How many hospitals it sums: 1, or more once the server has added.
    key_id : bytes
        Random name of the key, 8 bytes.
    slots : int
        Numbers inside, the weight included.
    chunks : list of bytes
        Serialised ciphertexts.
    """

    scheme: str
    hospitals: int
    key_id: bytes
    slots: int
    chunks: list[bytes]

    def to_bytes(self) -> bytes:
        """Put it together as it travels."""
        head = _HEAD.pack(_MARK, self.scheme.encode(), self.hospitals, self.key_id, self.slots)
        return head + b"".join(_LENGTH.pack(len(chunk)) + chunk for chunk in self.chunks)

    @classmethod
    def from_bytes(cls, data: bytes) -> "Message":
        """Take a message apart.

        Raises
        ------
        TypeError
            If it is not bytes.
        ValueError
            If it has another mark, or is longer or shorter than it says.
        """
        if not isinstance(data, bytes):
            raise TypeError(f"A message is bytes, and this is a {type(data).__name__}.")
        try:
            mark, scheme, hospitals, key_id, slots = _HEAD.unpack_from(data)
            chunks, at = [], _HEAD.size
            while at < len(data):
                (length,) = _LENGTH.unpack_from(data, at)
                at += _LENGTH.size + length
                chunks.append(data[at - length : at])
            if mark != _MARK or at != len(data):
                raise ValueError
        except (struct.error, ValueError):
            raise ValueError("This message is damaged or was not made by this kit: ask for it again.") from None
        return cls(scheme.rstrip(b"\0").decode("ascii", "replace"), hospitals, key_id, slots, chunks)

    def check(self, scheme: str, key_id: bytes, most: int, slots: int) -> None:
        """Refuse a message that does not belong here.

        Parameters
        ----------
        scheme, key_id
            What the receiver uses.
        most
            How many hospitals may be added up.
        slots
            Numbers in a full ciphertext.

        Raises
        ------
        ValueError
            With a sentence that names what does not fit.
        """
        if self.scheme != scheme:
            raise ValueError(f"A message in {self.scheme} arrived where {scheme} was agreed: use one scheme.")
        if self.key_id != key_id:
            raise ValueError(
                f"A message under key {self.key_id.hex()} arrived where key {key_id.hex()} is used: were the keys "
                "renewed? All hospitals need the same secret bytes."
            )
        if not 1 <= self.hospitals <= most:
            raise ValueError(
                f"{self.hospitals} hospitals were added up, and the keys have room for 1 to {most}: make keys with "
                f"generate_keys({scheme!r}, hospitals=...)."
            )
        if self.slots < 2 or len(self.chunks) != -(-self.slots // slots):
            raise ValueError(f"A message of {self.slots} slots came in {len(self.chunks)} ciphertexts: it is damaged.")


def contains_plaintext(message: bytes, vector: np.ndarray) -> bool:
    """Whether numbers of a vector stand readable in the bytes of a message.

    Looks at every position, in both byte orders, for each number as float64 and
    for each two neighbours as float32 (a single float32 is 4 bytes, and 4 bytes
    turn up by chance in long messages). Numbers as round as 0, 1 or 0.5 occur in
    any file and are not looked for.

    Parameters
    ----------
    message
        Any bytes.
    vector
        Shape [p]: an update, say, or the update times the number of patients.

    Raises
    ------
    ValueError
        If no number of the vector is worth looking for.
    """
    doubles = np.asarray(vector, dtype="<f8").ravel()
    floats = doubles.astype("<f4")
    odd_double = doubles.view("<u8") & 0xFFFFFFFF != 0
    odd_float = floats.view("<u4") & 0xFFFF != 0
    pairs = np.stack([floats[:-1], floats[1:]], axis=1)[odd_float[:-1] & odd_float[1:]]
    needles = np.concatenate([doubles[odd_double].view("<u8"), pairs.reshape(-1).view("<u8")])
    swapped_pairs = pairs.byteswap().reshape(-1).view("<u8")
    needles = np.concatenate([needles, doubles[odd_double].byteswap().view("<u8"), swapped_pairs])
    if not needles.size:
        raise ValueError("The vector holds only round numbers, which occur in any file: look for another one.")
    windows = [np.frombuffer(message, "<u8", (len(message) - at) // 8, at) for at in range(min(8, len(message)))]
    return bool(windows) and bool(np.isin(needles, np.concatenate(windows)).any())
