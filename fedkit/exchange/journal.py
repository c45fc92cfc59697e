"""Who did what and when, in chains of hashes: one file a process, so that two never write to one."""

import json
import os
import secrets
import time
from pathlib import Path

from fsspec.implementations.local import LocalFileSystem

from fedkit import audit
from fedkit.exchange.folder import LOG, Folder, Where, quoted

_TAIL = 1 << 16  # bytes in which a log's last line is looked for


class Journal:
    """Writes one process's events to the folder's log (see `audit`), where the folder is on a disk or mounted.

    It shows that lines were changed, and not who wrote them: letters are signed, the log
    is not. The first line names the last file of the same writer and its head, so that the
    files are one chain, too, and a missing one is missed.

    Parameters
    ----------
    folder
        Of the study.
    writer
        Whose process it is.
    """

    def __init__(self, folder: Folder, writer: str) -> None:
        self._log: audit.Log | None = None
        on_disk = isinstance(folder.filesystem, LocalFileSystem)
        self._place, self._writer = Path(folder.root, LOG) if on_disk else None, quoted(writer)

    def write(self, what: str, **about: object) -> None:
        """Note an event, and the time."""
        if self._place is None:
            return
        if self._log is None:
            self._place.mkdir(parents=True, exist_ok=True)
            before = max(self._place.glob(f"{self._writer}.*.jsonl"), default=None)
            path = self._place / f"{self._writer}.{time.time_ns():020}.{secrets.token_hex(4)}.jsonl"
            path.touch(mode=0o644)  # names and digests only, which all who share the folder may read
            self._log = audit.Log(path)
            self._append({"what": "began", "before": before and before.name, "head": before and _head(before)})
        self._append({"what": what} | about)

    def _append(self, event: dict) -> None:
        self._log.append(event | {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())})


def events(folder: Where) -> list[dict]:
    """Return all events of a folder's log, a file after the other, each with its "writer" and "file".

    Raises
    ------
    ValueError
        If a file was changed, or one that another is the sequel of is missing or lost lines.
    """
    folder, found, heads = Folder.opened(folder), [], {}
    files = sorted(Path(folder.root, LOG).glob("*.jsonl"))
    for path in files:
        lines = audit.verify(path)
        for event in lines:
            found.append(event | {"writer": path.name.split(".")[0], "file": path.name})
        if lines and lines[0].get("before"):
            heads[path.name] = lines[0]["before"], lines[0]["head"]
    for name, (before, head) in heads.items():
        path = Path(folder.root, LOG, before)
        if not path.exists():
            raise ValueError(f"{name} is the sequel of {before}, which is not there: it was removed.")
        audit.verify(path, head)
    return found


def _head(path: Path) -> str | None:
    """Return the hash in the last whole line of a log, however large the file; none if there is no such line."""
    with path.open("rb") as file:
        file.seek(max(os.fstat(file.fileno()).st_size - _TAIL, 0))
        lines = file.read(_TAIL).split(b"\n")[:-1]
    try:
        return str(json.loads(lines[-1])["sha256"])
    except (IndexError, KeyError, RecursionError, TypeError, ValueError):
        return None
