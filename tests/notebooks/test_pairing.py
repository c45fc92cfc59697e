"""From a source to two notebooks, always the same bytes."""

import json

import nbformat
import pytest
import tools
from small_notebook import SOURCE
from tools import pairing

from fedkit.compat import environment

REPOSITORY = "https://github.com/someone/kit"


def make(text: str = SOURCE, solutions: bool = False) -> dict:
    return pairing.make("01_small", text, REPOSITORY, solutions)


def sources(notebook: dict) -> list[str]:
    return [cell["source"] for cell in notebook["cells"]]


def test_the_badge_and_the_setup_cell_are_put_in():
    title, setup, parameters, *_ = make()["cells"]
    address = "https://colab.research.google.com/github/someone/kit/blob/main/notebooks/01_small.ipynb"
    assert title["source"].splitlines()[0] == "# 01. A small notebook"
    assert address in title["source"].splitlines()[2]
    assert title["source"].endswith("One minute.")
    assert setup["metadata"]["tags"] == ["setup"]
    assert "git+https://github.com/someone/kit" in setup["source"]
    assert parameters["metadata"]["tags"] == ["parameters"]


def test_solutions_are_apart():
    student, teacher = make(), make(solutions=True)
    assert "answer = 42" not in sources(student)
    assert [text for text in sources(teacher) if text not in sources(student)][1:] == ["answer = 42"]
    assert "solutions/01_small.ipynb" in sources(teacher)[0], "its badge opens the copy with solutions"
    assert make()["cells"][1] == make(solutions=True)["cells"][1], "the set-up cell is the same everywhere"


def test_the_notebook_is_valid(tmp_path):
    pairing.write(make(solutions=True), tmp_path / "it.ipynb")
    nbformat.validate(nbformat.read(tmp_path / "it.ipynb", as_version=4))


def test_what_jupyter_writes_is_what_we_write(tmp_path):
    pairing.write(make(), tmp_path / "ours.ipynb")
    nbformat.write(nbformat.read(tmp_path / "ours.ipynb", as_version=4), tmp_path / "theirs.ipynb")
    assert (tmp_path / "ours.ipynb").read_bytes() == (tmp_path / "theirs.ipynb").read_bytes()


def test_an_id_follows_its_cell_and_not_its_place():
    ids = {cell["source"]: cell["id"] for cell in make()["cells"] if cell["source"] != "1 + 1"}
    longer = SOURCE.replace("# %%\n1 + 1", "# %%\nnew = 0\n\n# %%\n1 + 1", 1)
    after = {cell["source"]: cell["id"] for cell in make(longer)["cells"]}
    assert ids.items() <= after.items()


def test_ids_are_unique_where_cells_are_alike():
    ids = [cell["id"] for cell in make()["cells"]]
    assert len(set(ids)) == len(ids)
    assert sources(make()).count("1 + 1") == 2


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("# # 01. A", "# # 02. A", "must begin with .* title"),
        ("# %% [markdown]\n# # 01. A small notebook\n#\n# One minute.\n\n", "", "must begin with .* title"),
        (' tags=["parameters"]', "", "one cell tagged 'parameters', and it has 0"),
        ("# %%\n1 + 1", '# %% tags=["parameters"]\n1 + 1', "it has 3"),
    ],
)
def test_a_source_that_lacks_something_is_refused(old, new, sentence):
    assert old in SOURCE
    with pytest.raises(ValueError, match=sentence):
        make(SOURCE.replace(old, new))


def test_a_repository_that_colab_cannot_open_is_refused():
    with pytest.raises(ValueError, match=r"GitHub.*https://example\.org/kit"):
        pairing.make("01_small", SOURCE, "https://example.org/kit")


def test_build_then_check(checkout):
    assert len(pairing.check()) == 2, "neither notebook has been made"
    pairing.build("01_small")
    assert pairing.check() == []


def test_build_keeps_the_outputs_of_unchanged_cells(checkout):
    pairing.build("01_small")
    target = pairing.path("01_small")
    notebook = pairing.read(target)
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"execution_count": 7, "outputs": [{"name": "stdout", "output_type": "stream", "text": ["kept"]}]}
    pairing.write(notebook, target)
    assert pairing.check() == [], "outputs are not compared"
    pairing.source("01_small").write_text(SOURCE.replace("answer = None", "answer = 0"))
    pairing.build("01_small")
    counts = {cell["source"]: cell["execution_count"] for cell in pairing.read(target)["cells"] if "outputs" in cell}
    assert counts["1 + 1"] == 7
    assert counts["answer = 0"] is None


@pytest.mark.parametrize("solutions", [False, True])
def test_check_sees_every_edit_that_did_not_come_from_the_source(checkout, solutions):
    target = pairing.path("01_small", solutions)

    def edited(change) -> list[str]:
        pairing.build("01_small")
        notebook = json.loads(target.read_text())
        change(notebook)
        target.write_text(json.dumps(notebook))
        problems = pairing.check()
        target.unlink()
        return problems

    assert edited(lambda notebook: None) == []
    assert "cell 3" in edited(lambda notebook: notebook["cells"][2]["source"].append("\n"))[0]
    assert "cell 1" in edited(lambda notebook: notebook["cells"][0].update(id="other"))[0]
    assert "cell 2" in edited(lambda notebook: notebook["cells"][1]["metadata"]["tags"].append("more"))[0]
    assert "cells; its source makes" in edited(lambda notebook: notebook["cells"].pop())[0]
    assert "metadata" in edited(lambda notebook: notebook["metadata"].update(papermill={}))[0]


def test_check_sees_a_notebook_without_a_source(checkout):
    pairing.build("01_small")
    pairing.path("01_small").rename(pairing.path("09_stray"))
    problems = pairing.check()
    assert any("01_small.ipynb is missing" in problem for problem in problems)
    assert any("09_stray.ipynb has no source" in problem for problem in problems)


def test_a_name_is_found_by_its_digits_or_refused(checkout):
    assert tools.choose([]) == tools.choose(["01"]) == tools.choose(["01_small"]) == ["01_small"]
    with pytest.raises(ValueError, match=r"no notebook 07\. There are: 01_small"):
        tools.choose(["07"])


def test_the_setup_cell_is_short_and_the_address_is_the_projects():
    setup = pairing.SETUP.format(repository=environment.repository())
    assert len(setup.splitlines()) <= 8
    assert setup.count("://") == 1
