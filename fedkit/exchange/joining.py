"""Letters by which people come together: invitation, request, opening, handover."""

import functools
from collections.abc import Mapping
from typing import NamedTuple

import pandas as pd

from fedkit.compat import environment
from fedkit.encryption.envelopes import Roster
from fedkit.encryption.identities import check_name, fingerprint, is_exchange_key, skeleton
from fedkit.encryption.keyring import FEWEST, Member
from fedkit.encryption.messages import MessageError
from fedkit.exchange import letters
from fedkit.exchange.folder import Found
from fedkit.exchange.letters import Signed, packed, unpacked
from fedkit.exchange.rounds import parameters
from fedkit.exchange.settings import Settings
from fedkit.hospitals import Hospital

NEW = "new"  # the study that an invitation belongs to: it has no id yet


class Named(NamedTuple):
    """Somebody whom the maker put in charge of adding up, from a number on."""

    name: str
    public: bytes
    from_number: int
    number: int  # of those named for a sum or an earlier one, the highest number counts
    digest: str  # of the letter that says so


def invitation(found: Found, spoken: str) -> tuple[Settings, tuple[str, bytes], Named, str, dict[str, str]]:
    """Read an invitation: settings, name and key of the study's maker, who coordinates, the day, and `versions`.

    Its fingerprint, as it was read aloud, stands for all that is in it, so that nobody can put another one in its
    place: not even an older one by the same maker. MessageError if it is another one, or malformed.
    """
    if fingerprint(found.data) != spoken:
        said = f"An invitation by {found.sender} has the fingerprint {fingerprint(found.data)}, and {spoken} was read"
        raise MessageError(f"{said} aloud: ask the maker again, and look who else writes into this folder.")
    letter = letters.read(found, NEW, "invitation", 0)
    said = letter.json(settings=dict, day=str, versions=dict)
    return Settings.from_json(said["settings"]), letter.by, _coordinator(letter, 0, 0), said["day"], said["versions"]


def opening(letter: Signed, settings: Settings) -> tuple[dict[str, Member], tuple[tuple[str, ...], ...], str]:
    """Read an opening: who takes part, their groups, and the key maker; MessageError if it is malformed."""
    said = letter.json(hospitals=dict, groups=list, key_maker=str)
    hospitals, groups, maker = said["hospitals"], said["groups"], said["key_maker"]
    try:
        if maker not in hospitals:
            raise ValueError("It names nobody who makes the group's key.")
        members = {
            name: Member(*(unpacked(hospitals[name], key) for key in Member._fields)) for name in sorted(hospitals)
        }
        for keys in zip(*members.values(), strict=True):
            Roster(dict(zip(members, keys, strict=True)))  # which looks at names and keys
        if not all(is_exchange_key(each.exchange) for each in members.values()):
            raise ValueError("It names a key for exchanges that is none.")
        if len(members) > settings.most_hospitals:
            raise ValueError("It names more hospitals than were agreed on.")
        if len(set(map(skeleton, members))) < len(members):
            raise ValueError("It names two hospitals that look alike.")
        parameters(settings, len(members))
        groups = tuple(tuple(map(str, group)) for group in groups)
        if sorted(name for group in groups for name in group) != sorted(members) or min(map(len, groups)) < FEWEST:
            raise ValueError(f"Each hospital must be in one group, of {FEWEST} or more.")
        if min(map(len, groups)) < min(settings.group_size or len(members), len(members)):
            raise ValueError("It makes smaller groups than were agreed on.")
    except (AttributeError, TypeError, ValueError) as problem:
        raise MessageError(f"The opening by {letter.sender} cannot be used. {problem}") from None
    return members, groups, maker


def handover(letter: Signed) -> Named:
    """Read who coordinates from a sum on; MessageError if it is malformed."""
    said = letter.json(from_number=int, number=int)
    return _coordinator(letter, said["from_number"], said["number"])


def signed_by(letter: Signed, name: str, public: bytes) -> Signed:
    """Return the letter, if this is who signed it; MessageError if not."""
    if (letter.sender, letter.public) != (name, public):
        said = f"A letter that {name} ({fingerprint(public)}) alone may write is signed by {letter.sender}"
        raise MessageError(f"{said} ({fingerprint(letter.public)}).")
    return letter


def request(settings: Settings, table: pd.DataFrame, exchange: bytes) -> dict:
    """Return what a hospital tells when it asks to join: exchange key, columns and versions, nothing of its rows."""
    columns = {column: _kind(table[column]) for column in asked(settings) if column in table}
    return {"columns": columns, "versions": versions(), "exchange": packed(exchange)}


def misfits(settings: Settings, wanted: Mapping, said: Mapping) -> list[str]:
    """Say why a request does not fit the study and its maker's versions: sentences, none if it does."""
    columns, theirs = said.get("columns"), said.get("versions")
    if not isinstance(columns, dict) or not isinstance(theirs, dict):
        return ["The request is malformed: the software is another, or hostile."]
    needed, sentences = asked(settings), []
    if missing := [column for column in needed if column not in columns]:
        sentences.append(f"The table has no column {', '.join(map(repr, missing))}: the study learns from it. Add it.")
    for column, kind in needed.items():
        if (has := columns.get(column, kind)) != kind:
            sentences.append(f"The column {column!r} holds {has!r:.20}, and the study needs {kind}: convert it.")
    for name, ours in wanted.items():
        if theirs.get(name) != ours:
            sentences.append(f"{name} is {theirs.get(name)!r:.40} there and {ours!r:.40} at the maker: install this.")
    return sentences


def strange_rows(settings: Settings, rows: Hospital) -> list[str]:
    """Say which classes and levels of its rows the study does not know; a hospital tells it to nobody but itself."""
    sentences, table, named = [], rows.table, ", ".join(settings.classes)
    if rows.classes != len(settings.classes):
        sentences.append(f"The rows are of {rows.classes} classes, the study's are {named}: read with hospitals.join.")
    for column, levels in settings.categorical.items():
        named = column in table and _kind(table[column]) == "categories"
        found = set(table[column].dropna().astype(str)) if named else set()
        if strange := sorted(found - set(levels)):
            known = ", ".join(levels)
            sentences.append(f"The column {column!r} has levels {', '.join(strange)}; the study knows {known}: recode.")
    return sentences


def asked(settings: Settings) -> dict[str, str]:
    """Columns that the study needs -> "numbers" or "categories"."""
    return dict.fromkeys(settings.numeric, "numbers") | dict.fromkeys(settings.categorical, "categories")


@functools.cache
def versions() -> dict[str, str]:
    """Of what must be the same everywhere."""
    return {name: environment.versions()[name] for name in ("fedkit", "tenseal")}


def _kind(column: pd.Series) -> str:
    is_ = pd.api.types
    return "numbers" if is_.is_numeric_dtype(column) and not is_.is_bool_dtype(column) else "categories"


def _coordinator(letter: Signed, from_number: int, number: int) -> Named:
    said = letter.json()
    try:
        name, public = check_name(said.get("coordinator")), unpacked(said, "key")
        return Named(name, Roster({name: public})[name], from_number, number, letter.digest)
    except ValueError as problem:
        raise MessageError(f"The letter by {letter.sender} names no coordinator. {problem}") from None
