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
DRAW = """
# %%
import os
from pathlib import Path

figures = Path(os.environ["FEDKIT_FIGURES"])
(figures / "measured").mkdir(parents=True)
for file in ("NAME.png", "measured/NAME.csv"):
    (figures / file).write_text("drawn")
"""


def source(number: str, imported: str, more: str = "") -> str:
    needs = f"\n# %%\ndef never_called():\n    import {imported}\n"
    return SOURCE.replace("# 01. A", f"# {number}. A") + needs + DRAW.replace("NAME", number) + more


def make(top: Path, *arguments: str) -> subprocess.CompletedProcess:
    paths = os.environ | {"PYTHONPATH": str(HERE), "MAKEFLAGS": ""}
    return subprocess.run(["make", *arguments], cwd=top, env=paths, capture_output=True, text=True)


def stale(top: Path) -> set[str]:
    return set(re.findall(r"tools make (\d\d)", make(top, "-n", "figures").stdout))


def drawn(top: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted((top / "figures").rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A checkout of two notebooks, once `make figures` has ended in it."""
    top = tmp_path_factory.mktemp("made")
    shutil.copytree(HERE / "notebooks" / "tools", top / "notebooks" / "tools")
    shutil.copy(HERE / "Makefile", top)
    texts = {
        "requirements.lock": "",
        "pyproject.toml": "",
        "data/rows.csv": "1\n",
        "fedkit/__init__.py": "",
        "fedkit/models.py": "",
        "fedkit/chapters/__init__.py": "",
        "fedkit/chapters/robust.py": "from fedkit import models\n",
        "notebooks/source/01_small.py": source("01", "fedkit.models"),
        "notebooks/solutions/.kept": "",
        "notebooks/source/02_other.py": source("02", "fedkit.chapters.robust"),
        ".venv/bin/python": f'#!/bin/sh\nexec {sys.executable} "$@"\n',
        ".venv/made": "",
    }
    for name, text in texts.items():
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text(text)
    (top / ".venv" / "bin" / "python").chmod(0o755)
    ended = make(top, "figures")
    assert ended.returncode == 0, ended.stderr
    lines = ended.stdout.splitlines()
    assert lines[0].startswith("Executing what changed,")
    assert sorted(re.sub(r"\d+ s", "1 s", line) for line in lines[1:-1]) == [
        "01_small: 1 s, 2 files in figures/",
        "02_other: 1 s, 2 files in figures/",
    ]
    assert {path.removeprefix(str(top)) for path in drawn(top)} == {
        f"/figures/{name}" for name in ("01.png", "02.png", "measured/01.csv", "measured/02.csv")
    }
    return top


@pytest.fixture
def copy(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "copy", symlinks=True))


def test_then_there_is_nothing_to_do(made):
    assert make(made, "figures").stdout == "figures/ is up to date.\n"


def append(name):
    return lambda top: (top / name).write_text((top / name).read_text() + "\n")


def delete(name):
    return lambda top: (top / name).unlink()


@pytest.mark.parametrize(
    ("change", "again"),
    [
        (append("notebooks/source/01_small.py"), {"01"}),
        (append("fedkit/models.py"), {"01", "02"}),
        (append("fedkit/chapters/robust.py"), {"02"}),
        (delete("fedkit/chapters/robust.py"), {"02"}),
        (lambda top: (top / "fedkit/models.py").rename(top / "fedkit/renamed.py"), {"01", "02"}),
        (append("data/rows.csv"), {"01", "02"}),
        (lambda top: (top / "data/more.csv").write_text("1\n"), {"01", "02"}),
        (append("requirements.lock"), {"01", "02"}),
        (delete("figures/01.png"), {"01"}),
        (append("figures/02.png"), {"02"}),
        (delete("figures/measured/02.csv"), {"02"}),
        (lambda top: shutil.rmtree(top / ".cache"), {"01", "02"}),
        (append("notebooks/tools/report.py"), set()),
        (lambda top: (top / "fedkit/unused.py").write_text(""), set()),
        (lambda top: (top / "figures/by_hand.png").write_text(""), set()),
    ],
)
def test_a_change_makes_stale_what_follows_from_it_and_nothing_else(copy, change, again):
    change(copy)
    (copy / ".venv" / "made").touch()  # a lock that changed would make the environment anew
    assert stale(copy) == again


def test_published_are_both_copies_and_what_was_edited_meanwhile_is_stale(copy):
    edit = f"\n# %%\nfrom pathlib import Path\nPath({str(copy / 'fedkit/models.py')!r}).write_text('# edited')\n"
    (copy / "notebooks/source/01_small.py").write_text(source("01", "fedkit.models", edit))
    assert make(copy, "notebooks", "NOTEBOOKS=01").returncode == 0
    for name in ("01_small", "solutions/01_small"):
        assert '"execution_count": 1' in (copy / f"notebooks/{name}.ipynb").read_text()
    assert not (copy / "notebooks/02_other.ipynb").exists()
    assert stale(copy) == {"01", "02"}


@pytest.mark.parametrize("end", ["an error", signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_is_aborted_leaves_every_file_as_it_was(copy, end):
    before = drawn(copy)
    last = "1 / 0" if end == "an error" else "import time\ntime.sleep(600)"
    text = source("01", "fedkit.models", f"\n# %%\n{last}\n").replace('"drawn"', '"half a picture"')
    (copy / "notebooks/source/01_small.py").write_text(text)
    command = [copy / ".venv/bin/python", copy / "notebooks/tools", "make", "01"]
    tool = subprocess.Popen(command, env=os.environ | {"PYTHONPATH": str(HERE)}, stderr=subprocess.PIPE)
    half = copy / ".cache/notebooks/01_small/figures/measured/01.csv"
    while end != "an error" and not half.exists():
        assert tool.poll() is None
        time.sleep(0.1)
    children = psutil.Process(tool.pid).children(recursive=True) if end != "an error" else []
    if children:
        tool.send_signal(end)
    assert tool.wait(60) != 0
    assert end != "an error" or b"a cell failed" in tool.stderr.read()
    assert half.read_text() == "half a picture", "what was run can be looked at"
    assert drawn(copy) == before
    assert stale(copy) == {"01"}
    _, left = psutil.wait_procs(children, timeout=20)
    assert left == [], "its kernel has ended as well"


def test_a_notebook_that_does_not_exist_is_refused(made):
    assert "There is no notebook 77." in make(made, "notebooks", "NOTEBOOKS=77").stderr


def test_the_tool_is_not_in_the_wheel():
    build = tomllib.loads((HERE / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    files = [path for name in build["only-include"] for path in (HERE / name).rglob("*") if path.is_file()]
    assert set(build) == {"only-include", "dev-mode-dirs", "sources"}, "nothing else adds files"
    assert HERE / "fedkit" / "learning.py" in files
    assert [path for path in files if "tools" in path.parts[len(HERE.parts) :] or path.suffix == ".ipynb"] == []
