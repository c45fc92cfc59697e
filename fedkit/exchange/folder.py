"""A shared folder in which files only ever appear, whole and under the hash of their content.

A synchronised folder (Google Drive, say) shows files late, in any order, half written, or twice as "name (1)". None of
that matters to a reader who takes a file only if its content hashes to its name, and each content once. Nobody ever
changes a file, so there is nothing to lock.
"""

import contextlib
import hashlib
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote, unquote

import fsspec
from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem

from fedkit.chapters import audit

# What stands behind a space is a synchroniser's: "name (1)", "name - Copy", "name (conflicted copy)".
_LETTER = re.compile(r"([0-9a-f]{32})\.([\w.~%-]{1,150})(?: [^/]{1,80})?\.letter(?: [^/]{1,80})?", re.ASCII)
_PATIENCE = 8  # looks at a file that stays half written, before it is complained about
INCOMING, LOG = "incoming", "log"
SMALL = 1 << 20  # most bytes of a letter that holds no sum


class Found(NamedTuple):
    """A file whose content is what its name says; who made it is still to be checked."""

    place: str  # folder
    name: str  # file
    digest: str  # see `digest`
    sender: str  # who is said to have sent it
    data: bytes  # the content


class _Disk(LocalFileSystem):
    """A disk on which others may leave pipes and links, which are never opened."""

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **more: object) -> bytes:
        """Read a file from its start."""
        try:
            with audit.opened(path) as file:
                return file.read(-1 if end is None else end)
        except audit.DamagedLogError as problem:
            raise OSError(f"{path} is no plain file.") from problem

    def mv(self, path1: str, path2: str, **more: object) -> None:
        """Rename a file, in place of a file or a link; OSError, and nothing else, where a folder is in the way."""
        os.replace(path1, path2)


class Folder:
    """Letters in a folder, by place.

    where : a path, or a URL that fsspec knows ("memory://class")
    filesystem : an fsspec file system, for which `where` is a path; found from `where` if None
    notice : attribute, ``notice(name, sentence)`` is told what cannot be read, again and again
    """

    def __init__(self, where: str | os.PathLike, filesystem: fsspec.AbstractFileSystem | None = None) -> None:
        self.filesystem, root = (filesystem, os.fspath(where)) if filesystem else url_to_fs(os.fspath(where))
        self.filesystem = _Disk() if type(self.filesystem) is LocalFileSystem else self.filesystem
        self.root = root.rstrip("/")
        self.notice: Callable[[str, str], None] = lambda name, sentence: None
        self._taken: set[tuple[str, str, str]] = set()
        self._looks: Counter[tuple[str, str, int]] = Counter()  # at letters that could not be read yet
        self._twins: dict[str, list[str]] = {}  # of places that a synchroniser shows twice

    @classmethod
    def opened(cls, where: "Where") -> "Folder":
        """Return the folder, as somebody sees it who has not read anything yet."""
        return cls(where.root, where.filesystem) if isinstance(where, Folder) else cls(where)

    def make(self, places: Iterable[str]) -> None:
        """Make places before anybody posts there: where two make one at the same time, Drive may end up with two."""
        for place in [*places, INCOMING]:
            self.filesystem.makedirs(f"{self.root}/{place}", exist_ok=True)

    def post(self, place: str, sender: str, data: bytes) -> Found:
        """Add a letter: written aside, then renamed, so that nobody finds a part of it. Twice is as good as once."""
        name = f"{digest(data)}.{quoted(sender)}.letter"
        path = f"{self.root}/{place}/{name}"
        if self.read(place, name, len(data)) is None:  # no list of the place, which may hold thousands
            if self.filesystem.isdir(path):
                raise OSError(f"A folder lies in {place} under the name of a letter: somebody must remove {name}.")
            aside = f"{self.root}/{INCOMING}/{secrets.token_hex(8)}"
            for parent in (place, INCOMING):
                self.filesystem.makedirs(f"{self.root}/{parent}", exist_ok=True)
                if isinstance(self.filesystem, LocalFileSystem) and os.path.islink(f"{self.root}/{parent}"):
                    raise OSError(f"{self.root}/{parent} is a link, and leads anywhere: remove it.")
            try:
                self.filesystem.pipe_file(aside, data)
                self.filesystem.mv(aside, path)
            except OSError:  # a full disk: nothing is left behind
                with contextlib.suppress(OSError):
                    self.filesystem.rm_file(aside)
                raise
        return Found(place, name, digest(data), sender, data)

    def new(self, place: str, largest: int, sender: str | None = None) -> Iterator[Found]:
        """Yield the letters of a place that were not yielded before, in the order of their digests, one at a time.

        largest : bytes: a file that is listed with more is never read
        sender : whose letters; everybody's if None
        """
        for name, size in sorted(self.names(place).items()):
            hash_, said = parts(name)
            if (place, hash_, said) in self._taken or (sender is not None and said != sender):
                continue
            if size > largest:
                self._complain(place, name, f"it has {size:,} bytes, and {largest:,} are the most here")
                continue
            self._looks[place, name, size] += 1
            looks = self._looks[place, name, size]
            if looks & (looks - 1):  # what is only half there is read at the looks 1, 2, 4, 8, ...
                continue
            data = self.read(place, name, largest)
            if data is not None:
                del self._looks[place, name, size]
                self._taken.add((place, hash_, said))
                yield Found(place, name, hash_, said, data)
            elif looks >= _PATIENCE:
                self._complain(place, name, "its content is not what its name says: half written, or changed")

    def forget(self) -> None:
        """Yield every letter once more: what was made of them is to be thought over."""
        self._taken.clear()

    def read(self, place: str, name: str, largest: int) -> bytes | None:
        """Return a letter's content; None if it is not all there, or not what its name says."""
        for where in (place, *self._twins.get(place, [])):
            try:
                data = self.filesystem.cat_file(f"{self.root}/{where}/{name}", 0, largest + 1)
            except PermissionError:
                self._complain(place, name, "its writer's account lets nobody else read: say `umask 022` there")
                continue
            except OSError:  # it was listed, and has not arrived, or is gone
                continue
            if digest(data) == parts(name)[0]:
                return data
        return None

    def find(self, place: str, digest: str, largest: int) -> bytes | None:
        """Return a letter's content, from any of the files that are called after it; None if none is all there now.

        Of a letter and its copies ("name (1)"), each may be changed or removed while another stays.
        """
        named = (name for name in self.names(place) if parts(name)[0] == digest)
        return next((data for name in named if (data := self.read(place, name, largest)) is not None), None)

    def names(self, place: str) -> dict[str, int]:
        """Names of the letters in a place, and the bytes that they are listed with; nothing else is looked at."""
        sizes: dict[str, int] = {}
        for where in (place, *self._twins.get(place, [])):
            for entry in self._entries(f"{self.root}/{where}"):
                # A name is only ever taken from a listing, and only if there is no path in it.
                name = entry["name"].rsplit("/", 1)[-1]
                if entry["type"] == "file" and not entry.get("islink") and parts(name):
                    sizes[name] = min(entry["size"], sizes.get(name, entry["size"]))  # a giant twin hides nothing
        return sizes

    def digests(self, place: str, size: int | None = None) -> set[str]:
        """Digests of the letters in a place; of those that are listed with so many bytes, if it is given."""
        return {parts(name)[0] for name, listed in self.names(place).items() if size in (None, listed)}

    def senders(self, place: str) -> dict[str, int]:
        """Who is said to have sent letters to a place, and the bytes that the largest is listed with."""
        return {parts(name)[1]: size for name, size in sorted(self.names(place).items(), key=lambda each: each[1])}

    def places(self) -> list[str]:
        """Names of all places, in order; which of them are shown twice, "name (1)", is remembered."""
        found = [each for each in self._entries(self.root) if each["type"] == "directory" and not each.get("islink")]
        names = sorted(each["name"].rsplit("/", 1)[-1] for each in found)
        self._twins = {}
        for name in names:
            if twin := re.fullmatch(r"(.+) \(\d+\)", name):
                self._twins.setdefault(twin[1], []).append(name)
        return names

    def _entries(self, path: str) -> list[dict]:
        self.filesystem.invalidate_cache(path)
        try:
            return self.filesystem.ls(path, detail=True)
        except PermissionError:
            self._complain(path, "", "its maker's account lets nobody else in: say `umask 022` there")
        except OSError:
            pass
        return []

    def remove(self, place: str, name: str) -> None:
        """Remove a letter, which `prune` alone does."""
        if parts(name):
            for where in (place, *self._twins.get(place, [])):
                with contextlib.suppress(FileNotFoundError):
                    self.filesystem.rm_file(f"{self.root}/{where}/{name}")

    def _complain(self, place: str, name: str, why: str) -> None:
        self.notice(f"{place}/{name}", f"{place}/{name} is not read: {why}.")


Where = Folder | str | os.PathLike  # what names a folder


def digest(data: bytes) -> str:
    """First 128 bits of the SHA-256, as 32 hex digits."""
    return hashlib.sha256(data).hexdigest()[:32]


def parts(name: str) -> tuple[str, str] | None:
    """Digest and sender that a file name tells; None if it is no letter's."""
    match = _LETTER.fullmatch(name)
    sender = unquote(match[2]) if match else ""
    return (match[1], sender) if sender.isprintable() and match and quote(sender, safe="") == match[2] else None


def quoted(sender: str) -> str:
    """Return a name as it stands in a file's name; ValueError if it is too long for that."""
    text = quote(sender, safe="")
    if len(text) > 150:
        raise ValueError(f"{sender!r} is too long for the name of a file: choose a shorter name to take part under.")
    return text
