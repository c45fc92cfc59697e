"""Each statement about another project has a version, a day and a source; each about this one, a notebook or a test.

What is compared stands in ``notebooks/compare.csv``. Its tables in the page: ``python tests/test_compare.py``.
"""

import csv
import datetime
import re
from itertools import groupby
from pathlib import Path

import pytest

import fedkit

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "notebooks" / "compare.md"
PROJECTS = ["fedkit", "NVFlare", "Flower", "FLamby", "Fed-BioMed", "TFF", "OpenMined courses"]
FOUND = {"yes", "partly", "not found", "no"}


def read() -> list[dict]:
    """Return the cells, a row of the file each."""
    with PAGE.with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def faults(cells: list[dict]) -> list[str]:
    """Say what is wrong with the statements, in sentences."""
    found = []
    for feature, each in groupby(cells, lambda cell: cell["feature"]):
        each = list(each)
        if [cell["project"] for cell in each] != PROJECTS:
            found.append(f"{feature}: it has no cell, or two, for some project.")
        for cell in each:
            found += [f"{feature}, {cell['project']}: {why}" for why in wrong(cell)]
    return found


def wrong(cell: dict) -> list[str]:
    """Say what is wrong with one statement."""
    found = [f"{name} is empty." for name, value in cell.items() if not value]
    found += [] if cell["found"] in FOUND else [f"'{cell['found']}' is no answer."]
    try:
        late = datetime.date.fromisoformat(cell["looked"]) > datetime.date.today()
        found += ["it was looked at on a day to come."] if late else []
    except ValueError:
        found.append(f"'{cell['looked']}' is no day.")
    if cell["project"] != "fedkit":
        return [*found, *([] if re.match(r"https://\S+$", cell["source"]) else ["its source is no link."])]
    shows = ("tests/test_", "tests/notebooks/test_", "notebooks/") if cell["found"] in ("yes", "partly") else ("",)
    if not (cell["source"].startswith(shows) and (ROOT / cell["source"]).exists()):
        found.append("no notebook or test shows it.")
    return [*found, *([] if cell["version"] == fedkit.__version__ else ["it is of another version."])]


def tables(cells: list[dict]) -> str:
    """Return the page's tables: a heading and a table for each group, and each answer a link to its source."""
    versions = {cell["project"]: cell["version"] for cell in cells if cell["source"].endswith(f"/{cell['version']}/")}
    heads = [f"{name} {versions.get(name, '')}".strip() for name in PROJECTS]
    lines = []
    for group, members in groupby(cells, lambda cell: cell["group"]):
        lines += [f"## {group[0].upper()}{group[1:]}", "", f"| what | {' | '.join(heads)} |", "|---" * 8 + "|"]
        for feature, each in groupby(members, lambda cell: cell["feature"]):
            answers = [f"[{cell['found']}]({link(cell)})" for cell in each]
            lines.append(f"| {feature} | {' | '.join(answers)} |")
        lines.append("")
    return "\n".join(lines)


def link(cell: dict) -> str:
    """Return where a statement's source is, from the page."""
    here = cell["source"].removeprefix("notebooks/")
    return here if "://" in here or here != cell["source"] else f"../{here}"


def test_every_statement_has_a_version_a_day_and_a_source():
    assert faults(read()) == []


def test_the_page_says_what_the_file_says():
    assert tables(read()) in PAGE.read_text(encoding="utf-8"), "`python tests/test_compare.py` prints the tables."


@pytest.mark.parametrize(
    ("at", "change", "fault"),
    [
        (1, {"version": ""}, "version is empty"),
        (1, {"looked": "2999-01-01"}, "a day to come"),
        (1, {"looked": "today"}, "is no day"),
        (1, {"source": "the documentation"}, "no link"),
        (1, {"found": "better"}, "is no answer"),
        (2, {"project": "NVFlare"}, "no cell, or two"),
        (0, {"found": "yes"}, "no notebook or test shows it"),
        (0, {"source": "fedkit/attic.py"}, "no notebook or test shows it"),
        (0, {"version": "0.1.0"}, "another version"),
    ],
)
def test_a_statement_that_cannot_be_checked_is_found(at, change, fault):
    cells = read()[: len(PROJECTS)]
    assert cells[0]["found"] == "no"
    cells[at] |= change
    assert [one for one in faults(cells) if fault in one]


if __name__ == "__main__":
    print(tables(read()))
