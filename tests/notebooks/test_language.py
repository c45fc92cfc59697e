"""Pages can be read by who learns English as a second language, and a notebook takes the minutes that it says.

What is to be mended on one page, or on all: ``python tests/notebooks/test_language.py 02 README``.
"""

import re
import sys

import prose
import pytest

GLOSSARY = prose.page("glossary")
EASY = "A hospital sends its update. The server adds the updates up, and it reads none of them.\n\n"
every_page = pytest.mark.parametrize("name", prose.NAMES)


def complaints(markdown: str, glossary: str = GLOSSARY) -> list[str]:
    """Return what makes a page hard to read, a sentence each."""
    rare = prose.unexplained(markdown, glossary)
    found = [f"{len(prose.counted(one))} words are too many in one sentence: {one}" for one in prose.long(markdown)]
    found += [f"'{word}' is not British spelling." for word in prose.american(markdown)]
    found += [f"'{word}' is rare: say it in common words, or explain it in the glossary." for word in sorted(rare)]
    grade = prose.grade(markdown)
    return [*found, *([f"Its grade is {grade}, and may be {prose.GRADE}."] if grade > prose.GRADE else [])]


@every_page
def test_a_page_can_be_read_at_grade_six(name):
    assert complaints(prose.page(name)) == []


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("", None),
        ("It goes on and on" + ", and on" * 13 + ".", "31 words are too many"),
        ("It goes on and on" + ", and on" * 12 + "; it ends.", "31 words are too many"),
        ("It goes on and on" + ", and on" * 12 + ". It ends.", None),
        ("- It goes on and on" + ", and on" * 12 + ";\n- and here it ends.", None),
        ("Multinational administrative organisations institutionalise collaboration.", "Its grade is"),
        ("Rows are centralized.", "'centralized' is not British"),
        ("## Neighbors", "'neighbors' is not British"),
        ("| the optimizer | of the server |\n|---|---|", "'optimizer' is not British"),
        ("The size of a prize, a label that is labelled, at the centre.", None),
        ("`centralized` is a name in code, [here](centralized.md).\n\n```\nNeighbors\n```", None),
        ("The yardsticks are old.", "'yardsticks' is rare"),
        ("| a yardstick |\n|---|", "'yardstick' is rare"),
        ("## Yardstick", "'Yardstick' is rare"),
        ("Zhu wrote `yardstick`; $yardstick$ is a number.", None),
        ("Two ciphertexts of the field.", None),
        ("Two decimators of the field.", "'decimators' is rare"),
    ],
)
def test_what_is_hard_to_read_is_found_and_what_is_not_is_left_alone(more, complaint):
    found = complaints(
        3 * EASY + more, "# Glossary\n\n- **ciphertext**: what is encrypted. [00](00_start_here.ipynb)\n"
    )
    assert [one for one in found if complaint in one] if complaint else found == []


@pytest.mark.parametrize(("headword", "entry"), prose.terms(GLOSSARY).items())
def test_a_term_of_the_glossary_is_used_where_its_link_leads(headword, entry):
    (text, address) = re.search(r"\[(\w+)\]\(([\w./]+)\)$", entry).groups()
    (name,) = [name for name in prose.NAMES if prose.link(name) == address]
    assert text in (name[:2], name.lower())
    used = [term for term in headword.split(", ") if prose.mentions(prose.page(name), term)]
    assert used, f"{name} does not speak of {headword}."
    assert 1 <= len(prose.sentences(entry.rpartition("[")[0])) <= 2


def test_the_glossary_is_sorted_and_explains_each_term_once():
    assert len(re.findall(r"^- ", GLOSSARY, flags=re.MULTILINE)) == len(prose.terms(GLOSSARY)) >= 100
    headwords = list(prose.terms(GLOSSARY))
    assert headwords == sorted(headwords, key=str.casefold)
    each = [term.casefold() for headword in headwords for term in headword.split(", ")]
    assert sorted(set(each)) == sorted(each)


@pytest.mark.parametrize(
    ("text", "term", "there"),
    [
        ("Client\ndrifts are *small*.", "client drift", True),
        ("We standardise, and quantised it.", "quantise", True),
        ("The drift of a client.", "client drift", False),
        ("A `gradient` in code.", "gradient", False),
    ],
)
def test_a_term_is_found_in_its_forms(text, term, there):
    assert prose.mentions(text, term) == there


if __name__ == "__main__":
    wanted = [name for text in sys.argv[1:] or prose.NAMES for name in prose.NAMES if text in (name, name[:2])]
    for name in wanted:
        print(f"{name}: grade {prose.grade(prose.page(name))}", end="")
        print(f", {prose.reading_minutes(name)} minutes to read" if name not in prose.FILES else "")
        print(*[f"  {complaint}" for complaint in complaints(prose.page(name))], sep="\n")
