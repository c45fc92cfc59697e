"""What a folder's letters say about a study: its settings, who takes part, and how far it is.

It is a function of the letters in the folder and of one thing that people tell each
other: the fingerprint of the invitation. The invitation says what is trained, who made the
study (the maker) and who coordinates; the maker's opening names the hospitals and, among them,
who makes the key (the key maker); and the coordinator's sums close the rounds.
"""

import functools
import itertools
from collections.abc import Callable, Iterable, Iterator

from fedkit import encryption
from fedkit.encryption import messages, schemes
from fedkit.encryption.envelopes import Roster
from fedkit.encryption.messages import Message, MessageError
from fedkit.exchange import joining, letters, rounds
from fedkit.exchange.chain import Link, longest
from fedkit.exchange.folder import Folder, Found
from fedkit.exchange.joining import InCharge, KeyMaker
from fedkit.exchange.letters import SMALL, Letter
from fedkit.exchange.settings import Settings

_KEY = 1 << 16  # most bytes of a hospital's copy of the key, sealed (33 kB, made text) and with its name


class Study:
    """A study, as far as the folder shows it.

    Parameters
    ----------
    folder
        Where its letters are.
    invitation
        Fingerprint of the invitation, as it was read aloud.

    Attributes
    ----------
    id, opening : str
        Digests of invitation and opening, "" until there is one.
    settings, day : Settings or None, str
        From the invitation.
    maker_is : tuple of str and bytes
        Name and key of who made the study.
    roster : Roster or None
        The hospitals, once the study is open.
    roots, links : dict of str to Letter, of str to Link
        Letters with keys, and sums, by digest.
    coordinators, key_makers : list of InCharge, set of KeyMaker
        Whom the maker ever put in charge of adding up, or asked to make the key.
    unusable : set of str
        Digests of keys and sums that a hospital could not use.
    why_not : str
        What was wrong with the last invitation, key or sum that was not taken.
    notice : callable
        ``notice(digest, sender, sentence)`` is told, once a letter, what is refused.
    """

    def __init__(self, folder: Folder, invitation: str) -> None:
        self.folder, self.invitation = folder, invitation.strip().upper()
        self.notice: Callable[[str, str, str], None] = lambda digest, sender, sentence: None
        self.id, self.maker_is, self.day = "", ("", b""), ""
        self.settings: Settings | None = None
        self._first: list[InCharge] = []
        self._noticed: set[tuple[str, str]] = set()
        self._begin("", None)

    def _begin(self, opening: str, roster: Roster | None) -> None:
        """Start over: what was read so far was read as a part of something else."""
        self.opening, self.roster, self.why_not = opening, roster, ""
        self.roots: dict[str, Letter] = {}
        self.links: dict[str, Link] = {}
        self.coordinators = list(self._first)
        self.key_makers: set[KeyMaker] = set()
        self.unusable: set[str] = set()
        self._modulus = 0  # of the encryption, from any letter with keys
        self.folder.forget()

    def refresh(self, posted: Found | None = None) -> None:
        """Read what is new, and what was just posted, whether it is listed already or not."""

        def new(place: str, most: int) -> Iterator[Found]:
            return itertools.chain(
                [posted] * (posted is not None and posted.place == place), self.folder.new(place, most)
            )

        if not self.id:
            self._take(new("invitation", SMALL), self._read_invitation)
        if self.id:
            self._take(new("opening", SMALL), self._read_opening)
        if self.roster is None:
            return
        self._take(new("handover", SMALL), self._read_handover)
        self._take(new("keys", letters.MOST_HEAD + (len(self.roster) + 1) * _KEY), self._read_keys)
        known = -1
        while known < len(self.links):
            known, open_round = len(self.links), len(self.chain()) - 1
            # Of the last round there may be a second sum, and one that follows may follow a sum never seen.
            unknown = {link.round - 1 for link in self.links.values() if link.round and link.after not in self.links}
            for round in sorted({open_round - 1, open_round} | unknown):
                if 0 <= round <= self.settings.rounds + 1:
                    most = rounds.sum_bytes(self.settings, self.parameters, round) + letters.MOST_HEAD
                    self.take_sums(self.folder.new(rounds.sum_place(round), most), round)

    def chain(self) -> list[str]:
        """Return the digests of the keys that count, and of the sums of rounds 0, 1, ... so far."""
        links = [
            link
            for link in self.links.values()
            if link.digest not in self.unusable
            and self.in_charge(link.round)[:2] == (link.sender, link.public)
            and len(link.counted) >= self.settings.quorum
        ]
        roots = {digest for digest, letter in self.roots.items() if letter.sender == self.key_maker}
        return longest(roots - self.unusable, links)

    def in_charge(self, round: int) -> InCharge:
        """Return who closes a round: of those named for it or earlier ones, the one named last."""
        return min(
            (each for each in self.coordinators if each.from_round <= round),
            key=lambda each: (-each.number, each.digest),
        )

    @property
    def key_maker(self) -> str:
        """The hospital that makes the key, which is the one named last."""
        return min(self.key_makers, key=lambda each: (-each.number, each.digest)).name

    def take_sums(self, found: Iterable[Found], round: int) -> None:
        """Add sums of a round to what is known."""
        self._take(found, lambda found: self._read_sum(found, round))

    def refused(self, digest: str, sender: str, sentence: str) -> None:
        """Tell `notice`, once a letter."""
        if (digest, sender) not in self._noticed:
            self._noticed.add((digest, sender))
            self.notice(digest, sender, sentence)

    @property
    def parameters(self) -> schemes.Parameters:
        """Of the encryption: they follow from the settings and the number of hospitals."""
        return _parameters(len(self.roster), self.settings.numbers + 2, self.settings.security)

    def _take(self, found: Iterable[Found], reader: Callable[[Found], None]) -> None:
        for each in found:
            try:
                reader(each)
            except MessageError as problem:
                self.why_not = self.why_not if self.id else str(problem)
                self.refused(each.digest, each.sender, str(problem))

    def _read_invitation(self, found: Found) -> None:
        self.settings, self.maker_is, first, self.day = joining.invitation(found, self.invitation)
        self.id, self._first = found.digest, [first]
        self._begin("", None)

    def _read_opening(self, found: Found) -> None:
        letter = joining.signed_by(letters.read(found, self.id, "opening", 0), *self.maker_is)
        roster, key_maker = joining.opening(letter, self._first[0])
        # A maker that was started again, and not shown its opening, may have written a second one.
        if not self.opening or letter.digest < self.opening:
            self._begin(letter.digest, roster)
            self.key_makers.add(KeyMaker(key_maker, 0, letter.digest))

    def _read_handover(self, found: Found) -> None:
        letter = joining.signed_by(letters.read(found, self.id, "handover", 0), *self.maker_is)
        if "key_maker" in letter.json():
            new = joining.key_maker(letter, self.roster)
            if new not in self.key_makers:
                self.key_makers.add(new)
                self.folder.forget()  # their keys may be here, and may have been refused
            return
        new = joining.handover(letter)
        if new.public in self.roster.values():
            raise MessageError(f"{new.name} is a hospital, and cannot coordinate: it holds the key.")
        if new not in self.coordinators:  # letters may be read twice
            self.coordinators.append(new)

    def _read_keys(self, found: Found) -> None:
        letter = letters.read(found, self.id, "keys", 0, most=(len(self.roster) + 1) * _KEY)
        maker = letter.sender if letter.sender in {each.name for each in self.key_makers} else self.key_maker
        joining.signed_by(letter, maker, self.roster[maker])
        said = letter.json()
        if said.get("opening") != self.opening:
            raise MessageError(f"The keys by {letter.sender} are for another opening of this study.")
        try:
            server = encryption.Server(letters.unpacked(said, "public"))
        except ValueError as problem:
            raise MessageError(f"The keys by {letter.sender} cannot be used. {problem}") from None
        if server.parameters != self.parameters:
            raise MessageError(f"The keys by {letter.sender} are not what was agreed on: {server.parameters.explain()}")
        self.roots[letter.digest], self._modulus = letter, server.ring.modulus

    def _read_sum(self, found: Found, round: int) -> None:
        most = rounds.sum_bytes(self.settings, self.parameters, round)
        letter = letters.read(found, self.id, rounds.purpose(self.settings, round), round, most=most)
        total = rounds.Total.from_bytes(letter.content, letter.hospitals)
        for hospital in total.counted:
            _ = self.roster[hospital]  # which says who is not on it
        key_id = messages.key_id(total.message)  # it may be a key whose letter is not shown yet
        numbers = Message.from_bytes(total.message, self.parameters, self._modulus, key_id)
        wanted = len(total.counted), rounds.coefficients(self.settings, self.parameters, round)
        if numbers.kind == messages.OWN or (numbers.hospitals, numbers.coefficients) != wanted:
            raise MessageError(f"The sum of round {round} is not of the hospitals that it names, or of other numbers.")
        if (letter.sender, letter.public) not in {each[:2] for each in self.coordinators}:
            self.refused(found.digest, found.sender, f"{letter.sender} is not in charge of round {round}.")
        link = (round, total.after, total.counted, letter.sender, letter.public, len(found.data))
        self.links[found.digest] = Link(found.digest, *link)


@functools.cache
def _parameters(hospitals: int, numbers: int, security: int) -> schemes.Parameters:
    return schemes.choose("bfv", hospitals, numbers=numbers, bits=rounds.BITS, security=security)
