"""Anybody's table read column by column, and all that is wrong with it."""

import difflib
import math
import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence, Set
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from fedkit import tables
from fedkit.checks import is_whole, require
from fedkit.reading import dates, numerals, patients
from fedkit.tables import clean, fold, listed, plain

FEW = 10  # a column of so many different values or fewer holds codes or counts, and no identifier
_BY_CHANCE = np.log(1e-5)  # what is less likely than this is no accident
_SAMPLE = 2000  # rows that are looked at before all are
_DATES = {"datetime64", "datetime", "date", "timedelta64", "timedelta", "time", "period"}
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}
# What people write for nothing as numbers: -1, -9, 99, 998, 999.9, -99.99 and so on.
_CODES = {float(digit * length) for digit in "789" for length in range(1, 9)}
_CODES |= {float("9" * length + digit) for digit in "678" for length in range(1, 4)} | {2.0**31 - 1, 2.0**31}
_CODES |= {code / part for part in (10, 100) for code in _CODES if code > part}
_CODES |= {-code for code in _CODES} | {-1.0, -32768.0, 65535.0}
_NUMBERED = ("0", "1")  # the names of two classes that nobody named
_TAKEN = {"server", "mean"}  # words that stand beside the names of hospitals in ledgers and tables of results
# What a column may be by what it does, and what to write; {0} is its name.
_DATED = "Column {0} holds dates or times, which say little as they are"
_SPOKEN = "Column {0} holds what looks like a code for nothing, apart from the rest"
_NAMING = (
    "Column {0} numbers or names rows or patients, as it seems, and a model would learn them by heart",
    "frame = frame.drop(columns=[{0}])  # or patient={0}; or, if it was measured, {keep}",
)
_TELLING = (
    "Column {0} tells the label, as if it were made of it or known only after it",
    "frame = frame.drop(columns=[{0}])  # or, if it is known before, {keep}",
)
_DROP = "frame = frame.drop(columns=[{0}])"


def _is_void(name: str) -> bool:
    return fold(name) in tables.WORDS or name == "None"


def _also(cells: tables.Cells, name: str, more: Any) -> str:
    """Write an argument as it was given, with what else is to be said: columns to keep, or column -> its own.

    Words for nothing that more than two columns hold, or that join others, are those of all columns.
    """
    given = getattr(cells, name)
    if name == "keep":
        more = [*given, *more]
    elif name == "missing":
        words = [word for own in more.values() for word in own]
        common = (given or len(more) > 2) and not isinstance(given, Mapping)
        if common and all(isinstance(word, str) for word in words):
            more = [*dict.fromkeys([*given, *words])]
        else:
            more = {column: [*dict.fromkeys([*cells.of(column).missing, *own])] for column, own in more.items()}
    elif name == "decimal" and not given and len({*more.values()}) == 1 and len(more) > 2:
        (more,) = {*more.values()}
    if isinstance(more, Mapping) and given:
        more = {**(given if isinstance(given, Mapping) else {None: given}), **more}
    return re.sub(r"\binf\b", "np.inf", f"{name}={more!r}")


def _order_levels(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Put the most frequent level first, and the others in their natural order; counts are over all hospitals."""
    levels = sorted(counts, key=lambda level: (not level.isdecimal(), level.isdecimal() and int(level), level))
    reference = max(levels, key=counts.__getitem__)
    return (reference, *(level for level in levels if level != reference))


def _class_names(classes: Sequence[Hashable]) -> tuple[str, ...]:
    """Write classes as names, in their order; TypeError or ValueError if they are no list of two or more, each once."""
    if isinstance(classes, str | Set) or not isinstance(classes, Collection):
        raise TypeError("`classes` must be a list of the label's values, in the order of their numbers.")
    names = tuple(map(clean, classes))
    if len({*map(fold, names)}) < max(len(names), 2) or any(each in ("", "None", "nan") for each in names):
        raise ValueError(f"`classes` must name two classes or more, each once, and names {listed(classes)}.")
    return names


class Reading:
    """A table that is read, and all that is wrong with it.

    It takes the arguments of `hospitals.from_frame`; or, with `agreed`, those of `hospitals.join`, `site` being the
    hospital's name. TypeError or ValueError if there is nothing to read.

    What it holds then:
    columns : feature -> its values, float64 or pd.Categorical
    tells : feature -> how many of the labels that are not the most frequent one it tells, from 0 to 1
    sites, names, cells : number of each row's hospital, and the hospitals' names, and the cells that name them
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
        if isinstance(features, str) or not isinstance(features, Iterable | None):
            raise TypeError(f"`features` must be a list of column names: write [{features!r}] for a single one.")
        if frame.columns.nlevels > 1:
            raise ValueError("The table has two rows of names. Write: frame.columns = [*map('_'.join, frame.columns)]")
        if frame.empty:
            raise ValueError(f"The table is empty: it has {len(frame)} rows and {frame.shape[1]} columns.")
        if frame.shape[1] == 1 and (sign := re.search("[;\t|]", str(frame.columns[0]))):
            raise ValueError(f"The table was read as one column. Write: frame = pd.read_csv(..., sep={sign[0]!r})")
        label = getattr(agreed, "label", None) if label is None else label
        if label is None:
            raise TypeError("A table needs a label: name its column with label=...")
        for role, column in {"site": site, "label": label, "patient": patient}.items():
            if isinstance(column, list | dict | set | pd.Series | np.ndarray):
                raise TypeError(f"`{role}` is the name of one column, and not a {type(column).__name__}.")
        require("min_rows", min_rows, lambda it: is_whole(it, 0), "a whole number of patients")
        self.frame, self.agreed, self._cells, self._found = frame, agreed, tables.Cells(**cells), []
        self._drawn = np.random.default_rng(0).permutation(len(frame))  # rows in no order
        self._agreed = {} if agreed is None else dict.fromkeys(agreed.numeric) | dict(agreed.categorical)
        if site is None or (agreed is not None and not 0 < len(clean(site)) <= tables.LONGEST):
            how = "name their column with site=..." if agreed is None else "say its own, not too long, with name=..."
            raise TypeError(f"A table needs the names of its hospitals: {how}")
        two = isinstance(label, tuple) and len(label) == 2 and label not in frame.columns
        label, one = label if two else (label, None)
        self.classes = _class_names(getattr(agreed, "classes", _NUMBERED) if classes is None else classes)
        if one is not None and self.classes != _NUMBERED:
            raise TypeError("Say which value is 1 with label=(column, value) or with classes=[...], not with both.")
        self._named = self.classes != _NUMBERED
        rows = not isinstance(test, Hashable) or (np.ndim(test) > 0 and test not in frame.columns)
        roles = [label, patient, None if rows else test, None if self._agreed else site]
        self.roles = [column for column in roles if column is not None]
        how = (self._cells.missing, self._cells.decimal, self._cells.rare)
        for column in [*(name for each in how if isinstance(each, Mapping) for name in each), *self._cells.keep]:
            if column is not None and column not in frame.columns:
                near = difflib.get_close_matches(str(column), map(str, frame.columns), n=1) or [*frame.columns][:6]
                problem = f"It is said what {column!r} holds, and there is no such column"
                self.say("", problem, "the right name", near, at="*")
        there, features = self._choose([*self._agreed] or features)
        self.columns, self.tells, self.labels, self.patients, self.test = {}, {}, None, None, None
        self.sites, self.cells, self.names = np.zeros(len(frame), np.int64), [], [clean(site)]
        if site in there and not self._agreed:
            self.sites, self.cells, self.names = self._names(frame[site], "hospital")
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
        if rows:
            self.test = self._positions(test)
        elif test in there:
            self.test = self._test(frame[test])
        for column in features:
            self._feature(frame[column])
        self._crowd(site, min_rows, self._visits(features))

    @property
    def complaints(self) -> list[tables.Complaint]:
        """All of them, the worst first: what is refused, the label, what is about most rows."""
        rank, together = {str(column): at for at, column in enumerate(["", *self.roles])}, {}
        for it, how in self._found:
            for name, value in how.items() if it.severity == "refused" else ():
                together[name] = together.get(name, {}) | value if isinstance(value, dict) else value
        found = []
        for it, how in self._found:
            own = together if it.severity == "refused" else how
            found.append(it._replace(write=self._write({name: own[name] for name in how}) + it.write))
        return sorted(found, key=lambda it: (it.severity != "refused", rank.get(it.column, 9), -it.rows))

    def say(
        self,
        column: Hashable,
        problem: str,
        write: str,
        values: Iterable = (),
        rows: int = -1,
        at: str = "",
        **how: Any,
    ) -> None:
        """Complain of a column, {0}; of what looks odd `at` a hospital ("*" for all) without refusing it.

        how : arguments to write before `write`, of this column; those of all that is refused become one
        """
        problem, write = (text.replace("{keep}", self._write({"keep": [column]})) for text in (problem, write))
        problem, write = (text.replace("{0}", repr(column)) for text in (problem, write))
        rows, severity = len(self.frame) if rows < 0 else int(rows), "look" if at else "refused"
        said = tables.Complaint(severity, str(column), at.strip("*"), problem, listed(values), write, rows)
        self._found.append((said, numerals.of_column(column, how)))

    def _write(self, how: Mapping[str, Any]) -> str:
        return ", ".join(_also(self._cells, name, value) for name, value in how.items())

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
            if column is None or column != column:
                self.say("", "A column has no name", f"frame = frame.rename(columns={{{own}: 'a name'}})")
            elif column not in columns:
                near = difflib.get_close_matches(str(column), known, n=1) or [*known][:6]
                write = f"frame = frame.rename(columns={{{near[0]!r}: {own}}})  # or the right name"
                write = "frame = frame.reset_index()" if column in self.frame.index.names else write
                self.say("", f"The table has no column {own}, and there are", write, near)
            elif known[str(column)] > 1:
                write = "frame = frame.loc[:, ~frame.columns.astype(str).duplicated()]  # keeps the first"
                self.say("", f"The table has the column {str(column)!r} more than once", write)
            elif looks[look] > 1 and look not in said:
                both = [other for other in columns if fold(clean(other)) == look]
                write = f"frame[{both[0]!r}] = frame[{both[0]!r}].fillna(frame.pop({both[1]!r}))"
                self.say("", "The table has columns whose names look alike", write, both)
            elif not str(column).isprintable() or len(str(column)) > tables.LONGEST:
                write = f"frame = frame.rename(columns={{{own}: {clean(column)[: tables.LONGEST]!r}}})"
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
            if any(isinstance(cell, bytes) for cell in cells):
                raise TypeError("bytes")
        except TypeError as error:
            problem = f"Column {{0}} holds what is no single text or number ({error})"
            self.say(column.name, problem, "frame[{0}] = frame[{0}].astype(str)  # of bytes: .str.decode('utf-8')")
            return np.full(len(column), -1), [], []
        counts, texts = np.bincount(codes + 1, minlength=len(cells) + 1)[1:], [*map(clean, cells)]
        void, groups = self._void(column.name), {}
        nobody = [text for text in texts if role and _is_void(text) and column.name not in self._cells.keep]
        for at, text in enumerate(texts):
            if (look := fold(text)) not in void and text not in nobody:
                groups.setdefault(look, []).append(at)
        place, best, change = np.full(len(cells) + 1, -1), [], {}
        for number, group in enumerate(groups.values()):
            best.append(max(group, key=lambda at: (cells[at] == texts[at], counts[at])) if len(group) > 1 else group[0])
            place[group] = number
            numbers = all(isinstance(cells[at], str) and tables.NUMBER.fullmatch(texts[at]) for at in group)
            if len(group) > 1 and not numbers:
                change |= {plain(cells[at]): plain(cells[best[-1]]) for at in group if at != best[-1]}
        if change:
            both = [each for pair in change.items() for each in pair]
            write = f"frame[{{0}}] = frame[{{0}}].replace({change!a})"
            self.say(column.name, "Column {0} holds values that look alike", write, both)
        codes, cells, texts = place[codes], [cells[at] for at in best], [texts[at] for at in best]
        if bad := [text for text in texts if not text.isprintable() or len(text) > tables.LONGEST]:
            write = f"frame[{{0}}] = frame[{{0}}].str.slice(0, {tables.LONGEST})"
            self.say(column.name, "Column {0} holds names that are too long, or cannot be printed", write, bad)
        if role and (missing := (codes < 0).sum()):
            problem = f"The {role} {{0}} is missing in {missing} of {len(codes)} rows"
            some = f"~frame[{{0}}].isin({nobody})" if nobody else "frame[{0}].notna()"
            self.say(column.name, problem, f"frame = frame[{some}]  # and not blank", nobody, missing)
        return codes, cells, texts

    def _void(self, name: Hashable) -> set[str]:
        return {"", *(fold(clean(value)) for value in self._cells.of(name).missing)}

    def _crowd(self, site: Hashable, min_rows: int, who: np.ndarray) -> None:
        """Refuse hospitals that are alone, too small or called as nobody may be, and patients on both sides."""
        rows = pd.DataFrame({"site": self.sites, "who": who, "test": False if self.test is None else self.test})
        sides = rows[rows["site"] >= 0].groupby(["site", "who"])["test"].nunique()
        counts = dict(zip(self.names, sides.groupby("site").size().tolist(), strict=True))
        if tiny := {name: count for name, count in counts.items() if count < min_rows}:
            few = ", ".join(f"{name} has {count}" for name, count in tiny.items())
            cells = [plain(cell) for cell, name in zip(self.cells, self.names, strict=False) if name in tiny]
            write = f"frame = frame[~frame[{{0}}].isin({cells})]  # or join them with others"
            write = f"min_rows={min(tiny.values())}  # if the study allows it" if self._agreed else write
            self.say(site, f"Fewer than min_rows={min_rows} patients: {few}", write, rows=sum(tiny.values()))
        if taken := [name for name in counts if fold(name) in _TAKEN]:
            write = "name=..." if self._agreed else f"frame[{{0}}] = frame[{{0}}].replace({{{taken[0]!r}: ...}})"
            self.say(site, "A hospital cannot be called mean or server, since these words are taken", write, taken)
        if both := [who for _, who in sides.index[sides > 1]]:
            self.say("", "Patients stand on both sides of the split", "a split that keeps each on one", both, len(both))
        homes = rows[rows["site"] >= 0].groupby("who")["site"].nunique()
        if self.patients is not None and (away := homes.index[homes > 1]).size:
            problem = f"{away.size} patients are named at more than one hospital, and may be on both sides of a split"
            write = f"frame = frame[frame.groupby({{0}})[{site!r}].transform('first') == frame[{site!r}]]"
            write += f"  # or, if others: frame[{{0}}] = frame[[{site!r}, {{0}}]].astype(str).agg(' '.join, axis=1)"
            self.say(self.roles[1], problem, write, away, away.size, at="*")
        if self.test is None or self.labels is None:
            return
        rows, write = rows.assign(label=self.labels)[self.sites >= 0], "a split with all hospitals and classes in train"
        tested, shares = (rows.groupby(by)["test"].mean() for by in ("site", ["site", "label"]))
        if bare := [self.names[at] for at in tested.index[tested % 1 == 0]]:
            self.say("", "The split leaves a hospital no row to train on, or none to test on", write, bare)
        if unseen := [f"{self.names[at]}: {self.classes[label]}" for at, label in shares.index[shares == 1]]:
            somewhere = (rows.groupby("label")["test"].mean() < 1).all()
            problem = "The split leaves a hospital no row of a class to train on"
            self.say("", problem, write, unseen, at="*" * bool(somewhere))

    def _test(self, column: pd.Series) -> np.ndarray:
        """Read a split of the caller's own: "train" and "test", or False and True."""
        found = column.astype(object).map({"train": False, "test": True, False: False, True: True})
        if (wrong := found.isna()).any():
            problem, odd = "The split {0} must be 'train' or 'test' in each row", column[wrong].astype(object).unique()
            self.say(column.name, problem, "frame[{0}] = np.where(..., 'test', 'train')", odd, wrong.sum())
        return found.eq(True).to_numpy(bool)

    def _positions(self, test: Any) -> np.ndarray:
        """Read a split of the caller's own: the positions of the test rows, from 0 on, or True for each of them."""
        rows, index, of_pandas = len(self.frame), self.frame.index, isinstance(test, pd.Series | pd.Index)
        if isinstance(test, pd.Series) and test.dtype == bool:
            test = test.reindex(index) if test.index.is_unique else test
        elif of_pandas and test.dtype != bool and not index.equals(pd.RangeIndex(rows)):
            problem = "The test rows must be positions, and may be labels of the table's index, which are no positions"
            self.say("", problem, "test=frame.index.isin(...)  # or, if they are positions: test=[*...]", test[:FEW])
        test = np.atleast_1d(np.asarray(test))
        if test.dtype == bool and len(test) == rows:
            return test
        if test.dtype.kind not in "iu" or not test.size or test.min() < 0 or test.max() >= rows:
            problem = f"The test rows must be positions of rows, from 0 to {rows - 1}"
            self.say("", problem, "test=np.flatnonzero(...)", test)
        return np.isin(np.arange(rows), test)

    def _labels(self, column: pd.Series, one: Hashable) -> np.ndarray:
        """Read the label: one of the classes, if they are named; 0 and 1, False and True; or two values, `one` is 1."""
        name, (codes, cells, names) = column.name, self._names(column)
        values, labels, problem = tables.in_order(cells), np.zeros(len(codes), np.int64), ""
        at = next((at for at, cell in enumerate(cells) if one in (cell, names[at]) or clean(one) == names[at]), None)
        if (missing := (codes < 0).sum()) and len(values) == 1 and not self._named:
            write = f".eq({values[0]!r})" if one is None else f".where(frame[{{0}}] == {one!r}, ...)"
            write = f"frame[{{0}}] = frame[{{0}}]{write}  # if blank means no"
            self.say(name, f"The label {{0}} is {values[0]!r} or blank", write, rows=missing)
            return labels
        if missing:
            write = f"frame = frame[frame[{{0}}].isin({values[:FEW]})]"
            self.say(name, f"The label {{0}} is missing in {missing} of {len(codes)} rows", write, rows=missing)
        if self._named and not (self.classes == _NUMBERED and all(value in (0, 1) for value in values)):
            if problem := [name for name in names if name not in self.classes]:
                values, problem = problem, f"The label {{0}} holds what is none of the classes {listed(self.classes)}"
                look = {fold(each): each for each in self.classes}
                alike = {each: look[fold(each)] for each in values if fold(each) in look}
                write = f"classes=[...]  # with it; or frame = frame[frame[{{0}}].isin({[*self.classes]})]"
                write = f"frame[{{0}}] = frame[{{0}}].replace({alike})" if alike else write
            else:
                labels = np.array([*map(self.classes.index, names), 0])[codes]
        elif one is not None and at is None:
            near = difflib.get_close_matches(clean(one), names, n=1) or ["..."]
            problem, write = f"The label {{0}} is never {one!r}", f"label=({{0}}, {near[0]!r})"
        elif one is not None and len(values) > 2:
            problem = "The label {0} holds more than two values"
            write = f"frame = frame[frame[{{0}}].isin([{one!r}, ...])]  # and the value that is 0"
        elif one is not None and (void := [name for name in names if name != clean(one) and _is_void(name)]):
            problem, values = "The label {0} holds what people write for nothing, which is no class", void
            write = f"frame = frame[~frame[{{0}}].isin({void})]  # or, if it is a class: classes=[{void[0]!r}, {one!r}]"
        elif one is not None:
            labels = (codes == at).astype(np.int64)
        elif all(value in (0, 1) for value in values):
            labels = np.array([*map(int, cells), 0])[codes]
        elif len(values) > FEW or not all(isinstance(value, str | Real) for value in values):
            problem = f"The label {{0}} holds {len(values)} values. This kit tells classes apart: it predicts no "
            problem += "number (a length of stay, a score), no date and no time to an event (survival)"
            write = "frame[{0}] = frame[{0}] > ...  # a cut that means something; or: had the event in a year"
        elif len(values) == 2:
            problem = "The label {0} holds two values, and which of them is 1 is yours to say"
            write = f"label=({{0}}, ...)  # one of {listed(values)}"
            labels = np.maximum(codes, 0)  # so that what tells them is told of at once
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
        name, simple = column.name, isinstance(column.dtype, np.dtype) and column.dtype.kind in "iuf"
        kind, how = "floating" if simple else pd.api.types.infer_dtype(column, skipna=True), self._cells.of(name)
        wanted = "levels" if self._agreed.get(name) or kind == "categorical" else "numbers" if self._agreed else ""
        if kind in _NUMBERS and wanted != "levels":
            read = column if simple else pd.to_numeric(column)
            return self._numbers(name, read.to_numpy(np.float64, na_value=np.nan, copy=True))
        void = self._void(name) | tables.WORDS
        if kind in _DATES and wanted != "levels":
            return self._dated(column, void, column.dropna().astype(str).unique())
        codes, cells, names = self._names(column)
        if not names:
            said = any(it.column == str(name) for it, _ in self._found[-1:])  # that they are none
            return None if said else self._numbers(name, codes + np.nan)
        if self._agreed.get(name) or (name in how.keep and wanted != "numbers"):
            return self._levels(name, codes, cells, names)
        is_word = np.array([*map(_is_void, names)])
        told = [name for name, word in zip(names, is_word, strict=True) if not word]
        alleles, truth = dates.are_alleles(told), all(isinstance(each, bool) for each in cells)
        levels = wanted == "levels" or (not wanted and (alleles or truth))
        if not alleles and (dated := dates.among(told)):
            return self._dated(column, void, dated)
        if not levels and (strange := [cell for cell in cells if not isinstance(cell, str | Real | Decimal)]):
            return self.say(name, "Column {0} is neither numbers nor text", _DROP, strange)
        read = [None if levels else how.number(cell) for cell in cells]
        is_number = np.array([number is not None for number in read]) & ~is_word
        if is_number.all() and not np.isnan(read).any():
            return self._numbers(name, np.array([*read, np.nan])[codes])
        kinds = (is_word, is_number, ~is_word & ~is_number)
        words, numbers, others = ([names[at] for at in np.flatnonzero(which)] for which in kinds)
        if not numbers and wanted != "numbers":
            if words:
                write, rows = "  # or, if they say something: {keep}", np.append(is_word, False)[codes].sum()
                self.say(name, "Column {0} holds what people write for nothing", write, words, rows, missing=words)
            return self._levels(name, codes, cells, names)
        said, line = numerals.as_numbers([*words, *others[:FEW]], [cells[at] for at in np.flatnonzero(is_number)], how)
        numbered = f"{self._write(numerals.of_column(name, said))}{line}" or "write plain numbers in it, in one unit"
        as_codes = "frame[{0}] = frame[{0}].astype('category')" if len(names) <= tables.MAX_LEVELS else _DROP
        here, there = ({*self.sites[np.append(which, False)[codes]]} - {-1} for which in kinds[1:])
        measured = len(numbers) > FEW or re.search("[.,]", "".join(numbers))
        problem = "Column {0} holds numbers as text" if not others else "Column {0} is neither all numbers nor all text"
        if wanted:
            problem = "Column {0} holds text, where numbers are asked for" if others else problem
            write = line if said or line else f"frame[{{0}}] = ...  # {numbered}"
        elif here and there and not here & there:
            problem = f"Column {{0}} holds numbers at some hospitals ({self.names[min(here)]}) and text at others"
            said, write = {}, f"frame[{{0}}] = frame[{{0}}].replace({{{plain(cells[is_number.argmax()])!r}: ...}})"
        elif not (said or line) or len(others) > FEW or (others and not measured):
            numbered = f"if the words stand for nothing: {numbered}" if others and (said or line) else numbered
            said, write = {}, f"{as_codes}  # or, {numbered}"
        else:
            words_are = "if the words stand for nothing; " * bool(others)
            write = f"{line}{'; ' if '  # ' in line else '  # '}{words_are}or, if they are codes: {as_codes}"
        return self.say(name, problem, write, [*words, *others[:3], *numbers], **said)

    def _dated(self, column: pd.Series, void: set[str], shown: Sequence[str]) -> None:
        """Refuse dates and times; and once more if they are known with one label only."""
        self.say(column.name, _DATED, dates.of_cells(column, void), shown)
        self._tells(column.name, np.where(column.isna(), np.nan, 0), shown, 1)

    def _levels(self, name: Hashable, codes: np.ndarray, cells: list, levels: list[str]) -> None:
        """Take a column of levels; say which are strange or too many, and whether they name patients."""
        agreed, counts = self._agreed.get(name), np.bincount(codes[codes >= 0], minlength=len(levels))
        least = self._cells.of(name).rare
        other = next((each for each in agreed or levels if fold(each) == tables.OTHER), tables.OTHER)
        rare = {level for level, count in zip(levels, counts, strict=True) if count < least and not agreed}
        if strange := {level: plain(cells[at]) for at, level in enumerate(levels) if agreed and level not in agreed}:
            if least and other in agreed:
                rare = {*strange}
            else:
                like = {fold(level): repr(level) for level in agreed}
                to = ", ".join(f"{cell!r}: {like.get(fold(level), '...')}" for level, cell in strange.items())
                write = f"frame[{{0}}] = frame[{{0}}].replace({{{to}}})  # the study knows {listed(agreed)}"
                self.say(name, "Column {0} holds levels that the study does not know", write, strange)
        into = [other if level in rare else level for level in levels]
        total = pd.Series(counts).groupby(np.array(into, dtype=object), sort=False).sum().to_dict()
        order = agreed or _order_levels(total)
        values = np.append(pd.Index(order).get_indexer(into), -1)[codes]
        self.columns[str(name)] = pd.Categorical.from_codes(values, order)
        if rare and len(total) == 1 < len(levels):
            self.say(name, f"No level of column {{0}} has the rows of rare={least}", "", levels, rare=int(counts.max()))
        known = codes >= 0
        if name in self._cells.keep:
            return
        if not agreed and (2 * len(order) > known.sum() > FEW or self._counts_up(np.where(known, codes, np.nan))):
            self.say(name, *_NAMING, levels)
        elif not agreed and len(order) > tables.MAX_LEVELS:
            how, write = {"rare": int(np.sort(counts)[-tables.MAX_LEVELS] + 1)}, "  # fewer rows become one"
            if len(pd.unique(codes[known] * len(self.names) + self.sites[known])) == len(levels):  # a hospital each
                write = f"patient={{0}}  # or, if it names no patients: {self._write(numerals.of_column(name, how))}"
                how = {}
            problem = f"Column {{0}} holds {len(order)} levels, and at most {tables.MAX_LEVELS} can be"
            self.say(name, problem, write, levels, **how)
        else:
            self._tells(name, np.where(known, values, np.nan), levels, tables.MAX_LEVELS)

    def _numbers(self, name: Hashable, values: np.ndarray) -> None:
        """Take a column of numbers; say what cannot be, and what is not what it seems."""
        void = [*self._cells.of(name).missing]
        for code in pd.to_numeric(pd.Series(void, dtype=object), errors="coerce") if void else ():
            values[values == code] = np.nan
        self.columns[str(name)] = values
        known = values[~np.isnan(values)]
        if not known.size:
            return None if self._agreed else self.say(name, "Column {0} has no value at any hospital", _DROP)
        low, high = known.min(), known.max()
        if not self._is_sized(name, values) or name in self._cells.keep:
            return None
        if (low in _CODES or high in _CODES) and (found := _codes_for_nothing(known))[0]:
            write, rows = "  # or, if it was measured: {keep}", np.isin(known, found[0]).sum()
            self.say(name, _SPOKEN, write, found[0], rows, "" if found[1] else "*", missing=found[0])
        elif far := _far(known):
            problem = f"Column {{0}} is {far[0]:g} in {far[1]} rows, far from all others, as if for nothing"
            self.say(name, problem, "  # if it is", [far[0]], far[1], "*", missing=[far[0]])
        if not self._agreed and self._counts_up(values):
            return self.say(name, *_NAMING, known)
        if high - low > FEW and not self._agreed and (known == np.floor(known)).all():
            shown, codes = known[:FEW].astype(int), pd.factorize(values)[0]
            if write := dates.of_numbers(known):
                return self.say(name, _DATED, write, shown)
            if dates.SHEET.search(str(name)) and low > 1e4 and high < 6e4:
                self.say(name, "Column {0} holds days as spreadsheets count them, as it seems", _DROP, shown, at="*")
            visits = 2 * codes.max() < len(known) and self._counts_up(np.where(codes < 0, np.nan, codes))
            if visits or _dealt_out(known, codes.max() + 1, high - low + 1):
                return self.say(name, *_NAMING, shown)
            if codes.max() + 1 == len(known) and (known % 100).any():
                like = low >= 1e5 and high < 10 ** np.ceil(np.log10(low + 1))
                named = patients.NAME.fullmatch(str(name))
                if named or like:
                    self.say(name, *_NAMING, shown, at="*" * (not named))
        return self._tells(name, values, known[:FEW], FEW)

    def _visits(self, columns: Sequence[Hashable]) -> np.ndarray:
        """Complain of columns that name patients with many rows; return whose the rows are by the first of them."""
        who = np.arange(len(self.frame)) if self.patients is None else self.patients
        others, write = self.frame.columns.unique().difference(columns, sort=False), "patient={0}"
        if self.patients is not None:
            others, write = [], _DROP
        for column in [*columns, *others][: patients.COLUMNS]:
            cells, known = self.frame[column], column in [*self.roles, *self._cells.keep]
            if self.labels is not None and not known and cells.ndim == 1 and (agree := patients.known_by(self, cells)):
                self._found = [each for each in self._found if each[0].column != str(column)]
                problem = "Rows with the same {0} agree in other columns, as those of one patient do"
                write += "  # or, if it names no patients, {keep}"
                self.say(column, problem, write, agree, at="*" * (column in others))
                who, write = who if write == _DROP or column in others else pd.factorize(cells)[0], _DROP
        return who

    def _is_sized(self, name: Hashable, values: np.ndarray) -> bool:
        """Whether sums of a column can be told exactly; refuse it if not."""
        size = np.abs(values)
        largest = np.fmax.reduceat(size[self.order], self.starts)
        wrong = (largest > 0) & ~((largest >= tables.SMALLEST) & (largest < tables.LARGEST))
        if wrong.any():
            at, beyond = wrong.argmax(), np.unique(values[size >= tables.LARGEST])
            middle = np.log10(largest[(largest > 0) & (largest < np.inf)])
            by, how = -middle.sum() / max(len(middle), 1), {}
            write = f"frame[{{0}}] = frame[{{0}}] * 1e{by:.0f}  # another unit"
            if 0 < beyond.size <= FEW:
                write, how = "", {"missing": beyond.tolist()}
            limits = f"from {tables.SMALLEST:.1g} to {tables.LARGEST:.1g}"
            problem = f"The largest size in column {{0}} is not {limits}, first at {self.names[at]}"
            self.say(name, problem, write, beyond if beyond.size else [largest[at]], **how)
        return not wrong.any()

    def _tells(self, name: Hashable, values: np.ndarray, shown: Sequence[object], most: int) -> None:
        """Refuse a column that is the label by another name, or look at one that nearly is.

        values : numbers, or codes of levels; NaN where none is known
        most : of so many different values, each may stand for a label of its own; of more, those from one to another
        """
        if self.labels is None:
            return
        there, many = self._drawn[~np.isnan(values[self._drawn])], len(self.classes)
        values, labels = values[there], self.labels[there]
        errors, ways = _errors(values[:_SAMPLE], labels[:_SAMPLE], many, most)
        if not errors:  # all rows are looked at only if a sample suggests it
            errors, ways = _errors(values, labels, many, most)
        rows, known, some = (np.bincount(each, minlength=many) for each in (self.labels, labels, labels[:_SAMPLE]))
        pure = not errors and ways * np.log(many) - _choices(len(there), *known) < _BY_CHANCE
        alone = _choices(rows[known > 0].sum(), len(there)) - _choices(rows.sum(), len(there)) < _BY_CHANCE
        values, labels, others = values[:_SAMPLE], labels[:_SAMPLE], some.sum() - some.max()
        if len(np.unique(values)) > most:
            most = min(50, len(values) // 25 + 1)  # parts of neighbouring values
            values = values.argsort().argsort() * most // len(values)
        missed, ways = _errors(values, labels, many, most)
        self.tells[str(name)] = 1 - missed / others if others else np.nan
        chance = ways * np.log(many) + _choices(len(labels), missed) - _choices(len(labels), *some)
        if alone or pure:
            self.say(name, *_TELLING, shown)
        elif 15 * missed <= len(labels) and 5 * missed <= others and chance < _BY_CHANCE:
            said = f"tells the label in {1 - missed / len(labels):.1%} of the rows, as a poor copy or the time until it"
            self.say(name, f"Column {{0}} {said}", _TELLING[1], shown, at="*")

    def _counts_up(self, values: np.ndarray) -> bool:
        """Whether a column goes one way by like steps after like numbers of rows, as numbers of rows and visits do."""
        steps, sites = np.diff(values[self.order]), self.sites[self.order][1:]
        inside = np.diff(self.sites[self.order]) == 0
        if (steps[inside] < 0).any() and (steps[inside] > 0).any():
            return False
        at = np.flatnonzero(inside & (steps != 0))
        lengths = np.diff(at)[sites[at[1:]] == sites[at[:-1]]]
        alike = [np.isclose(each, np.median(each)).mean() >= 0.8 for each in (steps[at], lengths) if len(each)]
        return len(at) >= FEW and all(alike)


def _choices(rows: int, *parts: int) -> float:
    """Logarithm of how many ways there are to part rows so, or to take one part of them."""
    parts = [*parts, rows - sum(parts)]
    return -np.inf if parts[-1] < 0 else math.lgamma(rows + 1) - sum(math.lgamma(part + 1) for part in parts)


def _errors(values: np.ndarray, labels: np.ndarray, many: int, most: int) -> tuple[int, int]:
    """Count the labels that values miss, and the values (or runs of them, if more than `most`) that may have one."""
    if len(np.unique(values[:1000])) <= most and len(places := np.unique(values)) <= most:
        table = np.bincount(places.searchsorted(values) * many + labels, minlength=len(places) * many)
        return len(values) - table.reshape(-1, many).max(axis=1).sum(), len(places)
    return np.count_nonzero(np.diff(labels[np.argsort(values, kind="stable")])) + 1 - len(np.unique(labels)), many


def _codes_for_nothing(known: np.ndarray) -> tuple[list[float], bool]:
    """Values such as -9 or 999 that lie apart from all others, and whether they can hardly have been measured.

    Apart is: below 0 alone; three spreads away; or beyond a hole, where all others are the steps of a small scale. A
    single one may be an outlier, and so may a few beyond the last ones of a tail.
    """
    values, rows = np.unique(known, return_counts=True)
    code = np.isin(values, [*_CODES])
    if code.all():
        return [], False
    rest, often = values[~code], rows[~code]
    spread = known[np.isin(known, rest)].std()
    apart, far = (np.maximum(rest[0] - values, values - rest[-1]) > many * spread for many in (3, 10))
    apart &= values != np.clip(values, rest[0], rest[-1])
    more = rows > np.where(values < rest[0], often[0], often[-1])
    runs = np.split(np.arange(len(values)), np.flatnonzero(np.diff(values) != 1) + 1)
    scale = max(runs, key=lambda run: rows[run].sum())
    beyond = ~np.isin(np.arange(len(values)), scale)
    if len(scale) <= FEW and rows[scale].min() >= 0.05 * len(known) and code[beyond].all():
        apart, more = beyond, True
    apart &= (len(rest) > 1) | (np.abs(values) > FEW)  # two values are two codes
    never = (values < 0) & (rest[0] >= 0) & (values != -rest[-1])  # not -1, 0, 1
    found = code & (apart | never)
    sure = never | ((rows > 1) & more & ~np.isin(values, (7, 8))) | (far & (np.abs(values) > FEW))
    return values[found].tolist(), bool((found & sure).any())


def _far(known: np.ndarray) -> tuple[float, int] | None:
    """Return a value at an end that rows share, and their number, if it is far from all others, which are many.

    Far is twice as far as all others are apart; 0 need only be their spread away.
    """
    for end in (known.min(), known.max()):
        rest = known[known != end]
        if not len(known) - 1 > len(rest) > FEW or min(len(np.unique(rest)), np.ptp(rest)) <= FEW:
            continue
        if np.abs(rest - end).min() > (2 * np.ptp(rest) if end else rest.std()):
            return float(end), len(known) - len(rest)
    return None


def _dealt_out(known: np.ndarray, different: int, places: float) -> bool:
    """Whether whole numbers repeat far less than numbers that are drawn, so that they were dealt out, one a row."""
    rows = len(known)
    chance = rows - places * -np.expm1(-rows / places)  # how often a draw should hit a number for the second time
    return rows - different < chance - 4 * np.sqrt(chance)
