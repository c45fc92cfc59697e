"""Which record becomes which column: a small CSV, to be read and signed by who knows the records, not the program.

A row says where one thing stands in a FHIR resource and what of it counts. A column may have several rows: another
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
ROLES = ("index", "feature", "label", "defines label")


@dataclass(frozen=True)
class Entry:
    """A row of the mapping, all text or numbers.

    column : of the table; `birthDate` becomes the age in years on the index date
    role : "index" (the day from which on nothing is known), "feature", "label", or "defines label": what the label was
        decided by, so no feature
    resource, path : where it stands, see `PATHS`
    system, code : what was measured or found, by address and code; "E11*" are all codes that begin with E11
    unit, times : in UCUM, and by what a number is multiplied to be in the unit of the column
    least, most : limits of what can be, in the unit of the column
    answers : code -> what the table says, where an answer is a code; of `answer_system`
    window : days before the index date that count, or behind it for the label; None: any
    """

    column: str
    role: str
    resource: str
    path: str
    system: str
    code: str
    unit: str
    times: float
    least: float
    most: float
    answer_system: str
    answers: dict[str, str]
    window: int | None


@dataclass(frozen=True)
class Mapping:
    """The rows of a mapping, in their order, and what follows from them."""

    entries: tuple[Entry, ...]

    @property
    def columns(self) -> list[str]:
        """Columns of the table, in order; the index date is none."""
        return [*dict.fromkeys(entry.column for entry in self.entries if entry.role != "index")]

    @property
    def features(self) -> list[str]:
        """Columns to learn from: not the label, and not what defines it."""
        return [*dict.fromkeys(entry.column for entry in self.entries if entry.role == "feature")]

    @property
    def label(self) -> str:
        """The label's column."""
        return next(entry.column for entry in self.entries if entry.role == "label")

    def of(self, resource: str) -> list[Entry]:
        """Return the rows about one kind of resource."""
        return [entry for entry in self.entries if entry.resource == resource]

    def find(self, resource: str, system: object, code: object) -> list[Entry]:
        """Return the rows for a coding."""
        mine = [entry for entry in self.of(resource) if entry.system == system and isinstance(code, str)]
        stars = [entry for entry in mine if entry.code[-1:] == "*" and code.startswith(entry.code[:-1])]
        return [entry for entry in mine if entry.code == code] or stars


def read(path: Path) -> Mapping:
    """Read a mapping; ValueError names the row and says what it may hold."""
    reader, entries = csv.DictReader(io.StringIO(Path(path).read_text(encoding="utf-8"))), []
    if reader.fieldnames != (names := [*Entry.__annotations__]):
        raise ValueError(f"The first row of {Path(path).name} must be {','.join(names)}.")
    for row in reader:
        place = f"{Path(path).name}, row {reader.line_num}"
        if None in row or None in row.values():
            raise ValueError(f"{place} must have {len(names)} cells.")
        if row["path"] not in PATHS.get(row["resource"], ()) or row["role"] not in ROLES:
            known = "; ".join(f"{resource} {', '.join(paths)}" for resource, paths in PATHS.items())
            raise ValueError(f"{place}: the role must be one of {', '.join(ROLES)}, and what is read one of {known}.")
        if row["resource"] in ("Observation", "Condition") and not row["system"].startswith(("http://", "https://")):
            raise ValueError(f"{place}: the code's system must be an address, such as http://loinc.org.")
        try:
            numbers = {
                "times": float(row["times"] or 1),
                "least": float(row["least"] or "-inf"),
                "most": float(row["most"] or "inf"),
                "window": int(row["window"]) if row["window"] else None,
                "answers": dict(pair.split("=") for pair in row["answers"].split()),
            }
        except ValueError:
            raise ValueError(f"{place}: times, least, most and window are numbers, answers are code=word.") from None
        entries.append(Entry(**row | numbers))
    roles = [entry.role for entry in entries]
    if roles.count("index") != 1 or len({entry.column for entry in entries if entry.role == "label"}) != 1:
        raise ValueError(f"{Path(path).name} must have one row for the index date, and one column for the label.")
    return Mapping(tuple(entries))
