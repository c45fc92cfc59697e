"""The server: it adds what it cannot read, and holds no key of any sort."""

from collections.abc import Mapping

import numpy as np

from fedkit.encryption.messages import PRIME, Letter, MessageError, Share, Sum
from fedkit.encryption.ring import add_modulo
from fedkit.encryption.schemes import Parameters


class Server:
    """Adds up the first letters of a list, as they come, then their second ones, in the memory of one.

    parameters : of the encryption, the same at all
    expected : what the letters are for, their length, and the label of their list; as the first ones say if None
    """

    def __init__(self, parameters: Parameters, expected: tuple[bytes, int, bytes | None] | None = None) -> None:
        self._parameters = parameters
        self._about, self._coefficients, self._label = expected or (None, None, None)
        self._hidden: np.ndarray | None = None
        self._key, self._tag = np.zeros(parameters.ring_dimension, np.int64), 0
        self.letters = self.shares = 0

    def take(self, letter: bytes) -> None:
        """Add a first letter; one that raises a MessageError (damaged, or for another sum) leaves all as it was."""
        found = Letter.from_bytes(letter, self._parameters)
        if self._about not in (None, found.about):
            raise MessageError("This letter is for another sum than is made now: it is old, or its model another.")
        if self._coefficients not in (None, len(found.hidden)):
            raise MessageError(f"A letter of {len(found.hidden)} coefficients came, {self._coefficients} are right.")
        self._about, self._coefficients = found.about, len(found.hidden)
        if self._hidden is None:
            self._hidden = found.hidden
        else:
            add_modulo(self._hidden, found.hidden, self._parameters.modulus)
        self.letters += 1

    def take_share(self, share: bytes) -> None:
        """Add a second letter, after all first ones; one that raises a MessageError leaves all as it was."""
        found = Share.from_bytes(share, self._parameters, self.letters)
        if self._label not in (None, found.label):
            raise MessageError("This key share is for another list than is added up.")
        self._label, self._key = found.label, self._key + found.key
        self._tag = (self._tag + found.tag) % PRIME
        self.shares += 1

    def total(self) -> bytes:
        """Return the sum; ValueError if shares are missing, or there is nothing to add."""
        if self._hidden is None or self.letters != self.shares:
            said = f"{self.letters} letters and {self.shares} key shares came"
            raise ValueError(f"{said}: nobody can open a sum of less than all.")
        return Sum(self._label, self.letters, self._hidden, self._key, self._tag).to_bytes(self._parameters)


def add(parameters: Parameters, letters: Mapping[str, bytes], shares: Mapping[str, bytes]) -> bytes:
    """Add up the two letters of each hospital of a list: a MessageError or ValueError says what is wrong with one."""
    server = Server(parameters)
    for letter in letters.values():
        server.take(letter)
    for share in shares.values():
        server.take_share(share)
    return server.total()
