"""Anybody's table on its way in: what each cell means, and all that is wrong, in one error.

`hospitals.from_frame`, `join` and `check` are the doors. Nothing is guessed: what can be read in two ways is refused,
with the line to write for each. Names are compared as people read them: "Zürich" is one level however it is encoded,
and "m" and "M" are two that look alike.
"""

import difflib
import re
import unicodedata
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from numbers import Real
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

_TAKEN = {"server", "mean"}  # words that stand beside the names of hospitals in ledgers and tables of results
MAX_LEVELS = 50  # beyond this a column of text is a name, an identifier or free text, not a category
OTHER = "other"  # the level that rare ones become
_MAX_SIZE = 1e100  # beyond this the square of a value leaves the range of float64
_FEW = 10  # a column of so many different values or fewer holds codes or counts, and no identifier
_SURE = 20  # so many patients of each label are not told apart by accident
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}
_DATES = {"datetime64", "datetime", "date", "timedelta64", "timedelta", "time", "period"}
# What people write for nothing, as `fold` has it. "none" may be a level; "None" is what Python makes of nothing.
_WORDS = {"?", ".", "-", "--", "na", "n/a", "n.a.", "#n/a", "nan", "<na>", "null", "nil", "nd", "missing", "unknown"}
_CODES = {float(sign * int(digit * length)) for sign in (1, -1) for digit in "789" for length in range(1, 7)} | {-1.0}
_PATIENT = re.compile(r"(patient|subject|person|pid|mrn|case)([ _-]?(id|no|nr|number|code))?", re.IGNORECASE)
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ].*)?|\d{1,2}:\d\d(:\d\d.*)?"
    rf"|(\d{{1,2}}[-. ]*)?({_MONTHS})[a-z]*[-., ]*(\d{{1,2}}[-., ]+)?\d{{2,4}}",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"(?P<limit>[<>≤≥]=?)?\s*(?P<number>[-+−]?(\d+([., '/:-]+\d+)*[.,]?|[.,]\d+)(e[-+]?\d+)?)"
    r"\s*(?P<unit>%|[a-zµ°][\w/%²³]*)?",
    re.IGNORECASE,
)


# What a column may be by what it does: a sentence about it, and what to write.
_SUSPECTS = {
    "dates": (
        "holds dates or times, which say little as they are",
        "frame[{0}] = (pd.to_datetime(frame[{0}].astype(str)) - start).dt.days  # days since what?",
    ),
    "names": (
        "numbers or names rows or patients, as it seems, and a model would learn them by heart",
        "frame = frame.drop(columns=[{0}])  # or patient={0}; or, if it was measured, keep=[{0}]",
    ),
    "label": (
        "tells the label, as if it were made of it or known only after it",
        "frame = frame.drop(columns=[{0}])  # or, if it is known before, keep=[{0}]",
    ),
}


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


class Refused(ValueError):
    """A table that cannot be used: `complaints` are all that is wrong with it, the worst first."""

    def __init__(self, complaints: Sequence[Complaint]) -> None:
        self.complaints = tuple(complaints)
        lines = [f"{number}. {each}" for number, each in enumerate(self.complaints, 1)]
        head = f"The table cannot be used yet, for {len(lines)} reasons, the worst first:"
        super().__init__("\n".join([head, *lines]) if len(lines) > 1 else str(self.complaints[0]))


@dataclass(frozen=True)
class Cells:
    """What cells mean where the table does not say so itself.

    missing : values that stand for none, such as "?" or -999; or column -> its own ones
    decimal : "." or ",": text that is numbers is read as numbers, and refused if None; or column -> its own one
    below, above : "<0.01" is read as `below` times 0.01, and ">50" as `above` times 50; None refuses them
    rare : levels of fewer rows, of all hospitals together, become `OTHER`
    keep : columns that are right as they are, though they look like identifiers, dates, codes or copies of the label
    """

    missing: Sequence[Hashable] | Mapping[Hashable, Sequence[Hashable]] = ()
    decimal: str | Mapping[Hashable, str] | None = None
    below: float | None = None
    above: float | None = None
    rare: int = 0
    keep: Sequence[Hashable] = ()

    def __post_init__(self) -> None:
        for name, value in {"missing": self.missing, "keep": self.keep}.items():
            if isinstance(value, str):
                raise TypeError(f"`{name}` is a list: write [{value!r}] for a single one.")
        if wrong := {*(self.decimal.values() if isinstance(self.decimal, Mapping) else [self.decimal])} - {
            None,
            ".",
            ",",
        }:
            raise ValueError(f"`decimal` must be '.' or ',', and is {wrong.pop()!r}.")

    def of(self, column: Hashable) -> "Cells":
        """What the cells of one column mean."""

        def own(how: Any, otherwise: Any) -> Any:
            return how.get(column, otherwise) if isinstance(how, Mapping) else how

        return replace(self, missing=own(self.missing, ()), decimal=own(self.decimal, None))

    def number(self, cell: object) -> float | None:
        """Read a cell: NaN if it is a text that is a number and must not be read so, None if it is no number at all."""
        if not isinstance(cell, str):
            return float(cell)
        if (found := _NUMBER.fullmatch(clean(cell))) is None:
            return None
        limit, digits = (found["limit"] or "")[:1], found["number"].replace("−", "-")
        factor = {"": 1.0, "<": self.below, "≤": self.below}.get(limit, self.above)
        if self.decimal == ",":
            digits = digits.replace(".", " ").replace(",", ".")
        try:
            return np.nan if found["unit"] or not self.decimal or factor is None else factor * float(digits)
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
    """Write a name so that those which look alike are equal."""
    return name.lower() if name.isascii() else unicodedata.normalize("NFKC", name).casefold()


class Reading:
    """A table that is read, and all that is wrong with it.

    It takes the arguments of `hospitals.from_frame`; or, with `agreed`, those of `hospitals.join`, and then `site` is the
    hospital's name. TypeError or ValueError if there is nothing to read.

    Attributes
    ----------
    columns : feature -> its values, float64 or pd.Categorical
    sites, names : number of each row's hospital, and the hospitals' names
    labels, patients, test : as in `hospitals.Hospital`, for all rows
    order, starts : the rows hospital by hospital, and where each hospital begins
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        *,
        site: Hashable,
        label: Hashable,
        features: Sequence[Hashable] | None = None,
        patient: Hashable = None,
        test: Hashable | Sequence[int] = None,
        min_rows: int = 10,
        agreed: Any = None,
        **cells: Any,
    ) -> None:
        if not isinstance(frame, pd.DataFrame):
            raise TypeError(f"The table must be a pandas DataFrame, and is a {type(frame).__name__}.")
        if isinstance(features, str):
            raise TypeError(f'`features` must be a list of column names: write ["{features}"] for a single one.')
        if frame.empty:
            raise ValueError(f"The table is empty: it has {len(frame)} rows and {frame.shape[1]} columns.")
        self._frame, self._cells, self._found = frame, Cells(**cells), []
        self._agreed = {} if agreed is None else dict.fromkeys(agreed.numeric) | dict(agreed.categorical)
        label, one = label if isinstance(label, tuple) and label not in frame.columns else (label, None)
        roles = [label, patient, test if isinstance(test, Hashable) else None, None if self._agreed else site]
        self._roles = [column for column in roles if column is not None]
        there, features = self._choose([*self._agreed] or features)
        self.columns, self.labels, self.patients, self.test = {}, None, None, None
        self.sites, self.names = np.zeros(len(frame), np.int64), [clean(site)]
        if site in there and not self._agreed:
            self.sites, _, self.names = self._names(frame[site], "The hospital")
            if len(self.names) == 1:
                write = "hospitals.join(...)  # for one hospital; fedkit.chapters.partitions makes pretend ones"
                self._say(
                    site, f"Column {site!r} names one hospital only, and a federation needs two", write, self.names
                )
        self.order = np.argsort(self.sites, kind="stable")[(self.sites < 0).sum() :]
        self.starts = np.flatnonzero(np.diff(self.sites[self.order], prepend=-1))
        if label in there:
            self.labels = self._labels(frame[label], one)
        if patient in there:
            codes, _, names = self._names(frame[patient], "The patient")
            self.patients = np.array([*names, ""], dtype=object)[codes]
        if not isinstance(test, Hashable):
            self.test = np.isin(np.arange(len(frame)), test)
        elif test in there:
            self.test = self._test(frame[test])
        self._crowd(site, min_rows)
        for column in features:
            self._feature(frame[column])

    @property
    def complaints(self) -> list[Complaint]:
        """All of them, the worst first: what is refused, the label, what is about most rows."""
        rank = {str(column): at for at, column in enumerate(["", *self._roles])}
        return sorted(self._found, key=lambda it: (it.severity != "refused", rank.get(it.column, 9), -it.rows))

    def _say(
        self,
        column: Hashable,
        problem: str,
        write: str,
        values: Iterable[object] = (),
        rows: int | None = None,
        hospital: str = "",
        severity: str = "refused",
    ) -> None:
        rows = len(self._frame) if rows is None else int(rows)
        self._found.append(Complaint(severity, str(column), hospital, problem, _list(values), write, rows))

    def _choose(self, features: Sequence[Hashable] | None) -> tuple[set, list]:
        """Return the columns that are there, once each, and which of them are features; None is all without a role."""
        columns, roles = self._frame.columns, Counter(self._roles)
        known, looks = Counter(map(str, columns)), Counter(fold(clean(column)) for column in columns)
        features = [*columns.unique().difference(self._roles, sort=False)] if features is None else [*features]
        if twice := [column for column, count in (Counter(features) + roles).items() if count > 1]:
            self._say("", "A column is named twice, or has two roles", "each column once", twice)
        if not features:
            self._say("", "There is no column to learn from", "features=[...]", columns)
        there, said = set(), set()
        for column in dict.fromkeys([*self._roles, *features]):
            look = fold(clean(column))
            if column not in columns:
                near = difflib.get_close_matches(str(column), known, n=1) or [*known][:6]
                write = f"frame = frame.rename(columns={{{near[0]!r}: {column!r}}})  # or the right name"
                self._say("", f"The table has no column {column!r}, and there are", write, near)
            elif known[str(column)] > 1:
                write = "frame = frame.loc[:, ~frame.columns.astype(str).duplicated()]  # keeps the first"
                self._say("", f"The table has the column {str(column)!r} more than once", write)
            elif looks[look] > 1 and look not in said:
                both = [other for other in columns if fold(clean(other)) == look]
                write = f"frame[{both[0]!r}] = frame[{both[0]!r}].fillna(frame.pop({both[1]!r}))"
                self._say("", "The table has columns whose names look alike", write, both)
            elif not str(column).isprintable() or len(str(column)) > 100:
                write = f"frame = frame.rename(columns={{{column!r}: {clean(column)[:100]!r}}})"
                self._say("", "The name of a column is too long, or cannot be printed", write, [column])
            elif look not in said:
                there.add(column)
            said.add(look)
        return there, [column for column in dict.fromkeys(features) if column in there and column not in roles]

    def _names(self, column: pd.Series, what: str = "") -> tuple[np.ndarray, list, list[str]]:
        """Read cells as names: the number of each row's name, shape [n], -1 for none; a cell of each, and each as text.

        Those that read alike are one, and refused if they are not written alike. `what` must not be missing.
        """
        name = column.name
        try:
            codes, cells = pd.factorize(column.astype(object))
        except TypeError as error:
            write = f"frame[{name!r}] = frame[{name!r}].astype(str)"
            self._say(name, f"Column {name!r} holds what is no single text or number ({error})", write)
            return np.full(len(column), -1), [], []
        counts, texts = np.bincount(codes + 1, minlength=len(cells) + 1)[1:], [*map(clean, cells)]
        void, groups = {"", *(fold(clean(value)) for value in self._cells.of(name).missing)}, {}
        for at, text in enumerate(texts):
            if fold(text) not in void:
                groups.setdefault(fold(text), []).append(at)
        place, best = np.full(len(cells) + 1, -1), []
        change = {}
        for number, group in enumerate(groups.values()):
            best.append(max(group, key=lambda at: (cells[at] == texts[at], counts[at])) if len(group) > 1 else group[0])
            place[group] = number
            if len(group) > 1 and not all(isinstance(cells[at], str) and _NUMBER.fullmatch(texts[at]) for at in group):
                change |= {_plain(cells[at]): _plain(cells[best[-1]]) for at in group if at != best[-1]}
        if change:
            write = f"frame[{name!r}] = frame[{name!r}].replace({ascii(change)})"
            self._say(
                name,
                f"Column {name!r} holds values that look alike",
                write,
                [each for pair in change.items() for each in pair],
            )
        codes, cells, texts = place[codes], [cells[at] for at in best], [texts[at] for at in best]
        if bad := [text for text in texts if not text.isprintable() or len(text) > 100]:
            write = f"frame[{name!r}] = frame[{name!r}].str.slice(0, 100)"
            self._say(name, f"Column {name!r} holds names that are too long, or cannot be printed", write, bad)
        if what and (missing := (codes < 0).sum()):
            write = f"frame = frame[frame[{name!r}].notna()]  # and not blank"
            self._say(name, f"{what} {name!r} is missing in {missing} of {len(codes)} rows", write, rows=missing)
        return codes, cells, texts

    def _crowd(self, site: Hashable, min_rows: int) -> None:
        """Refuse hospitals that are alone, too small or called as nobody may be, and patients on both sides."""
        who = np.arange(len(self.sites)) if self.patients is None else self.patients
        rows = pd.DataFrame({"site": self.sites, "who": who, "test": False if self.test is None else self.test})
        sides = rows[rows["site"] >= 0].groupby(["site", "who"])["test"].nunique()
        counts = sides.groupby("site").size().to_numpy()
        if tiny := {name: int(count) for name, count in zip(self.names, counts, strict=True) if count < min_rows}:
            problem = (
                f"Fewer than min_rows={min_rows} patients: {', '.join(f'{name} has {tiny[name]}' for name in tiny)}"
            )
            self._say(
                site,
                problem,
                f"frame = frame[~frame[{site!r}].isin({[*tiny]})]  # or join them",
                rows=sum(tiny.values()),
            )
        if taken := [name for name in self.names if fold(name) in _TAKEN]:
            write = f"frame[{site!r}] = frame[{site!r}].replace({{{taken[0]!r}: ...}})"
            self._say(site, "A hospital cannot be called mean or server, since these words are taken", write, taken)
        if both := [who for _, who in sides.index[sides > 1]]:
            self._say(
                "", "Patients stand on both sides of the split", "a split that keeps them on one side", both, len(both)
            )

    def _test(self, column: pd.Series) -> np.ndarray:
        """Read a split of the caller's own: "train" and "test", or False and True."""
        found = column.astype(object).map({"train": False, "test": True, False: False, True: True})
        if (wrong := found.isna()).any():
            write = f"frame[{column.name!r}] = np.where(..., 'test', 'train')"
            problem = f"The split {column.name!r} must be 'train' or 'test' in each row"
            self._say(column.name, problem, write, column[wrong].astype(object).unique(), wrong.sum())
        return found.eq(True).to_numpy(bool)

    def _labels(self, column: pd.Series, one: Hashable) -> np.ndarray:
        """Read the label: 0 and 1, False and True, or two values of which `one` is 1."""
        name, (codes, cells, names) = column.name, self._names(column)
        values, labels = _sorted(cells), np.zeros(len(codes), np.int64)
        if missing := (codes < 0).sum():
            write = f"frame = frame[frame[{name!r}].isin({values[:_FEW]})]"
            self._say(name, f"The label {name!r} is missing in {missing} of {len(codes)} rows", write, rows=missing)
        if one is not None and clean(one) not in names:
            near = difflib.get_close_matches(clean(one), names, n=1) or ["..."]
            write = f"label=({name!r}, {near[0]!r})  # or, if nobody has it, frame[{name!r}] = 0"
            self._say(name, f"The label {name!r} is never {one!r}", write, values)
        elif one is not None and len(values) > 2:
            write = f"frame = frame[frame[{name!r}].isin([{one!r}, ...])]  # and the value that is 0"
            self._say(name, f"The label {name!r} holds more than two values", write, values)
        elif one is not None:
            labels = (codes == names.index(clean(one))).astype(np.int64)
        elif all(value in (0, 1) for value in values):
            labels = np.array([*map(int, cells), 0])[codes]
        elif len(values) > _FEW or not all(isinstance(value, str | Real) for value in values):
            problem = (
                f"The label {name!r} holds {len(values)} values. This kit tells two classes apart: it predicts no number "
                "(a length of stay, a score), no date and no time to an event (survival)"
            )
            write = (
                f"frame[{name!r}] = frame[{name!r}] > ...  # a cut that means something; or: had the event in a year"
            )
            self._say(name, problem, write, values)
        elif len(values) == 2:
            write = f"label=({name!r}, ...)  # one of {_list(values)}"
            self._say(
                name, f"The label {name!r} holds two values, and which of them is 1 is yours to say", write, values
            )
        else:
            write = (
                f"frame[{name!r}] = frame[{name!r}].isin([...])  # all that are 1; before, leave out what is no class"
            )
            self._say(name, f"The label {name!r} must hold two values, and holds {len(values)}", write, values)
        if not self._agreed and len(values) == 1:
            problem = f"The label {name!r} is {values[0]!r} in every row: there is nothing to tell apart"
            self._say(name, problem, "another label, or more rows")
        return labels

    def _feature(self, column: pd.Series) -> None:
        """Read a column as the study wants it, or as what it says that it is."""
        name, plain = column.name, isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf"
        kind, how = "floating" if plain else pd.api.types.infer_dtype(column, skipna=True), self._cells.of(name)
        wanted = "levels" if self._agreed.get(name) or kind == "categorical" else "numbers" if self._agreed else ""
        if kind in _NUMBERS and wanted != "levels":
            read = column.to_numpy(np.float64) if plain else pd.to_numeric(column).to_numpy(np.float64, na_value=np.nan)
            return self._numbers(name, np.array(read))
        if kind in _DATES and wanted != "levels":
            return self._suspect("dates", name, column.dropna().astype(object).astype(str).unique())
        codes, cells, names = self._names(column)
        if not names:
            return None if self._found and self._found[-1].column == name else self._numbers(name, codes + np.nan)
        if name in how.keep or self._agreed.get(name):
            return self._levels(name, codes, names)
        if dates := [text for text in names if _DATE.fullmatch(text)]:
            return self._suspect("dates", name, dates)
        levels = wanted == "levels" or (all(isinstance(cell, bool) for cell in cells) and not wanted)
        if not levels and (strange := [cell for cell in cells if not isinstance(cell, str | Real | Decimal)]):
            write = f"frame = frame.drop(columns=[{name!r}])"
            return self._say(name, f"Column {name!r} is neither numbers nor text", write, strange)
        read = [None if levels else how.number(cell) for cell in cells]
        is_word = np.array([fold(text) in _WORDS or text == "None" for text in names])
        is_number = np.array([number is not None for number in read]) & ~is_word
        if is_number.all() and not np.isnan(read).any():
            return self._numbers(name, np.array([*read, np.nan])[codes])
        words, numbers, others = (
            [names[at] for at in np.flatnonzero(which)] for which in (is_word, is_number, ~is_word & ~is_number)
        )
        written = [
            text for text, cell, number in zip(names, cells, is_number, strict=True) if number and isinstance(cell, str)
        ]
        as_codes, as_numbers = (
            f"frame[{name!r}].astype('category')",
            _as_numbers(name, [*words, *others[:_FEW]], written),
        )
        sites = [{*self.sites[np.append(which, False)[codes]]} for which in (is_number, ~is_word & ~is_number)]
        if wanted == "numbers" or (numbers and not others):
            write = as_numbers + ("" if wanted else f"  # or, if they are codes: frame[{name!r}] = {as_codes}")
            self._say(name, f"Column {name!r} holds numbers as text", write, words + others + numbers)
        elif numbers and not sites[0] & sites[1]:
            write = f"frame[{name!r}] = frame[{name!r}].replace({{{_plain(cells[is_number.argmax()])!r}: ...}})"
            where = self.names[min(sites[0])]
            problem = f"Column {name!r} holds numbers at some hospitals ({where}) and text at others"
            self._say(name, problem, write, numbers[:3] + others)
        elif numbers:
            write = f"frame[{name!r}] = {as_codes}  # or, if the words stand for nothing: {as_numbers}"
            self._say(name, f"Column {name!r} is neither all numbers nor all text", write, numbers[:3] + words + others)
        elif words:
            write = f"missing={{{name!r}: {words}}}  # or, if they say something: keep=[{name!r}]"
            rows = np.append(is_word, False)[codes].sum()
            self._say(name, f"Column {name!r} holds what people write for nothing", write, words, rows)
        return None if numbers else self._levels(name, codes, names)

    def _levels(self, name: Hashable, codes: np.ndarray, levels: list[str]) -> None:
        """Take a column of levels; say which are strange or too many, and whether they name patients."""
        agreed, counts = self._agreed.get(name), np.bincount(codes[codes >= 0], minlength=len(levels))
        rare = [level for level, count in zip(levels, counts, strict=True) if count < self._cells.rare and not agreed]
        if strange := [level for level in levels if agreed and level not in agreed]:
            like = {fold(level): repr(level) for level in agreed}
            to = ", ".join(f"{level!r}: {like.get(fold(level), '...')}" for level in strange)
            rare = strange if self._cells.rare and OTHER in agreed else []
            if not rare:
                write = f"frame[{name!r}] = frame[{name!r}].replace({{{to}}})  # the study knows {_list(agreed)}"
                self._say(name, f"Column {name!r} holds levels that the study does not know", write, strange)
        into = {level: OTHER if level in {*rare} else level for level in levels}
        total = Counter()
        for level, count in zip(levels, counts, strict=True):
            total[into[level]] += int(count)
        order = agreed or order_levels(total)
        place = pd.Index(order).get_indexer([into[level] for level in levels])
        together, codes = codes, np.append(place, -1)[codes]
        self.columns[str(name)] = pd.Categorical.from_codes(codes, order)
        known = codes >= 0
        if agreed or name in self._cells.keep:
            return
        if 2 * len(order) > known.sum() > _FEW or self._rises(np.where(known, together, np.nan)):
            self._suspect("names", name, levels)
        elif len(order) > MAX_LEVELS:
            write = f"rare={np.sort(counts)[-MAX_LEVELS] + 1}  # levels of fewer rows become one; or leave it out"
            self._say(
                name, f"Column {name!r} holds {len(order)} levels, and at most {MAX_LEVELS} can be", write, levels
            )
        elif self.labels is not None:
            both = [np.bincount(codes[known & (self.labels == label)], minlength=len(order)) for label in (0, 1)]
            self._tells(name, levels, *map(sum, both), np.minimum(*both).sum())

    def _numbers(self, name: Hashable, values: np.ndarray) -> None:
        """Take a column of numbers; say what cannot be, and what is not what it seems."""
        for code in self._cells.of(name).missing:
            values[values == code] = np.nan
        self.columns[str(name)] = values
        known = values[~np.isnan(values)]
        if not known.size:
            if not self._agreed:
                self._say(
                    name, f"Column {name!r} has no value at any hospital", f"frame = frame.drop(columns=[{name!r}])"
                )
            return
        low, high = known.min(), known.max()
        if max(-low, high) > _MAX_SIZE:
            wrong = np.abs(values) > _MAX_SIZE
            problem = f"Column {name!r} is infinite or beyond {_MAX_SIZE:g} in {wrong.sum()} rows, first at "
            write, first = (
                f"missing={{{name!r}: {np.unique(values[wrong]).tolist()}}}",
                self.names[self.sites[wrong.argmax()]],
            )
            write = write.replace("inf", "np.inf")
            return self._say(name, problem + first, write, np.unique(values[wrong]), wrong.sum(), first)
        if name in self._cells.keep:
            return
        if (low in _CODES or high in _CODES) and (found := _codes_for_nothing(known)):
            problem = f"Column {name!r} holds what looks like a code for nothing, far from all that was measured"
            write = f"missing={{{name!r}: {found}}}  # or, if it was measured: keep=[{name!r}]"
            self._say(name, problem, write, found, np.isin(known, found).sum())
        if high - low > _FEW and not self._agreed and (known == np.floor(known)).all():
            day, month, shown = known % 100, known // 100 % 100, known[:_FEW].astype(int)
            if 19000101 <= low and high <= 21001231 and day.max() <= 31 and month.max() <= 12 and month.min() >= 1:
                return self._suspect("dates", name, shown)
            if self._rises(values) or _dealt_out(known, high - low + 1):
                return self._suspect("names", name, shown)
        if self.labels is not None:
            healthy, ill = (values[(self.labels == label) & (values == values)] for label in (0, 1))
            if min(len(healthy), len(ill)) >= _SURE:
                apart = ill.min() > healthy.max() or ill.max() < healthy.min()
                gap, spread = ill.mean() - healthy.mean(), known.std()
                alike = gap**2 * len(ill) * len(healthy) > (0.95 * spread * len(known)) ** 2  # the correlation
                self._tells(name, known[:_FEW], len(healthy), len(ill), 0 if apart else 1 if alike else len(known))

    def _tells(self, name: Hashable, values: Sequence[object], healthy: int, ill: int, errors: int) -> None:
        """Refuse a column that is the label by another name, or say so of one that nearly is."""
        if min(healthy, ill) >= _SURE and 50 * errors <= min(healthy, ill):
            self._suspect("label", name, values, "look" if errors else "refused")

    def _suspect(self, what: str, name: Hashable, values: Sequence[object], severity: str = "refused") -> None:
        problem, write = _SUSPECTS[what]
        self._say(name, f"Column {name!r} {problem}", write.format(repr(name)), values, severity=severity)

    def _rises(self, values: np.ndarray) -> bool:
        """Whether a column goes one way only down the rows of each hospital, as numbers of rows and of visits do."""
        steps = np.diff(values[self.order])[np.diff(self.sites[self.order]) == 0]
        one_way = steps.size and (not (steps < 0).any() or not (steps > 0).any())
        return bool(one_way) and len(np.unique(values[~np.isnan(values)])) > _FEW

    def report(self) -> pd.DataFrame:
        """Describe each column at each hospital, the label first, and note in `complaints` what looks odd there.

        Columns column, hospital, count, missing, least, most, mean (of the label: its prevalence), spread (standard
        deviation), levels, and apart: how many spreads of all rows the mean lies from theirs, or the share of rows whose
        level would have to be another for the levels to be as frequent as everywhere.
        """
        parts, texts, many = [], [], len(self.names)
        columns = (
            self.columns if self.labels is None else {str(self._roles[0]): self.labels.astype(float)} | self.columns
        )
        rows = np.diff(self.starts, append=len(self.order))
        for name, values in columns.items():
            if isinstance(values, pd.Categorical):
                levels, codes = values.categories, values.codes[self.order].astype(np.int64)
                at = (self.sites[self.order] * len(levels) + codes)[codes >= 0]
                table = np.bincount(at, minlength=many * len(levels)).reshape(many, -1)
                count, nothing = table.sum(axis=1), np.full(many, np.nan)
                share = table / np.maximum(count, 1)[:, None]
                apart = np.where(count, np.abs(share - table.sum(axis=0) / count.sum()).sum(axis=1) / 2, np.nan)
                parts.append([count, rows - count, *[nothing] * 4, apart])
                order = np.argsort(-table, axis=1, kind="stable")[:, :_FEW]
                texts += [
                    ", ".join(f"{levels[at]} {own[at]}" for at in best if own[at])
                    for own, best in zip(table, order, strict=True)
                ]
                shared = ((table > 0) & (table.sum(axis=0) > table)).any(axis=1)
                for at in np.flatnonzero((count >= 5) & ~shared) if many > 1 else ():
                    self._odd(name, self.names[at], "has only levels that no other hospital has", count[at])
            else:
                count, least, most, mean, spread = found = self._moments(values)
                middle = np.nansum(count * mean) / count.sum()
                overall = np.sqrt(np.nansum(count * (spread**2 + (mean - middle) ** 2)) / count.sum())
                parts.append([count, rows - count, *found[1:], (mean - middle) / (overall or 1)])
                texts += [""] * many
                if name in self.columns:
                    self._compare(name, *found)
        self._repeated()
        table = pd.DataFrame(
            np.concatenate(parts, axis=1).T, columns=["count", "missing", "least", "most", "mean", "spread", "apart"]
        )
        table.insert(0, "column", np.repeat([*columns], many))
        table.insert(1, "hospital", self.names * len(columns))
        table.insert(8, "levels", texts)
        return table.astype({"count": int, "missing": int})

    def _moments(self, values: np.ndarray) -> tuple[np.ndarray, ...]:
        """Of a column's numbers at each hospital: count, least, most, mean and spread, NaN where there is none."""
        mine, own = values[self.order], self.sites[self.order]
        known = ~np.isnan(mine)
        count = np.add.reduceat(known, self.starts, dtype=np.int64)
        some = np.where(count, count, np.nan)
        mean = np.add.reduceat(np.where(known, mine, 0), self.starts) / some
        square = np.add.reduceat(np.where(known, mine - mean[own], 0) ** 2, self.starts) / some
        least, most = (each.reduceat(mine, self.starts) for each in (np.fmin, np.fmax))
        return count, least, most, mean, np.sqrt(square)

    def _compare(
        self, name: str, count: np.ndarray, least: np.ndarray, most: np.ndarray, mean: np.ndarray, spread: np.ndarray
    ) -> None:
        """Note hospitals whose numbers are of another unit or another code than at a typical one of the others."""
        seen = np.flatnonzero(count >= 5)
        if len(seen) < 2:
            return
        one, half = seen[np.argsort(mean[seen], kind="stable")], (len(seen) - 2) // 2
        other = one[half + (np.arange(len(one)) <= half)]
        with np.errstate(divide="ignore", invalid="ignore"):
            factor = mean[one] / mean[other]
        units = (np.abs(mean[one] - mean[other]) > spread[one] + spread[other]) & ((factor > 1.7) | (factor < 1 / 1.7))
        moved = least[one] - least[other]
        codes = (moved == most[one] - most[other]) & (moved % 1 == 0) & (moved != 0) & (most[one] - least[one] <= _FEW)
        flat = (spread[one] == 0) & (spread[other] > 0) & (count[one] >= 10) & (most[other] - least[other] > _FEW)
        for at in np.flatnonzero(units | codes | flat):
            hospital = self.names[one[at]]
            problem = f"is {least[one[at]]:g} in every row"
            if units[at]:
                problem = f"has {factor[at]:.3g} times the mean of {self.names[other[at]]}: another unit?"
            if codes[at]:
                problem = f"has the values of {self.names[other[at]]} moved by {moved[at]:g}: another code?"
            self._odd(name, hospital, problem, count[one[at]])

    def _odd(self, name: str, hospital: str, problem: str, rows: int) -> None:
        write = f"frame.loc[frame[{self._roles[-1]!r}] == {hospital!r}, {name!r}] = ...  # if it is wrong"
        self._say(name, f"Column {name!r} at {hospital} {problem}", write, (), rows, hospital, "look")

    def _repeated(self) -> None:
        """Note patients with many rows, and far more near copies of rows than chance makes: some on both sides."""
        for column in self._frame.columns if self.patients is None else ():
            if _PATIENT.fullmatch(str(column)) and column not in self._roles and self._frame[column].duplicated().any():
                problem = f"Column {column!r} names patients with more than one row, as it seems"
                self._say(column, problem, f"patient={column!r}", severity="look")
        rows = len(self._frame)
        keys, chance = np.zeros(rows, np.uint64), rows**2 / 2
        for values in self.columns.values():
            if isinstance(values, pd.Categorical):
                codes = values.codes.astype(np.int64)
            else:
                codes = pd.factorize(np.rint(1000 * values / (np.fmax.reduce(np.abs(values)) or 1)))[0]
            keys = keys * np.uint64(6364136223846793005) + (codes + 2).astype(np.uint64)
            chance *= ((np.bincount(codes + 1) / rows) ** 2).sum()
        who = np.arange(rows) if self.patients is None else self.patients
        test = np.arange(rows) % 2 if self.test is None else self.test
        twins = pd.DataFrame({"key": keys, "who": who, "test": test}).drop_duplicates(["key", "who"])
        groups = twins.groupby("key")["test"]
        count = ((groups.transform("size") > 1) & (self.test is None or groups.transform("nunique") > 1)).sum()
        if count > max(rows / 20, 10 * chance):
            problem = f"{count} rows are near copies of others, and may be on both sides of a split"
            self._say("", problem, "patient=...  # or frame = frame.drop_duplicates()", rows=count, severity="look")


def _codes_for_nothing(known: np.ndarray) -> list[float]:
    """Values such as -9 or 999 that lie far away from all others, or are the only negative ones."""
    rest = known[~np.isin(known, [*_CODES])]
    if not rest.size:
        return []
    low, high, gap = rest.min(), rest.max(), 3 * rest.std()
    far = (known > high + gap) | (known < (low - gap if low < 0 else 0))
    return np.unique(known[far & np.isin(known, [*_CODES])]).tolist()


def _dealt_out(known: np.ndarray, places: float) -> bool:
    """Whether whole numbers repeat far less than numbers that are drawn, so that they were dealt out, one a row."""
    rows = len(known)
    chance = rows - places * -np.expm1(-rows / places)  # how often a draw should hit a number for the second time
    if max(rows - places, 0) >= (fewest := chance - 4 * np.sqrt(chance)):
        return False
    return rows - len(pd.unique(known)) < fewest


def _as_numbers(name: Hashable, void: list[str], texts: list[str]) -> str:
    """Write how these texts are read as numbers, where some texts stand for nothing."""
    trial = Cells(decimal="," if any("," in text for text in texts) else ".", below=0.5, above=1)
    how = [f"missing={{{name!r}: {void}}}"] * bool(void) + [f"decimal={{{name!r}: {trial.decimal!r}}}"] * bool(texts)
    how += ["below=0.5"] * any(text[0] in "<≤" for text in texts) + ["above=1"] * any(text[0] in ">≥" for text in texts)
    unread = [text for text in texts if np.isnan(trial.number(text))]
    if not unread:
        return ", ".join(how)
    own, both = f"frame[{name!r}]", any("," in text and "." in text or " " in text or "'" in text for text in texts)
    if any(_NUMBER.fullmatch(text)["unit"] or re.search("[0-9][/:-]", text) for text in unread):
        return f"{own} = {own}.str.extract(r'([-+]?[0-9.]+)')[0].astype(float)  # the first number in each"
    change = "\"[, ']\", ''" if both else "',', '.'"
    return f"{own} = pd.to_numeric({own}.str.replace({change}, regex=True))  # {unread[0]}: is it right so?"


def order_levels(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Put the most frequent level first, and the others in their natural order; counts are over all hospitals."""
    levels = sorted(counts, key=lambda level: (not level.isdecimal(), level.isdecimal() and int(level), level))
    reference = max(levels, key=counts.__getitem__)
    return (reference, *(level for level in levels if level != reference))


def coded_columns(numeric: Iterable[str], categorical: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Names of the columns after coding: the numeric ones, then "column=level" without the reference."""
    return (*numeric, *(f"{column}={level}" for column, levels in categorical.items() for level in levels[1:]))


def _plain(value: object) -> object:
    return value.item() if isinstance(value, np.generic) else value


def _sorted(values: Iterable[object]) -> list:
    """Put values in order: numbers by their size, others as text."""
    values = [*map(_plain, values)]
    return sorted(values, key=None if all(isinstance(value, Real) for value in values) else str)


def _list(found: Iterable[object]) -> str:
    """Write examples, so that those which look alike can be told apart."""
    found = [*map(_plain, found)]
    show = ascii if len({fold(clean(value)) for value in found}) < len(found) else repr
    return ", ".join(f"{show(value):.40}" for value in found[:6]) + (", ..." if len(found) > 6 else "")
