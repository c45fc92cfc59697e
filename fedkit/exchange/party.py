"""What all who take part in a study have in common."""

import os
import time
from collections import Counter
from collections.abc import Callable
from functools import cached_property, partial
from typing import NamedTuple

from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.exchange import letters
from fedkit.exchange.arrivals import Arrivals
from fedkit.exchange.folder import Folder, Where, digest
from fedkit.exchange.journal import Journal
from fedkit.exchange.keep import Keep
from fedkit.exchange.study import Study

_READ_EACH = 8  # of so many looks, one reads what is listed


class Status(NamedTuple):
    """How things are with one process of a study."""

    stage: str  # "away", "invitation", "opening", "known", "keys", "round", "done", "refused" or "stopped"
    round: int = 0  # which is open,
    rounds: int = 0  # of how many
    waits_for: str = ""  # who is to do something next
    note: str = ""  # what people should know
    acted: bool = False  # whether something was done, so that the next thing may be due

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to do."""
        return self.stage in ("done", "refused", "stopped")

    def __str__(self) -> str:
        round = (
            "the statistics" if self.round == 0
            else f"round {self.round} of {self.rounds}" if self.round <= self.rounds
            else "the last scores"
        )  # fmt: skip
        sentence = {
            "away": "The folder cannot be used now.",
            "invitation": "There is no invitation with this fingerprint here yet.",
            "opening": "Asked to join. The maker is to open the study.",
            "known": "Compare fingerprints with two other hospitals, and name theirs (`known`).",
            "keys": f"Waiting for the group's key{self.waits_for and f', which {self.waits_for} makes'}.",
            "round": f"Waiting for {self.waits_for}: {round}.",
            "done": "Done.",
            "refused": "Not taking part.",
            "stopped": "The study has stopped, and a person must decide.",
        }[self.stage]
        said = f"{sentence} {self.note}".strip()  # others' words may be in it, and a terminal obeys some characters
        return "".join(char if char.isprintable() else "?" for char in said)


class Party:
    """Somebody with an identity, who reads the folder's letters and writes some.

    folder : the study's: a path, a URL that fsspec knows, or a `Folder`
    identity : their own
    invitation : fingerprint of the invitation, as it was read aloud
    home : folder of their own machine, outside the shared one, for what must outlive the process; memory if None
    clock : tells seconds, for deadlines
    """

    def __init__(
        self,
        folder: Where,
        identity: Identity,
        *,
        invitation: str,
        home: str | os.PathLike | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.identity, self._clock = Folder.opened(folder), identity, clock
        self.study, self.journal = Study(self.folder, invitation), Journal(self.folder, identity.name)
        self._arrivals = Arrivals(self.study, clock)
        self.study.notice = partial(self.journal.write, "refused")
        self.folder.notice = lambda name, why: self.study.refused(name, "", why)
        self._home, self._looks = home, Counter()

    @cached_property
    def keep(self) -> Keep:
        """What outlives the process, once the study is known."""
        # Named by what people agreed to: should two invitations have one fingerprint, this is of the first.
        return Keep(self._home, self.identity, self.study.invitation.replace("-", ""), type(self).__name__.lower())

    def letter(self, content: bytes | dict, purpose: str, number: int = 0, about: str = "") -> bytes:
        """Sign a content, for a sum of this study if `about` says which: the same content is the same letter."""
        name = self.identity.name
        return letters.signed(content, About(self.study.id + about, purpose, number, name, (name,)), self.identity)

    def put(self, place: str, data: bytes, event: str, **about: object) -> bool:
        """Put a letter in the folder if it is not there, and note an event then; say whether it was missing."""
        code = digest(data)
        self._looks[place] += 1
        # Now and then what is listed is also read: somebody may have written something else under its name.
        listed = self._looks[place] % _READ_EACH and code in self.folder.digests(place, len(data))
        if listed or self.folder.find(place, code, len(data)) is not None:
            return False
        self.folder.post(place, self.identity.name, data)
        self.journal.write(event, digest=code, **about)
        return True


class Player(Party):
    """Somebody who does what is due, whenever they are asked to, until the study is done."""

    def step(self) -> Status:
        """Do the next thing that is due, if there is one, and say how things are."""
        raise NotImplementedError

    def run(
        self,
        poll_seconds: float = 3.0,
        until: Callable[[Status], bool] | None = None,
        tell: Callable[[Status], object] = print,
    ) -> Status:
        """Take steps until the study is done, or `until` says so of a status; `tell` is given each that is new.

        Where there is nothing to do, look into the folder again after `poll_seconds`.
        """
        before = ""
        while True:
            try:
                status = self.step()
            except OSError as problem:  # a synchronised folder is away now and then, and comes back
                status = Status("away", note=str(problem))
            if str(status) != before:
                before = str(status)
                tell(status)
            if status.ended or (until is not None and until(status)):
                return status
            if not status.acted:
                time.sleep(poll_seconds)
