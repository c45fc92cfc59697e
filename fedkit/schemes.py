"""Which parameters an encryption scheme gets, and why they are safe and sufficient.

Adding needs one prime, and no Galois or relinearisation keys. ``(60, 16)`` is one
60-bit prime q for the data, and the small special prime that SEAL insists on and
that is never sent. Ring dimension N = 4096: the HomomorphicEncryption.org standard
(Albrecht et al. 2018, Table 1: ternary secret, 128 bits of classical security) allows
109 bits of modulus there, and this is 76. The setting that most tutorials show for
CKKS, N = 8192 with (60, 40, 40), costs 3.6 times the bytes, and the digits it adds
are far below what an update holds.
"""

from typing import NamedTuple

SCHEMES = ("bfv", "ckks")

# Bits of a coefficient's sum -> (t, most hospitals). t is the smallest prime above 2^bits
# with t = 1 mod 2N, which slots ask for. A fresh ciphertext has noise of standard
# deviation 3.24 (SEAL's centred binomial); the sum of K decrypts rightly while its noise
# stays below q / 2t, and we ask for 8 standard deviations of room:
# K <= (2^60 / 2t / (8 * 3.24))^2.
_PLAIN_MODULI = {52: (2**52 + 172033, 24), 50: (2**50 + 106497, 390), 48: (2**48 + 57345, 6241)}
MOST_HOSPITALS = 6241


class Parameters(NamedTuple):
    """What hospitals and server agree on before the first key is made.

    Attributes
    ----------
    scheme : str
        "bfv" or "ckks".
    hospitals : int
        The most hospitals that may be added up.
    ring_dimension : int
        N.
    modulus_bits : tuple of int
        Bits of each prime; the last one is SEAL's special prime.
    slots : int
        Numbers in one ciphertext.
    room : float
        How large, up or down, a sum in one slot may get.
    bits : int
        BFV: bits of the sum in one slot, which fields share.
    plain_modulus : int
        BFV: t. A sum is right modulo t.
    scale : float
        CKKS: what a number is multiplied with before it is rounded.
    """

    scheme: str
    hospitals: int
    ring_dimension: int
    modulus_bits: tuple[int, ...]
    slots: int
    room: float
    bits: int = 0
    plain_modulus: int = 0
    scale: float = 0.0

    @property
    def share(self) -> float:
        """How much of the room each hospital may use: an equal part."""
        return self.room // self.hospitals


def choose(scheme: str, hospitals: int) -> Parameters:
    """Parameters that hold the sum of so many hospitals.

    CKKS (Cheon et al. 2017): real numbers, N / 2 to a ciphertext, at scale 2^34. The
    error of a sum is near 1e-7 patients x update, and sums may reach 2^24, which
    leaves one bit below q / 2.

    BFV (Fan & Vercauteren 2012): integers modulo t, exact, N to a ciphertext.

    Raises
    ------
    ValueError
        If the scheme is unknown, or the hospitals are too many.
    """
    if scheme not in SCHEMES:
        raise ValueError(f"There is no scheme {scheme!r}: choose one of {', '.join(SCHEMES)}.")
    if not 1 <= hospitals <= MOST_HOSPITALS:
        raise ValueError(f"Keys are made for 1 to {MOST_HOSPITALS} hospitals, and {hospitals} were asked for.")
    if scheme == "ckks":
        return Parameters("ckks", hospitals, 4096, (60, 16), 2048, room=2.0**24, scale=2.0**34)
    bits, plain = next((bits, plain) for bits, (plain, most) in _PLAIN_MODULI.items() if hospitals <= most)
    return Parameters("bfv", hospitals, 4096, (60, 16), 4096, room=2 ** (bits - 1) - 1, bits=bits, plain_modulus=plain)
