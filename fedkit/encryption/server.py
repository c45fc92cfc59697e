"""The server: it adds what it cannot read."""

import hashlib
from collections.abc import Iterable

import numpy as np

from fedkit.encryption import messages
from fedkit.encryption.context import SECRET, Context, each_seed
from fedkit.encryption.messages import Message, MessageError
from fedkit.encryption.rings import add_modulo
from fedkit.encryption.schemes import SEED_BYTES


class Server(Context):
    """Adds messages it cannot read.

    Parameters
    ----------
    public
        `HospitalKeys.public`: parameters, and no key of any sort. ValueError if it holds a secret key, or is no such.
    """

    def __init__(self, public: bytes) -> None:
        if isinstance(public, bytes) and public.startswith(SECRET):
            raise ValueError("These bytes hold a secret key, which a server must not have: give it `keys.public`.")
        super().__init__(public)

    def add(self, messages: Iterable[bytes]) -> bytes:
        """Add encrypted messages up; the sum is a message too.

        Parameters
        ----------
        messages
            One a hospital, of one key and length; ValueError if there is none. An iterator needs the memory of one.

        Raises
        ------
        MessageError
            If one is damaged, does not fit the others, came before, or is of one hospital too many for the keys.
        """
        total = Sum(self)
        for message in messages:
            total.add(message)
        return total.to_bytes()


class Sum:
    """A sum in the making, for messages that arrive one by one; `hospitals` counts those that are in it.

    Adding ciphertexts is adding their coefficients modulo q (Fan & Vercauteren 2012,
    SH.Add; the tests compare with SEAL's own evaluator), which needs neither key nor
    TenSEAL. The seeds of c1 are passed on, as long as they are shorter than the sum of
    what they stretch to; where they get longer, that sum takes their place. So memory
    hardly grows with the number of hospitals: what does are 8 bytes a seed, by which a message
    that comes again is known; of those that come when the seeds are gone, of one seed only.

    Parameters
    ----------
    server
        Who adds.
    coefficients
        Of a message. If None, as many as the first has, which may be wrong about it and keep all others out.
    """

    def __init__(self, server: Server, coefficients: int | None = None) -> None:
        self._server, self._coefficients = server, coefficients
        self._c0 = self._c1 = None
        self._seeds: list[bytes] = []
        # 8 bytes of each seed's hash stand for it, in order; the last one is no seed's, so that there is one.
        self._seen = np.array([2**64 - 1], np.uint64)
        self.hospitals = 0

    def add(self, message: bytes) -> None:
        """Add one hospital's message; one that raises a `MessageError` leaves the sum as it was."""
        parameters = self._server.parameters
        found = self._server.read(message)
        if found.kind != messages.OWN:
            raise MessageError("A sum arrived where one hospital's message was expected: it would count twice.")
        hashes = b"".join(hashlib.blake2b(seed, digest_size=8).digest() for seed in each_seed(found.seeds[0]))
        own = np.sort(np.frombuffer(hashes, np.uint64))
        if (self._seen[np.searchsorted(self._seen, own)] == own).any():
            raise MessageError("This message, or a part of it, was added before: it would count twice.")
        if self._coefficients not in (None, found.coefficients):
            raise MessageError(
                f"A message of {found.coefficients} coefficients cannot be added to one of {self._coefficients}."
            )
        if self.hospitals == parameters.hospitals:
            raise MessageError(
                f"The keys have room for {self.hospitals} hospitals, and one more message came: make keys with "
                f"generate_keys({parameters.scheme!r}, hospitals=...)."
            )
        self.hospitals += 1
        self._coefficients = found.coefficients
        self._c0 = self._added(self._c0, found.c0)
        self._seeds += found.seeds
        own = own if self._c1 is None else own[:1]
        self._seen = np.insert(self._seen, np.searchsorted(self._seen, own), own)
        if not messages.sends_seeds(parameters, len(self._seeds)):
            self._stretch()

    def to_bytes(self) -> bytes:
        """Return the sum as a message; ValueError if nothing was added."""
        if self._c0 is None:
            raise ValueError("There is no message to add: at least one hospital must send one.")
        if self._c1 is not None:
            self._stretch()
        kind = messages.SUM if self._c1 is None else messages.LARGE_SUM
        total = Message(kind, self._server.key_id, self.hospitals, self._coefficients, self._c0, self._seeds, self._c1)
        return total.to_bytes(self._server.parameters)

    def _stretch(self) -> None:
        """Put the sum of what the seeds stretch to in their place."""
        if self._seeds:
            c1 = np.empty((len(self._seeds[0]) // SEED_BYTES, self._server.parameters.ring_dimension), np.uint64)
            for number, place in enumerate(range(0, len(self._seeds[0]), SEED_BYTES)):
                c1[number] = self._server.ring.expand(*(own[place : place + SEED_BYTES] for own in self._seeds))
            self._c1, self._seeds = self._added(self._c1, c1.reshape(-1)), []

    def _added(self, one: np.ndarray | None, other: np.ndarray) -> np.ndarray:
        if one is None:
            return other
        add_modulo(one, other, self._server.ring.modulus)
        return one
