"""What a folder's letters say about a study: its settings, who takes part, and how far it is.

It is a function of the letters in the folder and of one thing that people tell each
other: the fingerprint of the invitation. The invitation says what is trained, who made the
study (the maker) and who coordinates; the maker's opening names the hospitals and, among them,
who makes the group's key (the key maker); and the coordinator's lists and sums say how far it is.
"""

import hashlib
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from fedkit.encryption.envelopes import Roster
from fedkit.encryption.keyring import Listed, Member
from fedkit.encryption.messages import MessageError
from fedkit.encryption.schemes import Parameters
from fedkit.exchange import joining, letters, rounds
from fedkit.exchange.folder import Folder, Found
from fedkit.exchange.joining import InCharge, KeyMaker
from fedkit.exchange.letters import SMALL, Signed
from fedkit.exchange.rounds import FIRST, LIST, SUM, Step
from fedkit.exchange.settings import Settings

_HEAD = struct.Struct("<I")  # length of what a sum says of itself
_SEALED = 1 << 10  # most bytes of a hospital's copy of the group's key, made text, with its name
_MOST = 8  # lists, and sums, of a number that are looked at


class Closed(NamedTuple):
    """A list: whose first letters are added up, a group each; of no group where an update outgrew its bound."""

    digest: str  # of its letter
    about: bytes
    groups: tuple[Listed, ...]

    @classmethod
    def read(cls, letter: Signed, study: "Study") -> "Closed":
        """Take it apart; MessageError if it is malformed, or names groups that the opening does not."""
        said = letter.json()
        try:
            groups = tuple({name: bytes.fromhex(code) for name, code in group.items()} for group in said["groups"])
            about, members = bytes.fromhex(said["about"]), [set(group) for group in study.groups]
            homes = [next(at for at, each in enumerate(members) if group.keys() <= each) for group in groups]
            if len(set(homes)) == len(homes) and all(groups):
                return cls(letter.digest, about, groups)
        except (AttributeError, KeyError, StopIteration, TypeError, ValueError):
            pass
        raise MessageError(f"A list by {letter.sender} is malformed, or not of the groups of this study.")


class Added(NamedTuple):
    """Sums of a list's groups, without their numbers."""

    digest: str  # of its letter
    list: str  # digest of the list's letter
    which: tuple[int, ...]  # of the list's groups; none if all are given up
    size: int  # bytes of the letter

    def fits(self, closed: Closed) -> bool:
        """Whether a list has the groups."""
        return bool(closed.groups) and all(at < len(closed.groups) for at in self.which)

    @staticmethod
    def content(list: str, sums: dict[int, bytes]) -> bytes:
        """Return what travels."""
        head = json.dumps({"list": list, "which": [*sums]}).encode()
        return _HEAD.pack(len(head)) + head + b"".join(sums.values())

    @classmethod
    def read(cls, letter: Signed, size: int) -> tuple["Added", bytes]:
        """Take it apart, and return the sums as they lie behind each other; MessageError if it is malformed."""
        try:
            (length,) = _HEAD.unpack_from(letter.content)
            said = json.loads(letter.content[_HEAD.size : _HEAD.size + length])
            which = tuple(said["which"])
            if all(type(at) is int and at >= 0 for at in which) and len(set(which)) == len(which):
                return cls(letter.digest, str(said["list"]), which, size), letter.content[_HEAD.size + length :]
        except (KeyError, RecursionError, TypeError, ValueError, struct.error):
            pass
        raise MessageError(f"A sum by {letter.sender} is malformed: it is damaged.")


class Study:
    """A study, as far as the folder shows it.

    folder : where its letters are
    invitation : fingerprint of the invitation, as it was read aloud

    Attributes
    ----------
    id, opening : digests of invitation and opening, "" until there is one
    settings, day, maker_is : from the invitation; name and key of who made the study
    roster, members, groups : who takes part, once the study is open
    group_keys : letters with the group's key, by who made it
    coordinators, key_makers : whom the maker ever put in charge of adding up, or asked to make the group's key
    chosen : of a number's lists and sums, the one that a hospital took, where there are more
    why_not : what was wrong with the last letter that was not taken
    notice : ``notice(digest, sender, sentence)`` is told, once a letter, what is refused
    pinned : tells the opening that a hospital joined by: no other one counts for it any more
    """

    def __init__(self, folder: Folder, invitation: str) -> None:
        self.folder, self.invitation = folder, invitation.strip().upper()
        self.notice: Callable[[str, str, str], None] = lambda digest, sender, sentence: None
        self.pinned: Callable[[], str] = str
        self.id, self.maker_is, self.day = "", ("", b""), ""
        self.settings: Settings | None = None
        self._first: list[InCharge] = []
        self._invited = self._opened = b""
        self._noticed: set[tuple[str, str]] = set()
        self._begin("", None)

    def _begin(self, opening: str, opened: joining.Opening | None) -> None:
        """Start over: what was read so far was read as a part of something else."""
        self.opening, self.why_not = opening, ""
        self.members: dict[str, Member] = opened.members if opened else {}
        self.groups = opened.groups if opened else ()
        self.roster = Roster({name: each.identity for name, each in self.members.items()}) if opened else None
        self.group_keys: dict[str, Signed] = {}
        self.coordinators = list(self._first)
        self.key_makers = {KeyMaker(opened.key_maker, 0, opening)} if opened else set()
        self.chosen: dict[tuple[str, int], str] = {}
        self._said: dict[tuple[str, int], dict[str, tuple[tuple[str, bytes], Closed | Added]]] = {}  # and by whom
        self.folder.forget()

    def refresh(self, posted: Found | None = None) -> None:
        """Read what is new, and what was just posted, whether it is listed already or not."""
        self.folder.places()  # of which some may be shown twice

        def new(place: str, most: int) -> Iterator[Found]:
            if posted is not None and posted.place == place:
                yield posted
            yield from self.folder.new(place, most)

        if not self.id:
            self._take(new("invitation", SMALL), self._read_invitation)
        if self.id:
            self._take(new("opening", SMALL), self._read_opening)
        if self.roster is None:
            return
        self._take(new("handover", SMALL), self._read_handover)
        self._take(new("group", (len(self.roster) + 1) * _SEALED), self._read_group_key)
        known = -1
        while known < self.step.number:
            known = self.step.number
            for number in range(max(known - 1, 0), known + 1):  # of the last one there may be a second sum
                self._take(new(rounds.place(LIST, number), SMALL), lambda found, at=number: self._read_list(found, at))
                most = self._sum_bytes + letters.OVERHEAD
                self._take(new(rounds.place(SUM, number), most), lambda found, at=number: self._read_sum(found, at))

    @property
    def step(self) -> Step:
        """What is being added up now."""
        return self.steps()[-1][0]

    def steps(self) -> list[tuple[Step, Closed | None, Added | None]]:
        """Return each number so far with its list and its sum: the last one has no sum yet."""
        step, found, fresh = FIRST, [], False
        while self.roster is not None and not step.ended:
            lists, number = self._by_who_is_in_charge(LIST, step.number), step.number
            if step.purpose != "update" or fresh:  # bounds are added up once from a model
                lists = {digest: closed for digest, closed in lists.items() if closed.groups}
            sums = self._by_who_is_in_charge(SUM, number)
            sums = {d: a for d, a in sums.items() if a.list in lists and a.fits(lists[a.list])}
            added = self._one(SUM, number, sums)
            closed = lists[added.list] if added else self._one(LIST, number, lists)
            found.append((step, closed, added))
            void = closed is not None and not closed.groups
            if added is None and not void:
                return found
            if added is not None and added.which:
                fresh = step.purpose == "bounds"
            step = step.after(self.settings, "void" if void else "added" if added.which else "given up")
        return [*found, (step, None, None)]

    @property
    def promised(self) -> tuple[set[str], bool]:
        """Whose updates count now, since their bounds were in the last sum; and whether bounds were added up alone."""
        names, fresh = set(), False
        for step, closed, added in self.steps():
            if added is not None and added.which and step.purpose in ("bounds", "update"):
                if step.purpose == "bounds" or not fresh:
                    names = {name for at in added.which for name in closed.groups[at]}
                fresh = step.purpose == "bounds"
        return names, fresh

    def _by_who_is_in_charge(self, what: str, number: int) -> dict:
        sender = self.in_charge(number)[:2]
        return {digest: said for digest, (by, said) in self._said.get((what, number), {}).items() if by == sender}

    def _one(self, what: str, number: int, found: dict) -> Closed | Added | None:
        """Of lists or sums, the one that was taken here, or the one with the smallest digest."""
        chosen = self.chosen.get((what, number))
        return found.get(chosen) or (found[min(found)] if found else None)

    def in_charge(self, number: int) -> InCharge:
        """Return who adds up under a number: of those named for it or earlier ones, the one named last."""
        return min(
            (each for each in self.coordinators if each.from_number <= number),
            key=lambda each: (-each.number, each.digest),
        )

    @property
    def key_maker(self) -> str:
        """The hospital that makes the group's key, which is the one named last."""
        return min(self.key_makers, key=lambda each: (-each.number, each.digest)).name

    @property
    def group_key(self) -> Signed | None:
        """The letter with the group's key that counts."""
        return self.group_keys.get(self.key_maker)

    @property
    def agreed(self) -> bytes:
        """SHA-256 of all that was agreed on before the first sum, with the letter of the group's key."""
        return hashlib.sha256(self._invited + self._opened + self.group_key.whole).digest()

    @property
    def parameters(self) -> Parameters:
        """Of the encryption: they follow from the settings and the number of hospitals."""
        return rounds.parameters(self.settings, len(self.members))

    def coefficients(self, step: Step) -> int:
        """How many coefficients a letter of this number has."""
        return rounds.coefficients(self.settings, self.parameters, step.purpose)

    def about_sum(self, added: Added, number: int) -> tuple[Signed, bytes]:
        """Read a sum once more, with its numbers; OSError if it cannot be read now."""
        place = rounds.place(SUM, number)
        data = self.folder.find(place, added.digest, added.size)
        if data is None:
            raise OSError(f"The sum number {number} is in the folder, and cannot be read yet.")
        by, _ = self._said[SUM, number][added.digest]
        letter = letters.read(Found(place, "", added.digest, by[0], data), self.id, SUM, number, most=added.size)
        return letter, Added.read(letter, added.size)[1]

    def refused(self, digest: str, sender: str, sentence: str) -> None:
        """Tell `notice`, once a letter."""
        if (digest, sender) not in self._noticed:
            self._noticed.add((digest, sender))
            self.notice(digest, sender, sentence)

    @property
    def _sum_bytes(self) -> int:
        """Most bytes that a letter with sums has."""
        purposes, hospitals = ("statistics", "update", "scores"), len(self.members)
        each = max(rounds.sum_bytes(self.settings, self.parameters, purpose, hospitals) for purpose in purposes)
        return SMALL + len(self.groups) * each

    def _take(self, found: Iterable[Found], reader: Callable[[Found], None]) -> None:
        for each in found:
            try:
                reader(each)
            except MessageError as problem:
                self.why_not = self.why_not if self.id else str(problem)
                self.refused(each.digest, each.sender, str(problem))

    def _read_invitation(self, found: Found) -> None:
        self.settings, self.maker_is, first, self.day = joining.invitation(found, self.invitation)
        self._invited = hashlib.sha256(found.data).digest()
        self.id, self._first = found.digest, [first]
        self._begin("", None)

    def _read_opening(self, found: Found) -> None:
        letter = joining.signed_by(letters.read(found, self.id, "opening", 0), *self.maker_is)
        opened, pinned = joining.opening(letter, self.settings), self.pinned()
        if pinned not in ("", letter.digest):
            raise MessageError(f"{letter.sender} opened the study once more, with others: it was joined as it was.")
        # A maker that was started again, and not shown its opening, may have written a second one.
        if not self.opening or letter.digest < self.opening:
            self._begin(letter.digest, opened)
            self._opened = letter.whole

    def _read_handover(self, found: Found) -> None:
        letter = joining.signed_by(letters.read(found, self.id, "handover", 0), *self.maker_is)
        if "key_maker" in letter.json():
            new = joining.key_maker(letter, self.roster)
            if new not in self.key_makers:
                self.key_makers.add(new)
                self.folder.forget()  # their letter may be here, and may have been refused
        elif (new := joining.handover(letter)) not in self.coordinators:  # letters may be read twice
            self.coordinators.append(new)

    def _read_group_key(self, found: Found) -> None:
        letter = letters.read(found, self.id, "group", 0, most=len(self.members) * _SEALED)
        maker = letter.sender if letter.sender in {each.name for each in self.key_makers} else self.key_maker
        joining.signed_by(letter, maker, self.roster[maker])
        if letter.json().get("opening") != self.opening:
            raise MessageError(f"The group's key by {letter.sender} is for another opening of this study.")
        known = self.group_keys.get(maker)
        self.group_keys[maker] = letter if known is None or letter.digest < known.digest else known

    def _read_list(self, found: Found, number: int) -> None:
        letter = letters.read(found, self.id, LIST, number)
        self._take_said(LIST, number, letter, Closed.read(letter, self))

    def _read_sum(self, found: Found, number: int) -> None:
        letter = letters.read(found, self.id, SUM, number, most=self._sum_bytes)
        self._take_said(SUM, number, letter, Added.read(letter, len(found.data))[0])

    def _take_said(self, what: str, number: int, letter: Signed, said: Closed | Added) -> None:
        by, known = (letter.sender, letter.public), self._said.setdefault((what, number), {})
        if by not in {each[:2] for each in self.coordinators}:
            raise MessageError(f"{letter.sender} is not in charge of number {number}.")
        if sum(one == by for one, _ in known.values()) < _MOST or letter.digest in known:
            known[letter.digest] = by, said
