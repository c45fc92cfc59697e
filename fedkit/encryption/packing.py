"""Integers side by side: fields in a coefficient, digits over coefficients, bits in bytes."""

import numpy as np

BLOCK = 2**13  # coefficients at a time, which fit a cache, with their numbers


def pack(integers: np.ndarray, bits: int, fields: int) -> np.ndarray:
    """Put `fields` signed integers into one, digits in base 2^bits: int64, shape [ceil(n / fields)].

    Negative digits borrow from the next one, and `unpack` gives the loan back, so packed integers can be added like
    plain ones.

    integers : int64, or float64 that are whole, shape [n], each within ±2^(bits-1)
    bits, fields : width of a field, and fields to a coefficient; bits * fields <= 62
    """
    if bits * fields > 53:  # float64 is exact up to there, and faster
        integers = integers.astype(np.int64)
    if spare := -len(integers) % fields:
        integers = np.concatenate([integers, np.zeros(spare, integers.dtype)])
    return (integers.reshape(-1, fields) @ (1 << bits * np.arange(fields))).astype(np.int64, copy=False)


def unpack(coefficients: np.ndarray, bits: int, fields: int, size: int) -> np.ndarray:
    """Take `size` signed integers out of the fields `pack` put them in, or out of a sum of such: int64, [size]."""
    integers, half = np.empty(size, np.int64), 1 << (bits - 1)
    rest = coefficients + sum(half << bits * field for field in range(fields))
    for field in range(fields):
        place, digits = integers[field::fields], rest & (2 * half - 1)
        np.subtract(digits[: len(place)], half, out=place)
        rest >>= bits
    return integers


def spread(integers: np.ndarray, bits: int, digits: int) -> np.ndarray:
    """Write each integer (int64, or Python's of any size) in signed digits of so many bits, lowest first.

    Returns shape [n * digits]; the last digit of a number holds whatever is left.
    """
    half, places = 1 << (bits - 1), bits * np.arange(digits).astype(integers.dtype)
    rest = (integers[:, None] + sum(half << place for place in places[:-1])) >> places
    rest[:, :-1] = (rest[:, :-1] & (2 * half - 1)) - half
    return rest.astype(np.int64).reshape(-1)


def gather(coefficients: np.ndarray, bits: int, digits: int) -> np.ndarray:
    """Take integers out of the digits that `spread` wrote, or out of a sum of such: Python integers, shape [n]."""
    columns = np.asarray(coefficients, dtype=np.int64).reshape(-1, digits).astype(object).T
    return sum(column << bits * place for place, column in enumerate(columns))


def to_bytes(values: np.ndarray, bits: int) -> bytes:
    """Write integers below 2^bits, uint64, each in so many bits (8, 12 ... 64): whole bytes first, then half ones."""
    whole, half = divmod(bits, 8)
    lowest, following = _seen(np.ascontiguousarray(values, "<u8"), whole)
    if not half:
        return lowest.tobytes()
    pairs = following[::2].copy()
    pairs[: len(values) // 2] |= following[1::2] << 4
    return lowest.tobytes() + pairs.tobytes()


def from_bytes(data: bytes, bits: int, size: int) -> np.ndarray:
    """Read what `to_bytes` wrote: uint64, shape [size]; `data` has `byte_count(size, bits)` bytes."""
    whole, half = divmod(bits, 8)
    values = np.zeros(size, "<u8")
    lowest, following = _seen(values, whole)
    lowest[:] = np.frombuffer(data, f"V{whole}", size)
    if half:
        pairs = np.frombuffer(data, np.uint8, -(-size // 2), size * whole)
        following[::2], following[1::2] = pairs & 15, pairs[: size // 2] >> 4
    return values


def _seen(values: np.ndarray, whole: int) -> tuple[np.ndarray, np.ndarray]:
    """See the lowest bytes of each uint64 as one element, which numpy copies in one piece; and the byte above them."""
    return np.ndarray(values.shape, f"V{whole}", values, strides=values.strides), values.view(np.uint8)[whole::8]


def byte_count(size: int, bits: int) -> int:
    """How many bytes `to_bytes` takes for so many integers."""
    whole, half = divmod(bits, 8)
    return size * whole + (-(-size // 2) if half else 0)
