"""A local file system that behaves like a synchronised folder on a bad day, the same on every run with one seed.

Files show up late, listings are stale and shuffled, reads come back short, copies named
"(1)" appear, whole or cut, and a file may stand half written under its final name.
"""

import os
import random
import time

from fsspec.implementations.local import LocalFileSystem


class Faulty(LocalFileSystem):
    """Wraps the disk.

    Parameters
    ----------
    seed
        Of everything that goes wrong.
    delay
        Seconds that a file may stay unseen; one of ten, five times as long.
    """

    cachable = False

    def __init__(self, seed: int, delay: float = 0.02) -> None:
        super().__init__()
        self._random, self._delay = random.Random(seed), delay
        self._seen_from: dict[str, float] = {}
        self._before: dict[str, list[list[dict]]] = {}

    def ls(self, path, detail=False, **kwargs):
        draw = self._random
        if path in self._before and draw.random() < 0.2:
            return draw.choice(self._before[path])
        entries = []
        for entry in super().ls(path, detail=True, **kwargs):
            wait = draw.random() * self._delay * (5 if draw.random() < 0.1 else 1)
            shown = self._seen_from.setdefault(entry["name"], time.monotonic() + wait)
            if entry["type"] == "directory" or time.monotonic() >= shown:
                entries.append(entry)
        letters = [entry["name"] for entry in entries if entry["name"].endswith(".letter")]
        if letters and draw.random() < 0.02:
            self._copy(draw.choice(letters))
        draw.shuffle(entries)
        self._before[path] = [*self._before.get(path, [])[-4:], entries]
        return entries

    def cat_file(self, path, start=None, end=None, **kwargs):
        assert "/incoming/" not in path, "nobody ever reads what is being written"
        data = super().cat_file(path, start, end, **kwargs)
        return data[: self._random.randrange(len(data) + 1)] if self._random.random() < 0.1 else data

    def pipe_file(self, path, value, **kwargs):
        half = self._random.randrange(len(value))
        with open(path, "wb") as file:
            file.write(value[:half])
            file.flush()
            time.sleep(0.002)
            file.write(value[half:])

    def mv(self, path1, path2, **kwargs):
        if self._random.random() < 0.2:  # no atomic rename, this time
            with open(path1, "rb") as file, open(path2, "wb") as target:
                target.write(file.read()[:-7])
            time.sleep(0.002)
        os.replace(path1, path2)

    def _copy(self, path):
        ending = self._random.choice([" (1).letter", ".letter (1)", " (2).letter"])
        with open(path, "rb") as file:
            data = file.read()
        cut = self._random.choice([len(data), self._random.randrange(len(data) + 1)])
        with open(path.removesuffix(".letter") + ending, "wb") as copy:
            copy.write(data[:cut])
