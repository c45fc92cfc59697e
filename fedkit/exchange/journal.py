"""Who did what and when, in chains of hashes: one file a process, so that two never write to one."""

import json
import secrets
import time
import warnings
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from fedkit.chapters import audit
from fedkit.exchange.folder import LOG, Folder, Where, quoted


class Journal:
    """Writes one process's events to the folder's log (see `audit`), where the folder is on a disk or mounted.

    It shows a change only to who remembers its head: written anew, it passes. Nor does it show who wrote it: letters
    are signed, the log is not. Each file is a chain of its own.

    Whoever may write to the folder may spoil its log, and stops no study by that: where a file is not as this process
    left it, another one is begun, and where none can be made, events are lost.
    """

    def __init__(self, folder: Folder, writer: str) -> None:
        self._log, self._warned = None, False
        on_disk = isinstance(folder.filesystem, LocalFileSystem)
        self._place, self._writer = Path(folder.root, LOG) if on_disk else None, quoted(writer)

    def write(self, what: str, **about: object) -> None:
        """Note an event, and the time; a warning says, once, that a log cannot be written."""
        if self._place is None:
            return
        event = {"what": what, **about, "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        # half a character, which JSON from a letter can hold and a file cannot, becomes a question mark
        event = json.loads(json.dumps(event, ensure_ascii=False).encode(errors="replace"))
        try:
            if self._log is None or not self._log.path.exists():
                self._begin()
            try:
                self._log.append(event)
            except audit.DamagedLogError:
                self._begin()
                self._log.append(event)
        except (OSError, ValueError) as problem:
            if not self._warned:
                warnings.warn(f"The log cannot be written, and the study goes on without. {problem}", stacklevel=2)
            self._warned = True

    def _begin(self) -> None:
        if self._place.is_symlink():
            raise OSError(f"{self._place} is a link, and leads anywhere: remove it.")
        self._place.mkdir(parents=True, exist_ok=True)
        path = self._place / f"{self._writer}.{time.time_ns():020}.{secrets.token_hex(4)}.jsonl"
        path.touch(mode=0o644, exist_ok=False)  # names and digests only, which all who share the folder may read
        self._log = audit.Log(path)


def events(folder: Where) -> list[dict]:
    """Return all events of a folder's log, a file after the other, each with its "writer" and "file".

    ValueError if a file was changed; one that was removed is not missed.
    """
    found = []
    for path in sorted(Path(Folder.opened(folder).root, LOG).glob("*.jsonl")):
        lines = audit.verify(path)
        if not all(isinstance(event, dict) for event in lines):
            raise ValueError(f"{path.name} holds lines that say nothing: somebody else wrote it.")
        found += [event | {"writer": path.name.split(".")[0], "file": path.name} for event in lines]
    return found
