"""Check that a data set may be passed on and is whole: `make data`, or `make data NAME=schools`, which builds it first.

    python data/verify.py [NAME]

A folder that holds rows has a card, a licence and the hash of every file. Where one of them is not so, it is refused.
"""

import fnmatch
import hashlib
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import recipes

from fedkit import hospitals

OWN = {"README.md", "SHA256SUMS", ".gitignore"}  # about the files, and so not among the hashes
CARD = {
    r"^- \*\*Source\*\*: .{10,}": "a line '- **Source**: ...', with where it comes from",
    r"^- \*\*Licence\*\*: .{3,}": "a line '- **Licence**: ...', under which it may be passed on",
    r"^## What was changed\n+.{10,}": "a part '## What was changed', with what was done to it",
}
# A licence under which rows may be passed on; others are added here when they have been read.
OPEN = re.compile(r"\b(CC0|CC[ -]BY|Creative Commons|GPL|GNU|BSD|MIT|Apache|ODbL|PDDL|public domain)\b", re.I)


def files(folder: Path) -> dict[str, Path]:
    """Return the files that need a hash, by their names in the folder."""
    found = {file.relative_to(folder).as_posix(): file for file in sorted(folder.rglob("*")) if _is_file(file)}
    return {name: file for name, file in found.items() if name not in OWN}


def _is_file(path: Path) -> bool:
    return path.is_symlink() or not path.is_dir()


def stays(folder: Path) -> bool:
    """Say whether a folder's rows are kept out of the repository, each by a line of its .gitignore."""
    ignore = folder / ".gitignore"
    lines = ignore.read_text(encoding="utf-8", errors="replace").splitlines() if ignore.is_file() else []
    rows = files(folder).keys() - {"dataset.json"}
    return bool(lines) and all(any(fnmatch.fnmatch(name, line) for line in lines) for name in rows)


def problems(folder: Path) -> Iterator[str]:
    """Say in sentences what is wrong with a data set's folder, and what to do."""
    card, sums = (folder / name for name in ("README.md", "SHA256SUMS"))
    page = card.read_text(encoding="utf-8", errors="replace") if card.is_file() else ""
    for pattern, what in CARD.items():
        if not re.search(pattern, page, re.M):
            yield f"its card lacks {what}: write it into {folder.name}/README.md"
    said = re.search(r"^- \*\*Licence\*\*: (.*)", page, re.M)
    if said and not stays(folder) and (re.match(r"none|no\b|not\b", said[1], re.I) or not OPEN.search(said[1])):
        yield "its card states no licence, so nobody may pass it on: ask for one, or keep its rows out, by a .gitignore"
    there, listed = files(folder), {}
    lines = sums.read_text(encoding="utf-8", errors="replace").splitlines() if sums.is_file() else []
    for line in lines:
        digest, _, name = line.partition("  ")
        if not re.fullmatch("[0-9a-f]{64}", digest) or not name:
            yield f"SHA256SUMS has the line {line!r}: write a hash, two spaces and a file, as sha256sum does"
        listed[name] = digest
    write = "if it is right, write its hash: in the folder, `sha256sum FILE >> SHA256SUMS`"
    for name in there.keys() - listed.keys():
        yield f"{name} has no hash in SHA256SUMS: take the file away, or, {write}"
    for name in listed.keys() - there.keys():
        yield f"{name} is in SHA256SUMS and not in the folder: build it again, or take its line out"
    for name in there.keys() & listed.keys():
        plain = there[name].is_file() and not there[name].is_symlink()
        if not plain or hashlib.sha256(there[name].read_bytes()).hexdigest() != listed[name]:
            yield f"{name} is not the file of SHA256SUMS: build it again, or, {write}"


def check(folder: Path) -> str:
    """Return what a sound data set holds; ValueError with all that is wrong with it."""
    if found := list(problems(folder)):
        raise ValueError("\n".join(f"data/{folder.name} is refused: {each}." for each in found))
    if not (folder / "dataset.json").is_file():
        return f"{folder.name}: card, licence and {len(files(folder))} hashes are right."
    try:
        with warnings.catch_warnings(action="ignore"):
            found = hospitals.load(folder)
        what = (
            "card and hashes are right, and the rows stay here"
            if stays(folder)
            else "card, licence and hashes are right"
        )
        return f"{folder.name}: {sum(map(len, found))} rows of {len(found)}; {what}."
    except (AttributeError, KeyError, TypeError, OSError, RecursionError, ValueError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise ValueError(
            f"data/{folder.name} is refused: its dataset.json does not fit its files ({why}). "
            "Write one like that of schools."
        ) from error


def with_rows(home: Path) -> tuple[list[Path], list[str]]:
    """Return the folders that hold rows, and the names of those whose rows have to be built here."""
    # What is in grids was computed, and has digests of its own: see fedkit.studies.grids.
    every = [
        folder for folder in sorted(home.iterdir()) if folder.is_dir() and folder.name not in ("grids", "__pycache__")
    ]
    empty = [each for each in every if stays(each) and files(each).keys() <= {"dataset.json"}]
    return [folder for folder in every if folder not in empty], [folder.name for folder in empty]


def main(arguments: Sequence[str], home: Path = recipes.HOME) -> None:
    """Build what is named, and check it; or check all."""
    folders, absent = with_rows(home)
    if arguments:
        (name,) = arguments
        if not re.fullmatch(r"\w+", name) or not (home / name).is_dir():
            there = ", ".join(sorted([*absent, *(folder.name for folder in folders)]))
            sys.exit(f"There is no folder data/{name}; there are: {there}.")
        recipe, sums = home / f"make_{name}.py", home / name / "SHA256SUMS"
        before = sums.read_bytes() if sums.is_file() else None
        if recipe.is_file() and subprocess.run([sys.executable, str(recipe)]).returncode:
            sys.exit(f"data/{name} was not built.")
        if before and sums.read_bytes() != before:  # the recipe writes hashes of whatever is there
            sums.write_bytes(before)
            sys.exit(
                f"data/{name} was built, and is another: see what changed. If it is right, remove SHA256SUMS first."
            )
        folders, absent = [home / name], []
    refused = []
    for folder in folders:
        try:
            print(check(folder))
        except ValueError as error:
            refused.append(str(error))
    for name in absent:
        print(f"{name}: its rows are not here; make data NAME={name} builds them.")
    if refused:
        sys.exit("\n".join(refused))


if __name__ == "__main__":
    main(sys.argv[1:])
