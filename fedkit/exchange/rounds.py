"""What the hospitals' letters and the sums of a round hold.

Round 0 adds up the statistics that rows are prepared with, rounds 1 to R the updates
(and how good the model is that they start from), and round R + 1 the scores of the
last model.
"""

import hashlib
import hmac
import struct
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from fedkit.encryption import messages, quantization
from fedkit.encryption.messages import MessageError
from fedkit.encryption.quantization import Layout
from fedkit.encryption.schemes import Parameters
from fedkit.exchange.settings import Settings

METRICS = ("auroc", "auprc", "brier", "accuracy", "log_loss")
BITS, STEP = 52, 2.0**-22  # of a number of patients x update: sums up to 2^29, whatever was agreed
ID = 16  # bytes of a digest
_OWN = struct.Struct(f"<{ID}s{ID}s{ID}s")  # the sum before, tag of the model, who may open it
_SEALED = 48 + ID  # what sealing adds, and who it is from


def place(round: int) -> str:
    """Return the place of the hospitals' letters of a round."""
    return f"round-{round:05d}"


def sum_place(round: int) -> str:
    """Return the place of the sum of a round."""
    return f"sum-{round:05d}"


def purpose(settings: Settings, round: int) -> str:
    """Say what a round is for: "statistics", "update" or "scores"."""
    return "statistics" if round == 0 else "update" if round <= settings.rounds else "scores"


def layout(settings: Settings, parameters: Parameters, round: int) -> Layout:
    """How the numbers of a round become integers. Nothing has to be agreed on, so that people may come and go."""
    numeric, levels = len(settings.numeric), sum(map(len, settings.categorical.values()))
    sizes = {"statistics": 1 + 3 * numeric + levels, "scores": 2 * len(METRICS)}
    what = purpose(settings, round)
    if what == "update":
        return Layout((quantization.exact_layer(settings.numbers + 2, parameters, STEP, BITS),))
    return Layout((quantization.exact_layer(sizes[what], parameters),))


def coefficients(settings: Settings, parameters: Parameters, round: int) -> int:
    """How many coefficients a message of a round has, the weight's included."""
    return layout(settings, parameters, round).coefficients + quantization.exact_layer(1, parameters).coefficients


def own_bytes(settings: Settings, parameters: Parameters, round: int) -> int:
    """Length of the content of a hospital's letter."""
    return _OWN.size + _SEALED + messages.message_bytes(parameters, coefficients(settings, parameters, round))


def sum_bytes(settings: Settings, parameters: Parameters, round: int) -> int:
    """Most bytes that the content of a sum has."""
    count, hospitals = coefficients(settings, parameters, round), parameters.hospitals
    kinds = (messages.SUM, messages.LARGE_SUM)
    return ID * (1 + hospitals) + max(messages.message_bytes(parameters, count, hospitals, kind) for kind in kinds)


class Own(NamedTuple):
    """A hospital's letter in a round.

    Attributes
    ----------
    after : str
        Digest of the letter with the sum (or keys) that it builds on.
    tag : bytes
        Names the model that it started from, to those who hold it; equal where models are.
    to : bytes
        `mark` of the coordinator's key, which it is sealed to.
    sealed : bytes
        The encrypted numbers, sealed.
    """

    after: str
    tag: bytes
    to: bytes
    sealed: bytes

    def to_bytes(self) -> bytes:
        """Return it as it travels."""
        return _OWN.pack(bytes.fromhex(self.after), self.tag, self.to) + self.sealed

    @classmethod
    def from_bytes(cls, content: bytes) -> "Own":
        """Take it apart; its length was checked."""
        after, tag, to = _OWN.unpack_from(content)
        return cls(after.hex(), tag, to, content[_OWN.size :])


class Total(NamedTuple):
    """A sum.

    Attributes
    ----------
    after : str
        As of the letters in it.
    counted : dict of str to str
        Hospital -> digest of its letter.
    message : bytes
        The encrypted sum.
    """

    after: str
    counted: Mapping[str, str]
    message: bytes

    def to_bytes(self) -> bytes:
        """Return it as it travels; the hospitals' names stand in the envelope."""
        return b"".join([bytes.fromhex(self.after), *map(bytes.fromhex, self.counted.values()), self.message])

    @classmethod
    def from_bytes(cls, content: bytes, hospitals: Sequence[str]) -> "Total":
        """Take it apart; a MessageError says that it is too short."""
        ids = [content[at : at + ID].hex() for at in range(0, ID * (1 + len(hospitals)), ID)]
        if len(ids[-1]) != 2 * ID:
            raise MessageError("A sum is too short to say what it sums: it is damaged.")
        return cls(ids[0], dict(zip(hospitals, ids[1:], strict=True)), content[ID * len(ids) :])


def mark(public: bytes) -> bytes:
    """16 bytes that stand for a public key."""
    return hashlib.sha256(b"fedkit exchange mark\0" + public).digest()[:ID]


def tag(secret: bytes, study: str, round: int, weights: Sequence[np.ndarray]) -> bytes:
    """16 bytes that tell those without the hospitals' secret nothing about a model but whether two are the same."""
    code = hmac.new(secret, f"fedkit exchange model\0{study}\0{round}\0".encode(), hashlib.sha256)
    for weight in weights:
        code.update(np.ascontiguousarray(weight, dtype="<f4").tobytes())
    return code.digest()[:ID]
