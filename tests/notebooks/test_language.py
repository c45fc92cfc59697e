"""Pages can be read by who learns English as a second language, and a notebook takes the minutes that it says.

What is to be mended on one page, or on all: ``python tests/notebooks/test_language.py 02 README``.
"""

import re
import sys

import prose
import pytest
import tools
from small_notebook import SOURCE
from tools import pairing

from fedkit.compat import environment

GLOSSARY, SYLLABUS = prose.page("glossary"), prose.page("syllabus")
EASY = "A hospital sends its update. The server adds the updates up, and it reads none of them.\n\n"
every_notebook = pytest.mark.parametrize("name", tools.names())
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
    assert not (found := complaints(prose.page(name))), "\n".join(found)


@pytest.mark.parametrize(
    ("more", "complaint"),
    [
        ("", None),
        ("It goes on and on" + ", and on" * 13 + ".", "31 words are too many"),
        ("It goes on and on" + ", and on" * 12 + "; it ends.", "31 words are too many"),
        ("It goes on and on" + ", and on" * 12 + ". It ends.", None),
        ("- It goes on and on" + ", and on" * 12 + ";\n- and here it ends.", None),
        ("Multinational administrative organisations institutionalise collaboration.", "Its grade is"),
        ("## Neighbors", "'neighbors' is not British"),
        ("| the optimizer | of the server |\n|---|---|", "'optimizer' is not British"),
        ("The size of a prize, a label that is labelled, at the centre.", None),
        ("`centralized` is a name in code, [here](centralized.md).\n\n```\nNeighbors\n```", None),
        ("The yardsticks are old.", "'yardsticks' is rare"),
        ("| a yardstick |\n|---|", "'yardstick' is rare"),
        ("## Yardstick", "'Yardstick' is rare"),
        ("Zhu wrote `yardstick`; $yardstick$ is a number.", None),
        ("Two ciphertexts of the field.", None),
        ("Two decimators of the field.", None),
        ("Two perturbations of the field.", "'perturbations' is rare"),
    ],
)
def test_what_is_hard_to_read_is_found_and_what_is_not_is_left_alone(more, complaint):
    found = complaints(
        3 * EASY + more, "# Words\n\n## ciphertext\n\nWhat a **decimator** makes. [00](00_start_here.ipynb)\n"
    )
    assert [one for one in found if complaint in one] if complaint else found == []


def test_american_spellings_are_known_and_what_only_looks_like_one_is_not():
    wrong = "behavior center color defense enroll gray labeled math modeling normalization quantizing skeptical"
    right = "behaviour centre colour defence enrol grey labelled maths modelling prize seized size parameters horizon"
    assert prose.american(f"{wrong}. {right}.") == wrong.split()


@pytest.mark.parametrize(
    ("code", "sentences"),
    [
        ("plots.save(draw(table), 'gain', table, 'An arrow a hospital.')", "An arrow a hospital."),
        ("plots.Picture(diagrams.architecture(), 'Four boxes.')", "Four boxes."),
        ("claim(gain > 0.1, 'It should gain.')", "It should gain."),
        ("course.check('Exercise 1', guess, (right, 'Look at Hungary.'))", "Look at Hungary."),
        ("print('Not this one.')", ""),
    ],
)
def test_what_code_says_to_the_reader_is_read(code, sentences):
    assert prose.said(code) == sentences


@pytest.mark.parametrize(("headword", "entry"), prose.terms(GLOSSARY).items())
def test_a_term_of_the_glossary_is_used_where_its_link_leads(headword, entry):
    (text, address) = re.search(r"\[(\w+)\]\(([\w./]+)\)$", entry).groups()
    (name,) = [name for name in prose.NAMES if prose.link(name) == address]
    assert text in (name[:2], name.lower())
    used = [term for term in prose.spoken_of(headword, entry) if prose.mentions(prose.page(name), term)]
    assert used, f"{name} does not speak of {headword}."
    assert 1 <= len(prose.sentences(entry.rpartition("[")[0])) <= 2


def test_the_glossary_is_sorted_and_explains_each_term_once():
    headwords = re.findall(r"^## (.+)", GLOSSARY, flags=re.MULTILINE)
    assert headwords == sorted(headwords, key=str.casefold)
    each = [term.casefold() for entry in prose.terms(GLOSSARY).items() for term in prose.spoken_of(*entry)]
    assert sorted(set(each)) == sorted(each)


@every_page
def test_a_link_into_the_glossary_finds_its_word(name):
    linked = re.findall(r"glossary\.md#([^)]*)\)", prose.page(name))
    assert set(linked) <= {prose.anchor(headword) for headword in prose.terms(GLOSSARY)}


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


def row(markdown: str, name: str) -> str:
    """Return the row of a table that begins with a link to the notebook."""
    (found,) = re.findall(
        rf"^\| \[{name[:2]}[^]]*\]\((?:notebooks/)?{name}\.ipynb\) \|.+$", markdown, flags=re.MULTILINE
    )
    return found


@every_notebook
@pytest.mark.parametrize("page", ["README", "syllabus"])
def test_minutes_are_what_was_measured_and_computed_and_the_same_everywhere(name, page):
    run, read = prose.running_minutes(name), prose.reading_minutes(pairing.of(name))
    wanted = prose.first_line(run, read)
    assert wanted in prose.page(name), f"Below its title {name} should say: {wanted}"
    assert f"| {run} | {read} |" in row(prose.page(page), name)


@every_notebook
def test_the_syllabus_says_what_a_notebook_wants_to_be_read_before(name):
    assert row(SYLLABUS, name).split(" | ")[3] == (", ".join(prose.read_before(prose.page(name))) or "nothing")


@pytest.mark.parametrize(
    ("old", "new", "minutes"),
    [
        ("", "", 10),
        ("word " * 1000, "word " * 300, 5),  # 10 minutes and a half become 3 and a half
        ("# %%\n1 + 1", "# %%\n1 + 1\n\n" * 10 + "# %%\n1 + 1", 20),
        ("# %%\n1 + 1", '# %% tags=["glue"]\n1 + 1\n\n' * 10 + "# %%\n1 + 1", 10),
        ("word " * 1000, "word " * 700, 10),
        ("1 + 1", "plots.Picture(plots.hospitals(federation), 'A hospital.')", 15),
        ("word " * 1000, "word " * 700 + "\n\n# %%\nplots.save(figure, 'one', table, 'Two.')", 10),
        ("word " * 1000, "word " * 1000 + "\n\n# %% [markdown]\n# ## Exercises\n#\n# " + "word " * 1000, 10),
        ("word " * 1000, "word " * 1000 + "\n#\n# ## Exercises\n#\n# " + "word " * 1000, 10),
    ],
)
def test_reading_takes_time_for_words_code_and_pictures_and_not_for_exercises(old, new, minutes):
    text = SOURCE.replace("One minute.", "word " * 1000)
    assert old in text
    notebook = pairing.make("01_small", text.replace(old, new), environment.repository())
    assert prose.reading_minutes(notebook) == minutes


def faults(plan: list[prose.Part], before: set[str]) -> list[str]:
    """Return what is wrong in the plan of a lesson to a class that has had some notebooks in earlier lessons."""
    ends = [0, *(part.end for part in plan)]
    named = {name for part in plan for name in part.notebooks}
    wanted = {number for name in named & set(tools.names()) for number in prose.read_before(prose.page(name))}
    practised = sum(part.end - part.start for part in plan if "exercise" in part.what)
    gaps = [(end, part.start) for end, part in zip(ends, plan, strict=False) if end != part.start]
    found = [f"minute {end} is followed by {start}" for end, start in gaps]
    found += [f"there is no notebook {name}" for name in named - set(tools.names())]
    found += [f"it needs {number}" for number in sorted(wanted - {name[:2] for name in named | before})]
    found += [f"it ends after {ends[-1]} minutes"] if ends[-1] != 90 else []
    found += [f"{practised} minutes of exercises are too few"] if practised < 10 else []
    return found


def test_the_lessons_can_be_given_as_planned():
    one, *four = prose.plans(SYLLABUS)
    (seats,) = prose.plans(prose.page("classroom"))  # in which each student is a hospital
    assert faults(one, set()) == faults(seats, set()) == []
    assert len(four) == 4
    before = set()
    for plan in four:
        assert faults(plan, before) == []
        before |= {name for part in plan for name in part.notebooks}
    assert sorted(before) == tools.names()


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("", "", None),
        ("to 90", "to 85", "it ends after 85"),
        ("| 30 to", "| 35 to", "minute 30 is followed by 35"),
        ("| 30 to", "| 25 to", "minute 30 is followed by 25"),
        ("(01_centralized_baseline", "(01_baseline", "there is no notebook 01_baseline"),
        ("[01](01_centralized_baseline.ipynb)", "the board", "it needs 01"),
        ("an exercise", "a walk", "0 minutes of exercises"),
    ],
)
def test_a_plan_that_does_not_work_is_seen(old, new, fault):
    table = """
| minutes | what | with |
|---|---|---|
| 0 to 30 | the story | [00](00_start_here.ipynb), [01](01_centralized_baseline.ipynb) |
| 30 to 90 | an exercise | [02](02_federated_learning.ipynb) |
"""
    assert old in table
    (plan,) = prose.plans(table.replace(old, new))
    found = faults(plan, set())
    assert [one for one in found if fault in one] if fault else found == []


if __name__ == "__main__":
    wanted = [name for text in sys.argv[1:] or prose.NAMES for name in prose.NAMES if text in (name, name[:2])]
    for name in wanted:
        print(f"{name}: grade {prose.grade(prose.page(name))}")
        if name in tools.names():
            print(f"  {prose.reading_minutes(pairing.of(name))} minutes to read, by the rule of the syllabus")
        print(*[f"  {complaint}" for complaint in complaints(prose.page(name))], sep="\n")
