"""From a source to two notebooks, always the same bytes."""

import re

import nbformat
import pytest
import tools
from small_notebook import SOURCE
from tools import pairing

REPOSITORY = "https://github.com/someone/kit"


def sources(text: str = SOURCE, solutions: bool = False) -> list[str]:
    return [cell.source for cell in pairing.make("01_small", text, REPOSITORY, solutions).cells]


def test_the_badge_and_the_setup_cell_are_put_in():
    title, setup, parameters, *_ = pairing.make("01_small", SOURCE, REPOSITORY).cells
    heading, _, badge, *_, last = title.source.splitlines()
    assert (heading, last) == ("# 01. A small notebook", "One minute.")
    assert "https://colab.research.google.com/github/someone/kit/blob/main/notebooks/01_small.ipynb" in badge
    assert (setup.metadata.tags, parameters.metadata.tags) == (["setup", "plumbing", "hide-input"], ["parameters"])
    assert "git+https://github.com/someone/kit" in setup.source


def test_solutions_are_apart():
    student, teacher = sources(), sources(solutions=True)
    assert [text for text in teacher if text not in student] == [teacher[0], "answer = 42"]
    assert [text for text in student if text not in teacher] == [student[0]], "the set-up cell is the same everywhere"
    assert "solutions/01_small.ipynb" in teacher[0], "its badge opens the copy with solutions"
    nbformat.validate(pairing.make("01_small", SOURCE, REPOSITORY, solutions=True))


def test_an_id_follows_its_cell_and_not_its_place_and_is_its_own_where_cells_are_alike():
    longer = SOURCE.replace("# %%\n1 + 1", "# %%\nnew = 0\n\n# %%\n1 + 1", 1)
    ids, more = ([cell.id for cell in pairing.make("01_small", text, REPOSITORY).cells] for text in (SOURCE, longer))
    assert sources().count("1 + 1") == 2
    assert len(set(ids)) == len(ids)
    assert set(ids) < set(more)


@pytest.mark.parametrize(
    ("old", "new", "repository", "sentence"),
    [
        ("# # 01. A", "# # 02. A", REPOSITORY, "must begin with its title"),
        (SOURCE.partition("# %% tags")[0], "", REPOSITORY, "must begin with its title"),
        (' tags=["parameters"]', "", REPOSITORY, "one cell tagged 'parameters'; it has 0"),
        ("# %%\n1 + 1", '# %% tags=["parameters"]\n1 + 1', REPOSITORY, "it has 3"),
        ("", "", "https://example.org/kit", r"GitHub.*https://example\.org/kit"),
    ],
)
def test_a_source_that_lacks_something_or_that_colab_cannot_open_is_refused(old, new, repository, sentence):
    assert old in SOURCE
    with pytest.raises(ValueError, match=sentence):
        pairing.make("01_small", SOURCE.replace(old, new), repository)


@pytest.mark.parametrize("solutions", [False, True])
def test_building_keeps_the_outputs_of_unchanged_cells_and_nothing_else_of_what_is_there(checkout, solutions):
    target, notebook = pairing.path("01_small", solutions), pairing.of("01_small", solutions)
    for cell in notebook.cells[1:]:
        cell.execution_count = 7
    nbformat.write(notebook, target)
    clean = pairing.built("01_small", solutions)
    assert target.read_text() == clean, "as Jupyter writes it"
    notebook.cells[0].id = "other"
    notebook.cells[1].metadata.tags.append("more")
    notebook.cells.append(notebook.cells[2].copy())
    notebook.cells[-1].update(id="own", source="1 + 2")
    notebook.metadata.papermill = {}
    nbformat.write(notebook, target)
    assert pairing.built("01_small", solutions) == clean
    pairing.source("01_small").write_text(SOURCE.replace("answer = None", "answer = 0"))
    counts = [cell.get("execution_count") for cell in nbformat.reads(pairing.built("01_small", solutions), 4).cells]
    assert counts == [None, 7, 7, 7, 7, None, *[7] * solutions]


def test_a_name_is_found_by_its_digits_or_refused(checkout):
    assert tools.choose([]) == tools.choose(["01"]) == tools.choose(["01_small"]) == ["01_small"]
    with pytest.raises(ValueError, match=r"no notebook 07\. There are: 01_small"):
        tools.choose(["07"])


def test_plumbing_is_folded_in_lab_in_colab_and_on_a_site_under_its_title():
    text = SOURCE.replace("# %%\n1 + 1", '# %% tags=["plumbing"]\n# Save it\n1 + 1', 1)
    cell = pairing.make("01_small", text, REPOSITORY).cells[3]
    assert cell.source == "# @title Save it\n1 + 1"
    assert cell.metadata == {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": ["plumbing", "hide-input"]}
    with pytest.raises(ValueError, match="begins with a comment, which is its title"):
        pairing.make("01_small", text.replace("# Save it\n", ""), REPOSITORY)


def test_the_copy_with_solutions_lies_a_folder_deeper():
    text = SOURCE.replace("# One minute.", "# One minute, and a [word](glossary.md#word).")
    student, teacher = (pairing.make("01_small", text, REPOSITORY, copy).cells[0].source for copy in (False, True))
    assert "(glossary.md#word)" in student
    assert "(../glossary.md#word)" in teacher


@pytest.mark.parametrize("solutions", [False, True], ids=["student", "solutions"])
@pytest.mark.parametrize("name", tools.names())
def test_what_is_handed_out_has_no_output_and_no_solution_and_links_that_lead_somewhere(
    name, solutions, tmp_path, monkeypatch
):
    solved = [cell.source for cell in pairing.of(name, True).cells if "solution" in cell.metadata.get("tags", [])]
    stored = [cell.id for cell in pairing.of(name, solutions).cells if cell.cell_type == "code"]
    monkeypatch.setattr(pairing, "OUT", tmp_path)
    file = pairing.hand_out(name, solutions)
    assert file == tmp_path / ("solutions" if solutions else "handouts") / f"{name}.ipynb"
    text, cells = file.read_text(), nbformat.read(file, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.id for cell in code] == stored, "all code is there"
    assert {(cell.execution_count, *cell.outputs) for cell in code} == {(None,)}
    assert len(solved) >= 3
    assert [one in [cell.source for cell in cells] for one in solved] == [solutions] * len(solved)
    assert "colab.research.google.com" not in text
    pages = [cell.source for cell in cells if cell.cell_type == "markdown"]
    links = re.findall(r"\]\(([^)#]+)", "\n".join([*pages, (file.parent / "glossary.md").read_text()]))
    near = {one for one in links if not one.startswith("https://")}
    assert near <= {"glossary.md", *(f"{other}.ipynb" for other in tools.names())}
