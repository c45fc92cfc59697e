"""The set-up cell that every notebook begins with, run as it is."""

import subprocess
import sys
from importlib import util
from importlib.machinery import ModuleSpec
from unittest.mock import Mock

import pytest
from tools import pairing

from fedkit.compat import environment

SETUP = pairing.SETUP.format(repository="https://invalid.invalid/kit")
WHEEL, GITHUB = "fedkit-0.1.0-py3-none-any.whl", "git+https://invalid.invalid/kit"


def test_where_all_is_here_it_only_says_so(tmp_path):
    assert len(SETUP.splitlines()) <= 8
    ended = subprocess.run([sys.executable, "-c", SETUP], cwd=tmp_path, capture_output=True, text=True)
    ready = f"fedkit {environment.versions()['fedkit']} is ready: all it needs is here.\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, ready, "")


@pytest.fixture
def pip(tmp_path, monkeypatch) -> Mock:
    """What is called instead of pip, in a Python that has no fedkit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FEDKIT_SOURCE", raising=False)
    monkeypatch.setattr(util, "find_spec", lambda name: None)
    monkeypatch.setattr(environment, "install", lambda: None)
    monkeypatch.setattr(subprocess, "run", Mock(return_value=Mock(returncode=0, stderr="pip's words")))
    return subprocess.run


@pytest.mark.parametrize(
    ("inside", "around", "named", "spec", "source"),
    [
        (".", ".", "", None, GITHUB),
        (".", WHEEL, "", None, WHEEL),
        ("notebooks", "fedkit", "", None, "../fedkit/.."),
        ("notebooks/solutions", "fedkit", "", None, "../../fedkit/.."),
        (".", WHEEL, "some/path", None, "some/path"),
        (".", ".", "~/kit", None, "/home/me/kit"),
        # `git clone` in Colab leaves such a folder, and Python takes it for a package without a file.
        (".", ".", "", ModuleSpec("fedkit", None), GITHUB),
    ],
)
def test_where_fedkit_comes_from(tmp_path, monkeypatch, pip, inside, around, named, spec, source):
    for name in (inside, around):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(inside)
    monkeypatch.setattr(util, "find_spec", lambda name: spec)
    monkeypatch.setenv("FEDKIT_SOURCE", named)
    monkeypatch.setenv("HOME", "/home/me")
    exec(SETUP, {})
    assert pip.call_args[0][0][-1] == source


def test_where_pip_fails_a_sentence_says_what_to_do(pip):
    """As where a notebook is opened alone, and the repository is not published."""
    pip.return_value.returncode = 1
    with pytest.raises(
        AssertionError, match=r"cannot install fedkit from git\+https://invalid\.invalid/kit: "
    ) as found:
        exec(SETUP, {})
    assert all(way in str(found.value) for way in ("a clone of the repository", "wheel beside it", "FEDKIT_SOURCE"))
    assert "pip's words" not in str(found.value)
