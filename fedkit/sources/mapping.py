"""Which record becomes which column: a small CSV, to be read and signed by who knows the records, not the program.

A row says where one thing stands in a FHIR resource, and what of it counts. A column may have several rows: another
code, another unit. What no row names is not read.
"""

import csv
import io
from dataclasses import dataclass
from pathlib import Path

from fedkit import hospitals

HOME = next((root for root in hospitals.ROOTS if root.is_dir()), hospitals.ROOTS[-1]) / "hospital_records"
PATHS = {
    "Patient": ("birthDate", "gender"),
    "Encounter": ("period.start",),
    "Condition": ("recordedDate", "onsetDateTime"),
    "Observation": ("valueQuantity", "valueInteger", "valueBoolean", "valueCodeableConcept"),
}
# The day after which nothing is known; what may be learnt from; what is learnt; and what the label was decided by.
ROLES = ("index", "feature", "label", "defines label")
_USUAL = {"times": "1", "least": "-inf", "most": "inf"}


@dataclass(frozen=True)
class Entry:
    """A row of the mapping."""

    column: str  # of the table; of `birthDate` it is the age in years on the index date
    role: str  # one of `ROLES`
    resource: str  # where it stands: one of `PATHS`, and
    path: str  # one of its own
    system: str  # what was measured or found:
    code: str  # "E11*" are all codes that begin so
    unit: str  # in UCUM
    times: float  # what makes a number one of the column's unit
    least: float  # what can be, in the column's unit
    most: float
    answer_system: str  # where the answer is a code
    answers: dict[str, str]  # code -> cell
    window: int | None  # days before the index date that count, or of the label after it; None is any


@dataclass(frozen=True)
class Mapping:
    """The rows of a mapping, in their order."""

    entries: tuple[Entry, ...]

    def columns(self, *roles: str) -> list[str]:
        """Return the columns with one of these roles: `columns("feature")` is what may be learnt from."""
        return [*dict.fromkeys(entry.column for entry in self.entries if entry.role in roles)]

    def find(self, resource: str, system: object, code: object) -> list[Entry]:
        """Return the rows about a code."""
        mine = [one for one in self.entries if (one.resource, one.system) == (resource, system)]
        below = [one for one in mine if one.code.endswith("*") and str(code).startswith(one.code[:-1])]
        return [one for one in mine if one.code == code] or below


def read(path: Path) -> Mapping:
    """Read a mapping; ValueError names the row and says what it may hold."""
    reader, entries = csv.DictReader(io.StringIO(Path(path).read_text(encoding="utf-8"))), []
    if reader.fieldnames != (names := [*Entry.__annotations__]):
        raise ValueError(f"The first row of {Path(path).name} must be {','.join(names)}.")
    for row in reader:
        try:
            answers = dict(pair.split("=") for pair in row["answers"].split())
            numbers = {name: float(row[name] or usual) for name, usual in _USUAL.items()}
            window = int(row["window"]) if row["window"] or row["role"] == "label" else None
            known = row["path"] in PATHS[row["resource"]] and row["role"] in ROLES and len(row) == len(names)
        except (AttributeError, KeyError, TypeError, ValueError):
            known = False
        if not known or bool(row["code"]) != row["system"].startswith(("http://", "https://")):
            paths = "; ".join(f"{resource} {', '.join(paths)}" for resource, paths in PATHS.items())
            raise ValueError(
                f"{Path(path).name}, row {reader.line_num}: the role is one of {', '.join(ROLES)}; what is read is one "
                f"of {paths}; a code has a system that is an address; times, least, most and window are numbers, and a "
                "label has a window; answers are code=cell."
            )
        entries.append(Entry(**row | numbers | {"answers": answers, "window": window}))
    found = Mapping(tuple(entries))
    if [entry.role for entry in entries].count("index") != 1 or len(found.columns("label")) != 1:
        raise ValueError(f"{Path(path).name} must have one row for the index date, and one column for the label.")
    return found
