"""What a party keeps on a disk of its own: sealed, replaced as a whole, and there before a letter leaves."""

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

from fedkit.encryption.identities import Identity
from fedkit.exchange.folder import quoted

_LOCKS: dict[Path, IO] = {}  # of this process, by place
_OWNERS: dict[Path, "Keep"] = {}


class Keep:
    """Files by name, of one party in one study.

    home : folder of this machine, outside the shared one; if None, all is kept in memory, and lost with it
    identity : whose; its key seals the files
    study : fingerprint of the invitation
    role : what the party does; a ValueError says if another process does the same with this home
    """

    def __init__(self, home: str | os.PathLike | None, identity: Identity, study: str, role: str) -> None:
        self._memory: dict[str, bytes] = {}
        self._identity, self._study = identity, study
        self._place = None
        if home is not None:
            self._place = Path(home, f"fedkit-study.{study[:16]}.{quoted(identity.name)}.{role}").expanduser().resolve()
            self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._place not in _LOCKS:  # held until this process ends
                _LOCKS[self._place] = open(self._place / ".lock", "a")  # noqa: SIM115
            try:
                fcntl.lockf(_LOCKS[self._place], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ValueError(f"Another process takes part with {self._place}: stop it first, or wait.") from None
            _OWNERS[self._place] = self
            for half in self._place.glob(".half-*"):  # what a process that was killed was writing
                half.unlink()

    def read(self, name: str) -> bytes | None:
        """Return what was written last; ValueError if it is damaged, or another's."""
        if self._place is None:
            return self._memory.get(name)
        try:
            sealed = (self._place / name).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return self._identity.unlocked(sealed, f"{self._study} {name}")
        except ValueError as problem:
            said = f"{self._place / name} cannot be used, and without it nobody can go on"
            raise ValueError(f"{said}. {problem}") from None

    def write(self, name: str, data: bytes) -> None:
        """Put data in the place of what is there, on the disk before this returns."""
        if self._place is None:
            self._memory[name] = data
            return
        if _OWNERS[self._place] is not self:
            raise ValueError(f"Something newer in this process takes part with {self._place}: go on with that.")
        descriptor, aside = tempfile.mkstemp(dir=self._place, prefix=".half-")
        try:
            with open(descriptor, "wb") as file:
                file.write(self._identity.locked(data, f"{self._study} {name}"))
                file.flush()
                os.fsync(descriptor)
            os.replace(aside, self._place / name)
        except BaseException:
            os.unlink(aside)
            raise
        self._sync()

    def remove(self, name: str) -> None:
        """Forget what is there; a disk or a backup may remember."""
        if self._place is None:
            self._memory.pop(name, None)
        else:
            (self._place / name).unlink(missing_ok=True)
            self._sync()

    def _sync(self) -> None:
        descriptor = os.open(self._place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
