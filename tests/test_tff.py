"""TFF imports, computes, says what is wrong, and leaves no worker behind: with real processes."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import nbformat
import papermill
import pytest

COMPUTE = """
import numpy as np
from fedkit.compat.tff import tf, tff
numbers = tff.FederatedType(np.float32, tff.CLIENTS)
@tff.federated_computation(numbers)
def mean(values):
    return tff.federated_mean(values)
print("mean", mean([np.float32(1), np.float32(2)]), flush=True)
"""


@pytest.fixture
def mark(monkeypatch):
    """A variable that every process started by this test inherits, so that only its own workers are seen."""
    value = uuid.uuid4().hex
    monkeypatch.setenv("FEDKIT_TEST", value)
    return f"FEDKIT_TEST={value}".encode()


def workers(mark: bytes) -> set[int]:
    """Process ids of the TFF workers that run now and carry the mark."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command, environment = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
            except OSError:  # it has ended meanwhile
                continue
            if b"worker_binary" in command.split(b"\0")[0] and mark in environment.split(b"\0"):
                found.add(int(entry.name))
    return found


def survivors(mark: bytes, patience: float = 20.0) -> set[int]:
    """Workers that are still there once they have had time to end."""
    deadline = time.monotonic() + patience
    while (left := workers(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def run(code: str, shell: tuple[str, ...] = (), **environment: str) -> subprocess.CompletedProcess:
    command = [*shell, sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=120)


def test_it_computes_without_noise_and_leaves_no_worker(mark):
    done = run(COMPUTE)
    assert (done.returncode, done.stdout, done.stderr) == (0, "mean 1.5\n", "")
    assert survivors(mark) == set()


def test_it_ends_where_ctrl_c_is_ignored(mark):
    """As in a job that a script puts in the background."""
    done = run(COMPUTE, ("/bin/sh", "-c", 'trap "" INT; exec "$@"', "sh"))
    assert (done.returncode, done.stdout, done.stderr) == (0, "mean 1.5\n", "")
    assert survivors(mark) == set()


def test_no_worker_is_left_after_an_exception(mark):
    done = run(COMPUTE + "raise RuntimeError('on purpose')")
    assert "mean 1.5" in done.stdout
    assert "on purpose" in done.stderr
    assert survivors(mark) == set()


@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_worker_is_left_after_a_signal(kind, mark):
    process = subprocess.Popen(
        [sys.executable, "-c", COMPUTE + "import time; time.sleep(60)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout.readline() == "mean 1.5\n"
    assert workers(mark), "a worker should be running, or this test would pass on nothing"
    process.send_signal(kind)
    process.wait()
    process.stdout.close()
    assert survivors(mark) == set()


def test_no_worker_is_left_after_papermill(tmp_path, mark):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(COMPUTE)])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    done = papermill.execute_notebook(tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False)
    (output,) = done.cells[0].outputs
    assert (output.name, output.text) == ("stdout", "mean 1.5\n")
    assert survivors(mark) == set()


def test_an_error_in_a_notebook_is_shown(tmp_path):
    """IPython looks through every module to print one, so no stand-in may trip it up: it would never answer."""
    cells = ["from fedkit.compat.tff import tff", "for number in range(3):\n    assert number < 1, 'too large'"]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    with pytest.raises(papermill.PapermillExecutionError, match="too large"):
        papermill.execute_notebook(
            tmp_path / "in.ipynb", tmp_path / "out.ipynb", progress_bar=False, execution_timeout=60
        )


def test_tensorflow_imported_first_is_refused_with_what_to_do():
    done = run("import tensorflow\nimport fedkit.compat.tff", TF_USE_LEGACY_KERAS="", TF_CPP_MIN_LOG_LEVEL="3")
    assert done.returncode != 0
    assert "TensorFlow was imported before fedkit" in done.stderr
    assert "Restart the kernel" in done.stderr


def test_what_is_missing_is_named_with_how_to_get_it():
    hide = """
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in ("tree", "portpicker") else real(name, *rest)
import fedkit.compat.tff
"""
    done = run(hide)
    assert done.returncode != 0
    assert "needs dm-tree, portpicker" in done.stderr
    assert "python -m fedkit.compat.environment" in done.stderr
