"""Every notebook, run as it is at the smoke profile: no error, no noise, the golden numbers, each of which can fail."""

import os
import symtable
from types import ModuleType

import pytest
import tools
from IPython.core.interactiveshell import InteractiveShell
from nbformat import v4
from tools import goldens, pairing, playing, running
from traitlets.config import Config

GOLDEN = [
    {"name": "auroc", "value": 0.84, "tolerance": 0.001, "reason": "threads add up in another order"},
    {"name": "hospitals", "value": 4, "tolerance": 0, "reason": "counted"},
]
VALUES = {"auroc": 0.8405, "hospitals": 4.0}


@pytest.mark.parametrize("name", tools.names())
def test_it_runs_without_noise_and_finds_the_golden_numbers(name, tmp_path, monkeypatch, capfd):
    """With solutions: a test below says why the copy without them then runs as well."""
    for key in [key for key in os.environ if key.startswith("PYTEST_")]:
        monkeypatch.delenv(key)  # a kernel that finds itself under pytest would not catch what C++ code prints
    executed = running.execute(
        pairing.of(name, solutions=True), tmp_path / f"{name}.ipynb", "smoke", tmp_path / "figures"
    )
    assert capfd.readouterr().err == ""
    assert goldens.compare(goldens.glued(executed), goldens.load(name)) == []
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("name", tools.names())
def test_a_reader_may_change_the_settings(name, tmp_path, monkeypatch):
    """One split and two rounds, in this process, which has loaded TensorFlow once; `make play` tries many more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FEDKIT_FIGURES", str(tmp_path / "figures"))
    monkeypatch.setenv("FEDKIT_RUNS", str(tools.root() / ".cache" / "runs"))
    quiet = {"ipython_dir": str(tmp_path), "config": Config(HistoryManager={"enabled": False})}
    page, changed = InteractiveShell(user_module=ModuleType(f"page_{name}"), **quiet), playing.least(name)
    for cell in (cell for cell in pairing.of(name).cells if cell.cell_type == "code" and changed):
        page.run_cell(cell.source).raise_error()
        if "parameters" in cell.metadata.get("tags", []):
            page.push({"PROFILE": "smoke"} | changed)
    assert changed or not {"SEEDS", "ROUNDS"} & set(playing.parameters(name))
    assert {key for point in playing.points(name) for key in point} == set(playing.parameters(name)) - {
        key for key, value in playing.parameters(name).items() if isinstance(value, str)
    }, "each number is tried"


def lent(notebook):
    """Names that a solution binds, and no stub before it, and that a cell which is no solution takes from elsewhere."""
    bound, read, given = set(), set(), set()
    for cell in (cell for cell in notebook.cells if cell.cell_type == "code"):
        top = symtable.symtable(cell.source, "cell", "exec")
        own = {each.get_name() for each in top.get_symbols() if each.is_local()}
        if "solution" in cell.metadata.get("tags", []):
            bound |= own - given
            continue
        given |= own
        tables = [top]
        for table in tables:  # which grows by the functions and comprehensions in it
            tables += table.get_children()
            read |= {each.get_name() for each in table.get_symbols() if each.is_global() or table is top} - own
    return bound & read


@pytest.mark.parametrize("name", tools.names())
def test_no_solution_is_what_keeps_another_cell_going(name):
    assert lent(pairing.of(name, solutions=True)) == set()


@pytest.mark.parametrize("later", ["print(best)", "[best for _ in 'ab']", "def f():\n    return best"])
def test_a_solution_that_another_cell_needs_is_found(later):
    solution = v4.new_code_cell("import math as best", metadata={"tags": ["solution"]})
    notebook = v4.new_notebook(cells=[solution, v4.new_code_cell(later)])
    assert lent(notebook) == {"best"}
    notebook.cells[1].source = f"best = 1\n{later}"
    assert lent(notebook) == set()
    stub = v4.new_code_cell("best = ...", metadata={"tags": ["exercise"]})
    assert lent(v4.new_notebook(cells=[stub, solution, v4.new_code_cell(later)])) == set()


@pytest.mark.parametrize("name", tools.names())
def test_each_golden_number_can_fail(name):
    """Moved by twice its tolerance, it is red, alone."""
    golden = goldens.load(name)
    values = {entry["name"]: entry["value"] for entry in golden}
    assert values, "a notebook without golden numbers is not tested"
    assert goldens.compare(values, golden) == []
    for entry in golden:
        least = 1e-9 * max(1.0, abs(entry["value"]))  # where the tolerance is zero
        moved = {entry["name"]: entry["value"] + max(2 * entry["tolerance"], least)}
        assert [problem.split()[0] for problem in goldens.compare(values | moved, golden)] == [entry["name"]]


@pytest.mark.parametrize(
    ("values", "change", "problems"),
    [
        (VALUES, {}, []),
        (VALUES | {"auroc": 0.8421}, {}, ["auroc is 0.8421: 0.0021 from 0.84, and 0.001 is allowed."]),
        (VALUES | {"auroc": 0.8379}, {}, ["auroc is 0.8379: 0.0021 from 0.84, and 0.001 is allowed."]),
        (VALUES | {"auroc": float("nan")}, {}, ["auroc is nan: nan from 0.84, and 0.001 is allowed."]),
        (VALUES | {"hospitals": 5.0}, {}, ["hospitals is 5.0: 1 from 4, and 0 is allowed."]),
        (VALUES | {"new": 1.0}, {}, ["new is glued, and no golden number has that name."]),
        ({"auroc": 0.84}, {}, ["hospitals is a golden number, and the notebook no longer glues it."]),
        (VALUES, {"tolerance": None}, ["auroc needs a tolerance and a reason for it."]),
        (VALUES, {"reason": ""}, ["auroc needs a tolerance and a reason for it."]),
    ],
)
def test_what_is_not_within_a_tolerance_that_a_person_gave_a_reason_for_is_red(values, change, problems):
    assert goldens.compare(values, [GOLDEN[0] | change, GOLDEN[1]]) == problems


def test_numbers_are_read_from_outputs_and_a_name_glued_twice_is_refused():
    outputs = [{"data": {goldens.MIME: {"name": name, "value": 1.5}}} for name in "ab"]
    cells = [{"outputs": [{"name": "stdout", "text": ["x"]}]}, {}, {"outputs": outputs}]
    assert goldens.glued({"cells": cells}) == {"a": 1.5, "b": 1.5}
    with pytest.raises(ValueError, match="glued twice: a, a, b, b"):
        goldens.glued({"cells": 2 * cells})


def test_fresh_values_keep_what_a_person_wrote(checkout):
    assert goldens.load("01_small") == []
    goldens.write("01_small", VALUES)
    assert goldens.load("01_small")[0] == {"name": "auroc", "value": 0.8405, "tolerance": None, "reason": ""}
    text = goldens.path("01_small").read_text().replace("null", "0.5").replace('""', '"why"')
    goldens.path("01_small").write_text(text)
    goldens.write("01_small", {"auroc": 0.9})
    assert goldens.load("01_small") == [{"name": "auroc", "value": 0.9, "tolerance": 0.5, "reason": "why"}]
