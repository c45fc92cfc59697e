"""An audit log that cannot be changed unnoticed: one line an event, each line chained to the one before.

Every line carries the SHA-256 of what it says *and* of the line before it, so a line that is changed, removed, added in
between or moved breaks the chain there (Schneier and Kelsey, ACM TISSEC 2(2), 1999, section 3). What the chain cannot
show is an end that was cut off, or a whole log written anew: for that, remember the **head** (the last line's hash)
where the log's keeper cannot reach it, and give it to `verify`.
"""

import errno
import hashlib
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

START = "0" * 64  # what the first line is chained to
LONGEST = 1 << 20  # bytes of a line, its end included: what goes on for longer is none


class DamagedLogError(ValueError):
    """A log is not as it was written: the sentence says where."""


class Log:
    """A log on disk, of one writer, to which lines can only be added, and which only its owner may read.

    A log that is there is verified first (`DamagedLogError`): nobody builds on a broken one.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if os.path.lexists(self.path):
            verify(self.path)

    def append(self, event: dict[str, Any]) -> str:
        """Add a line, have it on the disk, and return the new head: 64 hexadecimal digits.

        A ValueError refuses what JSON cannot hold, and what is longer than a line may be.
        """
        if not isinstance(event, dict):
            raise TypeError(f"An event is a dict of what happened, and this is a {type(event).__name__}.")
        try:
            event = json.loads(json.dumps(event, allow_nan=False))
            _canonical(event)
        except (RecursionError, TypeError, ValueError) as problem:
            why = f"This event cannot be logged ({problem}): use text, finite numbers, lists and dicts."
            raise ValueError(why) from None
        with opened(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT) as file:
            number, head = _last(file, self.path)
            line, head = _chained(number + 1, head, event)
            if len(line) >= LONGEST:
                raise ValueError(f"This event has {len(line):,} bytes, and a line of the log less than {LONGEST:,}.")
            file.write(line + b"\n")
            file.flush()
            os.fsync(file.fileno())
        return head


def head(path: str | Path) -> str:
    """Return the last line's hash, and look at no other line; a `DamagedLogError` says what is wrong with it."""
    with opened(path) as file:
        return _last(file, path)[1]


def verify(path: str | Path, head: str | None = None) -> list[dict[str, Any]]:
    """Go through a log line by line, and return its events, oldest first.

    A `DamagedLogError` names the first line that is not what was written there, says that this is no plain file, or
    that the log lost the remembered `head`; it may have grown since.
    """
    events, previous, heads = [], START, {START}
    with opened(path) as file:
        for number, line in enumerate(iter(lambda: file.readline(LONGEST), b""), start=1):
            found = _parsed(line, path, f"line {number}")
            if found["line"] != number or found["previous"] != previous:
                raise DamagedLogError(
                    f"{path}, line {number}: this line calls itself line {found['line']} and does not follow the line "
                    f"before it: a line was removed, added or moved here."
                )
            previous = found["sha256"]
            events.append(found["event"])
            heads.add(previous)
    if head is not None and head not in heads:
        raise DamagedLogError(
            f"{path} has {len(events)} lines, and none has the remembered head {head[:8]}...: lines were removed from "
            "its end, or it was written anew."
        )
    return events


def opened(path: str | Path, how: int = os.O_RDONLY) -> BinaryIO:
    """Open a log, with flags of `os.open`, if it is a plain file: a link may lead anywhere, a pipe is waited on."""
    try:
        file = os.open(path, how | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        if stat.S_ISREG(os.fstat(file).st_mode):
            return os.fdopen(file, "a+b" if how & os.O_APPEND else "rb")
        os.close(file)
    except OSError as problem:
        if problem.errno not in (errno.ELOOP, errno.EISDIR, errno.ENXIO):  # link, folder, pipe or socket
            raise
    raise DamagedLogError(f"{path}: a log is a plain file, and this is none: somebody put it in the log's place.")


def _last(file: BinaryIO, path: str | Path) -> tuple[int, str]:
    """Return number and hash of the last line; 0 and `START` if there is none."""
    file.seek(max(file.seek(0, os.SEEK_END) - LONGEST, 0))
    tail = file.read(LONGEST)
    if not tail:
        return 0, START
    found = _parsed(tail[tail.rfind(b"\n", 0, -1) + 1 :], path, "the last line")
    return found["line"], found["sha256"]


def _chained(number: int, previous: str, event: dict[str, Any]) -> tuple[bytes, str]:
    """One line of the log, without its end, and its hash."""
    said = {"event": event, "line": number, "previous": previous}
    digest = hashlib.sha256(_canonical(said)).hexdigest()
    return _canonical({**said, "sha256": digest}), digest


def _canonical(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def _parsed(line: bytes, path: str | Path, where: str) -> dict[str, Any]:
    """Take a line apart, if it is to the byte what its hash says."""
    if not line.endswith(b"\n"):
        raise DamagedLogError(f"{path}: the last line breaks off in the middle: restore the log from a copy.")
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        found = json.loads(line)
        if line[:-1] == _chained(found["line"], found["previous"], found["event"])[0]:
            return found
    raise DamagedLogError(f"{path}, {where}: this line was changed after it was written.")
