"""A notebook ends with a quiz, which needs no script: an answer is opened, and says whether it is right, and why."""

import re
from collections import Counter
from typing import NamedTuple
from xml.etree import ElementTree

import nbformat
import prose
import pytest
import tools
from markdown_it import MarkdownIt
from tools import pairing

RIGHT, WRONG = "Right: ", "Not this one: "
WORDS = 25  # a sentence
GOOD = """\
## Quiz

Choose an answer, and open it.
""" + "".join(
    f"""
**{number}. What travels from hospital {number}?**

<details><summary>The rows of patients</summary>

Not this one: rows stay at home.

</details>
<details><summary>The update of a model</summary>

Right: it says how far each number moved. [Notebook 02](02_federated_learning.ipynb) makes one.

</details>
<details><summary>The key of a letter</summary>

Not this one: a hospital keeps it.

</details>
"""
    for number in (1, 2, 3)
)


class Question(NamedTuple):
    """A question; and for each answer what it says, and what opens below it."""

    text: str
    answers: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def right(self) -> int:
        """The place of the right answer."""
        return [reason.startswith(RIGHT) for reason in self.reasons].index(True)


def questions(markdown: str) -> list[Question]:
    """Read a quiz as a browser shows it. ParseError or ValueError if it would show something else than a quiz."""
    page = ElementTree.fromstring(f"<quiz>{MarkdownIt().render(markdown)}</quiz>")
    if not re.fullmatch("h2 p( p( details){3})+", " ".join(part.tag for part in page)):
        raise ValueError("It is not a heading, a line, and questions with three answers each.")
    boxes = [page, *page.findall("details")]
    bare = [text for box in boxes for text in (box.text, *(part.tail for part in box)) if text and text.strip()]
    if bare:
        raise ValueError(f"A blank line is missing: {' '.join(bare[0].split())}")
    _, _, *asked = page.findall("h2") + page.findall("p")
    opened = [(summary.text, [*parts], len(summary)) for summary, *parts in page.findall("details")]
    if any(marked or {part.tag for part in parts} != {"p"} for _, parts, marked in opened):
        raise ValueError("An answer is not a summary of plain text, and paragraphs.")
    told = [(text, "\n\n".join("".join(part.itertext()) for part in parts)) for text, parts, _ in opened]
    three = [tuple(zip(*told[at : at + 3], strict=True)) for at in range(0, len(told), 3)]
    return [Question("".join(one.itertext()), *both) for one, both in zip(asked, three, strict=True)]


def complaints(markdown: str) -> list[str]:
    """Return what is wrong in a quiz."""
    try:
        found = questions(markdown)
    except (ElementTree.ParseError, ValueError) as error:
        return [str(error)]
    wrong = [f"{len(found)} questions are not three to five."] * (not 3 <= len(found) <= 5)
    for number, (text, answers, reasons) in enumerate(found, 1):
        kinds = sorted(next((kind for kind in (RIGHT, WRONG) if reason.startswith(kind)), "?") for reason in reasons)
        sizes = [len(answer) for answer in answers]
        rules = {
            f"'{text}' is not question {number}.": re.fullmatch(rf"{number}\. .+\?", text, flags=re.DOTALL),
            f"The answers begin with {kinds}.": kinds == [WRONG, WRONG, RIGHT],
            "A reason has less than three words.": all(
                len(prose.counted(one.partition(": ")[2])) > 2 for one in reasons
            ),
            "A summary shows Markdown as it is.": not re.search(r"[*_`\[\]$&]", "".join(answers)),
            f"The answers have {sizes} signs, which tells too much.": max(sizes) <= 1.5 * min(sizes),
        }
        wrong += [sentence for sentence, holds in rules.items() if not holds]
    long = [one for one in prose.sentences(markdown) if len(prose.counted(one)) > WORDS]
    return wrong + [f"It has more than {WORDS} words: {one}" for one in long]


def habits(found: list[Question]) -> list[str]:
    """Return by what a reader could guess the right answers of many questions, and what is asked twice."""
    places = Counter(one.right for one in found)
    lengths = {
        which: sum(len(one.answers[one.right]) == end(map(len, one.answers)) for one in found)
        for which, end in {"longest": max, "shortest": min}.items()
    }
    twice = [text for text, count in Counter(one.text.partition(" ")[2] for one in found).items() if count > 1]
    wrong = [f"{text} is asked twice." for text in twice]
    wrong += [f"Of {len(found)}, {many} are the {which}." for which, many in lengths.items() if 2 * many > len(found)]
    return wrong + [f"Their places are {places}."] * (2 * max(places.values()) > len(found) or len(places) < 3)


def quiz(notebook: dict) -> str:
    """Return the text of the cells that are tagged so; none is an empty text."""
    return "\n\n".join(cell.source for cell in notebook.cells if "quiz" in cell.metadata.get("tags", []))


NAMES = tools.names()


@pytest.mark.parametrize("name", NAMES)
def test_a_quiz_is_a_quiz(name):
    assert not (found := complaints(quiz(pairing.of(name)))), "\n".join(found)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("solutions", [False, True], ids=["student", "solutions"])
def test_the_quiz_is_the_last_cell_of_both_copies(name, solutions):
    notebook = nbformat.read(pairing.path(name, solutions), as_version=4)
    assert notebook.cells[-1].cell_type == "markdown"
    assert notebook.cells[-1].source == quiz(notebook) != ""


def test_no_habit_gives_the_right_answers_away():
    assert habits([one for name in NAMES for one in questions(quiz(pairing.of(name)))]) == []


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("", "", None),
        ("## Quiz\n\n", "", "It is not a heading"),
        ("</summary>\n\n", "</summary>\n", "A blank line is missing: Not this one"),
        ("</details>\n\n", "</details>\n", "It is not a heading"),
        ("</summary>", "", "mismatched tag"),
        (GOOD[GOOD.index("<details>") : GOOD.index("<details><summary>The update")], "", "three"),
        ("The rows of", "The *rows* of", "Markdown as it is"),
        ("The rows of", "The <b>rows</b> of", "plain text"),
        ("Not this one: rows stay at home.", "", "plain text"),
        ("Not this one: rows stay at home.", "Not this one:", "The answers begin with"),
        ("Not this one: rows stay at home.", "Not this one: no.", "less than three words"),
        ("Not this one: rows", "Right: rows", "The answers begin with"),
        ("Right: it", "Not this one: it", "The answers begin with"),
        ("**1. ", "**2. ", "is not question 1"),
        ("1?**", "1.**", "is not question 1"),
        ("The rows of patients", "The rows of patients, who were all asked", "tells too much"),
        ("rows stay", "rows stay" + " and stay" * 12, "more than 25 words"),
        (GOOD[GOOD.index("**3.") :], "", "2 questions are not three to five"),
    ],
)
def test_a_broken_quiz_is_seen(old, new, complaint):
    assert old in GOOD
    found = complaints(GOOD.replace(old, new, 1))
    assert [one for one in found if complaint in one] if complaint else found == []


@pytest.mark.parametrize(
    ("asked", "right", "lengths", "habit"),
    [
        ("abc", [0, 1, 2], [213, 123, 312], None),
        ("aba", [0, 1, 2], [213, 123, 312], "a is asked twice"),
        ("abc", [0, 1, 2], [312, 132, 312], "2 are the longest"),
        ("abc", [0, 1, 2], [123, 213, 312], "2 are the shortest"),
        ("abcd", [0, 0, 1, 1], [213, 213, 123, 123], "places"),
        ("abcdef", [0, 0, 0, 0, 1, 2], [213, 213, 213, 213, 123, 312], "places"),
    ],
)
def test_a_habit_is_seen(asked, right, lengths, habit):
    made = [
        Question(
            f"1. {text}",
            tuple("x" * int(length) for length in str(three)),
            tuple(RIGHT if at == place else WRONG for at in range(3)),
        )
        for text, place, three in zip(asked, right, lengths, strict=True)
    ]
    assert [one for one in habits(made) if habit in one] if habit else habits(made) == []
