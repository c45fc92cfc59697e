"""FHIR R4, as hospitals export it -> a row a patient, of what was known on that patient's index date.

`fhir.resources` says whether all that is read of a resource has the form of FHIR (of R4B, which is R4 in this:
https://hl7.org/fhir/R4B). Much has it and is of no use: a status that is none, an unknown unit, a year to come. What
fails our own checks is left out and said, with its file and line, and with no value of a patient.
"""

import re
from calendar import monthrange
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from fhir.resources.R4B import get_fhir_model_class

from fedkit.sources import files
from fedkit.sources.mapping import Entry, Mapping
from fedkit.tables import Complaint

UCUM = "http://unitsofmeasure.org"
# A Patient's gender, or the status of the others: what counts, and what is FHIR and does not count.
CODES = {
    "Patient": ("female male other unknown", ""),
    "Encounter": ("finished", "planned arrived triaged in-progress onleave cancelled entered-in-error unknown"),
    "Condition": ("confirmed", "unconfirmed provisional differential refuted entered-in-error"),
    "Observation": ("final amended corrected", "registered preliminary cancelled entered-in-error unknown"),
}
# What is read of them and of their parts. What else FHIR knows may be large: it is neither checked nor kept.
READ = "id|class|status|subject|period|start|code|coding|system|component|gender|verificationStatus|dataAbsentReason"
READ += "|reference|comparator|[a-z]+Date.*|value.*"
PARTS = ("ObservationComponent", "CodeableConcept", "Coding", "Reference", "Period", "Quantity")
FORMS = {part: get_fhir_model_class(part) for part in (*CODES, *PARTS)}
UNREAD = {at.alias for form in FORMS.values() for at in form.model_fields.values() if not re.fullmatch(READ, at.alias)}
LONGEST, MOST = 2**16, 2**19  # characters of what is read of a resource, and resources and facts together


class Export(NamedTuple):
    """What was read of one hospital."""

    table: pd.DataFrame  # a row a patient, under the name in the files; numbers as they were written, None for nothing
    complaints: pd.DataFrame  # what was left out and why, as in `hospitals.check`; "values" is the first place


class Span(NamedTuple):
    """A date as FHIR writes it, perhaps only a year or a month: first and last day, and when on that day."""

    first: date
    last: date
    second: float
    text: str


class Fact(NamedTuple):
    """What a resource says of somebody, by a name of the Patient: `value` is a cell of the column."""

    whose: str
    entry: Entry
    when: Span
    value: str
    place: str


class Unusable(Exception):  # noqa: N818 - what became of the resource
    """A problem, and what to do; then "look" if it is as it should be, and not somebody's mistake."""


def read(export: Path | Iterable[dict], mapping: Mapping, *, hospital: str, exported: date) -> Export:
    """Read a hospital's export, a folder or its resources, into a row a patient; ValueError as of `files.resources`.

    A value counts if its day is no later than the index date and within the window; of several, the latest. A Condition
    is 1 or 0. A label that is a Condition is 1 if it was first told after the index date, within the window. Who is
    ill already is left out, and so is whose window ends after the day of the export; nothing can be of a later day.
    """
    said, patients, facts, own, rows, names = {}, [], [], {}, {}, set()

    @contextmanager
    def noted(about: str, place: str) -> Iterator[None]:
        try:
            yield
        except Unusable as why:
            said.setdefault((about, *why.args), [place, 0])[1] += 1

    for content, called, place in files.resources(export, UNREAD):
        if (kind := content["resourceType"]) not in CODES:
            continue
        if len(names) + len(facts) > MOST:
            raise ValueError(f"{place}: there are more than {MOST:,} records. Export fewer people at a time.")
        with noted(kind, place):
            _check(kind, content, called, names)
            names.update(called)
            if kind == "Patient":
                own |= dict.fromkeys(called, mine := [])
                patients.append((called[0].removeprefix("Patient/"), content, mine, place))
            for part in [content, *content.get("component", [])]:
                with noted(kind, place):
                    facts += _facts(kind, content, part, mapping, exported, place)
    for fact in facts:
        with noted(fact.entry.resource, fact.place):
            if fact.whose not in own:
                raise Unusable("is about a Patient who is not here", "export all Patients")
            own[fact.whose].append(fact)
    for name, content, mine, place in patients:
        with noted("Patient", place):
            rows[name], later = _row(content, mine, mapping, exported)
            for fact in later:
                with noted(fact.entry.resource, fact.place):
                    raise Unusable("is later than the index date", "nothing", "look")
    made = [
        Complaint((*more, "refused")[0], about, hospital, problem, first, write, number)
        for (about, problem, write, *more), (first, number) in said.items()
    ]
    columns = mapping.columns("feature", "defines label", "label")
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns, dtype=object).rename_axis("patient")
    return Export(table, pd.DataFrame(sorted(made, key=lambda one: -one.rows), columns=Complaint._fields))


def known(resources: Iterable[dict], mapping: Mapping, day: date) -> tuple[dict[str, str | None], list[str]]:
    """Return what is known of one Patient on a day, a cell a feature, and what is of no use; or ValueError."""
    told = [one for one in resources if one.get("resourceType") != "Encounter"]
    whose = {f"Patient/{one.get('id')}" for one in told if one.get("resourceType") == "Patient"}
    visit = {"resourceType": "Encounter", "id": "now", "status": "finished", "class": {"code": "AMB"}}
    visit |= {"subject": {"reference": min(whose, default="nobody")}, "period": {"start": str(day)}}
    mapping = Mapping(tuple(one for one in mapping.entries if one.role in ("index", "feature")))
    table, complaints = read([*told, visit], mapping, hospital="here", exported=day)
    problems = [f"{one.column} {one.problem}." for one in complaints.itertuples()]
    if len(whose) != 1 or table.empty:
        raise ValueError(" ".join(["There is no one Patient who can be read.", *problems]))
    return table.iloc[0].to_dict(), problems


def _check(kind: str, content: dict[str, Any], called: tuple[str, ...], names: set[str]) -> None:
    """Refuse what has not the form of FHIR, has no name of its own, or a status that does not count."""
    try:
        FORMS[kind].model_validate(content if len(str(content)) <= LONGEST else None)
    except Exception as error:  # a library's, about a file of strangers: whatever it says may hold a value
        parts = [part for each in getattr(error, "errors", list)() for part in each["loc"]]
        where = [f": look at {part}" for part in parts if part in FORMS[kind].model_fields]
        raise Unusable(f"is no FHIR R4{[*where, ', or too long'][0]}", "mend the export") from None
    if not called or not names.isdisjoint(called):
        raise Unusable("comes twice, or has no id", "give each one id; the first counts")
    stated = [content.get("gender", "unknown") if kind == "Patient" else content.get("status")]
    if kind == "Condition":
        stated = [coding.get("code") for coding in content.get("verificationStatus", {}).get("coding", [])]
    counts, others = (each.split() for each in CODES[kind])
    if not {*stated} <= {*counts, *others}:
        name = "gender" if kind == "Patient" else "status"
        raise Unusable(f"has a {name} that FHIR does not know", f"write one of {', '.join(counts + others)}")
    if not {*stated} <= {*counts}:
        raise Unusable("has a status that does not count", "nothing", "look")


def _facts(kind: str, content: dict, part: dict, mapping: Mapping, exported: date, place: str) -> Iterator[Fact]:
    """Return what a resource, or a component of it, says for the mapping: nothing or one fact."""
    codings = part.get("code", {}).get("coding", [])
    coded = [entry for coding in codings for entry in mapping.find(kind, coding.get("system"), coding.get("code"))]
    mine = [entry for entry in mapping.entries if entry.resource == kind != "Patient"]
    found = mine if kind == "Encounter" else coded
    codes = {str(coding.get("code")).strip() for coding in codings}
    if systems := [entry.system for entry in mine if not found and entry.code in codes]:
        raise Unusable("has a code of the mapping, under another system", f"write {systems[0]} as its system")
    if len({entry.column for entry in found}) > 1:
        raise Unusable("has codes of two columns", "one resource says one thing: mend it, or the mapping")
    whose = str(content.get("subject", {}).get("reference")).partition("/_history/")[0]
    for entry in found[:1]:
        at = {"Observation": "effectiveDateTime"}.get(kind, entry.path)
        when = _span(content.get("period", {}).get("start") if kind == "Encounter" else content.get(at), at, exported)
        if kind != "Observation":
            yield Fact(whose, entry, when, "1", place)
        elif "dataAbsentReason" not in part or any(name.startswith("value") for name in part):
            yield Fact(whose, entry, when, _value(part, found), place)


def _span(text: object, name: str, exported: date) -> Span:
    """Read a date. Its day is the one that was written, in the hospital's own time."""
    parts = re.fullmatch(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(T.+)?)?)?", text if isinstance(text, str) else "")
    try:
        year, month, day = (part and int(part) for part in parts.groups()[:3])
        first = date(year, month or 1, day or 1)
        last = date(year, month or 12, day or monthrange(year, month or 12)[1])
        second = datetime.fromisoformat(text).timestamp() if parts[4] else 0.0
    except (AttributeError, ValueError, OverflowError):
        raise Unusable(f"has no {name} that is a date", f"write {name} as 2024-05-31") from None
    if first > exported:
        raise Unusable(f"is dated after the export ({name})", "mend the year, or `exported`")
    return Span(first, last, second, text)


def _value(part: dict, entries: list[Entry]) -> str:
    """Return an Observation's value as the table has it."""
    given = [name for name in part if name.startswith("value") or name == "dataAbsentReason"]
    if not (fit := [entry for entry in entries if [entry.path] == given]):
        raise Unusable(f"has not one {entries[0].path}", "give it, or a dataAbsentReason, not both")
    value = part[fit[0].path]
    if "valueQuantity" in part:
        fit = [entry for entry in fit if (value.get("system"), value.get("code")) == (UCUM, entry.unit)]
        if not fit or "comparator" in value:
            units = " or ".join(entry.unit for entry in entries)
            raise Unusable("is no plain number in a unit of the mapping", f"write UCUM's {units}, or add a row")
        value = value.get("value")
    entry, number = fit[0], isinstance(value, int | Decimal) and not isinstance(value, bool)
    if "valueCodeableConcept" in part:
        codes = [each.get("code") for each in value.get("coding", []) if each.get("system") == entry.answer_system]
        value = codes[0] if len(codes) == 1 else None
    elif "valueBoolean" in part:
        value = str(value).lower()
    elif not number or not entry.least <= float(Decimal(value)) * entry.times <= entry.most:
        raise Unusable("has a value that cannot be", f"{entry.least:g} to {entry.most:g} can: another unit, or text?")
    else:
        value = str(value) if entry.times == 1 else f"{float(value) * entry.times:.6g}"
    if entry.answers and value not in entry.answers:
        raise Unusable("has an answer that the mapping does not know", "add it to `answers`, or mend it")
    return entry.answers.get(value, value)


def _row(content: dict, facts: list[Fact], mapping: Mapping, exported: date) -> tuple[dict, list[Fact]]:
    """Return a patient's row, and what is about its columns and later than the index date."""
    if not (visits := [fact.when for fact in facts if fact.entry.role == "index"]):
        raise Unusable("has no visit that counts, so no index date", "export all Encounters")
    index, birth = min(visits), _span(content.get("birthDate"), "birthDate", exported)
    death = _span(content.get("deceasedDateTime", str(exported)), "deceasedDateTime", exported)
    if birth.first > min(fact.when.last for fact in facts) or death.last < index.first:
        raise Unusable("has a record from before birth or a visit after death", "mend birthDate, or the record")
    young = len(birth.text) > 7 and (index.first.month, index.first.day) < (birth.first.month, birth.first.day)
    age, row, later, sides = index.first.year - birth.first.year - young, {}, [], {True: [], False: []}
    for fact in facts:  # on one side are those of surely no later than the index date; "1988" twice is one visit
        sides[fact.when.last <= index.first or fact.when.text == index.text].append(fact)
    for entry in mapping.entries:
        early, late = ([one for one in sides[at] if one.entry.column == entry.column] for at in (True, False))
        within = [one for one in early if entry.window is None or (index.first - one.when.last).days <= entry.window]
        if entry.path == "birthDate":
            if not entry.least <= age <= entry.most:
                raise Unusable(f"is not {entry.least:g} to {entry.most:g} years old", "nothing", "look")
            row[entry.column] = str(age)
        elif entry.path == "gender":
            row[entry.column] = entry.answers.get(content.get("gender"), content.get("gender"))
        elif entry.role == "label" and entry.resource == "Condition":
            if early:
                raise Unusable("has the disease already on the index date", "nothing", "look")
            if any(fact.when.first <= index.last for fact in late):
                raise Unusable("has a diagnosis whose date is too coarse", "give its day")
            if (end := index.last + timedelta(entry.window)) > exported:
                raise Unusable("was not followed to the end of the window", "nothing", "look")
            row[entry.column] = str(int(any(fact.when.first <= end for fact in late)))
        elif entry.column not in row and entry.role != "index":
            later += late
            last = max(within, key=lambda fact: fact.when[1:3], default=None)
            row[entry.column] = last.value if last else "0" if entry.resource == "Condition" else None
    return row, later
