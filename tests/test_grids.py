"""A table that takes longer than a lesson is refused where what it follows from has changed."""

import importlib
import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tools import study

from fedkit import learning
from fedkit.studies import grids

MODULE = '''
"""Squares."""

import pandas as pd

from fedkit.studies.grids import Grid


def rows(seed):
    """Square."""
    return pd.DataFrame({"seed": seed, "value": [seed**2 + 1 / 3]})  # and a third


GRID = Grid("squares", rows, range(4))
'''


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A checkout whose table was computed by two processes."""
    top = tmp_path_factory.mktemp("computed")
    (top / "data" / "heart_disease").mkdir(parents=True)
    (top / "data" / "heart_disease" / "SHA256SUMS").write_text("00  cleveland.csv\n")
    (top / "squares.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        enter(top, patch)
        assert study.study("squares", top / "kept", processes=2)
    return top


def enter(home, patch):
    patch.setattr(grids, "HOME", home / "data" / "grids")
    patch.syspath_prepend(home)
    patch.delitem(sys.modules, "squares", raising=False)


@pytest.fixture
def home(computed, tmp_path, monkeypatch):
    copy = Path(shutil.copytree(computed, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__")))
    enter(copy, monkeypatch)
    yield copy
    sys.modules.pop("squares", None)


def made(home):
    return study.study("squares", home / "kept", processes=1)


@pytest.fixture
def grid(home):
    return importlib.import_module("squares").GRID


def test_a_study_is_computed_once_by_several_processes_and_goes_on_where_it_stopped(home, grid):
    table = grid.table()
    assert table["seed"].tolist() == [0, 1, 2, 3]
    assert np.allclose(table["value"], np.arange(4) ** 2 + 1 / 3, rtol=1e-7)
    assert grids.same(grid.rows(2), table)
    assert not grids.same(grid.rows(2).assign(value=4.334), table)
    assert not grids.same(grid.rows(2).assign(more=1), table)
    assert not made(home)

    (grids.HOME / "digests.json").unlink()
    for seed in (1, 2):
        (home / "kept" / grid.digest() / f"{seed}.csv").write_text(f"seed,value\n{seed},-1\n")
    (home / "kept" / grid.digest() / "3.csv").unlink()
    assert made(home)
    assert grid.table()["value"].tolist() == pytest.approx([1 / 3, -1, -1, 9 + 1 / 3])


def test_a_process_that_fails_leaves_no_table(home):
    (home / "squares.py").write_text(MODULE.replace("seed**2", "seed // (seed - 3)"))
    with pytest.raises(RuntimeError, match="squares has failed"):
        made(home)
    with pytest.raises(ValueError, match=r"'squares' of data/grids is missing.*make study"):
        importlib.import_module("squares").GRID.table()


@pytest.mark.parametrize(
    ("old", "new", "stale"),
    [
        ("# and a third", "# and a little more", False),
        ('"""Square."""', '"""Square, and a third."""\n', False),
        ('"""Squares."""', '"""Numbers and their squares."""', False),
        ("seed**2", "seed ** 2", False),
        ("seed**2", "seed**3", True),
        ("range(4)", "range(5)", True),
    ],
)
def test_code_and_seeds_make_a_table_stale_and_a_comment_does_not(home, grid, old, new, stale):
    (home / "squares.py").write_text(MODULE.replace(old, new))
    seeds = range(5) if "range(5)" in new else grid.seeds
    changed = replace(grid, seeds=seeds)
    if stale:
        with pytest.raises(ValueError, match="make study"):
            changed.table()
    else:
        assert len(changed.table()) == 4


def test_so_do_data_and_what_a_grid_follows_from(home, grid):
    assert replace(grid, follows=(learning,)).digest() != grid.digest()
    assert replace(grid, seeds=range(5)).digest() != grid.digest()
    (home / "data" / "heart_disease" / "SHA256SUMS").write_text("01  cleveland.csv\n")
    with pytest.raises(ValueError, match="make study"):
        grid.table()


@pytest.mark.parametrize("name", grids.CORE)
def test_every_grid_follows_from_what_computes(grid, name, monkeypatch):
    read = grids.ast.parse
    before, path = grid.digest(), grids.PACKAGE / f"{name}.py"
    text = path.read_text()
    monkeypatch.setattr(grids.ast, "parse", lambda code: read(code + "\nMORE = 1" * (code == text)))
    assert grid.digest() != before


@pytest.mark.parametrize("module", study.GRIDS)
def test_the_tables_that_are_shipped_are_todays(module):
    grid = importlib.import_module(module).GRID
    assert set(grid.table()["seed"]) == set(grid.seeds)


def test_a_table_without_a_grid_is_not_shipped():
    names = {importlib.import_module(module).GRID.name for module in study.GRIDS}
    assert {path.stem for path in grids.HOME.glob("*.csv")} == names
    assert set(json.loads((grids.HOME / "digests.json").read_text()) if names else ()) == names
    assert re.search(r'"data/grids"', (grids.PACKAGE.parent / "pyproject.toml").read_text())
