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

SETUP = pairing.SETUP.format(repository=environment.repository())
GOOD = (
    SOURCE.replace("# One minute.", "# By the end you can:\n#\n# - a;\n# - b;\n# - c.\n#\n" + "# word word\n" * 450)
    .replace(
        '# %% tags=["exercise"]',
        "# %% [markdown]\n# ## What you can do now\n#\n# - a\n# - b\n# - c\n#\n# ## Exercises\n\n"
        '# %% tags=["exercise"]',
    )
    .replace("# %%\n1 + 1", '# %% tags=["plumbing"]\n# Settings\ncourse.settings(globals(), {}, {})\n\n# %%\n1 + 1', 1)
)
every_notebook = pytest.mark.parametrize("name", tools.names())
every_copy = pytest.mark.parametrize("solutions", [False, True], ids=["student", "solutions"])


def tags(cell: dict) -> list[str]:
    return cell["metadata"].get("tags", [])


def bullets(text: str) -> int:
    return len(re.findall(r"^(?:- |\d+\. )", text, flags=re.MULTILINE))


def words(prose: str) -> int:
    """Count words as a reader does: without addresses, code blocks, tables' lines and signs."""
    bare = re.sub(r"```.*?```|\]\([^)]*\)|<[^>]+>", " ", prose, flags=re.DOTALL)
    return len(re.findall(r"[A-Za-z][\w'’-]*", bare))


def problems(name: str, notebook: dict) -> list[str]:
    """Return what is not as it should be in a notebook as it is made (the student's copy)."""
    cells = [cell for cell in notebook["cells"] if "quiz" not in tags(cell)]  # that is looked at in test_quiz.py
    first, *_ = markdown = [cell["source"] for cell in cells if cell["cell_type"] == "markdown"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    lines = [len(cell["source"].splitlines()) for cell in code if cell["source"] != SETUP]
    median = statistics.median(len(cell["source"].splitlines()) for cell in code if "plumbing" not in tags(cell))
    widest = max(len(line) for cell in code if cell["source"] != SETUP for line in cell["source"].splitlines())
    tagged = {
        tag: [cell["source"] for cell in code if tag in tags(cell)] for tag in ("setup", "parameters", "exercise")
    }
    given = ast.parse(tagged["parameters"][0]).body
    scalars = [node for node in given if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)]
    published = {node.targets[0].id: node.value.value for node in scalars} if scalars == given else {}
    prose = "\n".join(markdown)
    goals = bullets(first.partition("\n## ")[0].partition("By the end you can")[2])
    hidden = ", ".join(dict.fromkeys(out_of_sight(cells)))
    *_, before, reached, last, _ = ["", "", "", *re.split(r"^## (.+)", prose, flags=re.MULTILINE)]
    found = {
        f"a cell has {max(lines)} lines": max(lines) > 25,
        f"a line of code has {widest} signs": widest > 88,
        f"there are {len(cells)} cells": len(cells) > 70,
        f"the median cell has {median} lines": median > 6,
        "there must be one title, first of all": not prose.startswith(f"# {name[:2]}. ")
        or len(re.findall(r"^# ", prose, flags=re.MULTILINE)) != 1,
        "the badge is missing": f"/notebooks/{name}.ipynb)" not in first.partition("## ")[0],
        "there is not one set-up cell, the same everywhere": tagged["setup"] != [SETUP],
        "the parameters cell must hold scalars only": scalars != given,
        "course.settings must be told the parameters as they are published": told_of(code) != [published],
        "the parameters cell must say PROFILE = 'full'": "PROFILE = 'full'" not in map(ast.unparse, given),
        f"below 'By the end you can' there are {goals} bullets": not 3 <= goals <= 5,
        f"the last sections are {before} and {last}": (before, last) != ("What you can do now", "Exercises"),
        "what you can do now does not answer the goals one by one": bullets(reached) != goals,
        f"there are {words(prose)} words of prose": not 800 <= words(prose) <= 2000,
        "there is no exercise": not tagged["exercise"],
        f"no title and no text names what is made in a folded cell: {hidden}": hidden,
        "a picture has no words in its place": re.search(r"!\[\s*\]\(", prose),
    }
    return [sentence for sentence, wrong in found.items() if wrong]


def out_of_sight(cells: list[dict]) -> list[str]:
    """Functions and classes that a folded cell makes and a cell in view needs, and that no title and no text names."""
    folded, found = {}, []
    text = "\n".join(cell["source"] for cell in cells if cell["cell_type"] == "markdown")
    for cell in (cell for cell in cells if cell["cell_type"] == "code"):
        nodes = [*ast.walk(ast.parse(cell["source"]))]
        made = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
        if "plumbing" in tags(cell):
            said = re.findall(r"\w+", cell["source"].partition("\n")[0] + text)
            folded |= dict.fromkeys(made - {*said})
        else:
            folded = {name: None for name in folded if name not in made}
            found += [name for name in folded if name in {node.id for node in nodes if isinstance(node, ast.Name)}]
    return found


def told_of(code: list[dict]) -> list[dict]:
    """What each call of `course.settings` takes for the published settings, with PROFILE."""
    calls = [node for cell in code for node in ast.walk(ast.parse(cell["source"])) if isinstance(node, ast.Call)]
    told = [call.args[1] for call in calls if ast.unparse(call.func) == "course.settings" and len(call.args) == 3]
    return [{"PROFILE": "full"} | ast.literal_eval(full) for full in told]


def machine_traces(notebook: dict) -> list[str]:
    """Paths and addresses in the outputs that are of the machine that the notebook ran on."""
    folders = {str(place.resolve()) for place in (tools.root(), Path.home(), Path(tempfile.gettempdir()))} - {"/"}
    trace = re.compile("|".join([*map(re.escape, sorted(folders)), r"\bat 0x[0-9a-f]{6,}"]))
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    shown = [part for output in outputs for part in (output.get("text", ""), *output.get("traceback", []))]
    shown += [data for output in outputs for kind, data in output.get("data", {}).items() if kind.startswith("text/")]
    pictures = re.compile(r"data:image/png;base64,[\w+/=]+")
    return [found for text in shown for found in trace.findall(pictures.sub("", "".join(text)))]


def without_words(notebook: dict) -> list[str]:
    """Pictures in the outputs that say nothing to whoever cannot see them."""
    outputs = [output.get("data", {}) for cell in notebook["cells"] for output in cell.get("outputs", [])]
    bare = [kind for data in outputs for kind in data if kind.startswith("image/")]
    images = [tag for data in outputs for tag in re.findall(r"<img [^>]*>", "".join(data.get("text/html", "")))]
    said = [(re.search(r'alt="([^"]*)"', tag) or ["", ""])[1] for tag in images]
    sentence = re.compile(r"[A-Z][^/\\]{38,}\.(?!\w)")
    return bare + [words for words in said if not sentence.fullmatch(words) or len(words.split()) < 8]


@every_notebook
def test_a_notebook_is_in_the_house_style(name):
    assert problems(name, pairing.of(name)) == []


@every_notebook
def test_each_exercise_has_its_solution_right_behind_it_and_then_a_check(name):
    cells = [cell for cell in pairing.of(name, solutions=True)["cells"] if cell["cell_type"] == "code"]
    kinds = ["check" if "course.check(" in cell["source"] else tag for cell in cells for tag in tags(cell) or [""]]
    wanted = " ".join(kind for kind in kinds if kind in ("exercise", "solution", "check"))
    assert re.fullmatch(r"(exercise( solution)+ check( check)* ?)+", re.sub(r"check( check)*", "check", wanted)), wanted


@every_notebook
@every_copy
def test_what_is_committed_was_executed_and_shows_no_machine(name, solutions):
    notebook = nbformat.read(pairing.path(name, solutions), as_version=4)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and cell["source"].strip()]
    counts = [cell["execution_count"] or 0 for cell in code]
    assert counts == sorted(counts)
    assert all(counts)
    outputs = [output for cell in code for output in cell["outputs"]]
    assert [output for output in outputs if output["output_type"] == "error" or output.get("name") == "stderr"] == []
    assert machine_traces(notebook) == []
    assert without_words(notebook) == []
    assert [cell["source"] for cell in notebook["cells"] if "plumbing" in tags(cell)] == [
        cell["source"] for cell in notebook["cells"] if cell["metadata"].get("cellView") == "form"
    ]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"image/png": "iVBOR"}, ["image/png"]),
        ({"text/html": '<img src="data:,">'}, [""]),
        ({"text/html": '<img alt="figures/spread.png" src="data:,">'}, ["figures/spread.png"]),
        ({"text/html": '<img alt="Spread" src="data:,">'}, ["Spread"]),
        ({"text/html": '<img alt="Four columns a hospital, and one mark a split in each of them." src="data:,">'}, []),
    ],
)
def test_a_picture_without_words_is_found(data, found):
    assert without_words({"cells": [{"outputs": [{"data": data}]}]}) == found


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


@every_copy
def test_the_notebooks_are_what_their_sources_make_and_those_of_the_syllabus(solutions):
    """Else run `make notebooks`, or `python notebooks/tools build` where no output changes."""
    found = {path.stem: path.read_text(encoding="utf-8") for path in pairing.path("", solutions).parent.glob("*.ipynb")}
    assert [name[:2] for name in tools.names()] == [f"{number:02}" for number in range(16)]
    assert sorted(found) == tools.names()
    first, *others = tools.names()
    assert [name for name in others if f": {name}.ipynb" not in found[first]] == [], "the map names all"
    assert [name for name, text in found.items() if text != pairing.built(name, solutions)] == []


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("", "", None),
        ("1 + 1", "1 + 1\n" * 26, "a cell has 26 lines"),
        ("1 + 1", "1 + 1\n" * 20, "the median cell has"),
        ("1 + 1", "1 + " * 30 + "1", "a line of code has 121 signs"),
        ("# %%\n1 + 1", "# %%\n1 + 1\n" * 40, "cells"),
        ("{}, {}", '{"SEEDS": 20}, {}', "as they are published"),
        ("# ## Exercises", "# # A second title\n# ## Exercises", "one title"),
        ("# - c.", "# - c.\n# - d", "one by one"),
        ("# - b;\n# - c.", "", "there are 1 bullets"),
        ("What you can do now", "The end", "the last sections are"),
        ("# word word\n", "", "words of prose"),
        ("# word word\n", "# " + "word " * 5 + "\n", "words of prose"),
        ("# %%\n", '# %% tags=["setup"]\n', "not one set-up cell"),
        ('PROFILE = "full"', 'PROFILE = "smoke"', "PROFILE = 'full'"),
        ('PROFILE = "full"', 'PROFILE = "full"\nSEEDS = range(20)', "scalars only"),
        (' tags=["exercise"]', "", "no exercise"),
        ("# %%\n1 + 1", '# %% tags=["plumbing"]\n# More\ndef f(): ...\n\n# %%\nf()', "in a folded cell: f"),
        ("# %%\n1 + 1", '# %% tags=["plumbing"]\n# f\ndef f(): ...\n\n# %%\nf()', None),
        ("# ## Exercises", "# ![](picture.png)\n# ## Exercises", "no words in its place"),
        ("answer = 42", '# %% [markdown] tags=["quiz"]\n# ## Quiz\n#\n# ' + "word " * 2000, None),
        ("answer = 42", "# %% [markdown]\n# ## Quiz\n#\n# " + "word " * 2000, "words of prose"),
    ],
)
def test_a_bad_notebook_is_seen_and_a_good_one_has_no_problems(old, new, sentence):
    assert old in GOOD
    found = problems("01_small", pairing.make("01_small", GOOD.replace(old, new), environment.repository()))
    assert [problem for problem in found if sentence in problem] if sentence else not found
