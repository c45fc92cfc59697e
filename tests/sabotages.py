"""One fault at a time is put into a copy of the kit, and the tests named for it must go red.

    python tests/sabotages.py [-j JOBS] [WORD ...]

With words, only faults in files whose path holds one of them. Prints a line a fault: caught, NOT CAUGHT, or MISSING,
where the text to replace is not there once. Ends with 1 if one was not caught, or a test is red without any fault.
"""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
FAULTS = Path(__file__).with_suffix(".txt")
COPIED = ["fedkit", "tests", "data", "figures", "notebooks/site", "notebooks/source", "notebooks/tools"]
NOTEBOOK = "tests/notebooks/test_notebooks.py::test_it_runs_without_noise_and_finds_the_golden_numbers[{}]"
SECONDS = 900  # a test that takes so long waits for ever, and is as good as red


class Fault(NamedTuple):
    """A line of the list."""

    file: str
    old: str
    new: str
    tests: list[str]


def faults(words: list[str]) -> list[Fault]:
    """Return those in files whose path holds one of the words; all, if there are none."""
    found, file, tests = [], "", []
    for line in FAULTS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#") or not line:
            continue
        if line.startswith(" "):
            old, _, new = line.strip().partition(" =>")
            found.append(Fault(file, old, new.strip(), tests))
        else:
            file, named = line.split(": ")
            tests = []
            for name in named.split():
                path, colons, test = name.partition("::")  # a notebook, or a file of tests and one of its tests
                path = (
                    NOTEBOOK.format(path) if path[0].isdigit() else f"tests/{'' if '/' in path else 'test_'}{path}.py"
                )
                tests.append(path + colons + test)
    return [fault for fault in found if not words or any(word in fault.file for word in words)]


def copied(folder: str) -> Path:
    """Copy what the tests need."""
    place = Path(tempfile.mkdtemp(dir=folder))
    for name in COPIED:
        shutil.copytree(ROOT / name, place / name, ignore=shutil.ignore_patterns("__pycache__"))
    for page in (ROOT / "notebooks").glob("*.md"):
        shutil.copy(page, place / "notebooks")
    if (ROOT / ".venv-network").exists():  # without it, the tests of the engine are skipped, and catch nothing
        (place / ".venv-network").symlink_to(ROOT / ".venv-network")
    for file in filter(Path.is_file, ROOT.iterdir()):
        shutil.copy(file, place)
    return place


def red(place: Path, tests: list[str]) -> str:
    """Run tests in a copy: the first that is red, or nothing."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=no", *tests]
    how = os.environ | {"PYTHONPATH": f"{place}:{place}/notebooks", "PYTHONDONTWRITEBYTECODE": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    run = subprocess.Popen(command, cwd=place, env=how, start_new_session=True, **pipes)
    try:
        said, _ = run.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return f"{tests}, which wait for ever"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)  # nothing stays behind
    first = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return (first or said.strip().splitlines())[-1].split(" - ")[0] if run.returncode else ""


def tried(fault: Fault, places: Queue) -> bool:
    """Whether a fault is caught, which is also printed."""
    place = places.get()
    file = place / "fedkit" / fault.file
    text = file.read_text() if file.exists() else ""
    if text.count(fault.old) == 1:
        file.write_text(text.replace(fault.old, fault.new))
        found = red(place, fault.tests)
        file.write_text(text)
        said = f"caught by {found}" if found else "NOT CAUGHT"
    else:
        said = f"MISSING, {text.count(fault.old)} times there"
    places.put(place)
    print(f"{fault.file}: {fault.old} => {fault.new}\n    {said}", flush=True)
    return said.startswith("caught")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-j", type=int, default=os.cpu_count(), dest="jobs", help="how many at a time")
    parser.add_argument("words", nargs="*")
    asked, places = parser.parse_args(), Queue()
    chosen = faults(asked.words)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(asked.jobs) as pool:
        whole, *every = (copied(folder) for _ in range(asked.jobs + 1))
        for place in every:
            places.put(place)
        caught = sum(pool.map(lambda fault: tried(fault, places), chosen))
        before = red(whole, sorted({test for fault in chosen for test in fault.tests}))
    print(f"RED WITHOUT ANY FAULT: {before}\n" * bool(before) + f"{caught} of {len(chosen)} faults were caught.")
    return int(bool(before) or caught < len(chosen))


if __name__ == "__main__":
    sys.exit(main())
