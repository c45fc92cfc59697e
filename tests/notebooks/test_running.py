"""Executing a notebook, and what is kept of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from small_notebook import SOURCE
from tools import pairing, running

BUSY = """
def busy(seconds):
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass
"""


def executed(folder: Path, *cells: str) -> dict:
    text = "\n# %%\n".join([SOURCE, f"import os, time\nfrom tqdm.auto import tqdm\n{BUSY}", *cells])
    notebook = pairing.make("01_small", text, "https://github.com/someone/kit")
    return running.execute(notebook, folder / "01_small.ipynb", "smoke", folder / "figures")


def test_the_notebook_is_told_its_profile_and_folders_and_of_its_run_nothing_is_left_but_outputs(tmp_path):
    names = "'FEDKIT_FIGURES', 'FEDKIT_RUNS', 'OMP_NUM_THREADS'"
    ended = executed(
        tmp_path,
        f"print(PROFILE, os.listdir('.'), *(os.environ[name] for name in ({names})))",
        "print('a', flush=True)\ntime.sleep(0.2)\nprint('b')",
        "for _ in tqdm(range(2)):\n    print('step')",
    )
    told, *printed = [[output["text"] for output in cell["outputs"]] for cell in ended["cells"][-3:]]
    profile, around, figures, runs, threads = told[0].split()
    assert (profile, around, threads) == ("smoke", "[]", "1"), "it sees no checkout"
    assert figures.endswith("/figures")
    assert runs.endswith("/.cache/runs")
    assert "FEDKIT_FIGURES" not in os.environ
    assert printed == [["a\nb\n"], ["step\nstep\n"]]
    made = pairing.make("01_small", SOURCE, "https://github.com/someone/kit")["cells"]
    for cell, kept in zip(made, ended["cells"], strict=False):
        assert [cell[key] for key in ("id", "source", "metadata")] == [
            kept[key] for key in ("id", "source", "metadata")
        ]
    assert [
        word for word in ("papermill", "injected", "widget", "iopub", "start_time") if word in json.dumps(ended)
    ] == []


PROCESSOR = """
import numpy, scipy.linalg, threadpoolctl
from numpy._core._multiarray_umath import __cpu_features__ as known
from tensorflow.python.util import _pywrap_util_port as port
print({one["architecture"] for one in threadpoolctl.threadpool_info() if "architecture" in one})
print(known["AVX512F"], port.IsMklEnabled())
"""


@pytest.mark.skipif(" avx2 " not in Path("/proc/cpuinfo").read_text(), reason="this processor has another order anyway")
def test_libraries_add_up_in_the_order_of_one_kind_of_processor_and_not_of_this_one():
    how = {"env": os.environ | running.ONE_ORDER, "capture_output": True, "text": True, "check": True}
    assert subprocess.run([sys.executable, "-c", PROCESSOR], **how).stdout == "{'Haswell'}\nFalse False\n"


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        ("1 / 0", r"a cell failed\. What was run is in .*01_small\.ipynb[\s\S]*ZeroDivision"),
        ("time.sleep(1)\nos._exit(1)", "its Python ended in the"),
        ("time.sleep(600)", "it has computed and printed nothing for 5 s, and was"),
        ("busy(600)", "it has used the processor for 5 s, and was stopped"),
    ],
)
def test_a_cell_that_fails_or_hangs_ends_in_a_sentence_and_what_was_run_is_kept(tmp_path, monkeypatch, cell, sentence):
    monkeypatch.setattr(running, "QUIET_SECONDS", 5)
    monkeypatch.setattr(running, "BUSY_SECONDS", 5)
    with pytest.raises(RuntimeError, match=f"01_small: {sentence}"):
        executed(tmp_path, f"print('before', flush=True)\n{cell}")
    assert "before" in (tmp_path / "01_small.ipynb").read_text()


def test_a_cell_that_prints_or_computes_slowly_is_let_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "QUIET_SECONDS", 5)
    executed(
        tmp_path,
        "for _ in range(6):\n    print(_, flush=True)\n    time.sleep(1.2)",
        "for _ in range(30):\n    busy(0.05)\n    time.sleep(0.2)",
    )
