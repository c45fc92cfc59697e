"""Executing a notebook, and what is kept of it."""

import json
import os

import pytest
from small_notebook import SOURCE
from tools import pairing, running

REPOSITORY = "https://github.com/someone/kit"


def executed(tmp_path, cells: str, profile: str = "smoke") -> dict:
    notebook = pairing.make("01_small", SOURCE + cells, REPOSITORY)
    return running.execute(notebook, tmp_path / "01_small.ipynb", profile=profile, figures=tmp_path / "figures")


def shown(cell: dict) -> str:
    return "".join("".join(output.get("text", [])) for output in cell["outputs"])


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> dict:
    cells = """
# %%
print(PROFILE)

# %%
import os
print(os.environ["FEDKIT_FIGURES"])

# %%
print(os.listdir("."))

# %%
for text in ("a", "b"):
    print(text, flush=True)
    __import__("time").sleep(0.2)

# %%
from tqdm.auto import tqdm
for _ in tqdm(range(2)):
    print("step")
"""
    return executed(tmp_path_factory.mktemp("smoke"), cells)


def test_the_profile_is_passed_on(smoke):
    assert shown(smoke["cells"][-5]) == "smoke\n"


def test_figures_go_where_they_are_sent(smoke):
    assert shown(smoke["cells"][-4]).strip().endswith("/figures")
    assert "FEDKIT_FIGURES" not in os.environ


def test_no_checkout_is_around(smoke):
    assert shown(smoke["cells"][-3]) == "['in.ipynb']\n"


def test_pieces_of_one_printed_output_are_one(smoke):
    (output,) = smoke["cells"][-2]["outputs"]
    assert output["text"] == ["a\n", "b\n"]


def test_no_trace_of_the_run_is_left(smoke):
    text = json.dumps(smoke)
    for trace in ("papermill", "injected", "widget", "iopub", "start_time"):
        assert trace not in text
    assert shown(smoke["cells"][-1]) == "step\nstep\n", "of a progress bar, nothing is left"


def test_cells_are_as_they_were_made(smoke):
    made = pairing.make("01_small", SOURCE, REPOSITORY)["cells"]
    kept = [{key: cell[key] for key in ("id", "source", "metadata")} for cell in smoke["cells"][: len(made)]]
    assert kept == [{key: cell[key] for key in ("id", "source", "metadata")} for cell in made]


def test_a_failing_cell_is_named_and_what_was_run_is_kept(tmp_path):
    with pytest.raises(RuntimeError, match=r"01_small: a cell failed\.[\s\S]*ZeroDivisionError") as caught:
        executed(tmp_path, "\n# %%\nprint('before')\n\n# %%\n1 / 0\n")
    assert str(tmp_path / "01_small.ipynb") in str(caught.value)
    assert "before" in (tmp_path / "01_small.ipynb").read_text()


def test_a_cell_that_ends_its_python_is_reported(tmp_path):
    with pytest.raises(RuntimeError, match="its Python ended"):
        executed(tmp_path, "\n# %%\nimport os\nos._exit(1)\n")


def test_a_cell_that_hangs_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "CELL_SECONDS", 2)
    with pytest.raises(RuntimeError, match="took more than 2 s"):
        executed(tmp_path, "\n# %%\nimport time\ntime.sleep(600)\n")


def test_an_unknown_profile_is_refused(tmp_path):
    with pytest.raises(ValueError, match="one of smoke, full, and it is 'fast'"):
        executed(tmp_path, "", profile="fast")


@pytest.mark.parametrize(
    ("output", "traces"),
    [
        ({"output_type": "stream", "name": "stdout", "text": ["auroc 0.84\n"]}, 0),
        ({"output_type": "stream", "name": "stdout", "text": [f"{running.Path.home()}/x.py:3: warning\n"]}, 1),
        ({"output_type": "execute_result", "data": {"text/plain": ["<function f at 0x7f8e3c1d2b80>"]}}, 1),
        ({"output_type": "execute_result", "data": {"text/html": [f"<b>{running.tempfile.gettempdir()}</b>"]}}, 1),
        ({"output_type": "display_data", "data": {"image/png": "/tmp/"}}, 0),
    ],
)
def test_what_an_output_says_of_the_machine_is_found(output, traces):
    assert len(running.machine_traces({"cells": [{"outputs": [output]}]})) == traces
