"""A table at a glance: each column at each hospital, and what a person should look at."""

import copy

import numpy as np
import pandas as pd

from fedkit.reading import patients
from fedkit.reading.table import FEW, Reading
from fedkit.tables import MAX_LEVELS, plain

# What units differ by: inches, pounds, months, days, grams; glucose, cholesterol, creatinine.
_UNITS = np.array([2.54, 2.2046, 12, 365.25, 10, 100, 1000, 18.02, 38.67, 88.4])


@np.errstate(all="ignore")  # infinite numbers are complained of elsewhere
def report(read: Reading) -> pd.DataFrame:
    """Describe each column at each hospital, the label first, and note in `complaints` what looks odd there.

    Columns column, hospital, count, missing, least, most, mean (of the label: its prevalence), spread (standard
    deviation), levels, and apart: how many spreads of all rows the mean lies from theirs, or the share of rows whose
    level would have to be another for the levels to be as frequent as everywhere. And tells: the share of the labels
    other than the most frequent one that the column alone gets right, in the whole table. Of a hospital that joins a
    federation, the others are described beside it.
    """
    mine, read = read, _beside(read)
    many, label = len(read.names), {}
    if read.labels is not None:
        named = pd.Categorical.from_codes(read.labels, read.classes)
        label[str(read.roles[0])] = named if len(read.classes) > 2 else read.labels.astype(float)
    columns, found, texts, tells = label | read.columns, [], [], []
    for name, values in columns.items():
        tells += [read.tells.get(name, np.nan)] * many
        if isinstance(values, pd.Categorical):
            table = _counts(read, values)
            count, everywhere = table.sum(axis=1), table.sum(axis=0)
            share = table / np.maximum(count, 1)[:, None] - everywhere / max(count.sum(), 1)
            apart = np.where(count, np.abs(share).sum(axis=1) / 2, np.nan)
            found.append(np.stack([count, *np.full((4, many), np.nan), apart]))
            best = np.argsort(-table, axis=1, kind="stable")[:, :FEW]
            for own, top in zip(table, best, strict=True):
                texts.append(", ".join(f"{values.categories[at]} {own[at]}" for at in top if own[at]))
            alone = (count >= 5) & (count < count.sum()) & ~((table > 0) & (everywhere > table)).any(axis=1)
            for at in np.flatnonzero(alone) if len(everywhere) <= MAX_LEVELS else ():  # more are refused
                to = ", ".join(f"{level!r}: ..." for level in values.categories[table[at] > 0])
                _odd(read, name, at, "has only levels that no other hospital has", f"frame[{{0}}].replace({{{to}}})")
        else:
            found.append(_moments(read, values))
            texts += [""] * many
    numeric = [at for at, name in enumerate(columns) if not isinstance(columns[name], pd.Categorical)]
    if many > 1 and numeric:
        _compare(read, [*columns], numeric, np.stack(found)[numeric].swapaxes(0, 1))
    patients.say_repeated(mine)
    names = ["count", "least", "most", "mean", "spread", "apart"]
    table = pd.DataFrame(np.concatenate([np.empty((len(names), 0)), *found], axis=1).T, columns=names)
    rows = np.tile(np.diff(read.starts, append=len(read.order)), len(found))
    table.insert(0, "column", np.repeat(np.array([*columns], dtype=object), many))
    table.insert(1, "hospital", read.names * len(found))
    table.insert(3, "missing", rows - table["count"])
    return table.astype({"count": int, "missing": int}).assign(levels=texts, tells=tells)


def _counts(read: Reading, values: pd.Categorical) -> np.ndarray:
    """How many rows each hospital has of each level: shape [hospitals, levels]."""
    codes, levels = values.codes[read.order].astype(np.int64), len(values.categories)
    at = (read.sites[read.order] * levels + codes)[codes >= 0]
    return np.bincount(at, minlength=len(read.names) * levels).reshape(-1, levels)


def _moments(read: Reading, values: np.ndarray) -> np.ndarray:
    """Of a column's numbers at each hospital: count, least, most, mean, spread and apart: shape [6, hospitals]."""
    mine, own = values[read.order], read.sites[read.order]
    known = ~np.isnan(mine)
    count = np.add.reduceat(known, read.starts, dtype=np.int64)
    some = np.where(count, count, np.nan)
    mean = np.add.reduceat(np.where(known, mine, 0), read.starts) / some
    square = np.add.reduceat(np.where(known, mine - mean[own], 0) ** 2, read.starts) / some
    least, most = (each.reduceat(mine, read.starts) for each in (np.fmin, np.fmax))
    all_known = mine[known] if known.any() else np.zeros(1)
    apart = (mean - all_known.mean()) / (all_known.std() or 1)
    return np.stack([count, least, most, mean, np.sqrt(square), apart])


def _compare(read: Reading, names: list[str], numeric: list[int], found: np.ndarray) -> None:
    """Note hospitals whose numbers are of another unit or another code than at a typical one of the others.

    found : what `_moments` has of each numeric column, shape [6, columns, hospitals]
    """
    order = np.argsort(np.where(found[0] >= 5, found[3], np.inf), axis=1, kind="stable")
    seen, rank = (found[0] >= 5).sum(axis=1, keepdims=True), np.arange(len(read.names))
    half = np.maximum(seen - 2, 0) // 2
    other = np.take_along_axis(order, half + (rank <= half), axis=1)  # the middle one of the others
    count, least, most, mean, spread, _ = (np.take_along_axis(each, order, axis=1) for each in found)
    _, low, high, middle, wide, _ = (np.take_along_axis(each, other, axis=1) for each in found)
    moved = least - low
    codes = (moved == most - high) & (moved % 1 == 0) & (moved != 0) & (most > least) & (most - least <= FEW)
    codes &= np.abs(mean - middle - moved) < 0.4 * np.abs(moved)  # all of them, and not the extremes alone
    flat = (spread == 0) & (wide > 0) & (count >= FEW) & (high - low > FEW)
    factor = np.divide(mean, middle, out=np.ones_like(mean), where=middle * mean > 0)
    units = (np.abs(mean - middle) > spread + wide) & ((factor > 1.7) | (factor < 1 / 1.7)) & ~codes & ~flat
    units &= ((least < low) | (most > high)) & ((least % 1 > 0) | (most % 1 > 0) | (np.maximum(most, high) > FEW))
    for column, at in np.argwhere((units | codes | flat) & (rank < seen) & (seen > 1)):
        place, typical = (column, at), read.names[other[column, at]]
        problem = f"has {factor[place]:.3g} times the mean of {typical}, as if in another unit"
        change = _into(factor[place], *(each[place] for each in (mean, middle, spread, wide)))
        if codes[place]:
            problem = f"has the values of {typical} moved by {moved[place]:g}, as if coded otherwise"
            change = f"frame[{{0}}] - {moved[place]:g}"
        if flat[place]:
            problem, change = f"is {least[place]:g} in every row, as if for nothing", "np.nan"
        if (name := names[numeric[column]]) in read.columns:
            _odd(read, name, order[place], problem, change)


def _into(factor: float, mean: float, middle: float, spread: float, wide: float) -> str:
    """Write how a column {0} gets into the unit in which its mean would be `middle` and its spread `wide`."""
    size = max(factor, 1 / factor)
    warm = min(mean, middle) < 50  # as bodies and air are: else it is 78 kg, which are 172 pounds
    if warm and abs(mean - 32 - 1.8 * middle) < wide < spread:
        return "(frame[{0}] - 32) / 1.8"
    if warm and abs(middle - 32 - 1.8 * mean) < spread < wide:
        return "frame[{0}] * 1.8 + 32"
    by = _UNITS[np.abs(np.log(size / _UNITS)).argmin()]
    return f"frame[{{0}}] {'/' if factor > 1 else '*'} {by if abs(np.log(size / by)) < 0.12 else size:.5g}"


def _odd(read: Reading, name: str, at: int, problem: str, change: str) -> None:
    """Note what is odd about a column {0} at a hospital, and how it would be changed."""
    if at and not read.cells:  # another one of the federation that is joined
        return
    if read.cells:
        change = f"frame[{{0}}].mask(frame[{read.roles[-1]!r}] == {plain(read.cells[at])!r}, {change})"
    rows, write = np.diff(read.starts, append=len(read.order))[at], f"frame[{{0}}] = {change}  # if it is wrong"
    read.say(name, f"Column {{0}} at {read.names[at]} {problem}", write, (), rows, read.names[at])


def _beside(read: Reading) -> Reading:
    """Put the hospitals of a federation behind the one that joins it."""
    others = [one for one in getattr(read.agreed, "hospitals", ()) if one.name != read.names[0]]
    if read.labels is None or not others:
        return read
    both, rows = copy.copy(read), [len(read.frame), *map(len, others)]
    both.names = [*read.names, *(other.name for other in others)]
    both.sites, both.order = np.repeat(np.arange(len(rows)), rows), np.arange(sum(rows))
    both.starts = np.cumsum([0, *rows[:-1]])
    both.labels = np.concatenate([read.labels, *(one.labels for one in others)])
    both.columns = {}
    for name, own in read.columns.items():
        if isinstance(own, pd.Categorical):
            theirs = [pd.Categorical(other.table[name], own.categories).codes for other in others]
            both.columns[name] = pd.Categorical.from_codes(np.concatenate([own.codes, *theirs]), own.categories)
        else:
            both.columns[name] = np.concatenate([own, *(other.table[name] for other in others)])
    return both
