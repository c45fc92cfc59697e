"""Dates and times: cells that are some, and the line that makes numbers of them.

A line is written where one way of reading alone reads every cell of the column; else a person must say it.
"""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd

from fedkit.tables import clean, fold

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
DATE = re.compile(
    r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ].*)?|\d{1,2}:\d\d(:\d\d.*)?|(19|20)\d\d[-/](0?[1-9]|1[0-2])"
    rf"|([a-z]+[., ]+)?(\d{{1,2}}[-. ]*)?({_MONTHS})[a-z]*[-., ]*(\d{{1,2}}[-., ]+)?\d{{2,4}}",
    re.IGNORECASE,
)
# How people write a day and, behind it, a time of the day.
_DAYS = "%Y-%m-%d %d-%m-%Y %m-%d-%Y %d-%m-%y %m-%d-%y %y-%m-%d %Y-%m %d-%b-%Y %d-%b-%y %b-%d-%Y %d%b%Y".split()
_DAYS = [day.replace("-", mark) for day in _DAYS for mark in ("-", "/", ".", " ")]
_DAYS += ["%d %B %Y", "%d. %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %Y", "%B %Y"]
_CLOCKS = ["%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p"]
_NUMBERS = [(19000101, 21001231, "format", "%Y%m%d"), (190001, 210012, "format", "%Y%m")]
_NUMBERS += [(1e9, 2e9, "unit", "s"), (1e12, 2e12, "unit", "ms")]


def of_cells(column: pd.Series, void: set[str]) -> str:
    """Write how a column {0} of dates becomes a number, where cells that read as one in `void` stand for nothing."""
    cells = column.dropna().drop_duplicates()
    none = [cell for cell in cells if fold(clean(cell)) in void]
    cells, frame = cells[~cells.isin(none)], "frame[{0}]" + ".astype(object)" * (column.dtype == "category")
    ways = [*_DAYS, *_CLOCKS, *(f"{day}{mark}{clock}" for mark in " T" for clock in _CLOCKS for day in _DAYS)]
    shape = re.sub(r"\w+", "", str(cells.iloc[0]))
    ways = [("format", way) for way in dict.fromkeys(ways) if re.sub(r"%\w|T", "", way) == shape]
    line = _line(cells, ways, f"{frame}.mask(frame[{{0}}].isin({none}))" if none else frame)
    return line or "frame = frame.drop(columns=[{0}])  # or write numbers in it: days since something"


def of_numbers(known: np.ndarray, low: float, high: float) -> str:
    """Write how whole numbers are days (20200131), months (202001) or (milli)seconds since 1970, or ""."""
    ways = [(name, way) for least, most, name, way in _NUMBERS if least <= low and high <= most and (known % 1e6).any()]
    return _line(pd.Series(np.unique(known)), ways, "frame[{0}]")


def _line(cells: pd.Series, ways: Iterable[tuple[str, str]], frame: str) -> str:
    found = {}
    for name, way in ways:
        try:
            read = pd.to_datetime(cells, **{name: way})
        except (ValueError, TypeError, OverflowError):
            continue
        if isinstance(read.dtype, np.dtype) and read.dtype.kind == "M":  # and of no zone
            found.setdefault(tuple(read), (name, way))
    if not found:
        return ""
    (name, way), *others = found.values()
    if others:
        orders = " or ".join(repr(way) for _, way in found.values())
        return f"frame[{{0}}] = pd.to_datetime({frame}, format=...)  # in which order? {orders}"
    start, unit = ("1900-01-01", "1h") if way in _CLOCKS else ("2000-01-01", "1D")
    read = f"(pd.to_datetime({frame}, {name}={way!r}) - pd.Timestamp('{start}')) / pd.Timedelta('{unit}')"
    return f"frame[{{0}}] = {read}  # or since what matters"
