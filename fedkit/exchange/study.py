"""What a folder's letters say about a study: its settings, who takes part, and how far it is.

It is a function of the letters in the folder and of one thing that people tell each other: the fingerprint of the
invitation. That says what is trained, who made the study (the maker) and who coordinates; the maker's opening names the
hospitals and, of them, who makes the group's key (the key maker); the coordinator's lists and sums say how far it is.
"""

import hashlib
import io
import json
import struct
from collections.abc import Callable, Collection, Iterable
from functools import partial
from typing import NamedTuple

from fedkit.encryption import messages, quantization
from fedkit.encryption.envelopes import Roster
from fedkit.encryption.keyring import Listed, Member
from fedkit.encryption.messages import MessageError
from fedkit.encryption.schemes import Parameters
from fedkit.exchange import joining, letters, rounds
from fedkit.exchange.folder import SMALL, Folder, Found
from fedkit.exchange.joining import Named
from fedkit.exchange.letters import Signed
from fedkit.exchange.rounds import FIRST, LIST, SUM, Step
from fedkit.exchange.settings import Settings

_HEAD = struct.Struct("<I")  # length of what a sum says of itself
_MOST = 8  # lists, and sums, of a number that are looked at


class Closed(NamedTuple):
    """A list: whose first letters are added up, a group each."""

    by: tuple[str, bytes]  # who signed its letter
    digest: str
    about: bytes
    groups: tuple[Listed, ...]

    def of(self, name: str) -> Listed:
        """Return the group that a hospital is in; nothing if it is in none."""
        return next((group for group in self.groups if name in group), {})

    @staticmethod
    def content(about: bytes, groups: Iterable[Listed]) -> bytes:
        """Return what travels."""
        groups = [{name: code.hex() for name, code in group.items()} for group in groups]
        return json.dumps({"about": about.hex(), "groups": groups}).encode()

    @classmethod
    def read(cls, letter: Signed, study: "Study") -> "Closed":
        """Take it apart; MessageError if it is malformed, or names groups that the opening does not."""
        said = letter.json()
        try:
            groups = tuple({name: bytes.fromhex(code) for name, code in group.items()} for group in said["groups"])
            about, members = bytes.fromhex(said["about"]), [set(group) for group in study.groups]
            homes = [next(at for at, each in enumerate(members) if group.keys() <= each) for group in groups]
            if groups and homes == sorted({*homes}) and all(groups):  # in one order: sums in another differ a little
                return cls(letter.by, letter.digest, about, groups)
        except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
            pass
        raise MessageError(f"A list by {letter.sender} is malformed, or not of the groups of this study.")


class Added(NamedTuple):
    """Sums of a list's groups, without their numbers."""

    by: tuple[str, bytes]  # who signed their letter
    digest: str
    list: str  # digest of the list's letter
    which: tuple[int, ...]  # of the list's groups; none if all are given up
    size: int  # bytes of the letter,
    numbers: int  # and of the sums, which lie behind each other at its end

    def fits(self, closed: Closed) -> bool:
        """Whether a list has the groups."""
        return all(at < len(closed.groups) for at in self.which)

    @staticmethod
    def content(list: str, sums: dict[int, bytes]) -> bytes:
        """Return what travels."""
        head = json.dumps({"list": list, "which": [*sums]}).encode()
        return _HEAD.pack(len(head)) + head + b"".join(sums.values())

    @classmethod
    def read(cls, letter: Signed, size: int) -> "Added":
        """Take it apart; MessageError if it is malformed."""
        try:
            (length,) = _HEAD.unpack_from(letter.content)
            said = json.loads(letter.content[_HEAD.size : _HEAD.size + length])
            which = tuple(said["which"])
            if all(type(at) is int and at >= 0 for at in which) and [*which] == sorted({*which}):
                numbers = len(letter.content) - _HEAD.size - length
                return cls(letter.by, letter.digest, str(said["list"]), which, size, numbers)
        except (KeyError, RecursionError, TypeError, ValueError, struct.error):
            pass
        raise MessageError(f"A sum by {letter.sender} is malformed: it is damaged.")


class Tally(NamedTuple):
    """A number: what is added up, its list, and its sum."""

    step: Step
    closed: Closed | None
    added: Added | None

    @property
    def end(self) -> str:
        """How it ended: "added" or "given up"; "" while it is open."""
        return "" if self.added is None else "added" if self.added.which else "given up"

    @property
    def listed(self) -> set[str]:
        """Who is on its list."""
        return set().union(*self.closed.groups) if self.closed else set()

    @property
    def counted(self) -> set[str]:
        """Who is in its sums."""
        return {name for at in self.added.which for name in self.closed.groups[at]} if self.added else set()


class Study:
    """A study, as far as the folder shows it.

    folder : where its letters are
    invitation : fingerprint of the invitation, as it was read aloud

    Its attributes:
    id, opening : digests of invitation and opening, "" until there is one
    settings, day, versions, maker_is : from the invitation; name and key of who made the study
    roster, members, groups, key_maker : who takes part, once the study is open, and which of them makes the group's key
    group_key : the letter with it that counts
    coordinators : whom the maker ever put in charge of adding up
    said : of a number, its lists or sums by digest, whoever of the coordinators signed them
    chosen : of a number's lists and sums, the one that a hospital took, where there are more
    why_not : what was wrong with the last letter that was not taken
    notice : ``notice(digest=, sender=, why=)`` is told, once a letter, what is refused
    pinned : tells the opening that a hospital joined by: no other one counts for it any more
    """

    def __init__(self, folder: Folder, invitation: str) -> None:
        self.folder, self.invitation = folder, invitation.strip().upper()
        self.notice: Callable[..., None] = lambda **about: None
        self.pinned: Callable[[], str] = str
        self.id, self.maker_is, self.day, self.versions = "", ("", b""), "", {}
        self.settings: Settings | None = None
        self._first: list[Named] = []
        self._invited = self._opened = b""
        self._noticed: set[tuple[str, str]] = set()
        self._begin("", {}, (), "")

    def _begin(
        self, opening: str, members: dict[str, Member], groups: tuple[tuple[str, ...], ...], key_maker: str
    ) -> None:
        """Start over: what was read so far was read as a part of something else."""
        self.opening, self.members, self.groups, self.key_maker = opening, members, groups, key_maker
        self.roster = Roster({name: each.identity for name, each in members.items()}) if opening else None
        self.group_key, self.why_not = None, ""
        self.coordinators = list(self._first)
        self.chosen: dict[tuple[str, int], str] = {}
        self.said: dict[tuple[str, int], dict[str, Closed | Added]] = {}
        self.folder.forget()

    def refresh(self) -> None:
        """Read what is new."""
        self.folder.places()  # of which some may be shown twice
        if not self.id:
            self.take("invitation", self.follow)
        if self.id:
            self.take("opening", self._read_opening)
            self.take("handover", self._read_handover)
        if self.roster is None:
            return
        self.take("group", self._read_group_key)
        known = -1
        while known < self.step.number:
            known = self.step.number
            for step in [each.step for each in self.steps()[-2:] if not each.step.ended]:  # of the last, a second sum
                size = SMALL + len(self.groups) * self.sum_bytes(step, len(self.members))
                for what, most in ((LIST, SMALL), (SUM, size)):
                    self.take(rounds.place(what, step.number), partial(self._read_said, what, step.number), most)

    def take(self, place: str, read: Callable[[Found], object], most: int = SMALL, sender: str | None = None) -> None:
        """Have each letter of a place read that is new (see `Folder.new`); what raises a MessageError is refused."""
        for found in self.folder.new(place, most, sender):
            try:
                read(found)
            except MessageError as problem:
                self.why_not = self.why_not if self.id else str(problem)
                self.refused(found.digest, found.sender, str(problem))

    @property
    def step(self) -> Step:
        """What is being added up now."""
        return self.steps()[-1][0]

    def steps(self) -> list[Tally]:
        """Return each number so far: the last one is open, or the study has ended."""
        step, found = FIRST, []
        while self.roster is not None and not step.ended:
            found.append(self._tally(step))
            if not found[-1].end:
                return found
            step = step.after(self.settings, found[-1].end)
        return [*found, Tally(step, None, None)]

    def _tally(self, step: Step) -> Tally:
        """Of a number's lists and sums, return those that were taken here, or else with the smallest digests."""
        by = self.in_charge(step.number)[:2]
        lists, sums = (
            {digest: said for digest, said in self.said.get((what, step.number), {}).items() if said.by == by}
            for what in (LIST, SUM)
        )
        sums = {d: added for d, added in sums.items() if added.list in lists and added.fits(lists[added.list])}
        added = sums.get(self.chosen.get((SUM, step.number)), sums[min(sums)] if sums else None)
        taken = added.list if added else self.chosen.get((LIST, step.number))
        return Tally(step, lists.get(taken, lists[min(lists)] if lists else None), added)

    def failed(self, group: Collection[str]) -> dict[int, Listed]:
        """Return a group's lists, by number, that were given up since an update of it was added."""
        found = {}
        for step, closed, added in self.steps()[-2::-1]:
            for at, listed in enumerate(closed.groups):
                if listed.keys() <= {*group}:
                    if at not in added.which:
                        found[step.number] = listed
                    else:
                        return found
        return found

    def in_charge(self, number: int) -> Named:
        """Return who adds up under a number: of those named for it or earlier ones, the one named last."""
        named = (each for each in self.coordinators if each.from_number <= number)
        return min(named, key=lambda each: (-each.number, each.digest))

    @property
    def agreed(self) -> bytes:
        """SHA-256 of all that was agreed on before the first sum, with the letter of the group's key."""
        return hashlib.sha256(self._invited + self._opened + self.group_key.whole).digest()

    @property
    def parameters(self) -> Parameters:
        """Of the encryption: they follow from the settings and the number of hospitals."""
        return rounds.parameters(self.settings, len(self.members))

    def letter_bytes(self, step: Step) -> int:
        """Length of a first letter of a number."""
        return messages.letter_bytes(self.parameters, self.coefficients(step))

    def coefficients(self, step: Step) -> int:
        """How many coefficients it has, the weight's included."""
        weight = quantization.weight_layer(self.parameters).coefficients
        return weight + rounds.layout(self.settings, self.parameters, step.purpose, quantization.Counted()).coefficients

    def sum_bytes(self, step: Step, hospitals: int) -> int:
        """Length of the sum of one list."""
        return messages.sum_bytes(self.parameters, self.coefficients(step), hospitals)

    def group(self, name: str) -> tuple[str, ...]:
        """Whom a hospital may be listed with, itself included."""
        return next(group for group in self.groups if name in group)

    def sums(self, tally: Tally) -> list[tuple[bytes, Listed]]:
        """Read the sums of a number once more: each, and its list; OSError if they cannot be read now."""
        (step, closed, added), found = tally, []
        data = self.folder.find(rounds.place(SUM, step.number), added.digest, added.size)
        if data is None:
            raise OSError(f"The sum number {step.number} is in the folder, and cannot be read yet.")
        numbers = io.BytesIO(data[len(data) - added.numbers :])
        for group in (closed.groups[which] for which in added.which):
            found.append((numbers.read(self.sum_bytes(step, len(group))), group))
        return found

    def refused(self, digest: str, sender: str, sentence: str) -> None:
        """Tell `notice`, once a letter."""
        if (digest, sender) not in self._noticed:
            self._noticed.add((digest, sender))
            self.notice(digest=digest, sender=sender, why=sentence)

    def follow(self, found: Found) -> None:
        """Take the invitation, if this is the one that was read aloud; MessageError if not."""
        self.settings, self.maker_is, first, self.day, self.versions = joining.invitation(found, self.invitation)
        self._invited = hashlib.sha256(found.data).digest()
        self.id, self._first = found.digest, [first]
        self._begin("", {}, (), "")

    def _by_maker(self, found: Found, purpose: str) -> Signed:
        return joining.signed_by(letters.read(found, self.id, purpose, 0), *self.maker_is)

    def _read_opening(self, found: Found) -> None:
        letter = self._by_maker(found, "opening")
        opened, pinned = joining.opening(letter, self.settings), self.pinned()
        if pinned not in ("", letter.digest):
            raise MessageError(f"{letter.sender} opened the study once more, with others: it was joined as it was.")
        # A maker that was started again, and not shown its opening, may have written a second one.
        if not self.opening or letter.digest < self.opening:
            self._begin(letter.digest, *opened)
            self._opened = letter.whole

    def _read_handover(self, found: Found) -> None:
        new = joining.handover(self._by_maker(found, "handover"))
        if new not in self.coordinators:
            self.coordinators.append(new)
            self.folder.forget()  # their letters may be here, and may have been refused

    def _read_group_key(self, found: Found) -> None:
        letter = letters.read(found, self.id, "group", 0)
        joining.signed_by(letter, self.key_maker, self.roster[self.key_maker])
        if letter.json().get("opening") != self.opening:
            raise MessageError(f"The group's key by {letter.sender} is for another opening of this study.")
        if self.group_key and letter.digest != self.group_key.digest:
            raise MessageError(f"{letter.sender} made the group's key twice: those who join by two are never added up.")
        self.group_key = letter

    def _read_said(self, what: str, number: int, found: Found) -> None:
        letter = letters.read(found, self.id, what, number)
        said = Closed.read(letter, self) if what == LIST else Added.read(letter, len(found.data))
        known = self.said.setdefault((what, number), {})
        if said.by not in {each[:2] for each in self.coordinators}:
            raise MessageError(f"{said.by[0]} is not in charge of number {number}.")
        if sum(each.by == said.by for each in known.values()) < _MOST:
            known[said.digest] = said
