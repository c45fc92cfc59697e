"""What a teacher is given is whole: an entry for each exercise, a term that can be given, a word on each notebook."""

import re
from pathlib import Path

import prose
import pytest
import tools
from tools import exercises, pairing

TEACHER, MARKING = prose.page("teacher"), prose.page("marking")
POINTS = {"Predict": 2, "Modify": 3, "Build": 4}
NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4}


def entries(page: str) -> dict[tuple[str, str], str]:
    """Return what the marking guide says, by the digits of the notebook and the number of the exercise."""
    _, *parts = re.split(r"^### (\d\d), exercise (\d)\n", page, flags=re.MULTILINE)
    return dict(zip(zip(parts[::3], parts[1::3], strict=True), parts[2::3], strict=True))


def asked(name: str) -> dict[tuple[str, str], str]:
    """Return the exercises of a notebook, and what kind each is of."""
    found = dict(re.findall(r"^\*\*(\d)\. (Predict|Modify|Build)\.\*\*", prose.page(name), flags=re.MULTILINE))
    assert {f"Exercise {number}" for number in found} == exercises.checks(name).keys()
    return {(name[:2], number): kind for number, kind in found.items()}


def complaints(page: str, kinds: dict[tuple[str, str], str]) -> list[str]:
    """Return what is missing in a marking guide of these exercises, or is too much."""
    found, heads = entries(page), re.findall(r"^### .+", page, flags=re.MULTILINE)
    wrong = [f"{number}, exercise {of} has no entry." for number, of in kinds.keys() - found.keys()]
    wrong += [f"There is no exercise {of} in {number}." for number, of in found.keys() - kinds.keys()]
    wrong += [f"{len(heads)} entries are {len(found)}."] * (len(heads) != len(found))
    for number, of in found.keys() & kinds.keys():
        text, worth = found[number, of], POINTS[kinds[number, of]]
        rows = re.findall(r"^\| (?!a wrong answer)(.+) \| (.+) \|$", text, re.MULTILINE)
        points = text.partition("Points:")[2].partition("\n\n")[0]
        given = sum(map(NUMBERS.get, re.findall(r"\b(one|two|three|four)\s+for\s", points)))
        said = [f"It says nothing of '{part}'." for part in ("Tests", "Must show:", "Points:") if part not in text]
        said += [f"It gives {given} points, and is worth {worth}."] * (given != worth)
        said += [f"It names {len(rows)} wrong answers."] * (len(rows) < 3)
        said += [f"It does not ask back: {back}" for _, back in rows if "?" not in back]
        wrong += [f"{number}, exercise {of}: {one}" for one in said]
    return wrong


def known(page: str) -> str:
    """Leave out what is about notebooks that are not here."""
    parts = re.split(r"(?=^## )", page, flags=re.MULTILINE)
    return "".join(
        one for one in parts if one[4:6] in {name[:2] for name in tools.names()} or not one.startswith("## [")
    )


def test_each_exercise_has_its_entry_and_each_entry_its_exercise():
    kinds = {at: kind for name in tools.names() for at, kind in asked(name).items()}
    assert complaints(known(MARKING), kinds) == []


ENTRY = """
### 02, exercise 1

**Tests** a. **Must show:** b. **Points:** one for c, one for d.

| a wrong answer | ask back |
|---|---|
| e | f? |
| g | h? |
| i | j? |
"""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("", "", None),
        ("exercise 1", "exercise 2", "02, exercise 1 has no entry"),
        ("exercise 1", "exercise 2", "There is no exercise 2 in 02"),
        ("### 02", "### 2", "1 entries are 0"),
        ("**Tests**", "", "nothing of 'Tests'"),
        ("**Must show:**", "", "nothing of 'Must show:'"),
        (", one for d", "", "gives 1 points, and is worth 2"),
        ("one for d", "two for d", "gives 3 points, and is worth 2"),
        ("| i | j? |\n", "", "names 2 wrong answers"),
        ("j?", "j.", "does not ask back: j."),
    ],
)
def test_an_entry_that_lacks_something_is_seen(old, new, complaint):
    assert old in ENTRY
    found = complaints(ENTRY.replace(old, new, 1), {("02", "1"): "Predict"})
    assert [one for one in found if complaint in one] if complaint else found == []


def test_the_marking_guide_gives_no_answer_in_code():
    solved = [
        line.strip()
        for name in tools.names()
        for cell in pairing.of(name, True).cells
        for line in cell.source.splitlines() * ("solution" in cell.metadata.get("tags", []))
    ]
    assert len(solved) > 150
    assert [line for line in solved if len(line) > 12 and line in MARKING] == []
    assert "```" not in MARKING


def weeks(page: str) -> list[tuple[int, list[str], str]]:
    """Return the rows of the term: the week, the notebooks that are read for it or in it, and what is practised."""
    rows = re.findall(r"^\| (\d+) \| (.+) \| (.+) \| (.+) \|$", page, flags=re.MULTILINE)
    links = [re.findall(r"\(\.\./(\d\d_\w+)\.ipynb\)", f"{before} {inside}") for _, before, inside, _ in rows]
    return [(int(week), names, practised) for (week, _, _, practised), names in zip(rows, links, strict=True)]


def test_the_term_reads_each_notebook_once_after_what_it_needs_and_practises_each_week():
    term, seen = weeks(TEACHER), []
    assert [week for week, *_ in term] == list(range(1, 15))
    for week, names, practised in term:
        seen += names
        needed = {one for name in names if name in tools.names() for one in prose.read_before(prose.page(name))}
        assert needed <= {name[:2] for name in seen}, week
        assert "exercise" in practised
    assert sorted(seen) == tools.names()


def test_what_students_get_wrong_is_said_for_each_notebook():
    parts = dict(re.findall(r"^### \[.+\]\(\.\./(\w+)\.ipynb\)\n\n((?:[-] .+\n(?:  .+\n)*)+)", TEACHER, re.MULTILINE))
    assert set(tools.names()) <= parts.keys()
    assert min(text.count('- *"') for text in parts.values()) >= 2


@pytest.mark.parametrize("name", ["teacher", "marking"])
def test_the_links_of_a_page_lead_somewhere(name):
    links = re.findall(r"\]\(([^)#]+)", known(prose.page(name)))
    here = Path(tools.root(), "notebooks", "teacher")
    assert [one for one in links if not (here / one).exists()] == []
