"""An audit log that cannot be changed unnoticed: one line an event, each line chained to the one before.

Every line carries the SHA-256 of what it says *and* of the line before it, so a line
that is changed, removed, added in between or moved breaks the chain there. What the
chain alone cannot show is an end that was cut off, or a whole log written anew by
somebody who computed all hashes again: for that, remember the **head** (the last
line's hash) where the log's keeper cannot reach it, and give it to `verify`. Hospitals
that each note the head after a round can hold the keeper to it.

References
----------
Schneier and Kelsey, "Secure Audit Logs to Support Computer Forensics", ACM TISSEC
2(2), 1999 (the hash chain of section 3; not its forward-secure keys).
"""

import contextlib
import fcntl
import hashlib
import json
import os
from pathlib import Path
from typing import Any, BinaryIO

START = "0" * 64  # what the first line is chained to


class Log:
    """A log on disk, to which lines can only be added.

    Two processes may write to one log, where the file system has locks to order them
    (mounted folders may have none: `fedkit.exchange` gives each writer a log). It holds names and
    scores, so only its owner may read the file.

    Parameters
    ----------
    path
        Made if it is not there. If it is, it is verified first: nobody builds on a broken log.

    Raises
    ------
    ValueError
        As `verify`.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.exists():
            verify(self.path)

    def append(self, event: dict[str, Any]) -> str:
        """Add one line, and have it on the disk before returning.

        Parameters
        ----------
        event
            What JSON can hold: text, finite numbers, truth values, None, lists and dicts of them.

        Returns
        -------
        str
            The new head: 64 hexadecimal digits.

        Raises
        ------
        TypeError
            If it is no dict, or holds what JSON cannot.
        ValueError
            If a number is not finite, or the log's last line is damaged.
        """
        if not isinstance(event, dict):
            raise TypeError(f"An event is a dict of what happened, and this is a {type(event).__name__}.")
        try:
            event = json.loads(json.dumps(event, allow_nan=False))
            _canonical(event)
        except (TypeError, ValueError) as problem:
            kind = TypeError if isinstance(problem, TypeError) else ValueError
            raise kind(f"This event cannot be logged ({problem}): use text, finite numbers, lists and dicts.") from None
        with os.fdopen(os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "a+b") as file:
            with contextlib.suppress(OSError):  # a mounted folder may know no locks: there, one writer a log
                fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
            number, head = _last(file, self.path)
            line, head = _chained(number + 1, head, event)
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return head


def verify(path: str | Path, head: str | None = None) -> list[dict[str, Any]]:
    """Go through a log line by line, and return its events.

    Parameters
    ----------
    path
        Of the log.
    head
        A head that was remembered. The log may have grown since; it must not have lost it.

    Returns
    -------
    list of dict
        The events, oldest first.

    Raises
    ------
    ValueError
        With a sentence that names the first line that is not what was written there,
        or says that the remembered head is gone.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        raise ValueError(f"{path}: the last line breaks off in the middle: restore the log from a copy.")
    events, previous, heads = [], START, {START}
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        found = _parsed(line, f"{path}, line {number}")
        if found["line"] != number or found["previous"] != previous:
            raise ValueError(
                f"{path}, line {number}: this line calls itself line {found['line']} and does not follow the line "
                f"before it: a line was removed, added or moved here."
            )
        events.append(found["event"])
        previous = found["sha256"]
        heads.add(previous)
    if head is not None and head not in heads:
        raise ValueError(
            f"{path} has {len(events)} lines, and none has the remembered head {head[:8]}...: lines were removed from "
            "its end, or it was written anew."
        )
    return events


def _chained(number: int, previous: str, event: dict[str, Any]) -> tuple[bytes, str]:
    """One line of the log, without its end, and its hash."""
    said = {"event": event, "line": number, "previous": previous}
    digest = hashlib.sha256(_canonical(said)).hexdigest()
    return _canonical({**said, "sha256": digest}), digest


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _parsed(line: bytes, where: str) -> dict[str, Any]:
    """Take a line apart, if it is to the byte what its hash says."""
    try:
        found = json.loads(line)
        intact = line == _chained(found["line"], found["previous"], found["event"])[0]
    except (ValueError, KeyError, TypeError, RecursionError):
        intact = False
    if not intact:
        raise ValueError(f"{where}: this line was changed after it was written.")
    return found


def _last(file: BinaryIO, path: Path) -> tuple[int, str]:
    """Return number and hash of the last line; 0 and `START` if there is none."""
    at, tail = file.seek(0, os.SEEK_END), b""
    if not at:
        return 0, START
    while at and tail.count(b"\n") < 2:
        before = min(at, 4096)
        at = file.seek(at - before)
        tail = file.read(before) + tail
    *_, line, rest = (b"\n" + tail).split(b"\n")
    if rest:
        raise ValueError(f"{path}: the last line breaks off in the middle: restore the log from a copy.")
    found = _parsed(line, f"{path}, the last line")
    return found["line"], found["sha256"]
