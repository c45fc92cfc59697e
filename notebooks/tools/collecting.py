"""Read the files that students made with ``course.hand_in``, for their teacher.

They come from strangers. A value is put into the kit's own check anew, and code is shown and never run: what a file
says of itself decides nothing. A file that is not what `hand_in` writes is refused in a sentence, and all others are
read.
"""

import csv
import json
import os
import re
import stat
import unicodedata
from collections import Counter
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import jinja2
import pandas as pd

import tools
from tools import exercises

MOST_FILES = 500  # of a class, with the folders in which a school's system lays them
MOST_BYTES = 100_000
MOST_PARTS = 1_000  # of a value: numbers, texts, lists
MOST_DEPTH = 4
MOST_SIGNS = 60  # of a name
RIGHT, NOT_YET, READ, NONE = "right", "not yet", "to be read", "no answer"


class Handed(NamedTuple):
    """A file that can be believed to be one: its name in the folder, and what it holds."""

    file: str
    name: str
    notebook: str
    kit: str
    answers: dict[str, dict[str, object]]


def read(path: Path, file: str) -> Handed:
    """Read a file of one student; `file` is how it is called in the folder.

    ValueError: a part of a sentence, that says why it is refused.
    """
    if is_formula(file) or re.search(r"[\\:]", file) or not file.isprintable():
        raise ValueError("has a name that is a path, a formula, or cannot be shown: give it another")
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is a link, or something else that is no file")
    if status.st_size > MOST_BYTES:
        raise ValueError(f"is too large for what course.hand_in() writes: {status.st_size} bytes")
    how = {"object_pairs_hook": once, "parse_constant": float, "parse_int": lambda digits: int(digits[:25])}
    try:
        found = json.loads(path.read_bytes(), **how)
    except RecursionError:
        raise ValueError("is too deep") from None
    except OSError:
        raise ValueError("cannot be read: see who may open it") from None
    except (UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError("is no JSON: perhaps it was opened, and saved as something else") from None
    kinds = {"kit": str, "notebook": str, "name": str, "exercises": dict}
    if not isinstance(found, dict) or {key: type(one) for key, one in found.items()} != kinds:
        raise ValueError("is not what course.hand_in() writes")
    if parts(found) > MOST_PARTS:
        raise ValueError(f"has more than {MOST_PARTS} parts")
    by_number = {name[:2]: name for name in tools.names()}
    if found["notebook"] not in by_number:
        raise ValueError("is of a notebook that is not here")
    plain = re.sub("[\u200c\u200d]", "", found["name"])  # which join letters, in Persian say
    if max(len(plain), len(found["kit"])) > MOST_SIGNS or not plain.isprintable() or is_formula(plain):
        raise ValueError("holds a name that is long, cannot be shown, or is a formula of a spreadsheet")
    notebook = by_number[found["notebook"]]
    if unknown := found["exercises"].keys() - exercises.checks(notebook):
        raise ValueError(f"answers what notebook {notebook[:2]} does not ask: {min(unknown)[:40]!r}")
    for kept in found["exercises"].values():
        texts = [kept.get("said"), kept.get("code", "")] if isinstance(kept, dict) else [None]
        if not all(isinstance(one, str) for one in texts) or not kept.keys() <= {"said", "code", "value"}:
            raise ValueError("has an answer that is not as course.hand_in() writes it")
    return Handed(file, found["name"], notebook, found["kit"], found["exercises"])


def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Make a dict of what JSON has between braces. ValueError if a name is there twice."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError("has a name twice")
    return dict(pairs)


def parts(value: object, depth: int = 0) -> int:
    """Count the parts of what was read. ValueError if it is too deep, or a number is none or cannot be counted with."""
    if depth > MOST_DEPTH + 3:  # the answers lie in three dicts
        raise ValueError("is too deep")
    if isinstance(value, int | float) and not abs(value) < 2**63:  # so is NaN
        raise ValueError("has a number that is none, or is too large")
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(parts(one, depth + 1) for one in inner)


def is_formula(text: str) -> bool:
    """Say whether a spreadsheet might compute a text instead of showing it, in one of its cells."""
    cells = [one.strip() for one in re.split(r"[/;,]", text)]  # as a spreadsheet may divide it
    return any(unicodedata.normalize("NFKC", one[0]) in "=+-@" for one in cells if one)


def visible(text: str) -> str:
    """Return a text whose signs can all be seen: one that cannot, or that turns others around, becomes its code."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def gathered(folder: Path) -> tuple[list[Handed], list[str]]:
    """Read all files of a folder, and of the folders in it: what can be, and a sentence for each that is refused.

    ValueError if there is no such folder, or far more in it than a class hands in.
    """
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    files = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    there = list(islice(files, MOST_FILES + 1))
    if len(there) > MOST_FILES:
        raise ValueError(f"{folder} holds more than {MOST_FILES} files: is it the right one? Take it apart.")
    good, refused = [], []
    for path in sorted(there):
        file = path.relative_to(folder).as_posix()
        try:
            good.append(read(path, file))
        except ValueError as error:
            refused.append(f"{visible(file)} is refused: it {error}.")
    return sorted(good, key=lambda one: (one.notebook, one.name.casefold(), one.file)), refused


@cache
def _said(notebook: str, exercise: str, value: str) -> str:
    return exercises.said(notebook, exercise, json.loads(value))


def verdict(handed: Handed, exercise: str) -> tuple[str, str]:
    """Return what is to be thought of an answer: right, not yet, to be read, or no answer; and what the check said."""
    kept = handed.answers.get(exercise, {})
    if "code" in kept:
        return READ, ""
    if "value" not in kept:
        return NONE, ""
    try:
        said = _said(handed.notebook, exercise, json.dumps(kept["value"]))
    except Exception as error:  # it was not foreseen by the check: the others' answers are looked at nevertheless
        return READ, f"The check stopped with {type(error).__name__}."
    return (RIGHT, "The check was run here.") if said == "right." else (NOT_YET, said[:500])


def table(handed: list[Handed]) -> pd.DataFrame:
    """Return a row a file, with a column an exercise."""
    rows = []
    for one in handed:
        found = {exercise: verdict(one, exercise)[0] for exercise in exercises.checks(one.notebook)}
        rows.append({"notebook": one.notebook[:2], "name": one.name, "file": one.file, **found})
    return pd.DataFrame(rows, columns=None if rows else ["notebook", "name", "file"]).fillna("")


def page(handed: list[Handed], refused: list[str]) -> str:
    """Return a page for the teacher: the table, who is refused, and all answers to each exercise below each other."""
    asked = sorted({(one.notebook, exercise) for one in handed for exercise in exercises.checks(one.notebook)})
    shown = {f"{notebook[:2]}, {exercise}": [] for notebook, exercise in asked}
    for one in handed:
        for exercise, kept in one.answers.items():
            text = kept.get("code") or json.dumps(kept.get("value"), ensure_ascii=False)
            lines = "\n".join(map(visible, text.expandtabs(4).split("\n")))
            found, said = verdict(one, exercise)
            if found != NONE:
                answer = one.name or one.file, found, visible(said), lines, visible(kept["said"])
                shown[f"{one.notebook[:2]}, {exercise}"].append(answer)
    template = Path(__file__).with_suffix(".html").read_text(encoding="utf-8")
    said = [*refused, *remarks(handed)]
    return jinja2.Template(template, autoescape=True).render(table=table(handed), answers=shown, remarks=said)


def remarks(handed: list[Handed]) -> list[str]:
    """Return what a teacher should know beside: names that are there twice, and files of another version of the kit."""
    count = Counter((one.notebook, one.name) for one in handed if one.name)
    twice = [f"{name} handed notebook {of[:2]} in {many} times." for (of, name), many in count.items() if many > 1]
    here = version("fedkit")
    other = [f"{one.file} was made with version {visible(one.kit)}, and this is {here}." for one in handed]
    return twice + [said for said, one in zip(other, handed, strict=True) if one.kit != here]


def collect(folder: Path) -> str:
    """Read a folder, and write what was found beside it: FOLDER.checked.csv, and FOLDER.checked.html, with the code."""
    os.environ.setdefault("FEDKIT_RUNS", str(tools.root() / ".cache" / "runs"))
    handed, refused = gathered(folder)
    found, beside = table(handed), folder.resolve()
    how = {"index": False, "quoting": csv.QUOTE_ALL, "encoding": "utf-8-sig"}  # without its mark, Excel garbles names
    found.to_csv(beside.with_name(f"{beside.name}.checked.csv"), **how)
    beside.with_name(f"{beside.name}.checked.html").write_text(page(handed, refused), encoding="utf-8")
    print(found.to_string(index=False, max_colwidth=60), *refused, *remarks(handed), sep="\n")
    return f"{len(handed)} files, {len(refused)} refused; see {beside}.checked.html and .csv"
