"""Hospitals' letters as they arrive: read, checked and kept alike by who adds them up and by each hospital."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from fedkit.encryption import messages
from fedkit.encryption.messages import MessageError
from fedkit.exchange import letters, rounds
from fedkit.exchange.folder import Found
from fedkit.exchange.rounds import ONE, TWO, Step
from fedkit.exchange.study import Study

_MOST = 8  # letters of one hospital, one kind and one number that are looked at


class Arrived(NamedTuple):
    """A hospital's letter that could be counted."""

    file: str  # digest of the letter
    sender: str
    about: str  # which sum it is for
    code: bytes  # digest of its content, which stands for a first letter in a list
    size: int  # bytes of its content
    since: float  # when it was first seen


class Arrivals:
    """Who sent which letters; `clock` tells seconds."""

    def __init__(self, study: Study, clock: Callable[[], float]) -> None:
        self._study, self._clock = study, clock
        self._letters: dict[tuple[str, int], list[Arrived]] = {}
        self._many: set[tuple[str, int, str]] = set()

    def look(self, what: str, step: Step, sender: str | None = None) -> list[Arrived]:
        """Read the first or second letters (`ONE`, `TWO`) of a number that are new, and return all so far.

        sender : whose letters; everybody's if None
        """
        study, found = self._study, self._letters.setdefault((what, step.number), [])
        size = messages.share_bytes(study.parameters, max(map(len, study.groups)))  # the most that one has
        size = study.letter_bytes(step) if what == ONE else size

        def read(letter: Found) -> None:
            arrived = self._read(letter, what, step, size)
            before = [each.file for each in found if each.sender == arrived.sender]
            if arrived.file not in before:
                if len(before) < _MOST:
                    found.append(arrived)
                elif (what, step.number, arrived.sender) not in self._many:  # which is said once
                    self._many.add((what, step.number, arrived.sender))
                    raise MessageError(f"{arrived.sender} sent more than {_MOST} letters of number {step.number}.")

        study.take(rounds.place(what, step.number), read, size + letters.OVERHEAD, sender)
        return [each for each in found if sender in (None, each.sender)]

    def answered(self, numbers: Iterable[int]) -> set[str]:
        """Return who answered a list of one of these numbers, whatever list that was."""
        return {each.sender for number in numbers for each in self.look(TWO, Step(number, TWO, 0))}

    def content(self, what: str, number: int, arrived: Arrived) -> bytes:
        """Read what a letter holds once more; OSError if it cannot be read now."""
        data = self._study.folder.find(rounds.place(what, number), arrived.file, arrived.size + letters.OVERHEAD)
        if data is None:
            raise OSError(f"The letter of {arrived.sender} is listed, and cannot be read now.")
        return data[-arrived.size :]

    def _read(self, found: Found, what: str, step: Step, size: int) -> Arrived:
        """Check all that a letter says of itself; MessageError if it is not what its place says."""
        study, letter = self._study, letters.read(found, None, None, step.number)
        sender, content, purpose = letter.sender, letter.content, step.purpose if what == ONE else TWO
        if letter.public != study.roster[sender]:
            raise MessageError(f"A letter in {sender}'s name is signed with another key than theirs.")
        if not letter.study.startswith(study.id):
            raise MessageError(f"A letter by {sender} belongs to another training: it is an old one.")
        about = letter.study.removeprefix(study.id)
        if letter.purpose != purpose:
            raise MessageError(f"{sender} sent {letter.purpose!r:.40} where something else is added up.")
        if what == ONE and (
            len(content) != size or messages.Letter.from_bytes(content, study.parameters).about.hex() != about
        ):
            raise MessageError(f"{sender} sent something else than its hidden numbers for this sum.")
        return Arrived(found.digest, sender, about, messages.digest(content), len(content), self._clock())
