"""What hospitals and server send each other: one bytes object a message.

A message is a short head in the clear (scheme, key, how many hospitals it sums, how
many coefficients) and numbers below the modulus q, and nothing else: how many bytes it
has follows from the head, and any other length is refused. Nothing is pickled, and
TenSEAL parses none of it.

    head | c0 of each ciphertext, packed | each hospital's seeds, or the sum of their c1, packed

See `rings` for c0, c1 and seeds, and `envelopes` for who sent it. No seed may stand in a
message twice, and a sum may leave seeds out only where they would be longer: so nobody
can add one ciphertext up many times and call that a sum.
"""

import struct
from typing import NamedTuple

import numpy as np

from fedkit.encryption import packing
from fedkit.encryption.schemes import SEED_BYTES, Parameters

KEY_ID_BYTES = 10
HEAD = struct.Struct(f"<4sB4s{KEY_ID_BYTES}sIQ")  # mark and version, kind, scheme, key id, hospitals, coefficients
_MARK = b"FKM2"
OWN, SUM, LARGE_SUM = 1, 2, 3  # one hospital's, with its seeds; a sum with all seeds; a sum with c1


class MessageError(ValueError):
    """Bytes that arrived and cannot be taken: the sentence says why, and what to do."""


class Message(NamedTuple):
    """A message taken apart."""

    kind: int  # `OWN`, `SUM` or `LARGE_SUM`
    key_id: bytes  # fingerprint of the key, `KEY_ID_BYTES` long
    hospitals: int  # how many it sums
    coefficients: int  # that are used (CKKS: slots), over all ciphertexts
    c0: np.ndarray  # uint64: of all ciphertexts one behind the other, without what BFV does not use
    seeds: list[bytes]  # one a hospital: `SEED_BYTES` for each ciphertext
    c1: np.ndarray | None = None  # uint64: of all ciphertexts, in place of the seeds

    def to_bytes(self, parameters: Parameters) -> bytes:
        """Put it together as it travels; lowest bits of c0 that are noise anyway stay behind."""
        head = HEAD.pack(_MARK, self.kind, parameters.scheme.encode(), self.key_id, self.hospitals, self.coefficients)
        c0 = packing.to_bytes(self.c0 >> np.uint64(parameters.dropped_bits), parameters.sent_bits)
        if self.c1 is None:
            return b"".join([head, c0, *self.seeds])
        return head + c0 + packing.to_bytes(self.c1, parameters.whole_bits)

    @classmethod
    def from_bytes(cls, data: bytes, parameters: Parameters, modulus: int, key_id: bytes) -> "Message":
        """Take apart what arrived; MessageError if it does not fit what the receiver uses, and says what does not."""
        if not isinstance(data, bytes) or len(data) < HEAD.size or data[:4] != _MARK:
            raise MessageError("This message is damaged or was not made by this version of the kit: ask for it again.")
        _, kind, scheme, found_key, hospitals, coefficients = HEAD.unpack_from(data)
        if scheme.rstrip(b"\0") != parameters.scheme.encode():
            scheme = scheme.rstrip(b"\0").decode("ascii", "replace")
            raise MessageError(f"A message in {scheme} arrived where {parameters.scheme} was agreed: use one scheme.")
        if found_key != key_id:
            raise MessageError(
                "A message under another key arrived: were the keys renewed? All hospitals need the same secret bytes; "
                "let them compare `keys.fingerprint`."
            )
        if not 1 <= hospitals <= parameters.hospitals or (kind == OWN and hospitals != 1):
            raise MessageError(
                f"{hospitals} hospitals were added up, and the keys have room for 1 to {parameters.hospitals}: make "
                f"keys with generate_keys({parameters.scheme!r}, hospitals=...)."
            )
        if kind not in (OWN, SUM, LARGE_SUM) or len(data) != message_bytes(parameters, coefficients, hospitals, kind):
            raise MessageError(
                f"A message of {coefficients} coefficients from {hospitals} hospitals has {len(data)} bytes, which "
                "is not its length: it is damaged."
            )
        if kind == LARGE_SUM and sends_seeds(parameters, hospitals):
            raise MessageError(
                f"A sum of {hospitals} hospitals came without their seeds: it may hold one hospital's numbers only."
            )
        size = carried(parameters, coefficients)
        c0 = packing.from_bytes(memoryview(data)[HEAD.size :], parameters.sent_bits, size)
        if int(c0.max()) > (modulus - 1) >> parameters.dropped_bits:
            raise MessageError("A message holds numbers beyond the modulus: it is damaged.")
        if parameters.dropped_bits:  # the middle of what the bits that stayed behind can be
            c0 = (c0 << np.uint64(parameters.dropped_bits)) | np.uint64(1 << parameters.dropped_bits - 1)
            np.minimum(c0, c0 - np.uint64(modulus), out=c0)  # modulo q: where it is smaller, the difference wraps
        at = HEAD.size + packing.byte_count(size, parameters.sent_bits)
        if kind == LARGE_SUM:
            c1 = packing.from_bytes(
                data[at:], parameters.whole_bits, ciphertexts(parameters, coefficients) * parameters.ring_dimension
            )
            if int(c1.max()) >= modulus:
                raise MessageError("A message holds numbers beyond the modulus: it is damaged.")
            return cls(kind, found_key, hospitals, coefficients, c0, [], c1)
        every = [data[start : start + SEED_BYTES] for start in range(at, len(data), SEED_BYTES)]
        if len(set(every)) < len(every):
            raise MessageError("A message holds the same seed twice: somebody's numbers would count more than once.")
        step = SEED_BYTES * ciphertexts(parameters, coefficients)
        seeds = [data[start : start + step] for start in range(at, len(data), step)]
        return cls(kind, found_key, hospitals, coefficients, c0, seeds)


def ciphertexts(parameters: Parameters, coefficients: int) -> int:
    """How many ciphertexts so many coefficients (CKKS: slots) need."""
    return -(-coefficients // parameters.slots)


def carried(parameters: Parameters, coefficients: int) -> int:
    """How many numbers of c0 travel: BFV leaves out what is not used, CKKS uses them all."""
    return (
        coefficients
        if parameters.scheme == "bfv"
        else ciphertexts(parameters, coefficients) * parameters.ring_dimension
    )


def key_id(message: bytes) -> bytes:
    """Return which key a message says that it is under; nothing else is looked at."""
    return HEAD.unpack_from(message)[3] if len(message) >= HEAD.size else b""


def sends_seeds(parameters: Parameters, hospitals: int) -> bool:
    """Whether a sum of so many hospitals carries their seeds: not where they are longer than the sum of their c1."""
    return hospitals * SEED_BYTES <= packing.byte_count(parameters.ring_dimension, parameters.whole_bits)


def message_bytes(parameters: Parameters, coefficients: int, hospitals: int = 1, kind: int = OWN) -> int:
    """Length of a message; of one without any coefficient, 0."""
    if not coefficients:
        return 0
    count = ciphertexts(parameters, coefficients)
    if kind == LARGE_SUM:
        rest = packing.byte_count(count * parameters.ring_dimension, parameters.whole_bits)
    else:
        rest = hospitals * count * SEED_BYTES
    return HEAD.size + packing.byte_count(carried(parameters, coefficients), parameters.sent_bits) + rest


def contains_plaintext(message: bytes, plain: np.ndarray | bytes) -> bool:
    """Whether numbers of a vector stand readable in the bytes of a message.

    Looks at every position, in both byte orders, for each number as float64 and
    for each two neighbours as float32 (a single float32 is 4 bytes, and 4 bytes
    turn up by chance in long messages). Numbers as round as 0, 1 or 0.5 occur in
    any file and are not looked for; ValueError if nothing is left.

    Parameters
    ----------
    message
        Any bytes.
    plain
        A vector, shape [p]. Or 8 bytes or more, each piece of 8 of which is looked for: integers that were packed.
    """
    windows = _windows(message)
    if isinstance(plain, bytes):
        if len(plain) < 8:
            raise ValueError(f"{len(plain)} bytes turn up by chance in any file: look for 8 bytes or more.")
        return bool(np.isin(_windows(plain), windows).any())
    doubles = np.asarray(plain, dtype="<f8").ravel()
    floats = doubles.astype("<f4")
    odd_double = doubles.view("<u8") & 0xFFFFFFFF != 0
    odd_float = floats.view("<u4") & 0xFFFF != 0
    pairs = np.stack([floats[:-1], floats[1:]], axis=1)[odd_float[:-1] & odd_float[1:]]
    needles = np.concatenate([doubles[odd_double].view("<u8"), pairs.reshape(-1).view("<u8")])
    swapped_pairs = pairs.byteswap().reshape(-1).view("<u8")
    needles = np.concatenate([needles, doubles[odd_double].byteswap().view("<u8"), swapped_pairs])
    if not needles.size:
        raise ValueError("The vector holds only round numbers, which occur in any file: look for another one.")
    return bool(np.isin(needles, windows).any())


def _windows(data: bytes) -> np.ndarray:
    """Every run of 8 bytes: uint64, shape [len(data) - 7]."""
    return np.concatenate(
        [np.frombuffer(data, "<u8", max(len(data) - at, 0) // 8, min(at, len(data))) for at in range(8)]
    )
