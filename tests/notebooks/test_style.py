"""The house style of the notebooks, where a machine can see it."""

import ast
import re
import statistics
import tempfile
from pathlib import Path

import nbformat
import pytest
import tools
from small_notebook import SOURCE
from tools import pairing

from fedkit.compat import environment

CELL_LINES, MEDIAN_LINES, SETUP_LINES = 25, 6, 8
PROSE_WORDS = range(800, 2001)
GOALS = range(3, 6)
COPIES = [(name, solutions) for name in tools.names() for solutions in (False, True)]


def tagged(notebook: dict, tag: str) -> list[dict]:
    return [cell for cell in notebook["cells"] if tag in cell["metadata"].get("tags", [])]


def bullets(text: str) -> int:
    return len(re.findall(r"^(?:- |\d+\. )", text, flags=re.MULTILINE))


def sections(prose: str) -> dict[str, str]:
    """Second-level heading -> what stands below it; "" -> what stands before the first."""
    first, *rest = re.split(r"^## ", prose, flags=re.MULTILINE)
    return {"": first} | {part.partition("\n")[0].strip(): part.partition("\n")[2] for part in rest}


def words(prose: str) -> int:
    """Count words as a reader does: without addresses, code blocks, tables' lines and signs."""
    bare = re.sub(r"```.*?```|\]\([^)]*\)|<[^>]+>", " ", prose, flags=re.DOTALL)
    return len(re.findall(r"[A-Za-z][\w'’-]*", bare))


def parameter_problems(source: str) -> list[str]:
    """Papermill's cell holds constants and nothing else; the notebook itself says 'full'."""
    found = {}
    for node in ast.parse(source).body:
        if not (isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)):
            return [f"the parameters cell must hold scalars only, not {ast.unparse(node)!r}"]
        found[ast.unparse(node.targets[0])] = node.value.value
    return [] if found.get("PROFILE") == "full" else ["the parameters cell must say PROFILE = 'full'"]


def problems(name: str, notebook: dict) -> list[str]:
    """Return what is not as it should be in a notebook as it is made (the student's copy)."""
    found = []
    code = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code"]
    markdown = [cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "markdown"]
    prose = "\n".join(markdown)
    own = [len(source.splitlines()) for source in code if source != setup_cell()]
    found += [f"a cell has {lines} lines" for lines in own if lines > CELL_LINES]
    if statistics.median(own) > MEDIAN_LINES:
        found.append(f"the median cell has {statistics.median(own)} lines")
    if not re.match(rf"# {name[:2]}\. \S", prose) or len(re.findall(r"^# ", prose, flags=re.MULTILINE)) != 1:
        found.append("there must be one title, first of all")
    if f"/notebooks/{name}.ipynb)" not in markdown[0].partition("## ")[0]:
        found.append("the badge is missing")
    goals = bullets(sections(markdown[0])[""].partition("By the end you can")[2])
    headings = list(sections(prose))
    if goals not in GOALS:
        found.append(f"below 'By the end you can' there are {goals} bullets")
    if headings[-2:] != ["What you can do now", "Exercises"]:
        found.append(f"the last sections are {headings[-2:]}")
    elif bullets(sections(prose)["What you can do now"]) != goals:
        found.append("what you can do now does not answer the goals one by one")
    if words(prose) not in PROSE_WORDS:
        found.append(f"there are {words(prose)} words of prose")
    found += parameter_problems(tagged(notebook, "parameters")[0]["source"])
    if not tagged(notebook, "exercise"):
        found.append("there is no exercise")
    if re.search(r"!\[\s*\]\(", prose):
        found.append("a picture has no words in its place")
    return found


def setup_cell() -> str:
    return pairing.SETUP.format(repository=environment.repository())


made = pairing.of


def machine_traces(notebook: dict) -> list[str]:
    """Paths and addresses in the outputs that are of the machine that the notebook ran on."""
    folders = {str(place.resolve()) for place in (tools.root(), Path.home(), Path(tempfile.gettempdir()))} - {"/"}
    trace = re.compile("|".join([*map(re.escape, sorted(folders)), r"\bat 0x[0-9a-f]{6,}"]))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    shown = [part for output in outputs for part in (output.get("text", ""), *output.get("traceback", []))]
    shown += [data for output in outputs for kind, data in output.get("data", {}).items() if kind.startswith("text/")]
    return [found for text in shown for found in trace.findall("".join(text))]


@pytest.mark.parametrize("name", tools.names())
def test_a_notebook_is_in_the_house_style(name):
    assert problems(name, made(name)) == []


@pytest.mark.parametrize("name", tools.names())
def test_each_exercise_has_its_solution_right_behind_it(name):
    kinds = [tag for cell in made(name, solutions=True)["cells"] for tag in cell["metadata"].get("tags", [])]
    exercises = [kind for kind in kinds if kind in ("exercise", "solution")]
    assert "".join(kind[0] for kind in exercises).strip("es") == ""
    assert re.fullmatch(r"(es+)+", "".join(kind[0] for kind in exercises)), exercises


@pytest.mark.parametrize("name", tools.names())
def test_no_cell_that_students_have_reads_what_only_a_solution_makes(name):
    """Else it would run here, in the copy with solutions, and not at a student's."""
    only, seen = set(), set()
    for cell in made(name, solutions=True)["cells"]:
        if cell["cell_type"] == "code":
            names = [node for node in ast.walk(ast.parse(cell["source"])) if isinstance(node, ast.Name)]
            written = {node.id for node in names if isinstance(node.ctx, ast.Store)}
            if "solution" in cell["metadata"].get("tags", []):
                only |= written - seen
            else:
                assert only & {node.id for node in names if isinstance(node.ctx, ast.Load)} - written == set()
                seen |= written


@pytest.mark.parametrize(("name", "solutions"), COPIES)
def test_what_is_committed_was_executed_and_shows_no_machine(name, solutions):
    notebook = nbformat.read(pairing.path(name, solutions), as_version=4)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["source"].strip()]
    counts = [cell["execution_count"] for cell in code]
    assert None not in counts
    assert counts == sorted(counts)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"] == []
    assert machine_traces(notebook) == []


@pytest.mark.parametrize(
    ("output", "traces"),
    [
        ({"text": "auroc 0.84\n"}, 0),
        ({"text": f"{Path.home()}/x.py:3: warning\n"}, 1),
        ({"traceback": ["no", f"{tools.root()}"]}, 1),
        ({"data": {"text/plain": ["<function f at 0x7f8e3c1d2b80>"]}}, 1),
        ({"data": {"text/html": f"<b>{tempfile.gettempdir()}</b>"}}, 1),
        ({"data": {"image/png": "/tmp/"}}, 0),
    ],
)
def test_what_an_output_says_of_the_machine_is_found(output, traces):
    assert len(machine_traces({"cells": [{"outputs": [output]}]})) == traces


def test_the_notebooks_are_what_their_sources_make():
    """Else run `make notebooks`, or `python notebooks/tools build` where no output changes."""
    for solutions in (False, True):
        found = {
            path.stem: path.read_text(encoding="utf-8") for path in pairing.path("", solutions).parent.glob("*.ipynb")
        }
        assert sorted(found) == tools.names()
        assert [name for name, text in found.items() if text != pairing.built(name, solutions)] == []


def test_those_of_the_syllabus_are_there():
    assert [name[:2] for name in tools.names()] == [f"{number:02}" for number in range(9)]


def test_the_setup_cell_is_the_same_everywhere_and_short():
    cells = [tagged(made(name, solutions), "setup") for name, solutions in COPIES]
    assert {cell["source"] for group in cells for cell in group} == {setup_cell()}
    assert {len(group) for group in cells} == {1}
    assert len(setup_cell().splitlines()) <= SETUP_LINES


GOOD = SOURCE.replace(
    "# One minute.", "# By the end you can:\n#\n# - a;\n# - b;\n# - c.\n#\n" + "# word word\n" * 450
).replace(
    '# %% tags=["exercise"]',
    '# %% [markdown]\n# ## What you can do now\n#\n# - a\n# - b\n# - c\n#\n# ## Exercises\n\n# %% tags=["exercise"]',
)


def of(text: str) -> list[str]:
    return problems("01_small", pairing.make("01_small", text, environment.repository()))


def test_a_good_notebook_has_no_problems():
    assert of(GOOD) == []


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("1 + 1", "1 + 1\n" * 26, "a cell has 26 lines"),
        ("1 + 1", "1 + 1\n" * 20, "the median cell has"),
        ("# ## Exercises", "# # A second title\n# ## Exercises", "one title"),
        ("# - c.", "# - c.\n# - d", "one by one"),
        ("# - c.", "", "one by one"),
        ("# - b;\n# - c.", "", "there are 1 bullets"),
        ("What you can do now", "The end", "the last sections are"),
        ("# word word\n", "", "words of prose"),
        ("# word word\n", "# " + "word " * 5 + "\n", "words of prose"),
        ('PROFILE = "full"', 'PROFILE = "smoke"', "PROFILE = 'full'"),
        ('PROFILE = "full"', 'PROFILE = "full"\nSEEDS = range(20)', "scalars only"),
        (' tags=["exercise"]', "", "no exercise"),
        ("# ## Exercises", "# ![](picture.png)\n# ## Exercises", "no words in its place"),
    ],
)
def test_a_bad_notebook_is_seen(old, new, sentence):
    assert old in GOOD
    assert any(sentence in problem for problem in of(GOOD.replace(old, new)))
