"""Anybody's table read column by column for `hospitals.from_frame`, or refused with a sentence."""

import difflib
from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence, Set

import numpy as np
import pandas as pd

_TAKEN = {"server", "mean"}  # words that stand beside the names of hospitals in ledgers and tables of results
MAX_LEVELS = 50  # beyond this a column of text is a name, an identifier or free text, not a category
_MAX_SIZE = 1e100  # beyond this the square of a value leaves the range of float64
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal"}
_TEXTS = {"string", "boolean", "categorical"}
_DATES = {"datetime64", "datetime", "date", "timedelta64", "timedelta", "time", "period"}


def choose_columns(
    frame: pd.DataFrame, site: Hashable, label: Hashable, features: Sequence[Hashable] | None
) -> list[Hashable]:
    """Check that the columns exist, once each in one role, and return the features: all others if None.

    TypeError if the frame is none, or `features` is one name and not a list; ValueError for anything else.
    """
    if not isinstance(frame, pd.DataFrame):
        raise TypeError(f"The table must be a pandas DataFrame, and is a {type(frame).__name__}.")
    if isinstance(features, str):
        raise TypeError(f'`features` must be a list of column names: write ["{features}"] for a single one.')
    if frame.empty:
        raise ValueError(f"The table is empty: it has {len(frame)} rows and {frame.shape[1]} columns.")
    if site == label:
        raise ValueError(f"Column {site!r} cannot be both the hospital and the label: name two columns.")
    if features is None:
        features = [column for column in frame.columns if column not in (site, label)]
    if not len(features):
        raise ValueError("There is no column to learn from beside the hospital and the label: name some features.")
    known = [str(column) for column in frame.columns]
    for column in (site, label, *features):
        if column not in frame.columns:
            near = difflib.get_close_matches(str(column), known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
            raise ValueError(f"The table has no column {column!r}. {hint}")
        if known.count(str(column)) > 1:
            raise ValueError(f"The table has the column {str(column)!r} more than once: rename or drop one of them.")
    for column in features:
        if column in (site, label) or list(features).count(column) > 1:
            what = "the hospital" if column == site else "the label" if column == label else "named twice"
            raise ValueError(f"The feature {column!r} is {what}: name each column once, in one role.")
    return list(features)


def as_names(column: pd.Series) -> np.ndarray:
    """Turn n values into text, shape [n]; None for a missing or blank one, and "1" for the 1.0 that pandas makes of 1.

    ValueError if two different values would read the same (1 and "1"), or one is no single thing (a list, say).
    """
    try:
        values = list(column.dropna().unique())
    except TypeError as error:
        raise ValueError(f"Column {column.name!r} holds values that are no single text or number ({error}).") from error
    names: dict[Hashable, str] = {}
    owners: dict[str, Hashable] = {}
    for value in values:
        whole = isinstance(value, float | np.floating) and float(value).is_integer()
        names[value] = str(int(value)) if whole else str(value).strip()
        owner = owners.setdefault(names[value], value)
        if names[value] and owner is not value:
            raise ValueError(
                f"Column {column.name!r} holds both {owner!r} and {value!r}, which read the same: "
                "write them the same way, or give them different names."
            )
    return np.array([(names.get(value) or None) for value in column.array], dtype=object)


def as_sites(column: pd.Series, min_rows: int) -> np.ndarray:
    """Turn the column of hospitals into their names, str of shape [n].

    ValueError if a name is missing or taken, there is only one, or one has fewer than `min_rows` patients.
    """
    sites = as_names(column)
    if missing := sum(site is None for site in sites):
        raise ValueError(
            f"The hospital {column.name!r} is missing in {missing} of {len(sites)} rows: "
            f"leave them out first, with frame.dropna(subset=[{column.name!r}])."
        )
    counts = Counter(sites)
    if len(counts) == 1:
        raise ValueError(
            f"Column {column.name!r} names one hospital only ({sites[0]}), and a federation needs two: "
            "fedkit.chapters.partitions makes pretend hospitals out of one table."
        )
    if tiny := ", ".join(f"{site} has {count}" for site, count in counts.items() if count < min_rows):
        raise ValueError(f"Fewer than min_rows={min_rows} patients: {tiny}. Leave these out, or join them with others.")
    if _TAKEN & counts.keys():
        raise ValueError(f"A hospital cannot be called {' or '.join(sorted(_TAKEN))}: these words are taken.")
    return sites


def as_labels(column: pd.Series, classes: Sequence[Hashable] | None = None) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn the label's column into class numbers, int64 of shape [n], and their names: 0 and 1 (or False and True).

    ValueError if one is missing, or is not among the `classes`, if they are named; the sentence says how to convert
    them. TypeError if the classes are no list.
    """
    name = column.name
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if missing := int(column.isna().sum()):
        raise ValueError(
            f"The label {name!r} is missing in {missing} of {len(column)} rows: "
            f"leave them out first, with frame.dropna(subset=[{name!r}])."
        )
    if classes is not None:
        return _by_class(column, classes)
    kind = pd.api.types.infer_dtype(column)
    if kind in _NUMBERS | {"boolean"} and column.isin([0, 1]).all():
        return column.to_numpy().astype(np.int64), ("0", "1")
    found = sorted(column.drop_duplicates().tolist(), key=None if kind in _NUMBERS else str)
    example = f"frame[{name!r}] > {found[0]}" if kind in _NUMBERS else f"frame[{name!r}] == {found[-1]!r}"
    raise ValueError(
        f"The label {name!r} must hold 0 and 1 (or False and True), and holds {_list(found)}. "
        f"Convert it first, for instance frame[{name!r}] = ({example}).astype(int), or name all its values, in "
        "the order of their numbers, with classes=[...]."
    )


def _by_class(column: pd.Series, classes: Sequence[Hashable]) -> tuple[np.ndarray, tuple[str, ...]]:
    """Turn values into their places in `classes`, the caller's order."""
    if isinstance(classes, str | Set) or not isinstance(classes, Collection):
        raise TypeError("`classes` must be a list of the label's values, in the order of their numbers.")
    names = as_names(pd.Series([*classes], dtype=object, name="classes")).tolist()
    if len(names) < 2 or None in names or len(set(names)) < len(names):
        raise ValueError(f"`classes` must name two classes or more, each once, and names {_list([*classes])}.")
    codes = pd.Index(names).get_indexer(as_names(column))
    if unknown := column[codes < 0].drop_duplicates().tolist():
        raise ValueError(
            f"The label {column.name!r} holds {_list(unknown)}, and the classes are {_list(names)}: name them all, or "
            f"leave these rows out first, with frame[~frame[{column.name!r}].isin({unknown[:6]!r})]."
        )
    return codes.astype(np.int64), tuple(names)


def as_feature(column: pd.Series, sites: np.ndarray) -> np.ndarray:
    """Read a column as numbers (float64, NaN for missing), or text, booleans and categories as levels (str, None).

    ValueError if it holds dates, infinite numbers, more than `MAX_LEVELS` levels, a mixture of numbers and text, or
    nothing at all. `sites` are the hospitals of the rows, shape [n], for the sentence.
    """
    name, kind = column.name, pd.api.types.infer_dtype(column, skipna=True)
    values = as_names(column) if kind in _TEXTS else column
    if pd.isna(values).all():
        raise ValueError(f"Column {name!r} has no value at any hospital: leave it out of `features`.")
    if kind in _DATES:
        raise ValueError(
            f"Column {name!r} holds dates or times, which say little as they are: "
            "turn them into a number first, such as the age in years or the days since admission."
        )
    if kind in _NUMBERS:
        values = pd.to_numeric(values).to_numpy(np.float64, na_value=np.nan)
        if (wrong := np.abs(values) > _MAX_SIZE).any():
            raise ValueError(
                f"Column {name!r} is infinite or beyond {_MAX_SIZE:g} in {wrong.sum()} of {len(column)} rows (the "
                f"first is at {sites[wrong.argmax()]}): write the true value, or NaN for a missing one, instead."
            )
        return values
    if kind not in _TEXTS:
        raise ValueError(
            f"Column {name!r} is neither all numbers nor all text ({kind}). Convert it first: with "
            f'pd.to_numeric(frame[{name!r}], errors="coerce") to numbers, or with frame[{name!r}].astype(str) to text.'
        )
    if len(levels := sorted({value for value in values if value is not None})) > MAX_LEVELS:
        raise ValueError(
            f"Column {name!r} holds {len(levels)} different texts ({_list(levels)}), and a category has at most "
            f"{MAX_LEVELS}. Leave out what names a patient; if these are numbers written as text, use "
            f'pd.to_numeric(frame[{name!r}], errors="coerce").'
        )
    return values


def order_levels(counts: Mapping[str, int]) -> tuple[str, ...]:
    """Put the most frequent level first, and the others in their natural order; counts are over all hospitals."""
    levels = sorted(counts, key=lambda level: (not level.isdecimal(), level.isdecimal() and int(level), level))
    reference = max(levels, key=counts.__getitem__)
    return (reference, *(level for level in levels if level != reference))


def coded_columns(numeric: Iterable[str], categorical: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Names of the columns after coding: the numeric ones, then "column=level" without the reference."""
    return (*numeric, *(f"{column}={level}" for column, levels in categorical.items() for level in levels[1:]))


def _list(found: Sequence[object]) -> str:
    return ", ".join(map(repr, found[:6])) + (", ..." if len(found) > 6 else "")
