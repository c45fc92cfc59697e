"""What the cells of anybody's table mean, how it is said what is wrong with one, and the order of levels and columns.

`fedkit.reading` reads it, behind `hospitals.from_frame` and `join`. Nothing is guessed: what can be read in two ways is
refused, with the line to write for each. Names are compared as people read them: "Zürich" is one level however
it is encoded, and "m" and "M" are two that look alike.
"""

import re
import unicodedata
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import NamedTuple

import numpy as np

LONGEST = 100  # signs that a name has at the most
MAX_LEVELS = 50  # beyond this a column of text is a name, an identifier or free text, not a category
OTHER = "other"  # the level that rare ones become
SMALLEST, LARGEST = 2.0**-64, 2.0**64  # the largest value of a hospital's column lies between them: see `preparation`
# What people write for nothing, as `fold` has it. "none" may be a level; "None" is what Python makes of nothing.
WORDS = {"?", ".", "-", "--", "na", "n/a", "n.a.", "#n/a", "nan", "<na>", "null", "nil", "nd", "missing", "unknown"}
NUMBER = re.compile(
    r"(?P<limit>[<>≤≥]=?)?\s*([-+−]?(?P<money>[$€£¥]|(usd|eur|chf|gbp)\b)\s*)?(?P<number>[-+−]?"
    r"(\d+([., '/:-]+\d+)*([.,](?!\s*[a-z]))?|[.,]\d+)(e[-+]?\d+)?)\s*(?P<unit>[%$€£¥]|[a-zµ°][\w/%²³]*)?",
    re.IGNORECASE,
)
# Signs and letters that look like others, as `fold` has them. Not the Greek mu: mg and μg are two.
_ALIKE = str.maketrans("‐‑‒–—−‘’´`“”„авекмнорстухіјѕαβεηικνορτυχ", "------''''\"\"\"abekmhopctyxijsabehiknoptyx")


class Complaint(NamedTuple):
    """One thing that is wrong with a table, or that only a person can judge.

    severity : "refused", or "look" at what is taken and may be wrong
    column, hospital : where it is; empty if in no single one
    problem : a sentence
    values : examples of cells
    write : an argument of the call or a line of pandas that helps; behind "#", what else may be meant
    rows : how many it concerns
    """

    severity: str
    column: str
    hospital: str
    problem: str
    values: str
    write: str
    rows: int

    def __str__(self) -> str:
        return f"{self.problem}{': ' * bool(self.values)}{self.values}. Write: {self.write}"


class Refused(ValueError):  # noqa: N818 - what became of the table
    """A table that cannot be used: `complaints` are all that is wrong with it, the worst first."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        self.complaints, lines = tuple(complaints), [f"{number}. {each}" for number, each in enumerate(complaints, 1)]
        most = " 20 of `complaints`" * (len(lines) > 20)
        head = f"The table cannot be used yet, for {len(lines)} reasons, the worst{most} first:"
        super().__init__("\n".join([head, *lines[:20]]) if len(lines) > 1 else str(self.complaints[0]))


@dataclass(frozen=True)
class Cells:
    """What cells mean where the table does not say so itself.

    missing : values that stand for none, such as "?" or -999
    decimal : "." or ",": text that is numbers is read as numbers, and refused if None
    below, above : "<0.01" is read as `below` times 0.01, and ">50" as `above` times 50; None refuses them
    rare : levels of fewer rows, of all hospitals together, become `OTHER`
    keep : columns that are right as they are, though they look like identifiers, dates, codes or copies of the label

    missing, decimal and rare may be column -> what is so in this one, with None -> what is so in all others.
    """

    missing: Sequence[Hashable] | Mapping[Hashable, Sequence[Hashable]] = ()
    decimal: str | Mapping[Hashable, str] | None = None
    below: float | None = None
    above: float | None = None
    rare: int | Mapping[Hashable, int] = 0
    keep: Sequence[Hashable] = ()

    def __post_init__(self) -> None:
        for name, said in vars(self).items():
            for value in said.values() if isinstance(said, Mapping) else [said]:
                if name in ("missing", "keep") and (isinstance(value, str) or not isinstance(value, Iterable)):
                    raise TypeError(f"`{name}` is a list: write [{value!r}] for a single one.")
                if name == "decimal" and value not in (None, ".", ","):
                    raise ValueError(f"`decimal` must be '.' or ',', and is {value!r}.")
                if name in ("below", "above", "rare") and not isinstance(value, Real | None):
                    raise TypeError(f"`{name}` must be a number, and is {value!r}.")

    def of(self, column: Hashable) -> "Cells":
        """Return what the cells of one column mean."""
        own = {name: value for name, value in vars(self).items() if isinstance(value, Mapping)}
        mine = {name: value.get(column, value.get(None, getattr(Cells, name))) for name, value in own.items()}
        return replace(self, **mine) if mine else self

    def number(self, cell: object) -> float | None:
        """Read a cell: NaN if it is a text that is a number and must not be read so, None if it is no number at all."""
        if not isinstance(cell, str):
            return float(cell)
        if (found := NUMBER.fullmatch(clean(cell))) is None:
            return None
        limit, digits = (found["limit"] or "")[:1], found["number"].replace("−", "-")
        factor = {"": 1.0, "<": self.below, "≤": self.below}.get(limit, self.above)
        if self.decimal == ",":
            digits = digits.replace(".", " ").replace(",", ".")
        try:
            odd = found["unit"] or found["money"] or not self.decimal or factor is None
            return np.nan if odd else factor * float(digits)
        except ValueError:
            return np.nan


def clean(value: object) -> str:
    """Write a value as a name: NFC, single spaces, no invisible sign, and "1" for the 1.0 that pandas makes of 1."""
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if not (text := str(value)).isascii():
        text = unicodedata.normalize("NFC", "".join(sign for sign in text if unicodedata.category(sign) != "Cf"))
    return " ".join(text.split())


def fold(name: str) -> str:
    """Write a name so that those which look alike are equal, and 1.0 is 1."""
    name = name.lower() if name.isascii() else unicodedata.normalize("NFKC", name).casefold().translate(_ALIKE)
    return name.rstrip("0").rstrip(".") if re.fullmatch(r"\d+\.0+", name) else name


def coded_columns(numeric: Iterable[str], categorical: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Names of the columns after coding: the numeric ones, then "column=level" without the reference."""
    return (*numeric, *(f"{column}={level}" for column, levels in categorical.items() for level in levels[1:]))


def plain(value: object) -> object:
    """Return Python's own value for one of numpy's."""
    return value.item() if isinstance(value, np.generic) else value


def in_order(values: Iterable[object]) -> list:
    """Put values in order: numbers by their size, others as text."""
    values = [*map(plain, values)]
    return sorted(values, key=None if all(isinstance(value, Real) for value in values) else str)


def listed(found: Iterable[object]) -> str:
    """Write examples, so that those which look alike can be told apart."""
    found = [*map(plain, found)]
    show = ascii if len({fold(clean(value)) for value in found}) < len(found) else repr
    return ", ".join(f"{show(value):.40}" for value in found[:6]) + (", ..." if len(found) > 6 else "")
