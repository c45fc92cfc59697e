"""Tables that take longer than a lesson: `make study` computes them, and a notebook a sample of them anew.

A table is kept in ``data/grids`` with the digest of all that it follows from. Where that has changed, it is refused.
"""

import ast
import hashlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pandas as pd

from fedkit import hospitals

# What all grids follow from. How tables become hospitals is no part of it: where that gives other rows, the sample that
# a notebook computes anew is not the table's.
CORE = "preparation models learning aggregators evaluation compat/tff".split()
PACKAGE = Path(hospitals.__file__).parent
HOME = next((root for root in hospitals.ROOTS if root.is_dir()), hospitals.ROOTS[-1]) / "grids"


@dataclass(frozen=True)
class Grid:
    """A table that is computed a seed at a time.

    name : of its file
    rows : returns the rows of a seed, a column "seed" among them; the same each time
    seeds : all that the table holds
    follows : modules that the rows follow from, beside the core's and that of `rows`
    data : folders of ``data`` that are read
    """

    name: str
    rows: Callable[[int], pd.DataFrame]
    seeds: range
    follows: tuple[ModuleType, ...] = ()
    data: tuple[str, ...] = ("heart_disease",)

    def digest(self) -> str:
        """Hash what the table follows from: the code, but its comments and docstrings, the data, and the seeds."""
        files = [PACKAGE / f"{name}.py" for name in CORE]
        files += [Path(module.__file__) for module in (*self.follows, sys.modules[self.rows.__module__])]
        code = [_meaning(ast.parse(file.read_text(encoding="utf-8"))) for file in files]
        sums = [(HOME.parent / folder / "SHA256SUMS").read_text(encoding="utf-8") for folder in self.data]
        return hashlib.sha256(json.dumps([code, sums, list(self.seeds)]).encode()).hexdigest()

    def table(self) -> pd.DataFrame:
        """Read all rows; ValueError if there are none, or they follow from other code or data than today's."""
        if digests().get(self.name) != self.digest():
            why = "is missing, or follows from other code or data than there are now"
            raise ValueError(f"The table {self.name!r} of data/grids {why}. Compute it again, with make study.")
        return pd.read_csv(HOME / f"{self.name}.csv")


def digests() -> dict[str, str]:
    """Return what each table follows from: name -> digest."""
    file = HOME / "digests.json"
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


def same(live: pd.DataFrame, table: pd.DataFrame, tolerance: float = 1e-5) -> bool:
    """Say whether rows that were computed here are the table's rows of their seeds, numbers up to the tolerance."""
    kept, how = table[table["seed"].isin(live["seed"])], {"rtol": tolerance, "atol": tolerance, "check_dtype": False}
    try:
        pd.testing.assert_frame_equal(live.reset_index(drop=True), kept.reset_index(drop=True), **how)
    except AssertionError:
        return False
    return True


def _meaning(node: object) -> object:
    """Return a syntax tree as lists, without docstrings, and without what only some versions of Python write down."""
    if isinstance(node, list):
        return [_meaning(each) for each in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    parts = dict(ast.iter_fields(node))
    documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None
    parts |= {"body": node.body[1:]} if documented else {}
    return [type(node).__name__, *([name, _meaning(part)] for name, part in parts.items() if part not in (None, []))]
