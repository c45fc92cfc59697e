"""Executing a notebook, and what is kept of it."""

import json
import os

import pytest
from small_notebook import SOURCE
from tools import pairing, running

MADE = pairing.make("01_small", SOURCE, "https://github.com/someone/kit")["cells"]


def executed(folder, cells: str, profile: str = "smoke") -> dict:
    notebook = pairing.make("01_small", SOURCE + cells, "https://github.com/someone/kit")
    return running.execute(notebook, folder / "01_small.ipynb", profile, folder / "figures")


@pytest.fixture(scope="module")
def smoke(tmp_path_factory) -> dict:
    cells = """
# %%
import os
print(PROFILE, os.listdir("."), *(os.environ[name] for name in ("FEDKIT_FIGURES", "FEDKIT_RUNS", "OMP_NUM_THREADS")))

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


def test_the_notebook_is_told_its_profile_and_folders_and_sees_no_checkout(smoke):
    profile, around, figures, runs, threads = smoke["cells"][-3]["outputs"][0]["text"].split()
    assert (profile, around, threads) == ("smoke", "[]", "1")
    assert figures.endswith("/figures")
    assert runs.endswith("/.cache/runs")
    assert "FEDKIT_FIGURES" not in os.environ


def test_of_the_run_nothing_is_left_but_outputs(smoke):
    kept = [{key: cell[key] for key in ("id", "source", "metadata")} for cell in smoke["cells"][: len(MADE)]]
    assert kept == [{key: cell[key] for key in ("id", "source", "metadata")} for cell in MADE]
    assert [cell["outputs"][0]["text"] for cell in smoke["cells"][-2:]] == ["a\nb\n", "step\nstep\n"]
    assert [len(cell["outputs"]) for cell in smoke["cells"][-2:]] == [1, 1]
    for trace in ("papermill", "injected", "widget", "iopub", "start_time"):
        assert trace not in json.dumps(smoke)


BUSY = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"
SLOWLY = "for _ in range(25):\n    " + BUSY.format(seconds=0.05).replace("\n", "\n    ") + "time.sleep(0.2)\n"


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (
            "print('before')\n1 / 0",
            r"01_small: a cell failed\. What was run is in .*01_small\.ipynb[\s\S]*ZeroDivision",
        ),
        (
            "print('before', flush=True)\nimport os, time\ntime.sleep(1)\nos._exit(1)",
            "01_small: its Python ended in the",
        ),
        (
            "print('before')\nimport time\ntime.sleep(600)",
            "01_small: it has computed and printed nothing for 3 s, and was",
        ),
        (
            "print('before')\n" + BUSY.format(seconds=600),
            "01_small: it has used the processor for 5 s, and was stopped",
        ),
    ],
)
def test_a_cell_that_fails_or_hangs_ends_in_a_sentence_and_what_was_run_is_kept(tmp_path, monkeypatch, cell, sentence):
    monkeypatch.setattr(running, "QUIET_SECONDS", 3)
    monkeypatch.setattr(running, "BUSY_SECONDS", 5)
    with pytest.raises(RuntimeError, match=sentence):
        executed(tmp_path, f"\n# %%\n{cell}\n")
    assert "before" in (tmp_path / "01_small.ipynb").read_text()


@pytest.mark.parametrize(
    "cell", [SLOWLY, "for _ in range(5):\n    print(_, flush=True)\n    __import__('time').sleep(1)"]
)
def test_a_cell_that_computes_slowly_or_prints_is_let_alone(tmp_path, monkeypatch, cell):
    monkeypatch.setattr(running, "QUIET_SECONDS", 3)
    executed(tmp_path, f"\n# %%\n{cell}\n")
