"""Text that is numbers: the arguments by which it is read as such, or the line that makes numbers of it."""

import re
from collections.abc import Hashable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fedkit.tables import NUMBER, Cells, clean, fold, plain

# How people write numbers that no argument reads: the shape, the signs to leave out, and whether a comma is the point.
_WRITTEN = {
    "thousands": (r"[-+]?(\d{1,3}([,\s']\d{3})+|\d+)(\.\d+)?", r"[,\s']", False),
    "decimals behind a point or a comma": (r"[-+]?\d*[.,]?\d+", r"\s", True),
    "thousands, and decimals behind a comma": (r"[-+]?(\d{1,3}([.\s']\d{3})+|\d+)(,\d+)?", r"[.\s']", True),
}


def as_numbers(void: list[str], cells: list[object], own: Cells) -> tuple[dict[str, Any], str]:
    """Say how these cells of a column {0} are read as numbers: by arguments, or else by a line, or else not.

    void : texts that stand for nothing
    own : what was said of its cells
    """
    texts, every = [clean(cell) for cell in cells if isinstance(cell, str)], [*map(str, map(plain, cells))]
    trial = replace(own, decimal="," if any("," in text for text in texts) else ".", below=0.5, above=1)
    how = {"missing": void} if void else {}
    how |= {"decimal": trial.decimal} if texts and trial.decimal != own.decimal else {}
    for name, signs in {"below": "<≤", "above": ">≥"}.items():
        if getattr(own, name) is None and any(text[0] in signs for text in texts):
            how[name] = getattr(trial, name)
    commas = [text for text in texts if "," in text]
    unclear = bool(commas) and all(re.fullmatch(r"[-+]?\d{1,3},\d{3}", text) for text in commas)
    if not unclear and not any(np.isnan(trial.number(text)) for text in texts):
        return how, ""
    read = "frame[{0}].astype('string')" + f".replace({void}, pd.NA)" * bool(void)
    pairs = [text.split("/") for text in every if re.fullmatch(r"\d+/\d+", text)]
    if len(pairs) == len(every) and all(int(upper) > int(lower) for upper, lower in pairs):  # as of blood
        return {}, f"frame[[{{0}}, str({{0}}) + ' 2']] = {read}.str.split('/', expand=True).astype(float)"
    found = [NUMBER.fullmatch(text) for text in texts]
    money = any(each["money"] for each in found)
    units = sorted({each[part] or "" for each in found for part in ("money", "unit")} - {""})
    if len({*map(fold, units)}) > 1:
        number, unit = (f"{read}.str.extract('({part})')[0]" for part in ("[-0-9.]+", "|".join(units)))
        line = f"frame[{{0}}] = pd.to_numeric({number}) * {unit}.map({{{units[0]!r}: 1, {units[1]!r}: ...}})"
        return {}, line if len(every) > 10 else ""
    unit, lines = "|".join(map(re.escape, units)), {}
    for name, (shape, signs, comma) in _WRITTEN.items():
        bare = [re.sub(unit, "", text).strip() for text in every]
        if all(re.fullmatch(shape, text) for text in bare):
            out = "|".join([unit] * bool(unit) + [signs] * any(re.search(signs, text) for text in every))
            line = f".str.replace({out!r}, '', regex=True)" * bool(out) + ".str.replace(',', '.')" * comma
            value = tuple(float(re.sub(signs, "", text).replace(",", ".")) for text in bare)
            lines.setdefault(value, f"pd.to_numeric({read}{line})  # {name}")
    if len(lines) < 2 or money:  # which has no thousandths
        return {}, f"frame[{{0}}] = {lines[max(lines)]}: right so?" if lines else ""
    return {}, "frame[{0}] = ...  # which is right? " + " or ".join(lines.values()).replace("  # ", ", ")


def of_column(column: Hashable, how: Mapping[str, Any]) -> dict[str, Any]:
    """Write arguments of `Cells` as those of one column, where they can be."""
    return {name: {column: own} if name in ("missing", "decimal", "rare") else own for name, own in how.items()}
