"""Anybody's table read column by column, and all that is wrong with it."""

import difflib
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from fedkit.tables import (
    DATE,
    LONGEST,
    MAX_LEVELS,
    NUMBER,
    OTHER,
    WORDS,
    Cells,
    Complaint,
    as_numbers,
    class_names,
    clean,
    fold,
    in_order,
    listed,
    order_levels,
    plain,
)

_MAX_SIZE = 1e100  # beyond this the square of a value leaves the range of float64
FEW = 10  # a column of so many different values or fewer holds codes or counts, and no identifier
_SURE = 20  # so many patients of each label are not told apart by accident
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}
_DATES = {"datetime64", "datetime", "date", "timedelta64", "timedelta", "time", "period"}
# What people write for nothing as numbers: -1, -9, 99, 998, 999.9 and so on.
_CODES = {float(digit * length) for digit in "789" for length in range(1, 7)} | {98.0, 998.0, 9998.0, 99.9, 999.9}
_CODES |= {-code for code in _CODES} | {-1.0}
_NUMBERED = ("0", "1")  # the names of two classes that nobody named
_TAKEN = {"server", "mean"}  # words that stand beside the names of hospitals in ledgers and tables of results
# What a column may be by what it does, and what to write; {0} is its name.
_DATED = (
    "Column {0} holds dates or times, which say little as they are",
    "frame[{0}] = (pd.to_datetime(frame[{0}].astype(str)) - start).dt.days  # days since what? Of text, say format=",
)
_NAMING = (
    "Column {0} numbers or names rows or patients, as it seems, and a model would learn them by heart",
    "frame = frame.drop(columns=[{0}])  # or patient={0}; or, if it was measured, keep=[{0}]",
)
_TELLING = (
    "Column {0} tells the label, as if it were made of it or known only after it",
    "frame = frame.drop(columns=[{0}])  # or, if it is known before, keep=[{0}]",
)
_DROP = "frame = frame.drop(columns=[{0}])"


def _is_void(name: str) -> bool:
    return fold(name) in WORDS or name == "None"


class Reading:
    """A table that is read, and all that is wrong with it.

    It takes the arguments of `hospitals.from_frame`; or, with `agreed`, those of `hospitals.join`, `site` being the
    hospital's name. TypeError or ValueError if there is nothing to read.

    Attributes
    ----------
    columns : feature -> its values, float64 or pd.Categorical
    sites, names : number of each row's hospital, and the hospitals' names
    labels, patients, test : as in `hospitals.Hospital`, for all rows
    classes : names of the labels 0, 1, ...
    order, starts : the rows hospital by hospital, and where each hospital begins
    """

    def __init__(
        self,
        frame: pd.DataFrame,
        *,
        site: Hashable,
        label: Hashable = None,
        features: Sequence[Hashable] | None = None,
        classes: Sequence[Hashable] | None = None,
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
        label = getattr(agreed, "label", None) if label is None else label
        classes = getattr(agreed, "classes", None) if classes is None else classes
        if label is None:
            raise TypeError("A table needs a label: name its column with label=...")
        self.frame, self._cells, self._found = frame, Cells(**cells), []
        self.classes = _NUMBERED if classes is None else class_names(classes)
        self._agreed = {} if agreed is None else dict.fromkeys(agreed.numeric) | dict(agreed.categorical)
        if site is None:
            raise TypeError("A table needs its hospitals: name their column with site=...")
        label, one = label if isinstance(label, tuple) and label not in frame.columns else (label, None)
        if one is not None and classes is not None and class_names(classes) != _NUMBERED:
            raise TypeError("Say which value is 1 with label=(column, value) or with classes=[...], not with both.")
        roles = [label, patient, test if isinstance(test, Hashable) else None, None if self._agreed else site]
        self.roles = [column for column in roles if column is not None]
        how = (self._cells.missing, self._cells.decimal)
        for column in (name for each in how if isinstance(each, Mapping) for name in each):
            if column not in frame.columns:
                near = difflib.get_close_matches(str(column), map(str, frame.columns), n=1) or [*frame.columns][:6]
                self.say(
                    "", f"It is said what {column!r} holds, and there is no such column", "the right name", near, at="*"
                )
        there, features = self._choose([*self._agreed] or features)
        self.columns, self.labels, self.patients, self.test = {}, None, None, None
        self.sites, self.names = np.zeros(len(frame), np.int64), [clean(site)]
        if site in there and not self._agreed:
            self.sites, _, self.names = self._names(frame[site], "hospital")
            if len(self.names) == 1:
                write = "hospitals.join(...)  # for one hospital; fedkit.chapters.partitions makes pretend ones"
                self.say(site, "Column {0} names one hospital only, and a federation needs two", write, self.names)
        self.order = np.argsort(self.sites, kind="stable")[(self.sites < 0).sum() :]
        self.starts = np.flatnonzero(np.diff(self.sites[self.order], prepend=-1))
        if label in there:
            self.labels = self._labels(frame[label], one)
        if patient in there:
            codes, _, names = self._names(frame[patient], "patient")
            self.patients = np.array([*names, ""], dtype=object)[codes]
        if not isinstance(test, Hashable):
            self.test = self._positions(np.asarray(test))
        elif test in there:
            self.test = self._test(frame[test])
        self._crowd(site, min_rows)
        for column in features:
            self._feature(frame[column])

    @property
    def complaints(self) -> list[Complaint]:
        """All of them, the worst first: what is refused, the label, what is about most rows."""
        rank = {str(column): at for at, column in enumerate(["", *self.roles])}
        return sorted(self._found, key=lambda it: (it.severity != "refused", rank.get(it.column, 9), -it.rows))

    def say(
        self, column: Hashable, problem: str, write: str, values: Iterable[object] = (), rows: int = -1, at: str = ""
    ) -> None:
        """Complain of a column, {0}; of what looks odd `at` a hospital ("*" for all) without refusing it."""
        problem, write = (text.replace("{0}", repr(column)) for text in (problem, write))
        rows, severity = len(self.frame) if rows < 0 else int(rows), "look" if at else "refused"
        self._found.append(Complaint(severity, str(column), at.strip("*"), problem, listed(values), write, rows))

    def _choose(self, features: Sequence[Hashable] | None) -> tuple[set, list]:
        """Return the columns that are there, once each, and which of them are features; None is all without a role."""
        columns, roles = self.frame.columns, Counter(self.roles)
        known, looks = Counter(map(str, columns)), Counter(fold(clean(column)) for column in columns)
        features = [*columns.unique().difference(self.roles, sort=False)] if features is None else [*features]
        if twice := [column for column, count in (Counter(features) + roles).items() if count > 1]:
            self.say("", "A column is named twice, or has two roles", "each column once", twice)
        if not features:
            self.say("", "There is no column to learn from", "features=[...]", columns)
        there, said = set(), set()
        for column in dict.fromkeys([*self.roles, *features]):
            look, own = fold(clean(column)), repr(column)
            if column not in columns:
                near = difflib.get_close_matches(str(column), known, n=1) or [*known][:6]
                write = f"frame = frame.rename(columns={{{near[0]!r}: {own}}})  # or the right name"
                self.say("", f"The table has no column {own}, and there are", write, near)
            elif known[str(column)] > 1:
                write = "frame = frame.loc[:, ~frame.columns.astype(str).duplicated()]  # keeps the first"
                self.say("", f"The table has the column {str(column)!r} more than once", write)
            elif looks[look] > 1 and look not in said:
                both = [other for other in columns if fold(clean(other)) == look]
                write = f"frame[{both[0]!r}] = frame[{both[0]!r}].fillna(frame.pop({both[1]!r}))"
                self.say("", "The table has columns whose names look alike", write, both)
            elif not str(column).isprintable() or len(str(column)) > LONGEST:
                write = f"frame = frame.rename(columns={{{own}: {clean(column)[:LONGEST]!r}}})"
                self.say("", "The name of a column is too long, or cannot be printed", write, [column])
            elif look not in said:
                there.add(column)
            said.add(look)
        return there, [column for column in dict.fromkeys(features) if column in there and column not in roles]

    def _names(self, column: pd.Series, role: str = "") -> tuple[np.ndarray, list, list[str]]:
        """Read cells as names: the number of each row's name, shape [n], -1 for none; a cell of each, and each as text.

        Those that read alike are one, and refused if they are not written alike. In a role, none may be missing.
        """
        try:
            codes, cells = pd.factorize(column.astype(object))
        except TypeError as error:
            problem = f"Column {{0}} holds what is no single text or number ({error})"
            self.say(column.name, problem, "frame[{0}] = frame[{0}].astype(str)")
            return np.full(len(column), -1), [], []
        counts, texts = np.bincount(codes + 1, minlength=len(cells) + 1)[1:], [*map(clean, cells)]
        void, groups = {"", *(fold(clean(value)) for value in self._cells.of(column.name).missing)}, {}
        for at, text in enumerate(texts):
            if (look := fold(text)) not in void:
                groups.setdefault(look, []).append(at)
        place, best, change = np.full(len(cells) + 1, -1), [], {}
        for number, group in enumerate(groups.values()):
            best.append(max(group, key=lambda at: (cells[at] == texts[at], counts[at])) if len(group) > 1 else group[0])
            place[group] = number
            if len(group) > 1 and not all(isinstance(cells[at], str) and NUMBER.fullmatch(texts[at]) for at in group):
                change |= {plain(cells[at]): plain(cells[best[-1]]) for at in group if at != best[-1]}
        if change:
            both = [each for pair in change.items() for each in pair]
            write = f"frame[{{0}}] = frame[{{0}}].replace({change!a})"
            self.say(column.name, "Column {0} holds values that look alike", write, both)
        codes, cells, texts = place[codes], [cells[at] for at in best], [texts[at] for at in best]
        if bad := [text for text in texts if not text.isprintable() or len(text) > LONGEST]:
            write = f"frame[{{0}}] = frame[{{0}}].str.slice(0, {LONGEST})"
            self.say(column.name, "Column {0} holds names that are too long, or cannot be printed", write, bad)
        if role and (missing := (codes < 0).sum()):
            problem = f"The {role} {{0}} is missing in {missing} of {len(codes)} rows"
            self.say(column.name, problem, "frame = frame[frame[{0}].notna()]  # and not blank", rows=missing)
        return codes, cells, texts

    def _crowd(self, site: Hashable, min_rows: int) -> None:
        """Refuse hospitals that are alone, too small or called as nobody may be, and patients on both sides."""
        who = np.arange(len(self.sites)) if self.patients is None else self.patients
        rows = pd.DataFrame({"site": self.sites, "who": who, "test": False if self.test is None else self.test})
        sides = rows[rows["site"] >= 0].groupby(["site", "who"])["test"].nunique()
        counts = dict(zip(self.names, sides.groupby("site").size().tolist(), strict=True))
        if tiny := {name: count for name, count in counts.items() if count < min_rows}:
            few = ", ".join(f"{name} has {count}" for name, count in tiny.items())
            write = f"frame = frame[~frame[{{0}}].isin({[*tiny]})]  # or join them with others"
            write = f"min_rows={min(tiny.values())}  # if the study allows it" if self._agreed else write
            self.say(site, f"Fewer than min_rows={min_rows} patients: {few}", write, rows=sum(tiny.values()))
        if taken := [name for name in counts if fold(name) in _TAKEN]:
            write = f"frame[{{0}}] = frame[{{0}}].replace({{{taken[0]!r}: ...}})"
            self.say(site, "A hospital cannot be called mean or server, since these words are taken", write, taken)
        if both := [who for _, who in sides.index[sides > 1]]:
            self.say("", "Patients stand on both sides of the split", "a split that keeps each on one", both, len(both))

    def _test(self, column: pd.Series) -> np.ndarray:
        """Read a split of the caller's own: "train" and "test", or False and True."""
        found = column.astype(object).map({"train": False, "test": True, False: False, True: True})
        if (wrong := found.isna()).any():
            problem, write = (
                "The split {0} must be 'train' or 'test' in each row",
                "frame[{0}] = np.where(..., 'test', 'train')",
            )
            self.say(column.name, problem, write, column[wrong].astype(object).unique(), wrong.sum())
        return found.eq(True).to_numpy(bool)

    def _positions(self, test: np.ndarray) -> np.ndarray:
        """Read a split of the caller's own: the positions of the test rows, from 0 on, or True for each of them."""
        rows = len(self.frame)
        if test.dtype == bool and len(test) == rows:
            return test
        if test.dtype.kind not in "iu" or test.min() < 0 or test.max() >= rows:
            self.say(
                "", f"The test rows must be positions of rows, from 0 to {rows - 1}", "test=np.flatnonzero(...)", test
            )
        return np.isin(np.arange(rows), test)

    def _labels(self, column: pd.Series, one: Hashable) -> np.ndarray:
        """Read the label: one of the classes, if they are named; 0 and 1, False and True; or two values, `one` is 1."""
        name, (codes, cells, names) = column.name, self._names(column)
        values, labels, problem = in_order(cells), np.zeros(len(codes), np.int64), ""
        if missing := (codes < 0).sum():
            write = f"frame = frame[frame[{{0}}].isin({values[:FEW]})]"
            self.say(name, f"The label {{0}} is missing in {missing} of {len(codes)} rows", write, rows=missing)
        if self.classes != _NUMBERED:
            if problem := [name for name in names if name not in self.classes]:
                values, problem = problem, f"The label {{0}} holds what is none of the classes {listed(self.classes)}"
                write = f"classes=[...]  # with it; or frame = frame[frame[{{0}}].isin({[*self.classes]})]"
            else:
                labels = np.array([*map(self.classes.index, names), 0])[codes]
        elif one is not None and clean(one) not in names:
            near = difflib.get_close_matches(clean(one), names, n=1) or ["..."]
            problem, write = (
                f"The label {{0}} is never {one!r}",
                f"label=({{0}}, {near[0]!r})",
            )
        elif one is not None and len(values) > 2:
            problem = "The label {0} holds more than two values"
            write = f"frame = frame[frame[{{0}}].isin([{one!r}, ...])]  # and the value that is 0"
        elif one is not None and (void := [name for name in names if name != clean(one) and _is_void(name)]):
            problem, values = "The label {0} holds what people write for nothing, which is no class", void
            write = f"frame = frame[~frame[{{0}}].isin({void})]  # or, if it is a class: classes=[{void[0]!r}, {one!r}]"
        elif one is not None:
            labels = (codes == names.index(clean(one))).astype(np.int64)
        elif all(value in (0, 1) for value in values):
            labels = np.array([*map(int, cells), 0])[codes]
        elif len(values) > FEW or not all(isinstance(value, str | Real) for value in values):
            problem = (
                f"The label {{0}} holds {len(values)} values. This kit tells classes apart: it predicts no number "
                "(a length of stay, a score), no date and no time to an event (survival)"
            )
            write = "frame[{0}] = frame[{0}] > ...  # a cut that means something; or: had the event in a year"
        elif len(values) == 2:
            problem = "The label {0} holds two values, and which of them is 1 is yours to say"
            write = f"label=({{0}}, ...)  # one of {listed(values)}"
        else:
            problem = f"The label {{0}} must hold two values, and holds {len(values)}"
            write = "frame[{0}] = frame[{0}].isin([...])  # all that are 1; or name them in order: classes=[...]"
        if problem:
            self.say(name, problem, write, values)
        if len(cells) == 1 and not self._agreed:
            problem = f"The label {{0}} is {plain(cells[0])!r} in every row: there is nothing to tell apart"
            self.say(name, problem, "another label, or more rows")
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
            return self.say(name, *_DATED, column.dropna().astype(object).astype(str).unique())
        codes, cells, names = self._names(column)
        if not names:
            return None if self._found and self._found[-1].column == name else self._numbers(name, codes + np.nan)
        if self._agreed.get(name) or (name in how.keep and wanted != "numbers"):
            return self._levels(name, codes, names)
        if dates := [text for text in names if DATE.fullmatch(text)]:
            return self.say(name, *_DATED, dates)
        levels = wanted == "levels" or (all(isinstance(cell, bool) for cell in cells) and not wanted)
        if not levels and (strange := [cell for cell in cells if not isinstance(cell, str | Real | Decimal)]):
            return self.say(name, "Column {0} is neither numbers nor text", _DROP, strange)
        read = [None if levels else how.number(cell) for cell in cells]
        is_word = np.array([*map(_is_void, names)])
        is_number = np.array([number is not None for number in read]) & ~is_word
        if is_number.all() and not np.isnan(read).any():
            return self._numbers(name, np.array([*read, np.nan])[codes])
        if not is_number.any() and wanted != "numbers":
            if is_word.any():
                words = [names[at] for at in np.flatnonzero(is_word)]
                write = f"missing={{{{0}}: {words}}}  # or, if they say something: keep=[{{0}}]"
                rows = np.append(is_word, False)[codes].sum()
                self.say(name, "Column {0} holds what people write for nothing", write, words, rows)
            return self._levels(name, codes, names)
        return self._mixed(name, codes, cells, names, is_word, is_number, wanted)

    def _mixed(
        self,
        name: Hashable,
        codes: np.ndarray,
        cells: list,
        names: list[str],
        is_word: np.ndarray,
        is_number: np.ndarray,
        wanted: str,
    ) -> None:
        """Refuse numbers that are text, or stand among text, and say what they may be."""
        is_other = ~is_word & ~is_number
        words, numbers, others = (
            [names[at] for at in np.flatnonzero(which)] for which in (is_word, is_number, is_other)
        )
        written = [names[at] for at in np.flatnonzero(is_number) if isinstance(cells[at], str)]
        as_codes, how = "frame[{0}] = frame[{0}].astype('category')", as_numbers([*words, *others[:FEW]], written)
        here, there = ({*self.sites[np.append(which, False)[codes]]} for which in (is_number, is_other))
        if wanted or not others:
            problem = f"Column {{0}} holds {'text, where numbers are asked for' if others else 'numbers as text'}"
            write = how if wanted else f"{how}  # or, if they are codes: {as_codes}"
        elif here & there:
            problem = "Column {0} is neither all numbers nor all text"
            write = f"{as_codes}  # or, if the words stand for nothing: {how}"
        else:
            problem = f"Column {{0}} holds numbers at some hospitals ({self.names[min(here)]}) and text at others"
            write = f"frame[{{0}}] = frame[{{0}}].replace({{{plain(cells[is_number.argmax()])!r}: ...}})"
        self.say(name, problem, write, [*words, *others[:3], *numbers])

    def _levels(self, name: Hashable, codes: np.ndarray, levels: list[str]) -> None:
        """Take a column of levels; say which are strange or too many, and whether they name patients."""
        agreed, counts = self._agreed.get(name), np.bincount(codes[codes >= 0], minlength=len(levels))
        rare = {level for level, count in zip(levels, counts, strict=True) if count < self._cells.rare and not agreed}
        if strange := [level for level in levels if agreed and level not in agreed]:
            if self._cells.rare and OTHER in agreed:
                rare = {*strange}
            else:
                like = {fold(level): repr(level) for level in agreed}
                to = ", ".join(f"{level!r}: {like.get(fold(level), '...')}" for level in strange)
                write = f"frame[{{0}}] = frame[{{0}}].replace({{{to}}})  # the study knows {listed(agreed)}"
                self.say(name, "Column {0} holds levels that the study does not know", write, strange)
        into = [OTHER if level in rare else level for level in levels]
        total = Counter()
        for level, count in zip(into, counts.tolist(), strict=True):
            total[level] += count
        order = agreed or order_levels(total)
        values = np.append(pd.Index(order).get_indexer(into), -1)[codes]
        self.columns[str(name)] = pd.Categorical.from_codes(values, order)
        known = codes >= 0
        if agreed or name in self._cells.keep:
            return
        if 2 * len(order) > known.sum() > FEW or self._rises(np.where(known, codes, np.nan)):
            self.say(name, *_NAMING, levels)
        elif len(order) > MAX_LEVELS:
            write = f"rare={np.sort(counts)[-MAX_LEVELS] + 1}  # levels of fewer rows become one; or leave it out"
            self.say(name, f"Column {{0}} holds {len(order)} levels, and at most {MAX_LEVELS} can be", write, levels)
        elif self.labels is not None and len(self.classes) == 2:
            both = [np.bincount(values[known & (self.labels == label)], minlength=len(order)) for label in (0, 1)]
            self._tells(name, levels, [*map(sum, both)], np.minimum(*both).sum())

    def _numbers(self, name: Hashable, values: np.ndarray) -> None:
        """Take a column of numbers; say what cannot be, and what is not what it seems."""
        for code in self._cells.of(name).missing:
            values[values == code] = np.nan
        self.columns[str(name)] = values
        known = values[~np.isnan(values)]
        if not known.size:
            return None if self._agreed else self.say(name, "Column {0} has no value at any hospital", _DROP)
        low, high = known.min(), known.max()
        if max(-low, high) > _MAX_SIZE:
            wrong = np.abs(values) > _MAX_SIZE
            problem = f"Column {{0}} is infinite or beyond {_MAX_SIZE:g} in {wrong.sum()} rows, first at "
            found = np.unique(values[wrong])
            write = f"missing={{{{0}}: {found[:FEW].tolist()}}}".replace("inf", "np.inf")
            return self.say(name, problem + self.names[self.sites[wrong.argmax()]], write, found, wrong.sum())
        if name in self._cells.keep:
            return None
        if (low in _CODES or high in _CODES) and (found := _codes_for_nothing(known)):
            write = f"missing={{{{0}}: {found}}}  # or, if it was measured: keep=[{{0}}]"
            self.say(name, "Column {0} holds what looks like a code for nothing, far from the rest", write, found)
        zero = known[known > 0] if low == 0 else known[:0]
        if len(zero) > FEW and zero.min() > zero.std() and zero.max() > zero.min() + FEW:
            write = "missing={{0}: [0]}  # if it is"
            self.say(
                name,
                "Column {0} is 0 in some rows, far below all others, as if for nothing",
                write,
                np.unique(known),
                at="*",
            )
        if high - low > FEW and not self._agreed and (known == np.floor(known)).all():
            shown, codes = known[:FEW].astype(int), pd.factorize(values)[0]
            if _is_time(known, low, high):
                return self.say(name, *_DATED, shown)
            visits = 2 * codes.max() < len(known) and self._rises(np.where(codes < 0, np.nan, codes))
            if visits or self._rises(values) or _dealt_out(known, codes.max() + 1, high - low + 1):
                return self.say(name, *_NAMING, shown)
            if (
                codes.max() + 1 == len(known)
                and low >= 1e5
                and high < 10 ** np.ceil(np.log10(low + 1))
                and (known % 100).any()
            ):
                self.say(name, *_NAMING, shown, at="*")
        if self.labels is None or len(self.classes) > 2:
            return None
        healthy, ill = (values[(self.labels == label) & (values == values)] for label in (0, 1))
        errors = len(known)
        if min(len(healthy), len(ill)) >= _SURE:
            apart = ill.min() > healthy.max() or ill.max() < healthy.min()
            gap = (ill.mean() - healthy.mean()) * np.sqrt(len(ill) * len(healthy)) / len(known)
            errors = 0 if apart else 1 if abs(gap) > 0.95 * known.std() else errors  # a correlation of 0.95
        return self._tells(name, known[:FEW], [len(healthy), len(ill)], errors)

    def _tells(self, name: Hashable, values: Sequence[object], known: list[int], errors: int) -> None:
        """Refuse a column that is the label by another name, or look at one that nearly is; `known` with label 0, 1."""
        alone = min(known) == 0 and np.bincount(self.labels, minlength=2).min() >= _SURE
        if (alone and max(known) >= _SURE) or (min(known) >= _SURE and 50 * errors <= min(known)):
            self.say(name, *_TELLING, values, at="*" * bool(errors and not alone))

    def _rises(self, values: np.ndarray) -> bool:
        """Whether a column goes one way only down the rows of each hospital, as numbers of rows and of visits do."""
        steps = np.diff(values[self.order])[np.diff(self.sites[self.order]) == 0]
        one_way = steps.size and (not (steps < 0).any() or not (steps > 0).any())
        return bool(one_way) and len(np.unique(values[~np.isnan(values)])) > FEW


def _codes_for_nothing(known: np.ndarray) -> list[float]:
    """Values such as -9 or 999 that lie far away from all others, or are the only negative ones."""
    rest = known[~np.isin(known, [*_CODES])]
    if not rest.size:
        return []
    low, high, gap = rest.min(), rest.max(), 3 * rest.std()
    far = (known > high + gap) | (known < (low - gap if low < 0 else 0))
    return np.unique(known[far & np.isin(known, [*_CODES])]).tolist()


def _is_time(known: np.ndarray, low: float, high: float) -> bool:
    """Whether whole numbers are days (20200131), months (202001), or seconds or milliseconds since 1970."""
    for least, most, months in ((19000101, 21001231, known // 100), (190001, 210012, known)):
        month = months % 100
        if least <= low and high <= most and month.min() >= 1 and month.max() <= 12:
            return months is known or (known % 100).max() <= 31
    return any(scale <= low and high <= 2 * scale and (known % 1e6).any() for scale in (1e9, 1e12))


def _dealt_out(known: np.ndarray, different: int, places: float) -> bool:
    """Whether whole numbers repeat far less than numbers that are drawn, so that they were dealt out, one a row."""
    rows = len(known)
    chance = rows - places * -np.expm1(-rows / places)  # how often a draw should hit a number for the second time
    return rows - different < chance - 4 * np.sqrt(chance)
