"""Keys, and three functions on bytes: encrypt and decrypt at a hospital, add at the server.

    keys = generate_keys("bfv", hospitals=4)       # at one hospital, shared with the others
    message = keys.encrypt(update, patients)       # at each hospital
    total = Server(keys.public).add(messages)      # at the server, which holds no key
    mean, patients = keys.decrypt(total)           # at each hospital

A message holds the number of patients and patients x update, both encrypted: the
server adds what it cannot read, and the division happens after decryption. The
hospitals share one secret key and encrypt with it, so there is no public key at all:
fresh noise is smaller, and the server can do nothing but add. `schemes` says which
parameters are used and why.

What this does not protect: all hospitals hold the same key, so one that shows it to
the server opens every update; a decrypted CKKS sum must never go back to the server
(Li & Micciancio 2021); and the mean itself may tell something about patients. Bytes
are checked for form, not for origin: they are trusted to come from the hospitals.
"""

import secrets
import struct
from collections.abc import Iterable

import numpy as np

from fedkit import quantization, schemes
from fedkit.messages import Message
from fedkit.tenseal import ts

_HEAD = struct.Struct("<4sB4sH8s")  # mark and version, kind, scheme, hospitals, key id
_MARK = b"FKK1"
_PUBLIC, _SECRET = 0, 1


class _Party:
    """What hospitals and server have in common: parameters, and messages taken apart."""

    def __init__(self, data: bytes) -> None:
        try:
            mark, self._kind, scheme, hospitals, self.key_id = _HEAD.unpack_from(data)
            if mark != _MARK:
                raise ValueError
            self.parameters = schemes.choose(scheme.rstrip(b"\0").decode(), hospitals)
            self.context = ts.context_from(bytes(data[_HEAD.size :]), n_threads=1)
            self.scheme = self.parameters.scheme
        except (TypeError, struct.error, ValueError, RuntimeError):
            raise ValueError("These bytes are no keys: hospitals need `keys.secret`, servers `keys.public`.") from None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.scheme}, {self.parameters.hospitals} hospitals, key {self.key_id.hex()})"

    def _open(self, data: bytes) -> tuple[Message, list[ts.BFVVector | ts.CKKSVector]]:
        """Take a message apart, check that it belongs here, and read its ciphertexts."""
        message, size = Message.from_bytes(data), self.parameters.slots
        message.check(self.scheme, self.key_id, self.parameters.hospitals, size)
        load, vectors = (ts.bfv_vector_from if self.scheme == "bfv" else ts.ckks_vector_from), []
        for number, chunk in enumerate(message.chunks):
            expected = min(size, message.slots - number * size)
            try:
                vectors.append(load(self.context, chunk))
                if vectors[-1].size() != expected or len(vectors[-1].ciphertext()) != 1:
                    raise ValueError
            except (ValueError, RuntimeError):
                raise ValueError(f"Ciphertext {number} of a message is damaged: {expected} slots expected.") from None
        return message, vectors


class Server(_Party):
    """Adds messages it cannot read.

    Parameters
    ----------
    public
        `HospitalKeys.public`: parameters, and no key of any sort.

    Raises
    ------
    ValueError
        If the bytes hold a secret key, or are something else.
    """

    def __init__(self, public: bytes) -> None:
        super().__init__(public)
        if self._kind != _PUBLIC or self.context.is_private():
            raise ValueError("These bytes hold a secret key, which a server must not have: give it `keys.public`.")

    def add(self, messages: Iterable[bytes]) -> bytes:
        """Add encrypted messages up; the sum is a message too.

        Parameters
        ----------
        messages
            One a hospital, of one scheme, key and length. They are taken one at a
            time, so that an iterator needs the memory of one.

        Raises
        ------
        ValueError
            If there is none, one is damaged or does not fit the others, or they
            come from more hospitals than the keys have room for.
        """
        total, sums = None, []
        for data in messages:
            message, vectors = self._open(data)
            if total is None:
                total, sums = message, vectors
                continue
            if message.slots != total.slots:
                raise ValueError(f"A message of {message.slots} slots cannot be added to one of {total.slots}.")
            total = total._replace(hospitals=total.hospitals + message.hospitals)
            total.check(self.scheme, self.key_id, self.parameters.hospitals, self.parameters.slots)
            for into, vector in zip(sums, vectors, strict=True):
                into.add_(vector)
        if total is None:
            raise ValueError("There is no message to add: at least one hospital must send one.")
        return total._replace(chunks=[vector.serialize() for vector in sums]).to_bytes()


class HospitalKeys(_Party):
    """The key that hospitals share, and what is done with it.

    Parameters
    ----------
    secret
        `secret` of the hospital that made the keys.

    Attributes
    ----------
    secret, public : bytes
        For the other hospitals: who holds them can read every update. For the server.
    """

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        if self._kind != _SECRET or not self.context.is_private():
            raise ValueError("These bytes hold no secret key: a hospital needs `keys.secret`.")
        self.secret = bytes(secret)
        self.public = _to_bytes(self.context, self.parameters, self.key_id, _PUBLIC)

    def encrypt(self, vector: np.ndarray, weight: float, layout: quantization.Layout | None = None) -> bytes:
        """Encrypt the weight, and weight x vector.

        Parameters
        ----------
        vector
            An update, shape [p], finite.
        weight
            Number of patients: a whole number, not negative.
        layout
            BFV only: how numbers become integers, the same at all hospitals. Without
            one each has a slot of its own, in steps of 2^-22 patients x update.

        Raises
        ------
        ValueError
            If a value is not finite, the weight is no whole number, or a number is
            too large for the sum to hold.
        """
        vector = np.asarray(vector, dtype=np.float64)
        if vector.ndim != 1 or not vector.size:
            raise ValueError(f"An update is one row of numbers, and this has shape {vector.shape}: flatten it first.")
        if not np.isfinite(vector).all():
            at = int(np.flatnonzero(~np.isfinite(vector))[0])
            raise ValueError(f"Number {at} of the update is {vector[at]}, which cannot be added: did training diverge?")
        if not (np.isfinite(weight) and weight >= 0 and weight == int(weight)):
            raise ValueError(f"A weight is a whole number of patients, and {weight} is not.")
        numbers = vector * weight
        if max(weight, np.abs(numbers).max() if self.scheme == "ckks" else 0) > self.parameters.share:
            raise ValueError(
                f"Patients, or patients x update, are beyond the {self.parameters.share:.3g} that each of "
                f"{self.parameters.hospitals} hospitals has room for: did training diverge?"
            )
        if self.scheme == "bfv":
            numbers = (layout or self._default_layout(vector.size)).encode(numbers)
        slots = np.concatenate([[numbers.dtype.type(weight)], numbers])
        make, size = (ts.bfv_vector if self.scheme == "bfv" else ts.ckks_vector), self.parameters.slots
        parts = [slots[at : at + size].tolist() for at in range(0, len(slots), size)]
        chunks = [make(self.context, part).serialize() for part in parts]
        return Message(self.scheme, 1, self.key_id, len(slots), chunks).to_bytes()

    def decrypt(self, message: bytes, layout: quantization.Layout | None = None) -> tuple[np.ndarray, float]:
        """Decrypt a sum of messages, and divide.

        Parameters
        ----------
        message
            What `Server.add` returned.
        layout
            The one that the messages were encrypted with.

        Returns
        -------
        tuple
            The weighted mean, float64 of shape [p], and the total number of patients.

        Raises
        ------
        ValueError
            If the message is damaged, under another key or of another length, or
            the patients of all hospitals sum to zero.
        """
        total, vectors = self._open(message)
        if layout and total.slots != layout.coefficients + 1:
            raise ValueError(f"{layout.coefficients} slots were agreed on, and {total.slots - 1} came back.")
        slots = np.concatenate([vector.decrypt() for vector in vectors])
        weight, numbers = float(np.rint(slots[0])), slots[1:]
        if weight <= 0:
            raise ValueError("The hospitals' patients sum to zero: at least one hospital must have some.")
        if self.scheme == "bfv":
            numbers = (layout or self._default_layout(total.slots - 1)).decode(numbers)
        return numbers / weight, weight

    def _default_layout(self, size: int) -> quantization.Layout:
        return quantization.Layout((quantization.wide_layer(size, self.parameters.bits, self.parameters.hospitals),))


def generate_keys(scheme: str = "bfv", *, hospitals: int = 16) -> HospitalKeys:
    """Make new keys: something a hospital does, never the server.

    Parameters
    ----------
    scheme
        "bfv" (integers, exact) or "ckks" (real numbers, approximate).
    hospitals
        The most hospitals that will be added up: the room for sums follows from it.

    Raises
    ------
    ValueError
        If the scheme is unknown, or the hospitals are too many.
    """
    parameters = schemes.choose(scheme, hospitals)
    context = ts.context(
        ts.SCHEME_TYPE[scheme.upper()],
        parameters.ring_dimension,
        parameters.plain_modulus,
        list(parameters.modulus_bits),
        encryption_type=ts.ENCRYPTION_TYPE.SYMMETRIC,
        n_threads=1,
    )
    if scheme == "ckks":
        context.global_scale = parameters.scale
    return HospitalKeys(_to_bytes(context, parameters, secrets.token_bytes(8), _SECRET))


def _to_bytes(context: ts.Context, parameters: schemes.Parameters, key_id: bytes, kind: int) -> bytes:
    head = _HEAD.pack(_MARK, kind, parameters.scheme.encode(), parameters.hospitals, key_id)
    keep = dict.fromkeys(["save_public_key", "save_galois_keys", "save_relin_keys"], False)
    return head + context.serialize(save_secret_key=kind == _SECRET, **keep)
