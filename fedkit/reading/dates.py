"""Dates and times: cells that are some, and the line that makes numbers of them.

A line is written where one way of reading alone reads every cell of the column; else a person must say it.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from fedkit.tables import clean, fold

# How the months begin, the English way last.
_MONTHS = "jän|ene|gen|jan fév|fev|feb mär|mrt|mar avr|abr|apr mai|mei|maj|mag|may juin|giu|jun juil|lug|jul"
_MONTHS = f"{_MONTHS} aoû|ago|aug set|sep okt|out|ott|oct nov dez|déc|dic|dec".split()
_ANY = "|".join(_MONTHS)
_ENGLISH = "jan(uary)?|feb(ruary)?|mar(ch)?|apr(il)?|may|june?|july?|aug(ust)?|sept?(ember)?|oct(ober)?"
DATE = re.compile(
    r"\d{1,4}([-/.])\d{1,2}\1\d{1,4}([T ].*)?|\d{1,2}:\d\d(:\d\d.*)?|(19|20)\d\d[-/](0?[1-9]|1[0-2])"
    rf"|([a-z]+[., ]+)?(\d{{1,2}}[-. ]*)?({_ENGLISH}|(nov|dec)(ember)?)[-., ]*(\d{{1,2}}[-., ]+)?\d{{2,4}}"
    rf"|\d{{1,2}}[-. ]+(de )?({_ANY})\w{{0,7}}[-. ]+(de )?\d{{2,4}}|({_ANY})\w{{0,7}}[-. ]+(19|20)\d\d",
    re.IGNORECASE,
)
_ALLELE = re.compile(r"\d\d:(0[1-9]|\d{3})(:\d\d)*[A-Z]?")  # as of HLA: 02:01
# How people write a day and, behind it, a time of the day.
_DAYS = "%Y-%m-%d %d-%m-%Y %m-%d-%Y %d-%m-%y %m-%d-%y %y-%m-%d %Y-%m %d-%b-%Y %d-%b-%y %b-%d-%Y".split()
_DAYS = [day.replace("-", mark) for day in _DAYS for mark in ("-", "/", ".", " ", "")]
_DAYS += ["%d %B %Y", "%d. %B %Y", "%d. %b %Y", "%d de %b de %Y", "%b %d, %Y", "%B %d, %Y", "%b %Y", "%B %Y"]
_CLOCKS = ["%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p"]
_NUMBERS = [(19000101, 21001231, "format", "%Y%m%d"), (190001, 210012, "format", "%Y%m")]
_NUMBERS += [(1e9, 2e9, "unit", "s"), (1e12, 2e12, "unit", "ms")]
SHEET = re.compile(r"date|datum|fecha|dob\b|birth|geburt|_dt$", re.IGNORECASE)  # columns of days in spreadsheets


def among(texts: Sequence[str]) -> list[str]:
    """Return those texts of a column that are dates or times, if they are a tenth of all or more."""
    found = [text for text in texts if DATE.fullmatch(text)]
    found = found if 10 * len(found) >= len(texts) else []
    eight = bool(texts) and all(re.fullmatch(r"\d{8}", text) for text in texts)
    return [*texts] if eight and of_numbers(np.array([*map(float, texts)])) else found


def are_alleles(texts: Sequence[str]) -> bool:
    """Whether they look like times and are none: of most the second number is small, and never 0."""
    alike = [text for text in texts if re.match(r"\d\d:\d\d", text)]
    return bool(alike) and sum(bool(_ALLELE.fullmatch(text)) for text in alike) >= 0.8 * len(alike)


def of_cells(column: pd.Series, void: set[str]) -> str:
    """Write how a column {0} of dates becomes a number, where cells that read as one in `void` stand for nothing."""
    if column.dtype.kind == "m":
        return "frame[{0}] = frame[{0}] / pd.Timedelta('1D')"
    cells = column.dropna().drop_duplicates()
    none = [cell for cell in cells if fold(clean(cell)) in void]
    cells, frame = cells[~cells.isin(none)], "frame[{0}]" + ".astype(object)" * (column.dtype == "category")
    frame += f".mask(frame[{{0}}].isin({none}))" if none else ""
    try:
        pd.to_datetime(cells, utc=True, format="ISO8601")
        whole = f"(pd.to_datetime({frame}, utc=True, format='ISO8601') - pd.Timestamp('2000-01-01', tz='UTC'))"
        whole = f"frame[{{0}}] = {whole} / pd.Timedelta('1D')  # or since what matters"
    except (ValueError, TypeError, OverflowError):
        whole = ""
    words = re.findall(rf"\b(?:{_ANY})[^\W\d]*\b\.?| de ", "|".join(map(str, cells)), re.IGNORECASE)
    months = {re.escape(word): " " for word in sorted(set(words), key=len, reverse=True)}
    months |= {word: month[-3:].title() for word in months for month in _MONTHS if re.match(month, word, re.IGNORECASE)}
    ways = [*_DAYS, *_CLOCKS, *(f"{day}{mark}{clock}" for mark in " T" for clock in _CLOCKS for day in _DAYS)]
    ways = [(re.sub(r"%\w|T", "", way), ("format", way)) for way in ways]
    for english in ({}, months) if 0 < len(months) < 99 else ({},):
        read = cells.replace(english, regex=True) if english else cells
        shapes = read.astype(str).str.replace(r"\w+", "", regex=True)
        groups = ((group, [way for of, way in ways if of == shape]) for shape, group in read.groupby(shapes))
        if line := _line(groups, frame + f".replace({english}, regex=True)" * bool(english)):
            return line
    return whole or "frame = frame.drop(columns=[{0}])  # or write numbers in it: days since something"


def of_numbers(known: np.ndarray) -> str:
    """Write how whole numbers are days (20200131, 31012020), months (202001) or (milli)seconds since 1970, or ""."""
    low, high, cells, frame = known.min(), known.max(), pd.Series(np.unique(known)), "frame[{0}]"
    ways = [(name, way) for least, most, name, way in _NUMBERS if least <= low and high <= most and (known % 1e6).any()]
    if not ways and low > 1e6 and high < 32e6 and ((known % 1e4 >= 1900) & (known % 1e4 <= 2100)).all():
        cells = cells.astype(int).astype(str).str.zfill(8)
        frame += ".astype('Int64').astype('string').str.zfill(8)"
        ways = [("format", "%d%m%Y"), ("format", "%m%d%Y")]
    return _line([(cells, ways)], frame)


def _line(groups: Iterable[tuple[pd.Series, Iterable[tuple[str, str]]]], frame: str) -> str:
    """Write the line for cells of one shape or more, each with ways to read it; "" if some are not read by any."""
    taken = []
    for cells, ways in groups:
        found = {}
        for name, way in ways:
            try:
                read = pd.to_datetime(cells, **{name: way})
            except (ValueError, TypeError, OverflowError):
                continue
            if isinstance(read.dtype, np.dtype) and read.dtype.kind == "M":  # and of no zone
                found.setdefault(tuple(read), (name, way))
        if len(found) > 1:
            orders = " or ".join(repr(way) for _, way in found.values())
            return f"frame[{{0}}] = pd.to_datetime({frame}, format=...)  # in which order? {orders}"
        taken += found.values() or [("", "")]
    clocks = {way in _CLOCKS for _, way in taken}
    if ("", "") in taken or len(clocks) > 1:
        return ""
    start, unit = ("1900-01-01", "1h") if clocks == {True} else ("2000-01-01", "1D")
    some = ", errors='coerce'" * (len(taken) > 1)
    first, *others = (f"pd.to_datetime({frame}, {name}={way!r}{some})" for name, way in taken)
    read = first + "".join(f".fillna({other})" for other in others)
    return f"frame[{{0}}] = ({read} - pd.Timestamp('{start}')) / pd.Timedelta('{unit}')  # or since what matters"
