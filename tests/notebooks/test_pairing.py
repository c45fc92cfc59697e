"""From a source to two notebooks, always the same bytes."""

import json

import nbformat
import pytest
import tools
from small_notebook import SOURCE
from tools import pairing

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
    assert student["cells"][1] == teacher["cells"][1], "the set-up cell is the same everywhere"
    nbformat.validate(teacher)


def test_an_id_follows_its_cell_and_not_its_place_and_is_its_own_where_cells_are_alike():
    ids = [cell["id"] for cell in make()["cells"]]
    assert sources(make()).count("1 + 1") == 2
    assert len(set(ids)) == len(ids)
    longer = make(SOURCE.replace("# %%\n1 + 1", "# %%\nnew = 0\n\n# %%\n1 + 1", 1))
    assert set(ids) < {cell["id"] for cell in longer["cells"]}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("# # 01. A", "# # 02. A", "must begin with its title"),
        ("# %% [markdown]\n# # 01. A small notebook\n#\n# One minute.\n\n", "", "must begin with its title"),
        (' tags=["parameters"]', "", "one cell tagged 'parameters'; it has 0"),
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


def test_building_keeps_the_outputs_of_unchanged_cells(checkout):
    target = pairing.path("01_small")
    notebook = pairing.of("01_small")
    for cell in notebook.cells[1:]:
        cell.update(execution_count=7)
    nbformat.write(notebook, target)
    assert target.read_text() == pairing.built("01_small"), "as Jupyter writes it"
    pairing.source("01_small").write_text(SOURCE.replace("answer = None", "answer = 0"))
    counts = [cell.get("execution_count") for cell in nbformat.reads(pairing.built("01_small"), 4).cells]
    assert counts == [None, 7, 7, 7, 7, None]


@pytest.mark.parametrize("solutions", [False, True])
@pytest.mark.parametrize(
    "edit",
    [
        lambda notebook: notebook["cells"][2]["source"].append("\n"),
        lambda notebook: notebook["cells"][0].update(id="other"),
        lambda notebook: notebook["cells"][1]["metadata"]["tags"].append("more"),
        lambda notebook: notebook["cells"].pop(),
        lambda notebook: notebook["metadata"].update(papermill={}),
    ],
)
def test_an_edit_that_did_not_come_from_the_source_is_seen(checkout, solutions, edit):
    target = pairing.path("01_small", solutions)
    target.write_text(pairing.built("01_small", solutions))
    assert target.read_text() == pairing.built("01_small", solutions)
    notebook = json.loads(target.read_text())
    edit(notebook)
    target.write_text(json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    assert target.read_text() != pairing.built("01_small", solutions)


def test_a_name_is_found_by_its_digits_or_refused(checkout):
    assert tools.choose([]) == tools.choose(["01"]) == tools.choose(["01_small"]) == ["01_small"]
    with pytest.raises(ValueError, match=r"no notebook 07\. There are: 01_small"):
        tools.choose(["07"])
