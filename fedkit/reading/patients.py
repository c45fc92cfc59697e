"""Rows of one patient: told by what a column does, by its name, or by near copies."""

import re
from typing import Any

import numpy as np
import pandas as pd

COLUMNS, _ROWS, _CELLS = 100, 5000, 10  # so many are enough to know patients by; fewer different cells name none
NAME = re.compile(
    r"(patient|u?subj(ect)?|person|pid|mrn|case)(en)?[ _-]?(id|no|nr|num|number|nummer|code)?|id"
    r"|(record|participant|study|stay|hadm|pat|id|fall)[ _-]?(id|no|nr|num|number|nummer)",
    re.IGNORECASE,
)


def known_by(read: Any, column: pd.Series) -> list[str]:
    """Say what agrees in rows with the same cell of a column, if these are a patient's by what they do.

    The label, or two columns, hardly differ between rows of a hospital with the same cell, and differ between a cell
    and the next one in order as between any two rows: what is made of the column, as a group of age is, does not.
    """
    if column.dtype.kind == "f" and (column[:1000] % 1 > 0).any():  # was measured
        return []
    if column[:: len(column) // 1000 + 1].astype(str).nunique() <= min(_CELLS, len(column) // 10):
        return []
    codes, cells = pd.factorize(column if column.dtype.kind in "iuf" else column.astype(str))
    if not _CELLS < len(cells) <= 0.8 * len(codes):
        return []
    order = np.argsort(np.argsort(cells if cells.dtype.kind in "iuf" else [*map(str, cells)]))
    rows = read.order[column.notna().to_numpy()[read.order]]
    rows = rows[read.sites[rows] <= read.sites[rows[:_ROWS]].max(initial=-1)]  # the first hospitals are enough
    rows = rows[np.lexsort((order[codes[rows]], read.sites[rows]))][:_ROWS]
    same = (np.diff(codes[rows]) == 0) & (np.diff(read.sites[rows]) == 0)
    others = {"the label": pd.Categorical.from_codes(read.labels, read.classes)}
    others |= {name: read.columns[name] for name in [*read.columns][:COLUMNS] if name != str(column.name)}
    agree = [name for name, own in others.items() if _agrees(own[rows], same)]
    return agree if len(agree) > 1 or "the label" in agree else []


def _agrees(values: np.ndarray | pd.Categorical, same: np.ndarray) -> bool:
    """Whether a column hardly ever differs from row to row of the `same` cell, and does between others."""
    cells = np.where(values.isna(), np.nan, values.codes) if isinstance(values, pd.Categorical) else values
    steps, drawn = np.diff(cells), cells - np.random.default_rng(0).permutation(cells)
    within, between, chance = (
        np.mean(gaps != 0) if (gaps := each[~np.isnan(each)]).size else np.nan
        for each in (steps[same], steps[~same], drawn)
    )
    many = (np.nan_to_num(drawn) != 0).mean() * same.sum()  # so many rows would differ by chance
    first = cells[np.append(True, ~same)]
    renamed = not (first % 1 > 0).any() and len(np.unique(first)) == len(first)  # the column once more
    return bool(within <= 0.05 * chance and between >= 0.5 * chance and many >= _CELLS and not renamed)


def say_repeated(read: Any) -> None:
    """Note patients with many rows, and far more near copies of rows than chance makes: some on both sides."""
    for column in read.frame.columns if read.patients is None else ():
        if NAME.fullmatch(str(column)) and column not in read.roles and read.frame[column].dropna().duplicated().any():
            problem = "Column {0} names patients with more than one row, as it seems, and they may be on both sides"
            read.say(column, problem, "patient={0}", at="*")
    rows, columns = len(read.frame), {"": 0}
    for at, own in enumerate([*read.columns.values()][:COLUMNS]):
        levels = isinstance(own, pd.Categorical)
        columns[at] = own.codes if levels else np.rint(1000 * own / (np.fmax.reduce(np.abs(own)) or 1)) + 0.0
    columns = pd.DataFrame(columns, index=range(rows))
    alike = [(columns[at].value_counts(normalize=True, dropna=False) ** 2).sum() for at in columns]
    keys, chance = pd.util.hash_pandas_object(columns, index=False), rows**2 / 2 * np.prod(alike)
    who = np.arange(rows) if read.patients is None else read.patients
    test = np.arange(rows) if read.test is None else read.test  # a split to be drawn may part any two
    twins = pd.DataFrame({"key": keys, "who": who, "test": test}).drop_duplicates(["key", "who"])
    count = (twins.groupby("key")["test"].transform("nunique") > 1).sum()
    if count > max(rows / 20, 10 * chance):
        problem = f"{count} rows are near copies of others, and may be on both sides of a split"
        read.say("", problem, "patient=...  # or frame = frame.drop_duplicates()", rows=count, at="*")
