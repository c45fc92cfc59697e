"""Letters travel between two folders: the server's, and a hospital's own. What carries them is a function on dicts.

A `Mirror` (at a hospital) asks, and a `Board` (at the server) answers. Neither trusts who carries the question: at both
doors a letter is taken only if it is whole, of a kind that its sender may write, and signed with a key on the roster of
names and fingerprints that a person there agreed to.
"""

import re
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Mapping
from threading import RLock

from fedkit.encryption.identities import fingerprint
from fedkit.encryption.messages import MessageError
from fedkit.exchange import letters
from fedkit.exchange.folder import SMALL, Folder, Found, Where, parts
from fedkit.exchange.letters import Signed
from fedkit.exchange.rounds import LETTERS, LIST, ONE, SUM, TWO

_PLACE = re.compile(r"([a-z]{1,20})(?:-(\d{5}))?", re.ASCII)
_HOSPITALS = ("request", "group", ONE, TWO)  # who may write which letters
_SERVERS = ("invitation", "opening", "handover", LIST, SUM)
_MOST = 8  # letters of one sender and kind, beside one for each number
_ANSWER = 1 << 22  # bytes of an answer, about
_SOONEST, _EACH = 2.0, 0.12  # seconds after which a hospital asks again: at the least, and for each hospital there is
_NONSENSE = (AttributeError, KeyError, OverflowError, TypeError, ValueError)

Letter = tuple[str, str, bytes]  # place, name, and content of a file


def site(fingerprint: str) -> str:
    """Return what the engine calls a machine, and its certificate says: names hold spaces, and fingerprints do not."""
    return f"h-{fingerprint.lower()}"


class _Side:
    """A folder, and the door to it.

    roster : name -> fingerprint: the server's first, then the hospitals'
    numbers, largest : how many sums a study may take; most bytes of a letter
    """

    def __init__(self, folder: Where, roster: Mapping[str, str], numbers: int, largest: int = SMALL) -> None:
        self._folder, self._roster, self._numbers, self._largest = Folder.opened(folder), roster, numbers, largest
        self._server = next(iter(roster))
        self._known: set[tuple[str, str]] = set()  # of the letters: those that the other side has, or was shown
        self._taken: dict[tuple[str, str], set[str]] = defaultdict(set)  # digests by kind and sender

    def _new(self, *senders: str) -> list[Letter]:
        """Read the letters that these have written since."""
        kinds = {kind for each in senders for kind in self._kinds(each)}
        places = [each for each in self._folder.places() if (at := _PLACE.fullmatch(each)) and at[1] in kinds]
        written = [(place, name) for place in places for name in self._folder.names(place) if parts(name)[1] in senders]
        new = [(*at, self._folder.read(*at, self._largest)) for at in written if at not in self._known]
        return [each for each in new if each[2] is not None]

    def _kinds(self, sender: str) -> tuple[str, ...]:
        return _SERVERS if sender == self._server else _HOSPITALS

    def _read(self, place: str, name: str, data: bytes) -> Signed:
        """Check one letter; MessageError, or something else of `_NONSENSE`, if it is not to be taken."""
        (kind, number), (digest, sender) = _PLACE.fullmatch(place).groups(), parts(name)
        here = kind in self._kinds(sender) and (number is not None) == (kind in LETTERS)
        if not here or int(number or 0) >= self._numbers or len(data) > self._largest:
            raise MessageError(f"{place}/{name:.80} is no letter that {sender:.80} may write here: it is not taken.")
        if fingerprint(data[:32]) != self._roster.get(sender):
            raise MessageError(f"{place}/{name:.80} is signed with a key that nobody agreed to: it is not taken.")
        letter = letters.read(Found(place, name, digest, sender, data), None, None, int(number or 0))
        if letter.whole.hex()[:32] != digest:
            raise MessageError(f"{place}/{name:.80} is not what its name says: it is not taken.")
        return letter

    def _take(self, given: list[Letter], senders: Container[str]) -> list[Letter]:
        """Put letters of these senders in the folder; return them under the names that they have there."""
        taken = []
        for place, name, data in given:
            letter = self._read(place, name, data)
            if letter.sender not in senders:
                raise MessageError(f"{place}/{name:.80} is for {letter.sender} alone to send: it is not taken.")
            kind = place.partition("-")[0]
            digests = self._taken[kind, letter.sender]
            if len(digests | {letter.digest}) > (most := _MOST + self._numbers * (kind in LETTERS)):
                raise MessageError(f"{letter.sender} sent more than {most} letters for {kind}: no more are taken.")
            digests.add(letter.digest)
            taken.append((place, self._folder.post(place, letter.sender, data).name, data))
        return taken


class Board(_Side):
    """The server's `_Side`. A name decides which letters are shown, so it must be that of the certificate.

    groups : attribute, hospitals that may be listed together, who see each other's first letters; None shows no letter
    heard, again : attributes, hospital -> when it asked last (`time.monotonic`); seconds after which it does, uncalled
    """

    def __init__(self, *side: object) -> None:
        super().__init__(*side)
        self.groups: list[set[str]] | None = None
        self.heard: dict[str, float] = {}
        self.again = max(_SOONEST, _EACH * len(self._roster))
        self._id, self._lock, self._order = secrets.token_hex(8), RLock(), []
        self.look()

    def look(self) -> bool:
        """Find what was written here since; say whether there was something for the hospitals to read."""
        with self._lock:
            return self._pin(self._new(*([self._server] if self._order else self._roster)))

    def _pin(self, given: list[Letter]) -> bool:
        new = [at for at in dict.fromkeys(each[:2] for each in given) if at not in self._known]
        self._known.update(new)
        self._order += new
        for place, name in new:  # also what was taken before it was started again counts
            self._taken[place.partition("-")[0], parts(name)[1]].add(parts(name)[0])
        return bool(new)

    def answer(self, asked: dict, proven: str | None = None) -> dict:
        """Take letters, and give those that are new to who asks; MessageError if it is no question of this study.

        proven : the `site` whose certificate the engine saw; None where all are in one process
        """
        try:
            with self._lock:
                return self._answer(proven, **asked)
        except MessageError:
            raise
        except _NONSENSE:
            raise MessageError("Somebody asks what is no question: their software is another, or hostile.") from None

    def _answer(self, proven: str | None, /, name: str, board: str, after: int, letters: list[Letter]) -> dict:
        after = after if board == self._id else 0
        if name not in self._roster or type(after) is not int or not 0 <= after <= len(self._order):
            raise MessageError("Somebody asks who is on no roster here, or for what there is not.")
        if proven not in (None, site(self._roster[name])):
            raise MessageError(f"Somebody asks as {name}, with the certificate of another.")
        self.heard[name] = time.monotonic()
        self._pin(taken := self._take(letters, {name}))
        order = self._order if self.groups is not None else []
        fellows = next((group for group in self.groups or [] if name in group), set())
        found, size, own = [], 0, {each[:2] for each in taken}
        while after < len(order) and size < _ANSWER:
            at, after = order[after], after + 1
            kind, sender = at[0].partition("-")[0], parts(at[1])[1]
            shown = kind not in (ONE, TWO, "request") or sender == name or (kind == ONE and sender in fellows)
            if shown and at not in own and (data := self._folder.read(*at, self._largest)) is not None:
                found.append((*at, data))
                size += len(data)
        return {"board": self._id, "after": after, "letters": found, "more": after < len(order), "again": self.again}


class Mirror(_Side):
    """A hospital's `_Side`.

    name : of the hospital
    ask : carries a question to the board, and its answer back; OSError while the server cannot be reached
    may : raises a ValueError for the purpose of a letter that must not leave
    moved : attribute, "asked": questions so far; "up" and "down": bytes of letters
    again : attribute, seconds until it is time to ask, if nobody calls before
    """

    def __init__(self, *side: object, name: str, ask: Callable[[dict], dict], may: Callable[[str], object]) -> None:
        super().__init__(*side)
        self._name, self._ask, self._may, self._board, self._after = name, ask, may, "", 0
        self.moved, self.again = Counter(asked=0, up=0, down=0), _SOONEST

    def fetch(self) -> None:
        """Read what is new at the board; raises what `ask` does, and MessageError for what is not taken."""
        while self._exchange([]):
            pass

    def send(self) -> None:
        """Send the hospital's letters that the board does not have; nothing leaves if one of them may not."""
        new = self._new(self._name)
        for each in new:
            self._may(self._read(*each).purpose)
        if new:
            self._exchange(new)

    def _exchange(self, new: list[Letter]) -> bool:
        """Ask once; say whether there is more."""
        said = self._ask({"name": self._name, "board": self._board, "after": self._after, "letters": new})
        try:
            if anew := said["board"] != self._board:  # a server that was started again: does it have our letters?
                self._known.clear()
            before = sum(map(len, self._taken.values()))
            given = self._take(said["letters"], self._roster)
            if type(said["after"]) is not int or not 0 <= said["after"] < 1 << 32:
                raise ValueError("It is no number of letters.")
            fresh = not anew and any(each[:2] not in self._known for each in given)
            fresh |= sum(map(len, self._taken.values())) > before
            more = said["more"] and fresh  # or it would keep us here for ever
            self._board, self._after = said["board"], said["after"]
            self.again = min(max(0.1, float(said["again"])), 600.0)
        except MessageError:
            raise
        except _NONSENSE:
            raise MessageError("The server's answer is none: its software is another, or hostile.") from None
        self._known.update(each[:2] for each in [*given, *new])
        self.moved.update(asked=1, up=sum(len(data) for *_, data in new), down=sum(len(data) for *_, data in given))
        return more
