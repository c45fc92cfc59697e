"""What a folder's letters say about a study: its settings, who takes part, and how far it is.

It is a function of the letters in the folder and of one thing that people tell each
other: the fingerprint of the maker's key. The maker's invitation names the coordinator,
the opening names the hospitals, the key maker among them makes the key, and the
coordinator's sums close the rounds.
"""

import functools
from collections.abc import Callable

from fedkit import encryption, schemes
from fedkit.envelopes import Roster
from fedkit.exchange import joining, letters, rounds
from fedkit.exchange.chain import Link, longest
from fedkit.exchange.folder import Folder, Found
from fedkit.exchange.joining import Coordinator, KeyMaker
from fedkit.exchange.letters import SMALL, Letter
from fedkit.exchange.settings import Settings
from fedkit.messages import MessageError


class Study:
    """A study, as far as the folder shows it.

    Parameters
    ----------
    folder
        Where its letters are.
    maker
        Fingerprint of the maker's key, as it was read aloud.

    Attributes
    ----------
    id : str
        Digest of the invitation, "" until there is one.
    settings : Settings or None
        From the invitation.
    maker_is : tuple of str and bytes
        Name and key of who made it.
    roster : Roster or None
        The hospitals, once the study is open.
    opening : str
        Digest of the opening.
    roots : dict of str to Letter
        Letters with keys, by digest.
    links : dict of str to Link
        Sums, by digest.
    coordinators : list of Coordinator
        Whom the maker ever put in charge of adding up.
    key_makers : set of KeyMaker
        Whom the maker ever asked to make the key.
    unusable : set of str
        Digests of keys and sums that a hospital could not use.
    why_not : str
        What was wrong with the last invitation, key or sum that was not taken.
    notice : callable
        ``notice(digest, sender, sentence)`` is told, once a letter, what is refused.
    """

    def __init__(self, folder: Folder, maker: str) -> None:
        self.folder, self.maker = folder, maker.strip().upper()
        self.notice: Callable[[str, str, str], None] = lambda digest, sender, sentence: None
        self.unusable: set[str] = set()
        self.why_not = ""
        self.id, self.opening, self.settings = "", "", None
        self._raw: dict[str, dict[str, Found]] = {"invitation": {}, "opening": {}}
        self._noticed: set[str] = set()
        self._reset()

    def _reset(self) -> None:
        self.roster: Roster | None = None
        self.roots: dict[str, Letter] = {}
        self.links: dict[str, Link] = {}
        self.coordinators: list[Coordinator] = []
        self.key_makers: set[KeyMaker] = set()
        self.unusable = set()

    def refresh(self, posted: Found | None = None) -> None:
        """Read what is new, and an invitation or opening that was just posted, whether it is listed already or not."""
        if posted:
            self._raw[posted.place][posted.digest] = posted
        if not self.links:  # from the first sum on, nobody can join any more
            self._read_opening()
        if self.roster is None:
            return
        for found in self.folder.new("handover", SMALL):
            self._take(found, self._read_handover)
        for found in self.folder.new("keys", letters.MOST_HEAD + (len(self.roster) + 1) * 2 * SMALL):
            self._take(found, self._read_keys)
        known = -1
        while known < len(self.links):
            known, open_round = len(self.links), len(self.chain()) - 1
            # Of the last round there may be a second sum, and one that follows may follow a sum never seen.
            unknown = {link.round - 1 for link in self.links.values() if link.round and link.after not in self.links}
            for round in sorted({open_round - 1, open_round} | unknown):
                if 0 <= round <= self.settings.rounds + 1:
                    most = rounds.sum_bytes(self.settings, self.parameters, round) + letters.MOST_HEAD
                    for found in self.folder.new(rounds.sum_place(round), most):
                        self.take_sum(found, round)

    def chain(self) -> list[str]:
        """Return the digests of the keys that count, and of the sums of rounds 0, 1, ... so far."""
        links = [
            link
            for link in self.links.values()
            if link.digest not in self.unusable
            and self.in_charge(link.round)[:2] == (link.sender, link.public)
            and len(link.counted) >= self.settings.quorum
        ]
        return longest(self.roots.keys() - self.unusable, links)

    def in_charge(self, round: int) -> Coordinator:
        """Return who closes a round: of those named for it or earlier ones, the one named last."""
        return min(
            (each for each in self.coordinators if each.from_round <= round),
            key=lambda each: (-each.number, each.digest),
        )

    @property
    def key_maker(self) -> str:
        """The hospital that makes the key, which is the one named last."""
        return min(self.key_makers, key=lambda each: (-each.number, each.digest)).name

    def take_sum(self, found: Found, round: int) -> None:
        """Add a sum of a round to what is known."""
        self._take(found, lambda found: self._read_sum(found, round))

    def refused(self, digest: str, sender: str, sentence: str) -> None:
        """Tell `notice`, once a letter."""
        if digest not in self._noticed:
            self._noticed.add(digest)
            self.notice(digest, sender, sentence)

    @property
    def parameters(self) -> schemes.Parameters:
        """Of the encryption: they follow from the settings and the number of hospitals."""
        return _parameters(len(self.roster), self.settings.numbers + 2, self.settings.security)

    def _take(self, found: Found, reader: Callable[[Found], None]) -> None:
        try:
            reader(found)
        except MessageError as problem:
            self.refused(found.digest, found.sender, str(problem))

    def _read_opening(self) -> None:
        for place, known in self._raw.items():
            known |= {found.digest: found for found in self.folder.new(place, SMALL)}
        invitations: dict[str, tuple] = {}
        for digest, found in sorted(self._raw["invitation"].items()):
            try:
                invitations[digest] = joining.invitation(found, self.maker)
            except MessageError as problem:
                self.why_not = str(problem)
                self.refused(digest, found.sender, self.why_not)
        for id, (_, maker, first) in invitations.items():
            for digest, found in sorted(self._raw["opening"].items()):
                try:
                    letter = joining.signed_by(letters.read(found, id, "opening", 0), *maker)
                    roster, key_maker = joining.opening(letter, first)
                except MessageError as problem:
                    self.refused(digest, found.sender, str(problem))
                    continue
                if (id, digest) != (self.id, self.opening):
                    self._begin(id, *invitations[id], digest)
                self.roster = roster
                self.key_makers.add(KeyMaker(key_maker, 0, digest))
                return
        if invitations and self.id != min(invitations):
            self._begin(min(invitations), *invitations[min(invitations)], "")

    def _begin(self, id: str, settings: Settings, maker: tuple[str, bytes], first: Coordinator, opening: str) -> None:
        """Start over: what was read so far was read as a part of something else."""
        self._reset()
        self.folder.forget()
        self.id, self.settings, self.opening, self.coordinators = id, settings, opening, [first]
        self.maker_is = maker

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
        most = (len(self.roster) + 1) * 2 * SMALL
        letter = letters.read(found, self.id, "keys", 0, most=most)
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
        self.roots[letter.digest] = letter

    def _read_sum(self, found: Found, round: int) -> None:
        most = rounds.sum_bytes(self.settings, self.parameters, round)
        letter = letters.read(found, self.id, rounds.purpose(self.settings, round), round, most=most)
        total = rounds.Total.from_bytes(letter.content, letter.hospitals)
        for hospital in total.counted:
            _ = self.roster[hospital]  # which says who is not on it
        if (letter.sender, letter.public) not in {each[:2] for each in self.coordinators}:
            self.refused(found.digest, found.sender, f"{letter.sender} is not in charge of round {round}.")
        link = (round, total.after, total.counted, letter.sender, letter.public, len(found.data))
        self.links[found.digest] = Link(found.digest, *link)


@functools.cache
def _parameters(hospitals: int, numbers: int, security: int) -> schemes.Parameters:
    return schemes.choose("bfv", hospitals, numbers=numbers, bits=rounds.BITS, security=security)
