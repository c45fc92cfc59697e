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
import errno
import fcntl
import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

START = "0" * 64  # what the first line is chained to
LONGEST = 1 << 20  # bytes of a line, its end included: what goes on for longer is none


class DamagedLogError(ValueError):
    """A log is not as it was written: the sentence says where."""


class Log:
    """A log on disk, to which lines can only be added.

    Two processes may write to one log, where the file system has locks to order them
    (mounted folders may have none: `fedkit.exchange` gives each writer a log). It holds names and
    scores, so only its owner may read the file.

    Parameters
    ----------
    path
        Made if it is not there. If it is, it is verified first: nobody builds on a broken log.
    alone
        Whether nobody else writes to it. Then no lock is waited for, which anybody may hold who can read it.

    Raises
    ------
    DamagedLogError
        As `verify`.
    """

    def __init__(self, path: str | Path, *, alone: bool = False) -> None:
        self.path, self._alone = Path(path), alone
        if os.path.lexists(self.path):
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
            If a number is not finite, or the event is longer than a line may be.
        DamagedLogError
            If the log's last line is damaged, or the log is no plain file any more.
        """
        if not isinstance(event, dict):
            raise TypeError(f"An event is a dict of what happened, and this is a {type(event).__name__}.")
        try:
            event = json.loads(json.dumps(event, allow_nan=False))
            _canonical(event)
        except (TypeError, ValueError) as problem:
            kind = TypeError if isinstance(problem, TypeError) else ValueError
            raise kind(f"This event cannot be logged ({problem}): use text, finite numbers, lists and dicts.") from None
        with opened(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
            with contextlib.suppress(OSError):  # a mounted folder may know no locks: there, one writer a log
                if not self._alone:
                    fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
            number, head = _last(file, self.path)
            line, head = _chained(number + 1, head, event)
            if len(line) >= LONGEST:
                raise ValueError(f"This event has {len(line):,} bytes, and a line of the log less than {LONGEST:,}.")
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
    DamagedLogError
        With a sentence that names the first line that is not what was written there,
        or says that the remembered head is gone, or that this is no plain file.
    OSError
        If the file cannot be read.
    """
    path = Path(path)
    events, previous, heads = [], START, {START}
    with opened(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), start=1):
            if not line.endswith(b"\n"):
                raise DamagedLogError(_broken(path))
            found = _parsed(line[:-1], f"{path}, line {number}")
            if found["line"] != number or found["previous"] != previous:
                raise DamagedLogError(
                    f"{path}, line {number}: this line calls itself line {found['line']} and does not follow the line "
                    f"before it: a line was removed, added or moved here."
                )
            events.append(found["event"])
            previous = found["sha256"]
            heads.add(previous)
    if head is not None and head not in heads:
        raise DamagedLogError(
            f"{path} has {len(events)} lines, and none has the remembered head {head[:8]}...: lines were removed from "
            "its end, or it was written anew."
        )
    return events


def opened(path: str | Path, how: int = os.O_RDONLY) -> BinaryIO:
    """Open a log, if it is a plain file: a link may lead anywhere, and a pipe would be waited on for ever.

    Parameters
    ----------
    path
        Of the log.
    how
        Flags of `os.open`. Only its owner may read a file that is made here.

    Raises
    ------
    DamagedLogError
        If it is no plain file.
    OSError
        If it cannot be opened.
    """
    sentence = f"{path}: a log is a plain file, and this is none: somebody put it in the log's place."
    try:
        file = os.open(path, how | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as problem:
        if problem.errno in (errno.ELOOP, errno.EISDIR, errno.ENXIO):  # link, folder, pipe or socket
            raise DamagedLogError(sentence) from None
        raise
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise DamagedLogError(sentence)
    return os.fdopen(file, "a+b" if how & os.O_APPEND else "rb")


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
        raise DamagedLogError(f"{where}: this line was changed after it was written.")
    return found


def _last(file: BinaryIO, path: Path) -> tuple[int, str]:
    """Return number and hash of the last line; 0 and `START` if there is none."""
    at, tail = file.seek(0, os.SEEK_END), b""
    if not at:
        return 0, START
    while at and tail.count(b"\n") < 2 and len(tail) < LONGEST:
        before = min(at, 4096)
        at = file.seek(at - before)
        tail = file.read(before) + tail
    *_, line, rest = (b"\n" + tail).split(b"\n")
    if rest:
        raise DamagedLogError(_broken(path))
    found = _parsed(line, f"{path}, the last line")
    return found["line"], found["sha256"]


def _broken(path: Path) -> str:
    return f"{path}: the last line breaks off in the middle: restore the log from a copy."
