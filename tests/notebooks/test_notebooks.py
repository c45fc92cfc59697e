"""Every notebook, run as it is at the smoke profile: no error, no noise, the golden numbers.

Both copies are run, the student's and the one with solutions: each is something that people open, and a solution must
not be what keeps a later cell going.
"""

import os
import subprocess
import sys

import nbformat
import pytest
import tools
from tools import goldens

COPIES = [
    pytest.param(name, more, id=f"{name}{''.join(more)}") for name in tools.names() for more in ([], ["--solutions"])
]


@pytest.mark.parametrize(("name", "more"), COPIES)
def test_it_runs_without_noise_and_finds_the_golden_numbers(name, more, tmp_path):
    command = [sys.executable, tools.root() / "notebooks" / "tools", "run", name, "--output", tmp_path, *more]
    # A kernel that finds itself under pytest would not catch what C++ code prints.
    outside = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")}
    ended = subprocess.run(command, env=outside, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    executed = nbformat.read(tmp_path / f"{name}.ipynb", as_version=4)
    assert goldens.compare(goldens.glued(executed), goldens.load(name)) == []
    outputs = [output for cell in executed.cells for output in cell.get("outputs", [])]
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []


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
