"""Run notebooks as Google Colab would: ``make colab-check``, or ``python tests/colab/check.py 02``.

A Colab session is a stock Python with Colab's packages, an old IPython and ``google.colab``, in a folder with no
checkout around. ``python3.13.txt`` and ``python3.12.txt`` beside this file are Colab's own lists, of its runtime and of
the one before, without what is not in ``requirements.lock``: a package that is new there may have a line to add. For
each, where such a Python is here,

1. a stock environment is made once, and kept in ``.cache/colab``: what we use and Colab has, at Colab's versions;
2. for each notebook a session, thrown away afterwards: an environment on top of the stock one, in which the notebook's
   own set-up cell installs fedkit, from a wheel built from this checkout, and what Colab lacks.

Each notebook must end without an error, print nothing on stderr, leave no process behind, and find the same golden
numbers as everywhere. With NEWEST=1 it is the newest of everything instead, and what goes wrong is said and forgiven.
"""

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tools
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tools import goldens, pairing, running

from fedkit.compat import environment

HERE = Path(__file__).parent
PYTHONS = ("3.13", "3.12")


def main(wanted: list[str], newest: bool) -> int:
    """Check the notebooks named, or all; 0 if all is well, or where none of Colab's Pythons is here."""
    chosen, problems = tools.choose(wanted), []
    print(*compare(HERE / f"python{PYTHONS[0]}.txt", datetime.date.today()), sep="\n")
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        for version in PYTHONS[:1] if newest else PYTHONS:
            python = find_python(version)
            if python is None:
                print(f"Not run on Colab's Python {version}: none was found (on the PATH, in pyenv, in uv).")
                continue
            stock = stock_environment(python, version, newest)
            for name in chosen:
                where = f"{name} with {'the newest of everything' if newest else 'what Colab has'} on Python {version}"
                print(f"{where} ... ", end="", flush=True)
                start = time.perf_counter()
                found = check(name, python, version, stock, wheel)
                print("failed." if found else f"{time.perf_counter() - start:.0f} s", flush=True)
                problems += [f"{where}: {problem}" for problem in found]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stdout if newest else sys.stderr)
    return 0 if newest else len(problems) > 0


def pinned(file: Path) -> dict[str, str]:
    """Name -> version, of one of Colab's lists or a lock."""
    found = re.findall(r"^([\w.-]+)==(\S+)", file.read_text(), re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def used() -> dict[str, str]:
    """Name -> version in our lock, of what fedkit's modules need and what a notebook's kernel is made of."""
    whole, names, waiting = pinned(tools.root() / "requirements.lock"), set(), ["ipykernel", "ipywidgets"]
    del whole["notebook"]  # a kernel does without the server that shows it
    while waiting:
        if (name := canonicalize_name(waiting.pop())) in whole and name not in names:
            names.add(name)
            needs = map(Requirement, importlib.metadata.requires(name) or [])
            waiting += [need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})]
    return {name: whole[name] for name in sorted(names | pinned(environment.LOCK).keys())}


def lacking(colab: dict[str, str]) -> set[str]:
    """Names of what fedkit's modules need and Colab does not have: a set-up cell has these to install."""
    return pinned(environment.LOCK).keys() - colab.keys()


def compare(file: Path, today: datetime.date) -> list[str]:
    """Say how old Colab's list is, and where our lock has another version than Colab has."""
    colab, ours, direct = pinned(file), used(), set(environment.MAIN)
    date = datetime.date.fromisoformat(re.search(r"\d{4}-\d\d-\d\d", file.read_text())[0])
    differing = sorted(name for name in ours.keys() & colab if ours[name] != colab[name])
    said = [
        f"Colab's list is of {date}. Of the {len(ours)} packages that fedkit and a notebook's kernel use, Colab lacks "
        f"{', '.join(sorted(ours.keys() - colab.keys()))}, and has another version of {len(differing)}."
    ]
    said += [f"Our lock pins {name} {ours[name]}, Colab has {colab[name]}." for name in differing if name in direct]
    if (age := (today - date).days) > 180:
        said.append(f"Colab's list is {age} days old. Take a newer one from github.com/googlecolab/backend-info.")
    return said


def find_python(version: str) -> str | None:
    """Path of such a Python that runs, on the PATH or where pyenv and uv keep theirs."""
    kept = [*Path.home().glob(f".pyenv/versions/{version}*/bin/python")]
    kept += Path.home().glob(f".local/share/uv/python/cpython-{version}*/bin/python{version}")
    question = f"import ensurepip, sys, venv; assert '%d.%d' % sys.version_info[:2] == '{version}'"
    for python in [shutil.which(f"python{version}"), *map(str, sorted(kept))]:
        if python and subprocess.run([python, "-c", question], capture_output=True).returncode == 0:
            return python
    return None


def stock_environment(python: str, version: str, newest: bool) -> Path:
    """Return the site-packages of Colab's stock environment, made unless it is there already."""
    colab, kind = pinned(HERE / f"python{version}.txt"), "newest" if newest else version
    wanted = [name if newest else f"{name}=={colab[name]}" for name in used() if name in colab]
    options = ["--upgrade"] if newest else ["--no-deps", "--ignore-requires-python"]
    today = datetime.date.today() if newest else ""  # the newest of yesterday is of no use
    key = hashlib.sha256(f"{python} {wanted} {today}".encode()).hexdigest()[:12]
    folder = tools.root() / ".cache" / "colab" / f"{kind}-{key}"
    packages = folder / "lib" / f"python{version}" / "site-packages"
    if not (folder / "made").exists():
        print(f"Making Colab's stock environment, {kind} (once, about two minutes) ... ", end="", flush=True)
        for older in folder.parent.glob(f"{kind}-*"):
            shutil.rmtree(older)
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip(folder / "bin" / "python", "install", *options, *wanted)
        stand_in = packages / "google" / "colab"  # for what only a Colab machine has
        stand_in.mkdir(parents=True)
        (stand_in / "__init__.py").touch()
        (stand_in / "output.py").touch()  # which jax imports where there is a google.colab
        (folder / "made").touch()
        print("done.", flush=True)
    return packages


def check(name: str, python: str, version: str, stock: Path, wheel: Path) -> list[str]:
    """Run one notebook in a session of its own; return what is wrong, in sentences."""
    with tempfile.TemporaryDirectory() as folder:
        session = Path(folder) / "session"
        subprocess.run([python, "-m", "venv", "--without-pip", session], check=True)
        # As in Colab, where the kernel starts with google.colab imported.
        (session / "lib" / f"python{version}" / "site-packages" / "stock.pth").write_text(
            f"import site; site.addsitedir({str(stock)!r})\nimport google.colab\n"
        )
        wanted = lacking(pinned(HERE / f"python{version}.txt"))
        return run(name, session / "bin" / "python", Path(folder), wanted, FEDKIT_SOURCE=str(wheel))


def run(name: str, python: Path, folder: Path, wanted: set[str], **variables: str) -> list[str]:
    """Run one notebook with a Python; return what is wrong, in sentences.

    folder : for the figures, and what tells Jupyter of this Python
    wanted : what the set-up cell must speak of
    """
    mark, kernel = f"colab-check-{os.getpid()}-{name}", folder / "jupyter" / "kernels" / "colab"
    kernel.mkdir(parents=True)
    command = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    variables |= {"FEDKIT_MARK": mark, "PYTHONNOUSERSITE": "1", "PYTHONPATH": ""}
    spec = {"argv": command, "display_name": "Colab", "language": "python", "env": variables}
    (kernel / "kernel.json").write_text(json.dumps(spec))
    os.environ["JUPYTER_PATH"] = str(kernel.parents[1])
    target = tools.root() / ".cache" / "colab" / f"{name}.ipynb"
    try:
        executed = running.execute(pairing.of(name), target, "smoke", folder / "figures", kernel="colab")
    except RuntimeError as error:
        return [str(error), *leftovers(mark)]
    return judge(executed, wanted) + goldens.compare(goldens.glued(executed), goldens.load(name)) + leftovers(mark)


def judge(executed: dict, wanted: set[str]) -> list[str]:
    """Return what a reader of an executed notebook would stumble over."""
    problems = [
        f"cell {number} prints on stderr: {''.join(output['text']).strip()[:500]}"
        for number, cell in enumerate(executed["cells"], 1)
        for output in cell.get("outputs", [])
        if output.get("name") == "stderr"
    ]
    setup = next(cell for cell in executed["cells"] if "setup" in cell["metadata"].get("tags", []))
    said = "".join("".join(output.get("text", "")) for output in setup["outputs"])
    if silent := sorted(name for name in wanted if name not in said):
        problems.append(f"the set-up cell does not speak of {', '.join(silent)}; it said: {said.strip()!r}")
    return problems


def leftovers(mark: str) -> list[str]:
    """Return the processes that outlive a session, told by the mark in their environment."""
    deadline = time.monotonic() + 10  # a kernel that has been told to end may need a moment
    while (alive := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return [f"a process is left behind: {line}" for line in alive]


def marked(mark: str) -> list[str]:
    """Command lines of the processes started with FEDKIT_MARK=mark; zombies have none."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended, or is not ours to look at
            if f"FEDKIT_MARK={mark}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " ").strip())
    return [line for line in found if line]


def build_wheel(folder: Path) -> Path:
    """Build fedkit's wheel from the checkout."""
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", folder, tools.root())
    return next(folder.glob("fedkit-*.whl"))


def pip(python: str | Path, *arguments: str | Path) -> None:
    """Run pip quietly; its words are shown where it fails."""
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    ended = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{ended.stderr}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], newest=os.environ.get("NEWEST", "") not in ("", "0")))
