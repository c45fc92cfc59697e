"""What all who take part in a study have in common."""

import os
import time
from collections.abc import Callable

from fedkit.encryption.envelopes import About
from fedkit.encryption.identities import Identity
from fedkit.exchange import letters
from fedkit.exchange.folder import Folder, Found, Where
from fedkit.exchange.journal import Journal
from fedkit.exchange.keep import Keep
from fedkit.exchange.status import Status
from fedkit.exchange.study import Study


class Party:
    """Somebody with an identity, who reads the folder's letters and writes some.

    folder : the study's: a path, a URL that fsspec knows, or a `Folder`
    identity : their own
    invitation : fingerprint of the invitation, as it was read aloud
    home : folder of their own machine, outside the shared one, for what must outlive the process; memory if None
    """

    def __init__(
        self, folder: Where, identity: Identity, *, invitation: str, home: str | os.PathLike | None = None
    ) -> None:
        self.folder, self.identity = Folder.opened(folder), identity
        self.study, self.journal = Study(self.folder, invitation), Journal(self.folder, identity.name)
        self.study.notice = lambda digest, sender, why: self.journal.write(
            "refused", digest=digest, sender=sender, why=why
        )
        self.folder.notice = lambda name, why: self.study.refused(name, "", why)
        self._home, self._keep = home, None

    @property
    def keep(self) -> Keep:
        """What outlives the process, once the study is known."""
        if self._keep is None:
            self._keep = Keep(self._home, self.identity, self.study.id, type(self).__name__.lower())
        return self._keep

    def post(self, place: str, content: bytes | dict, purpose: str, number: int = 0, study: str = "") -> Found:
        """Sign a content and put it in the folder; see `envelopes.About`. The same content is the same letter."""
        about = About(study or self.study.id, purpose, number, self.identity.name, (self.identity.name,))
        return letters.post(self.folder, place, content, about, self.identity)


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
