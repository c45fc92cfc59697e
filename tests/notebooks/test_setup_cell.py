"""The set-up cell that every notebook begins with, run as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools import pairing

from fedkit.compat import environment

SETUP = pairing.SETUP.format(repository="https://invalid.invalid/kit")

# A Python that has no fedkit, and whose pip only says what it was asked to install.
BARE = """\
import importlib.util, subprocess, sys, types
from importlib.machinery import ModuleSpec
importlib.util.find_spec = lambda name: {spec}
def run(command, **options):
    print("pip:", command[-1])
    return types.SimpleNamespace(returncode={code}, stderr="pip's words")
subprocess.run = run
"""


def run(code: str, folder: Path, **variables: str) -> subprocess.CompletedProcess:
    clean = {name: value for name, value in os.environ.items() if name != "FEDKIT_SOURCE"}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=clean | variables, capture_output=True, text=True)


def asked_for(folder: Path, spec: str = "None", **variables: str) -> str:
    """Return what the cell asks pip to install, where fedkit is absent."""
    ended = run(BARE.format(spec=spec, code=0) + SETUP, folder, **variables)
    assert ended.stderr == ""
    return ended.stdout.splitlines()[0]


def test_where_all_is_here_it_only_says_so(tmp_path):
    ended = run(SETUP, tmp_path)
    assert ended.returncode == 0
    assert ended.stdout == f"fedkit {environment.versions()['fedkit']} is ready: all it needs is here.\n"
    assert ended.stderr == ""


def test_fedkit_comes_from_the_repository(tmp_path):
    assert asked_for(tmp_path) == "pip: git+https://invalid.invalid/kit"


def test_or_from_a_wheel_lying_there(tmp_path):
    (tmp_path / "fedkit-0.1.0-py3-none-any.whl").touch()
    assert asked_for(tmp_path) == "pip: fedkit-0.1.0-py3-none-any.whl"


@pytest.mark.parametrize(
    ("inside", "checkout"), [("notebooks", "../fedkit/.."), ("notebooks/solutions", "../../fedkit/..")]
)
def test_or_from_the_checkout_around_the_notebook(tmp_path, inside, checkout):
    (tmp_path / "fedkit").mkdir()
    (tmp_path / inside).mkdir(parents=True)
    assert asked_for(tmp_path / inside) == f"pip: {checkout}"


def test_or_from_what_is_named(tmp_path):
    (tmp_path / "fedkit-0.1.0-py3-none-any.whl").touch()
    assert asked_for(tmp_path, FEDKIT_SOURCE="some/path") == "pip: some/path"


def test_a_folder_that_happens_to_be_called_fedkit_is_not_fedkit(tmp_path):
    """``git clone`` in Colab leaves such a folder, and Python takes it for a package without a file."""
    assert asked_for(tmp_path, spec="ModuleSpec('fedkit', None)") == "pip: git+https://invalid.invalid/kit"


def test_where_pip_fails_its_words_are_shown(tmp_path):
    ended = run(BARE.format(spec="None", code=1) + SETUP, tmp_path)
    assert ended.returncode == 1
    assert "AssertionError: pip's words" in ended.stderr
