"""Lines of strangers: FHIR resources from a hospital's files, one at a time, each with its place.

A file is hostile until it is read: sizes are bounded, also of what is packed; nothing is followed (a link, an address, a
path inside) and nothing is run. No error quotes a line: it may be about a patient.
"""

import gzip
import json
import zlib
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

LONGEST = 2**20  # bytes of a line; a Bundle is one line, or a whole file
LARGEST = 2**28  # bytes of a hospital's files together, unpacked
ENDINGS = (".ndjson", ".ndjson.gz", ".json", ".json.gz")


class Resource(NamedTuple):
    """One resource.

    content : as JSON has it, with `Decimal` for numbers with a point, so that they keep their digits
    names : what references may call it: "Patient/p001", and its `fullUrl` in a Bundle
    place : "Patient.ndjson, line 7"
    """

    content: dict[str, Any]
    names: tuple[str, ...]
    place: str


def resources(folder: Path) -> Iterator[Resource]:
    """Read a hospital's export: files of Bulk Data (.ndjson), Bundles (.json, or one a line), packed (.gz) or not.

    Files are taken in the order of their names. ValueError if there is none, or one cannot be read: too large, damaged,
    no JSON, no resource. It names the file and the line.
    """
    files = sorted(path for path in Path(folder).iterdir() if path.name.endswith(ENDINGS))
    if not files:
        raise ValueError(f"{Path(folder).name} holds no export. Its files must end with {', '.join(ENDINGS)}.")
    left = LARGEST
    for path in files:
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"{path.name} is a link or no file: put the file itself into the folder.")
        longest = left if ".ndjson" not in path.name else LONGEST
        for line, text in _lines(path, longest):
            left -= len(text)
            place = f"{path.name}, line {line}"
            if left < 0:
                raise ValueError(f"{place}: the files hold more than {LARGEST:,} bytes. Export fewer people at a time.")
            if text.strip():
                yield from _parts(_json(text, place), place)


def _lines(path: Path, longest: int) -> Iterator[tuple[int, bytes]]:
    """Number the lines of a file, or the file as one, and read no more than `longest` bytes at a time."""
    packed, whole = path.name.endswith(".gz"), ".ndjson" not in path.name
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            read, number = file.read if whole else file.readline, 0
            while text := read(longest + 1):
                number += 1
                if len(text) > longest:
                    raise ValueError(f"{path.name}, line {number} has more than {longest:,} bytes: it is no resource.")
                yield number, text
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name} cannot be read ({type(error).__name__}): is it whole? Copy it again.") from None


def _json(text: bytes, place: str) -> dict[str, Any]:
    """Read one object, strictly: no name twice, no NaN, nothing so deep that Python gives up."""
    try:
        found = json.loads(text.decode(), parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_once)
    except (ValueError, RecursionError, InvalidOperation):
        raise ValueError(f"{place} is no JSON, or names something twice: export it again.") from None
    if not isinstance(found, dict) or not isinstance(found.get("resourceType"), str):
        raise ValueError(f"{place} is no FHIR resource: it has no resourceType.")
    return found


def _refuse(name: str) -> None:
    raise ValueError


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(found := dict(pairs)) < len(pairs):
        raise ValueError
    return found


def _parts(found: dict[str, Any], place: str) -> Iterator[Resource]:
    """Return the resource, or those of a Bundle, which may call each other by their `fullUrl`."""
    entries = found.get("entry", []) if found["resourceType"] == "Bundle" else [{"resource": found}]
    for entry in entries if isinstance(entries, list) else [None]:
        own = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(own, dict) or not isinstance(own.get("resourceType"), str) or own["resourceType"] == "Bundle":
            raise ValueError(f"{place}: an entry of the Bundle holds no resource, or a Bundle.")
        names = [f"{own['resourceType']}/{own['id']}"] if "id" in own else []
        yield Resource(own, (*names, *([str(entry["fullUrl"])] if "fullUrl" in entry else [])), place)
