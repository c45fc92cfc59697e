"""Notebooks are executed where something changed, and only there; what is aborted leaves every file as it was."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import psutil
import pytest
from small_notebook import SOURCE

HERE = Path(__file__).parents[2]
HOW = {"env": os.environ | {"PYTHONPATH": str(HERE), "MAKEFLAGS": "", "MAKELEVEL": "0"}, "text": True}
CELLS = """
# %%
def never_called():
    import IMPORTED

# %%
import os
from pathlib import Path

figures = Path(os.environ["FEDKIT_FIGURES"])
(figures / "measured").mkdir(parents=True)
for file in ("NUMBER.png", "measured/NUMBER.csv"):
    (figures / file).write_text("drawn")
"""


def source(number: str, imported: str) -> str:
    text = SOURCE.replace("# 01. A", f"# {number}. A") + CELLS
    return text.replace("IMPORTED", imported).replace("NUMBER", number)


def make(top: Path, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["make", *arguments], cwd=top, capture_output=True, **HOW)


def stale(top: Path) -> list[str]:
    return sorted(re.findall(r"tools make (\d\d)", make(top, "-n", "figures").stdout))


def drawn(top: Path) -> dict[str, str]:
    return {str(path.relative_to(top)): path.read_text() for path in (top / "figures").rglob("*.*")}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A checkout of two notebooks, once `make figures` has ended in it."""
    top = tmp_path_factory.mktemp("made")
    shutil.copytree(HERE / "notebooks" / "tools", top / "notebooks" / "tools")
    shutil.copy(HERE / "Makefile", top)
    texts = dict.fromkeys(["requirements.lock", "pyproject.toml", "fedkit/__init__.py", "fedkit/models.py"], "")
    texts |= {
        ".venv/bin/python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        ".venv/made": "",
        "data/rows.csv": "1\n",
        "fedkit/chapters/__init__.py": "",
        "fedkit/chapters/robust.py": "from fedkit import models\n",
        "notebooks/source/01_small.py": source("01", "fedkit.models"),
        "notebooks/source/02_other.py": source("02", "fedkit.chapters.robust"),
        "notebooks/solutions/.kept": "",
    }
    for name, text in texts.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    (top / ".venv" / "bin" / "python").chmod(0o755)
    ended = make(top, "figures")
    assert ended.returncode == 0, ended.stderr
    first, *lines, _ = re.sub(r"\d+ s", "1 s", ended.stdout).splitlines()
    assert first.startswith("Executing what changed,")
    assert sorted(lines) == [f"{name}: 1 s, 2 files in figures/" for name in ("01_small", "02_other")]
    assert drawn(top) == {
        f"figures/{name}": "drawn" for name in ("01.png", "02.png", "measured/01.csv", "measured/02.csv")
    }
    return top


@pytest.fixture
def copy(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy", symlinks=True))


def test_then_there_is_nothing_to_do_and_what_does_not_exist_is_refused(made):
    assert make(made, "figures").stdout == "figures/ is up to date.\n"
    assert "There is no notebook 77." in make(made, "notebooks", "NOTEBOOKS=77").stderr


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ("echo >> notebooks/source/01_small.py", ["01"]),
        ("echo >> fedkit/models.py", ["01", "02"]),
        ("echo >> fedkit/chapters/robust.py", ["02"]),
        ("rm fedkit/chapters/robust.py", ["02"]),
        ("mv fedkit/models.py fedkit/renamed.py", ["01", "02"]),
        ("echo >> data/rows.csv", ["01", "02"]),
        ("echo > data/more.csv", ["01", "02"]),
        ("echo >> requirements.lock", ["01", "02"]),
        ("rm figures/01.png", ["01"]),
        ("echo >> figures/02.png", ["02"]),
        ("rm figures/measured/02.csv", ["02"]),
        ("rm -r .cache", ["01", "02"]),
        ("echo >> notebooks/tools/report.py; echo > fedkit/unused.py; echo > figures/by_hand.png", []),
    ],
)
def test_a_change_makes_stale_what_follows_from_it_and_nothing_else(copy, change, again):
    subprocess.run(change, shell=True, check=True, cwd=copy)
    (copy / ".venv" / "made").touch()  # a lock that changed would make the environment anew
    assert stale(copy) == again


def test_published_are_both_copies_and_what_was_edited_meanwhile_is_stale(copy):
    with (copy / "notebooks/source/01_small.py").open("a") as text:
        models = str(copy / "fedkit/models.py")
        text.write(f"\n# %%\nif 'solutions' not in str(figures):\n    Path({models!r}).write_text('# edited')\n")
    assert make(copy, "notebooks", "NOTEBOOKS=01").returncode == 0
    for name in ("01_small", "solutions/01_small"):
        assert '"execution_count": 1' in (copy / f"notebooks/{name}.ipynb").read_text()
    assert not (copy / "notebooks/02_other.ipynb").exists()
    assert stale(copy) == ["01", "02"]


@pytest.mark.parametrize("end", ["an error", signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_is_aborted_leaves_every_file_as_it_was(copy, end):
    file, before = copy / "notebooks/source/01_small.py", drawn(copy)
    last = "1 / 0" if end == "an error" else "import time\ntime.sleep(600)"
    file.write_text(f"{file.read_text()}\n# %%\n{last}\n".replace('"drawn"', '"half a picture"'))
    command = [copy / ".venv/bin/python", copy / "notebooks/tools", "make", "01"]
    hears = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731 - a job in the background ignores it
    tool, children = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=hears, **HOW), []
    half = copy / ".cache/notebooks/01_small/figures/measured/01.csv"
    if end != "an error":
        while not half.exists():
            assert tool.poll() is None
            time.sleep(0.1)
        children = psutil.Process(tool.pid).children(recursive=True)
        tool.send_signal(end)
    assert tool.wait(60) != 0
    assert end != "an error" or "a cell failed" in tool.stderr.read()
    assert half.read_text() == "half a picture", "what was run can be looked at"
    assert (drawn(copy), stale(copy)) == (before, ["01"])
    assert psutil.wait_procs(children, timeout=20)[1] == [], "its kernel has ended as well"


def test_the_tool_is_not_in_the_wheel():
    build = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = [path for name in build["only-include"] for path in (HERE / name).rglob("*") if path.is_file()]
    assert set(build) == {"only-include", "dev-mode-dirs", "sources"}, "nothing else adds files"
    assert HERE / "fedkit" / "learning.py" in files
    assert [path for path in files if "tools" in path.relative_to(HERE).parts or path.suffix == ".ipynb"] == []
