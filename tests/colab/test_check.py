"""The Colab check itself: that it sees what it is there to see."""

import os
import subprocess
import sys

import check
import pytest

from fedkit.compat import environment


def executed(said: str, stderr: str = "") -> dict:
    """A notebook of a set-up cell that printed `said`, and a cell that printed `stderr`."""
    setup = {"metadata": {"tags": ["setup"]}, "outputs": [{"name": "stdout", "text": [said]}]}
    outputs = [{"name": "stderr", "text": [stderr]}] if stderr else []
    return {"cells": [{"metadata": {}}, setup, {"metadata": {}, "outputs": outputs}]}


def test_a_good_session_has_no_problems():
    assert check.judge(executed("fedkit installs tenseal, tensorflow-federated ... done.\n")) == []


def test_words_on_stderr_are_seen():
    (problem,) = check.judge(executed("tensorflow-federated", stderr="I0000 noise"))
    assert problem == "cell 3 prints on stderr: I0000 noise"


def test_a_setup_cell_that_installed_nothing_is_seen():
    (problem,) = check.judge(executed("fedkit 0.1.0 is ready"))
    assert "did not install" in problem


def test_a_process_left_behind_is_seen_until_it_ends():
    mark = f"test-check-{os.getpid()}"
    command = [sys.executable, "-c", "print(flush=True); input()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, env=os.environ | {"FEDKIT_MARK": mark}, **pipes) as process:
        process.stdout.readline()  # it runs
        assert len(check.marked(mark)) == 1
        assert check.marked(mark + "0") == check.marked(mark[:-1]) == []
        process.communicate(b"\n")
    assert check.marked(mark) == []


@pytest.mark.parametrize(("file", "lock"), [("lacking.txt", "runtime.lock"), ("kernel.txt", "requirements.lock")])
def test_every_name_in_a_list_is_in_the_lock(file, lock):
    folder = environment.LOCK.parent if lock == "runtime.lock" else environment.LOCK.parents[2]
    assert check.listed(file) - check.locked(folder / lock).keys() == set()
