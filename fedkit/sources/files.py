"""Files of strangers: FHIR resources, one at a time, each with its place.

A file is hostile until it is read. Sizes are bounded, also of what is packed. Nothing is followed (a link, an address),
and nothing is run. No error quotes a line: it may be about a patient.
"""

import gzip
import json
import zlib
from collections.abc import Container, Iterable, Iterator
from decimal import Context, Inexact, InvalidOperation
from pathlib import Path
from typing import Any

LONGEST = 2**20  # bytes of a line
BUNDLE = 2**25  # bytes of a file that is one Bundle
VALUES = 2**20  # in one line or Bundle: small ones take up to fifty times their bytes in memory
LARGEST = 2**28  # bytes of a hospital's files together, unpacked
NUMBERS = Context(prec=400, Emin=-400, Emax=400, traps=[Inexact, InvalidOperation])  # who writes 1e999999999 out?
ENDINGS = (".ndjson", ".ndjson.gz", ".json", ".json.gz")
Told = tuple[dict[str, Any], tuple[str, ...], str]  # a resource, what references may call it, and its place


def resources(export: Path | Iterable[dict], unread: Container[str]) -> Iterator[Told]:
    """Read a hospital's export: a folder, or resources that are here already, as a server answers with them.

    In the folder are files of Bulk Data (.ndjson) or Bundles (.json, or one a line), packed (.gz) or not. A number with
    a point is `Decimal`; no part has an `unread` name. ValueError, with the place, for what is damaged or too large.
    """
    if isinstance(export, str | Path):
        paths = sorted(path for path in Path(export).iterdir() if path.name.endswith(ENDINGS))
        if not paths:
            raise ValueError(f"{Path(export).name} holds no export. Its files must end with {', '.join(ENDINGS)}.")
        told = (line for path in paths for line in _lines(path))
    else:
        told = ((f"resource {at}", json.dumps(one, default=float).encode()) for at, one in enumerate(export, 1))
    left = LARGEST
    for place, text in told:
        if (left := left - len(text)) < 0:
            raise ValueError(f"{place}: the files hold more than {LARGEST:,} bytes. Export fewer people at a time.")
        if text.strip():
            yield from parts(parse(text, place, unread), place)


def _lines(path: Path) -> Iterator[tuple[str, bytes]]:
    """Return the lines of a file, or a Bundle's file as one, and hold no more bytes at a time than are allowed."""
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"{path.name} is a link, or no file: put the file itself into the folder.")
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            take, most = (file.readline, LONGEST) if ".ndjson" in path.name else (file.read, BUNDLE)
            for number, text in enumerate(iter(lambda: take(most + 1), b""), 1):
                place = f"{path.name}, line {number}"
                if len(text) > most:
                    raise ValueError(f"{place} has more than {most:,} bytes. Export one resource a line.")
                yield place, text
    except (OSError, EOFError, zlib.error):
        raise ValueError(f"{path.name} cannot be read. Is it whole? Copy it again.") from None


def parse(text: bytes, place: str, unread: Container[str] = ()) -> dict[str, Any]:
    """Read one object, or say ValueError: no name twice, no NaN, nothing too deep or too long; null is nothing."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(dict(pairs)) < len(pairs):
            raise ValueError
        return {name: value for name, value in pairs if value is not None and name not in unread}

    if sum(map(text.count, (b",", b"[", b"{"))) > VALUES:
        raise ValueError(f"{place} holds more than {VALUES:,} values. Export one resource a line.")
    try:
        # `int` refuses NaN and Infinity, and numbers of more digits than anybody needs.
        return json.loads(text.decode(), parse_float=NUMBERS.create_decimal, parse_constant=int, object_pairs_hook=once)
    except (ValueError, RecursionError, ArithmeticError):
        raise ValueError(f"{place} is no JSON, or says something twice: export it again.") from None


def parts(found: Any, place: str) -> Iterator[Told]:
    """Return the resource, or those of a Bundle, with their names."""
    bundle = isinstance(found, dict) and found.get("resourceType") == "Bundle"
    entries = found.get("entry", []) if bundle else [{"resource": found}]
    for entry in entries if isinstance(entries, list) else [None]:
        own = entry.get("resource") if isinstance(entry, dict) else None
        kind = own.get("resourceType") if isinstance(own, dict) else None
        if not isinstance(kind, str) or kind == "Bundle":
            raise ValueError(f"{place} holds something that is no FHIR resource: export it again.")
        called = [f"{kind}/{own['id']}"] if "id" in own else []
        yield own, (*called, *([str(entry["fullUrl"])] if "fullUrl" in entry else [])), place
