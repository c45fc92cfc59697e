"""The hospitals: they hold one secret key, encrypt and decrypt."""

import hashlib
import json
import operator
import struct
from os import PathLike

import numpy as np

from fedkit.encryption import messages, quantization, schemes, vault
from fedkit.encryption.context import PUBLIC, SECRET, Context, each_seed
from fedkit.encryption.cores import Encryptor
from fedkit.encryption.messages import Message, MessageError
from fedkit.encryption.rings import Ring

_HEAD = struct.Struct("<4sI")  # mark, length of the public part
_KEY = "hospitals' key"


class HospitalKeys(Context):
    """The key that hospitals share, and what is done with it; ValueError if `secret` is none, or damaged.

    Parameters
    ----------
    secret
        `secret` of the hospital that made the keys: who holds these bytes can read every update.
    cores
        How many processes encrypt a large update.

    Attributes
    ----------
    public : bytes
        For the server.
    key_id : bytes
        Fingerprint of key and parameters: equal at two hospitals that hold the same.
    """

    def __init__(self, secret: bytes, cores: int = 1) -> None:
        if not isinstance(secret, bytes) or len(secret) < _HEAD.size or not secret.startswith(SECRET):
            raise ValueError("These bytes hold no secret key: a hospital needs `keys.secret`.")
        _, length = _HEAD.unpack_from(secret)
        public, key = secret[_HEAD.size : _HEAD.size + length], secret[_HEAD.size + length :]
        super().__init__(public, key)
        if _key_id(self.parameters, key) != self.key_id:
            raise ValueError("This secret key is damaged: it is not the one that its fingerprint names.")
        self.secret, self.cores = bytes(secret), cores
        self._encryptor = Encryptor(self.ring, key, cores)

    def __reduce__(self) -> None:
        raise TypeError("Keys are not pickled: `save` them with a passphrase.")

    def save(self, path: str | PathLike, passphrase: str) -> None:
        """Write the secret key to a new file, encrypted with a passphrase; see `vault.save` for the errors."""
        vault.save(path, _KEY, self.secret, passphrase)

    @classmethod
    def load(cls, path: str | PathLike, passphrase: str) -> "HospitalKeys":
        """Read a key that `save` wrote; see `vault.load` for the errors."""
        return cls(vault.load(path, _KEY, passphrase))

    def renewed(self) -> "HospitalKeys":
        """Make a new key with the same parameters; messages under the old one are refused from then on."""
        return _new_keys(self.parameters, self.cores)

    def encrypt(
        self,
        vector: np.ndarray,
        weight: float,
        layout: quantization.Layout | None = None,
        dither: np.random.Generator | None = None,
    ) -> bytes:
        """Encrypt the weight, and weight x vector.

        Parameters
        ----------
        vector
            An update, shape [p], finite.
        weight
            Number of patients: a whole number, not negative.
        layout
            The same at all hospitals; `plain_layout` if None.
        dither
            See `quantization.Layout.encode`.

        Raises
        ------
        ValueError
            If a value is not finite, the weight no whole number, or a number too large for the sum to hold.
        """
        vector = np.asarray(vector, dtype=np.float64)
        if vector.ndim != 1 or not vector.size:
            raise ValueError(f"An update is one row of numbers, and this has shape {vector.shape}: flatten it first.")
        if not np.isfinite(vector).all():
            at = int(np.flatnonzero(~np.isfinite(vector))[0])
            raise ValueError(f"Number {at} of the update is {vector[at]}, which cannot be added: did training diverge?")
        if not (np.isfinite(weight) and weight >= 0 and weight == int(weight)):
            raise ValueError(f"A weight is a whole number of patients, and {weight} is not.")
        whole = self._with_weight(layout or self.plain_layout(vector.size))
        numbers = np.empty(vector.size + 1)
        numbers[0], numbers[1:] = weight, vector * weight
        values = whole.encode(numbers, dither)
        c0, seeds = self._encryptor.encrypt(values)
        c0 = c0[: messages.carried(self.parameters, len(values))]
        return Message(messages.OWN, self.key_id, 1, len(values), c0, [seeds]).to_bytes(self.parameters)

    def decrypt(
        self, message: bytes, layout: quantization.Layout | None = None, *, at_least: int | None = None
    ) -> tuple[np.ndarray, float]:
        """Decrypt a sum of messages, and divide: the weighted mean, float64 of shape [p], and the number of patients.

        Parameters
        ----------
        message
            What `Server.add` returned.
        layout
            The one that the messages were encrypted with.
        at_least
            Hospitals in the sum: that of one hides nothing. 2 if None (1 where the keys were made for one hospital).

        Raises
        ------
        MessageError
            If the message is damaged, under another key, of another length, no sum, a sum of too few hospitals, or
            their patients sum to zero or to no number of patients.
        """
        total = self.read(message)
        least = min(2, self.parameters.hospitals) if at_least is None else at_least
        if total.kind == messages.OWN or total.hospitals < least:
            raise MessageError(
                f"This is the message of {total.hospitals} hospital(s) and no sum of {least}: opening it would show "
                "a single hospital's update. Wait for more hospitals."
            )
        weight, plain = quantization.exact_layer(1, self.parameters), self.plain_layout(1)
        size = max((total.coefficients - weight.coefficients) // plain.coefficients, 1)
        whole = self._with_weight(layout or self.plain_layout(size))
        if total.coefficients != whole.coefficients:
            raise MessageError(f"{whole.coefficients} coefficients were agreed on, and {total.coefficients} came back.")
        numbers = whole.decode(self._opened(total))
        if numbers[0] == 0:
            raise MessageError("The hospitals' patients sum to zero: at least one hospital must have some.")
        if not 0 < numbers[0] < 2**53 or numbers[0] % 1:
            raise MessageError(
                f"The hospitals' patients sum to {numbers[0]:.6g}, and patients are counted in whole numbers: one of "
                "the messages was nonsense under a good signature. Leave hospitals out to find whose."
            )
        return numbers[1:] / numbers[0], float(numbers[0])

    def plain_layout(self, size: int) -> quantization.Layout:
        """Return the layout where nothing was agreed: CKKS takes real numbers, BFV steps of 2^-22 patients x update."""
        if self.scheme == "ckks":
            return quantization.Layout((quantization.real_layer(size, self.parameters),))
        return quantization.Layout((quantization.exact_layer(size, self.parameters, 2.0**-22, 52),))

    def coefficients(self, layout: quantization.Layout) -> int:
        """How many coefficients a message of this layout has, the weight's included."""
        return self._with_weight(layout).coefficients

    def message_bytes(self, layout: quantization.Layout) -> int:
        """Return the length of one hospital's message."""
        return messages.message_bytes(self.parameters, self.coefficients(layout))

    def _with_weight(self, layout: quantization.Layout) -> quantization.Layout:
        return quantization.Layout((quantization.exact_layer(1, self.parameters), *layout.layers))

    def _opened(self, total: Message) -> np.ndarray:
        """Decrypt, one ciphertext at a time: shape [coefficients]."""
        size, slots, values = self.parameters.ring_dimension, self.parameters.slots, []
        seeds = [each_seed(seeds) for seeds in total.seeds]
        for number in range(messages.ciphertexts(self.parameters, total.coefficients)):
            c0 = np.zeros(size, np.uint64)
            part = total.c0[number * size : (number + 1) * size]
            c0[: len(part)] = part
            c1 = None if total.c1 is None else total.c1[number * size : (number + 1) * size]
            values.append(self.ring.decrypt(c0, [own[number] for own in seeds], c1)[:slots])
        return np.concatenate(values)[: total.coefficients]


def generate_keys(
    scheme: str = "bfv",
    *,
    hospitals: int = 16,
    numbers: int = 4096,
    bits: int = 26,
    security: int = 128,
    cores: int = 1,
) -> HospitalKeys:
    """Make new keys, which a hospital does and never the server; see `schemes.choose`, and `HospitalKeys`."""
    hospitals, numbers, bits, security = map(operator.index, (hospitals, numbers, bits, security))
    return _new_keys(schemes.choose(scheme, hospitals, numbers=numbers, bits=bits, security=security), cores)


def _new_keys(parameters: schemes.Parameters, cores: int) -> HospitalKeys:
    secret = Ring(parameters).new_secret()
    about = {name: getattr(parameters, name) for name in ("scheme", "hospitals", "numbers", "bits", "security")}
    public = PUBLIC + json.dumps(about | {"key": _key_id(parameters, secret).hex()}).encode()
    return HospitalKeys(_HEAD.pack(SECRET, len(public)) + public + secret, cores)


def _key_id(parameters: schemes.Parameters, secret: bytes) -> bytes:
    """Fingerprint of a key: tells nothing about it, since a key is as random as can be."""
    return hashlib.sha256(b"fedkit key\0" + repr(parameters).encode() + secret).digest()[: messages.KEY_ID_BYTES]
