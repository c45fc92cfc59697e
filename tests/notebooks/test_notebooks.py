"""Every notebook, run as it is at the smoke profile: no error, no noise, the golden numbers.

Both copies are run, the student's and the one with solutions: each is something that
people open, and a solution must not be what keeps a later cell going. Two run at a
time, each in a process of its own.
"""

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import tools
from tools import goldens, pairing

COPIES = [(name, solutions) for name in tools.names() for solutions in (False, True)]
IDS = [f"{name}{'-solutions' if solutions else ''}" for name, solutions in COPIES]


def run(name: str, solutions: bool, folder: Path) -> dict:
    """Run one copy by the command that people use; return it executed."""
    command = [sys.executable, "-m", "tools", "run", name, "--profile", "smoke", "--output", str(folder)]
    command += ["--solutions"] * solutions
    # A kernel that finds itself under pytest would not catch what C++ code prints.
    outside = {key: value for key, value in os.environ.items() if key != "PYTEST_CURRENT_TEST"}
    ended = subprocess.run(command, env=outside, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    return pairing.read(folder / f"{name}.ipynb")


@pytest.fixture(scope="module")
def executions(request, tmp_path_factory) -> dict[tuple[str, bool], Future]:
    """Every copy that a selected test asks for, running or run."""
    asked = [
        item.callspec.params["copy"] for item in request.session.items if "copy" in getattr(item, "fixturenames", ())
    ]
    with ThreadPoolExecutor(max_workers=2) as pool:
        folders = {copy: tmp_path_factory.mktemp(copy[0]) for copy in dict.fromkeys(asked)}
        yield {copy: pool.submit(run, *copy, folder) for copy, folder in folders.items()}


@pytest.fixture
def executed(copy, executions) -> dict:
    return executions[copy].result()


@pytest.mark.parametrize("copy", COPIES, ids=IDS)
def test_it_runs_and_finds_the_golden_numbers(copy, executed):
    assert goldens.compare(goldens.glued(executed), goldens.load(copy[0])) == []


@pytest.mark.parametrize("copy", COPIES, ids=IDS)
def test_it_prints_nothing_on_stderr(copy, executed):
    outputs = [output for cell in executed["cells"] for output in cell.get("outputs", [])]
    assert [output["text"] for output in outputs if output.get("name") == "stderr"] == []


@pytest.mark.parametrize("name", tools.names())
def test_each_golden_number_can_fail(name):
    """Moved by twice its tolerance, it is red, alone; and so is a name that is missing."""
    golden = goldens.load(name)
    values = {entry["name"]: entry["value"] for entry in golden}
    assert values, "a notebook without golden numbers is not tested"
    assert goldens.compare(values, golden) == []
    for entry in golden:
        least = 1e-9 * max(1.0, abs(entry["value"]))  # where the tolerance is zero
        for way in (-1, 1):
            moved = entry["value"] + way * max(2 * entry["tolerance"], least)
            (problem,) = goldens.compare(values | {entry["name"]: moved}, golden)
            assert problem.startswith(entry["name"])
        without = {other: value for other, value in values.items() if other != entry["name"]}
        assert len(goldens.compare(without, golden)) == 1
