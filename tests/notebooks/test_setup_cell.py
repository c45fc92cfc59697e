"""The set-up cell that every notebook begins with, run as it is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tools import pairing

from fedkit.compat import environment

SETUP = pairing.SETUP.format(repository="https://invalid.invalid/kit")
WHEEL = "fedkit-0.1.0-py3-none-any.whl"

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


def test_where_all_is_here_it_only_says_so(tmp_path):
    ended = run(SETUP, tmp_path)
    ready = f"fedkit {environment.versions()['fedkit']} is ready: all it needs is here.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, ready, "")


@pytest.mark.parametrize(
    ("inside", "around", "variables", "spec", "source"),
    [
        (".", [], {}, "None", "git+https://invalid.invalid/kit"),
        (".", [WHEEL], {}, "None", WHEEL),
        ("notebooks", ["fedkit"], {}, "None", "../fedkit/.."),
        ("notebooks/solutions", ["fedkit"], {}, "None", "../../fedkit/.."),
        (".", [WHEEL], {"FEDKIT_SOURCE": "some/path"}, "None", "some/path"),
        (".", [], {"FEDKIT_SOURCE": "~/kit", "HOME": "/home/me"}, "None", "/home/me/kit"),
        # `git clone` in Colab leaves such a folder, and Python takes it for a package without a file.
        (".", [], {}, "ModuleSpec('fedkit', None)", "git+https://invalid.invalid/kit"),
    ],
    ids=["repository", "wheel", "checkout", "solutions", "named", "home", "not a package"],
)
def test_where_fedkit_comes_from(tmp_path, inside, around, variables, spec, source):
    (tmp_path / inside).mkdir(parents=True, exist_ok=True)
    for name in around:
        (tmp_path / name).mkdir()
    ended = run(BARE.format(spec=spec, code=0) + SETUP, tmp_path / inside, **variables)
    assert (ended.stdout.splitlines()[0], ended.stderr) == (f"pip: {source}", "")


def test_where_pip_fails_a_sentence_says_what_to_do(tmp_path):
    """As where a notebook is opened alone, and the repository is not published."""
    ended = run(BARE.format(spec="None", code=1) + SETUP, tmp_path)
    assert ended.returncode == 1
    sentence = ended.stderr.splitlines()[-1]
    assert sentence.startswith("AssertionError: pip cannot install fedkit from git+https://invalid.invalid/kit: open ")
    assert all(way in sentence for way in ("a clone of the repository", "wheel beside it", "FEDKIT_SOURCE"))
    assert "pip's words" not in ended.stderr
