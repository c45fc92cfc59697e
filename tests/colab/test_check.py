"""The Colab check itself: that it sees what it is there to see."""

import datetime
import os
import subprocess
import sys

import check
import pytest

from fedkit.compat import environment

LISTS = [check.HERE / f"python{version}.txt" for version in check.PYTHONS]


@pytest.mark.parametrize(
    ("said", "noise", "problems"),
    [
        ("fedkit installs tenseal, dp-accounting ... done.\n", [], []),
        ("tenseal, dp-accounting", [{"name": "stderr", "text": ["I0000"]}], ["cell 3 prints on stderr: I0000"]),
        ("tenseal", [], ["the set-up cell does not speak of dp-accounting; it said: 'tenseal'"]),
    ],
)
def test_what_is_wrong_with_a_session_is_seen(said, noise, problems):
    setup = {"metadata": {"tags": ["setup"]}, "outputs": [{"name": "stdout", "text": [said]}]}
    executed = {"cells": [{"metadata": {}}, setup, {"metadata": {}, "outputs": noise}]}
    assert check.judge(executed, {"tenseal", "dp-accounting"}) == problems


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


@pytest.mark.parametrize("file", LISTS, ids=lambda file: file.name)
def test_what_colab_has_and_lacks_is_computed_from_its_own_list_and_all_it_has_was_tested(file, monkeypatch):
    colab, used = check.pinned(file), check.used()
    assert {"tensorflow", "tf-keras", "numpy", "portpicker", "ipykernel"} <= used.keys() & colab.keys()
    assert {"tensorflow-federated", "tenseal", "dp-accounting", "pynacl", "confusable-homoglyphs"} <= check.lacking(
        colab
    )
    assert not {"tensorflow", "numpy", "portpicker"} & check.lacking(colab)
    monkeypatch.setattr(environment, "_version", lambda name: colab.get(check.canonicalize_name(name)))
    assert environment.untested() == []


def test_our_pins_are_compared_with_colabs_and_an_old_list_is_said_to_be_old(tmp_path):
    date = datetime.date(2026, 8, 19)
    (same,) = check.compare(LISTS[0], date + datetime.timedelta(days=180))
    assert same.startswith("Colab's list is of 2026-08-19. Of the ")
    (tmp_path / "list.txt").write_text(LISTS[0].read_text().replace("\nnumpy==2.1.3\n", "\nnumpy==2.9\n"))
    _, numpy, old = check.compare(tmp_path / "list.txt", date + datetime.timedelta(days=181))
    assert numpy == "Our lock pins numpy 2.1.3, Colab has 2.9."
    assert old.startswith("Colab's list is 181 days old. Take a newer one")
