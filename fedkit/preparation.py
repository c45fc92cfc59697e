"""How hospitals agree on one way to prepare their rows, from sums alone, and `split` them into train and test.

A model can only be trained together if 140 mm Hg is the same number everywhere. Each hospital counts and sums its own
training rows (`local_sums`), the sums are added up (`aggregate_statistics`), and every hospital prepares its own rows
with the result (`prepare`). No row leaves a hospital. The sums do: a sum over few patients says much about each of
them, so `hospitals.from_frame` refuses very small hospitals.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import reduce

import numpy as np
import pandas as pd

from fedkit.checks import is_list, is_positive, is_whole, require
from fedkit.hospitals import Federation, Hospital
from fedkit.tables import LARGEST, SMALLEST, coded_columns

# Sums are exact whole numbers of a unit: no spread is lost beside a large mean, and the order of adding is nothing.
_ROUNDING = Fraction(1, 2**104)  # a spread this far below the size of the values, squared, is their last bit alone
_BITS = {"sum": 117, "squares": 234}  # a unit is 2^-117: half the last bit of the smallest
# On their way they are digits in base 2^36, so that float64 adds those of 100,000 hospitals exactly.
_BASE, _DIGITS = 36, {"sum": 6, "squares": 11}
NUMBERS = 1 + sum(_DIGITS.values())  # of a numeric column on its way: its count, and digits


@dataclass(frozen=True, eq=False)
class Sums:
    """What one hospital tells about its rows, or several hospitals about theirs: sums add up.

    rows : their number
    moments : a row a numeric column: "count" of the values that are not missing, their "sum" and sum of "squares",
        exact: `fractions.Fraction`
    levels : for each categorical column, the number of rows at each level
    """

    rows: int
    moments: pd.DataFrame
    levels: dict[str, pd.Series]

    def __add__(self, other: "Sums") -> "Sums":
        levels = {column: counts + other.levels[column] for column, counts in self.levels.items()}
        return Sums(self.rows + other.rows, self.moments + other.moments, levels)

    def to_vector(self) -> np.ndarray:
        """All of it in a row: int64, shape [n]."""
        told = [self.rows]
        for count, *sums in self.moments.to_numpy():
            told += [count, *_digits("sum", sums[0]), *_digits("squares", sums[1])]
        return np.concatenate([told, *self.levels.values()]).astype(np.int64)

    def with_vector(self, vector: np.ndarray) -> "Sums":
        """Return sums about the same columns, from what `to_vector` returned, or from a total of such.

        ValueError if it cannot be one: a number is none, more values are counted than rows, or they spread less than 0.
        """
        if not (np.abs(vector) < 2**53).all():
            raise ValueError("These statistics hold numbers that are none, or too large: some hospital sent nonsense.")
        rows, *whole = np.rint(vector).astype(np.int64).tolist()
        told = []
        for _ in self.moments.index:
            (count, *digits), whole = whole[:NUMBERS], whole[NUMBERS:]
            told.append([count, _whole("sum", digits[: _DIGITS["sum"]]), _whole("squares", digits[_DIGITS["sum"] :])])
        levels = {}
        for column, counts in self.levels.items():
            levels[column], whole = pd.Series(whole[: len(counts)], counts.index, np.int64), whole[len(counts) :]
        counted = [count for count, *_ in told] + [count for counts in levels.values() for count in counts]
        spread = [count * squares - summed**2 for count, summed, squares in told]
        small = any(0 < squares < SMALLEST**2 for _, _, squares in told)  # no honest sum is
        if small or min([*counted, *spread], default=0) < 0 or max(counted, default=0) > rows:
            raise ValueError(f"These statistics of {rows:,} rows cannot be: some hospital sent nonsense.")
        return Sums(rows, _moments(told, self.moments.index), levels)


@dataclass(frozen=True, eq=False)
class Statistics:
    """How the hospitals of a federation prepare their rows: the same everywhere.

    rows : number of rows that were counted
    moments : a row a numeric column: the "mean", which stands in for a missing value, and the "std", the divisor (1
        where the column never varies, infinite where it has no value at all, so that it becomes 0 everywhere)
    levels : of each categorical column; the first is the reference, and has no column of its own
    most_frequent : the level of each categorical column that stands in for a missing value
    """

    rows: int
    moments: pd.DataFrame
    levels: dict[str, tuple[str, ...]]
    most_frequent: dict[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the d columns that `prepare` makes, in its order."""
        return coded_columns(self.moments.index, self.levels)

    def to_json(self) -> dict:
        """All of it as numbers, text, lists and dictionaries, which `from_json` reads."""
        told = vars(self) | {"moments": self.moments.T.to_dict("list")}
        return told | {"levels": {column: list(levels) for column, levels in self.levels.items()}}

    @classmethod
    def from_json(cls, told: dict) -> "Statistics":
        """Read what `to_json` returned; ValueError, KeyError or TypeError if it cannot be that."""
        moments = pd.DataFrame.from_dict(told["moments"], "index", np.float64, ["mean", "std"])
        levels, frequent = {column: tuple(names) for column, names in told["levels"].items()}, told["most_frequent"]
        known = all(frequent[column] in names for column, names in levels.items())
        means, spreads = moments["mean"].abs() <= LARGEST, moments["std"].replace(np.inf, 1.0)  # inf: never measured
        if not (known and means.all() and spreads.between(SMALLEST * float(_ROUNDING), LARGEST).all()):
            raise ValueError("a mean or a spread is none that values can have, or a level is not known")
        return cls(told["rows"], moments, levels, frequent)


@dataclass(frozen=True, eq=False)
class Prepared:
    """One hospital's n train and m test patients, ready for a model.

    train_features, test_features : float32, shapes [n, d] and [m, d], standardised with the shared statistics
    train_labels, test_labels : float32 of whole numbers, those of the classes, shapes [n] and [m]
    train_rows, test_rows : int64, which rows of ``Hospital.table`` these are, in ascending order
    together : number of training rows, of all who take part, that the statistics are of
    """

    train_features: np.ndarray
    train_labels: np.ndarray
    test_features: np.ndarray
    test_labels: np.ndarray
    train_rows: np.ndarray
    test_rows: np.ndarray
    together: int


@dataclass(frozen=True, eq=False)
class Split:
    """A federation's patients in train and test rows.

    columns : names of the d columns
    hospitals : in the federation's order
    statistics : aggregated from the training rows of those that take part
    """

    columns: tuple[str, ...]
    hospitals: dict[str, Prepared]
    statistics: Statistics


def local_sums(table: pd.DataFrame, numeric: Sequence[str], categorical: Mapping[str, Sequence[str]]) -> Sums:
    """Count and sum one hospital's rows, in the units of the columns. This is all that the others learn of them.

    ValueError if the values of a column are all too small, or one is too large, for the sum: see `tables.SMALLEST`.
    """
    values, told, levels = table[list(numeric)].to_numpy(np.float64), [], {}
    for column, own in zip(numeric, values.T, strict=True):
        own = own[~np.isnan(own)]
        largest = np.abs(own).max(initial=0)
        if largest and not SMALLEST <= largest < LARGEST:
            limits = f"from {SMALLEST:.1g} to {LARGEST:.1g}"
            raise ValueError(f"The largest value of {column!r} is {largest:.3g}, not {limits}: take another unit.")
        whole = [int(value) for value in np.rint(np.ldexp(own, _BITS["sum"])).tolist()]
        sums = {"sum": sum(whole), "squares": sum(value * value for value in whole)}
        told.append([len(own), *(Fraction(sums[name], 2**bits) for name, bits in _BITS.items())])
    for column, names in categorical.items():
        codes = _codes(table[column], names)
        levels[column] = pd.Series(np.bincount(codes[codes >= 0], minlength=len(names)), index=list(names))
    return Sums(len(table), _moments(told, numeric), levels)


def _moments(told: list[list], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(told, list(columns), ["count", "sum", "squares"], dtype=object)


def _digits(name: str, value: Fraction) -> list[int]:
    """Write a sum in its digits, the lowest first; the last one holds whatever is left, and the sign."""
    whole, digits = int(value * 2 ** _BITS[name]), []
    for _ in range(_DIGITS[name] - 1):
        digits, whole = [*digits, whole % 2**_BASE], whole // 2**_BASE
    return [*digits, whole]


def _whole(name: str, digits: Sequence[int]) -> Fraction:
    """Read a sum from its digits, or from a total of such."""
    return Fraction(sum(digit << _BASE * place for place, digit in enumerate(digits)), 2 ** _BITS[name])


def aggregate_statistics(sums: Iterable[Sums]) -> Statistics:
    """Turn the hospitals' sums, one each, into one mean, spread and most frequent level a column.

    Equal to the statistics of the pooled rows, without pooling them: the mean is sum/count, the variance
    squares/count - mean^2 (of the population, no n - 1), rounded once, at the end. ValueError if there are no sums.
    """
    sums = list(sums)
    if not sums:
        raise ValueError("There are no sums to aggregate: give the local_sums of at least one hospital.")
    total = reduce(Sums.__add__, sums)
    found = []
    for count, summed, squares in total.moments.to_numpy():
        mean, mean_square = summed / max(count, 1), squares / max(count, 1)
        variance = mean_square - mean**2
        varies = variance > mean_square * _ROUNDING
        found.append([float(mean), math.sqrt(variance) if varies else 1.0 if count else np.inf])
    moments = pd.DataFrame(found, total.moments.index, ["mean", "std"], dtype=np.float64)
    levels = {column: tuple(counts.index) for column, counts in total.levels.items()}
    return Statistics(total.rows, moments, levels, {column: counts.idxmax() for column, counts in total.levels.items()})


def prepare(table: pd.DataFrame, statistics: Statistics) -> np.ndarray:
    """Fill in, standardise and code one hospital's n rows with the shared statistics: float32, shape [n, d].

    A missing number becomes the mean (0 after standardising), a missing level the most frequent one, and so does a
    level that the federation does not know. Levels are coded one-hot and stay 0 or 1. ValueError if a column is not
    there.
    """
    if missing := [each for each in (*statistics.moments.index, *statistics.levels) if each not in table]:
        raise ValueError(f"The table has no column {', '.join(map(repr, missing))}: the model was trained with it.")
    values = table[list(statistics.moments.index)].to_numpy(np.float64)
    mean, std = statistics.moments.to_numpy().T
    parts = [(np.where(np.isnan(values), mean, values) - mean) / std]
    for column, levels in statistics.levels.items():
        codes = _codes(table[column], levels)
        codes = np.where(codes < 0, levels.index(statistics.most_frequent[column]), codes)
        parts.append(codes[:, None] == np.arange(1, len(levels)))
    return np.concatenate(parts, axis=1).astype(np.float32)


def _codes(column: pd.Series, levels: Sequence[str]) -> np.ndarray:
    """Position of each row's level, -1 where it is missing or unknown."""
    return np.asarray(pd.Categorical(column, categories=list(levels)).codes, dtype=np.int64)


def sharing(federation: Federation, prepared: str) -> list[Federation]:
    """Return who has statistics in common: all hospitals ("together"), or each with itself ("alone")."""
    return [replace(federation, hospitals=(one,)) for one in federation] if prepared == "alone" else [federation]


def split(
    federation: Federation,
    seed: int,
    test_fraction: float = 0.3,
    leave_out: Sequence[str] = (),
    add: Callable[[dict[str, np.ndarray]], np.ndarray] | None = None,
) -> Split:
    """Split each hospital's patients into train and test rows, and prepare them.

    Each hospital draws its own test rows, the same share of each class; which ones depends on the seed and on its name
    only, so they stay the same when another hospital leaves. Where `Hospital.patients` says whose the rows are,
    patients are drawn, with all their rows; `Hospital.test`, a split of one's own, is taken as it is. The statistics
    are those of the training rows of the hospitals that take part, aggregated from their sums.

    federation : ValueError if one hospital is too small to have a test row
    seed : 0 or more
    test_fraction : share of the rows of each class that are tested on, between 0 and 1, rounded to whole rows; a class
        of two rows or more has at least one on each side, and the only row of a class is trained on
    leave_out : hospitals that give no sums, and prepare their rows with those of the others; never all of them
    add : how the hospitals' sums (hospital -> numbers, shape [n]) become their total, shape [n]: encrypted, say, so
        that nobody reads any but the total; they are just added up if None
    """
    require("seed", seed, lambda it: is_whole(it, 0), "a whole number from 0 on")
    require("test_fraction", test_fraction, lambda it: is_positive(it) and it < 1, "between 0 and 1")
    require("leave_out", leave_out, is_list, "a list, such as ['Hungary']")
    trained = [hospital for hospital in federation if hospital.name not in leave_out]
    if not trained or len(trained) + len(set(leave_out)) != len(federation):
        there = ", ".join(federation.names)
        raise ValueError(f"leave_out must name some of {there} (without all of them nobody trains), not {leave_out!r}.")
    tested = {hospital.name: _test_rows(hospital, seed, test_fraction) for hospital in federation}
    kept = {hospital.name: np.setdiff1d(np.arange(len(hospital)), tested[hospital.name]) for hospital in federation}
    columns = federation.numeric, federation.categorical
    sums = {}
    for hospital in trained:
        try:
            sums[hospital.name] = local_sums(hospital.table.iloc[kept[hospital.name]], *columns)
        except ValueError as problem:
            raise ValueError(f"{hospital.name}: {problem}") from None
    told = list(sums.values())
    if add is not None:
        told = [told[0].with_vector(add({name: own.to_vector() for name, own in sums.items()}))]
    statistics = aggregate_statistics(told)
    prepared = {}
    for hospital in federation:
        train, test = kept[hospital.name], tested[hospital.name]
        features, labels = prepare(hospital.table, statistics), hospital.labels.astype(np.float32)
        own = features[train], labels[train], features[test], labels[test], train, test
        prepared[hospital.name] = Prepared(*own, statistics.rows)
    return Split(statistics.columns, prepared, statistics)


def _test_rows(hospital: Hospital, seed: int, test_fraction: float) -> np.ndarray:
    """Draw a hospital's test patients, a class at a time: their rows. A patient who ever had label 1 is of class 1."""
    if hospital.test is not None:
        return np.flatnonzero(hospital.test)
    name = int.from_bytes(hashlib.sha256(hospital.name.encode()).digest()[:8], "big")
    rng = np.random.default_rng(np.random.SeedSequence([seed, name]))
    whose = np.arange(len(hospital)) if hospital.patients is None else pd.factorize(hospital.patients)[0]
    label_of = np.zeros(whose.max() + 1, np.int64)
    np.maximum.at(label_of, whose, hospital.labels)
    drawn = []
    for label in np.unique(label_of):
        patients = np.flatnonzero(label_of == label)
        count = min(max(round(test_fraction * len(patients)), 1), len(patients) - 1)
        drawn.append(rng.permutation(patients)[: max(count, 0)])
    if not len(patients := np.concatenate(drawn)):
        raise ValueError(f"{hospital.name} has too few patients ({len(label_of)}) to test on any of them.")
    return np.flatnonzero(np.isin(whose, patients))
