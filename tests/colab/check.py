"""Run notebooks as Google Colab would: ``make colab-check``, or ``python tests/colab/check.py 02``.

A Colab session is a stock Python 3.13 with Colab's packages, an old IPython and
``google.colab``, in a folder with no checkout around. Here it is

1. a stock environment: what Colab has of the lock, and a stand-in ``google.colab``;
   it is made once, and kept in ``.cache/colab``;
2. for each notebook a session, thrown away afterwards: an environment on top of the
   stock one, in which the notebook's own set-up cell finds fedkit missing and installs
   it, from a wheel built from this checkout.

Each notebook must end without an error, print nothing on stderr, leave no process
behind, and find the same golden numbers as everywhere.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import tools
from tools import goldens, pairing, running

from fedkit.compat import environment

HERE = Path(__file__).parent
# jax imports `google.colab.output` where there is a `google.colab`.
STAND_IN = {"__init__.py": '"""A stand-in for what only a Colab machine has."""\n', "output.py": ""}


def main(wanted: list[str]) -> int:
    """Check the notebooks named, or all; 0 if all is well, or where there is no Python 3.13."""
    python = find_python()
    if python is None:
        print("colab-check is skipped: Colab's Python is 3.13, and none was found (on the PATH, in pyenv, in uv).")
        return 0
    chosen = tools.choose(wanted)
    stock = stock_environment(python)
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        wheel = build_wheel(Path(folder))
        for name in chosen:
            print(f"{name} in Colab's environment ... ", end="", flush=True)
            start = time.perf_counter()
            found = check(name, python, stock, wheel)
            print("failed." if found else f"{time.perf_counter() - start:.0f} s", flush=True)
            problems += [f"{name}: {problem}" for problem in found]
    print(*problems, sep="\n", end="\n" if problems else "", file=sys.stderr)
    return len(problems) > 0


def find_python() -> str | None:
    """Path of a Python 3.13 that runs, on the PATH or where pyenv and uv keep theirs."""
    kept = [*Path.home().glob(".pyenv/versions/3.13*/bin/python")]
    kept += Path.home().glob(".local/share/uv/python/cpython-3.13*/bin/python3.13")
    question = "import ensurepip, sys, venv; assert sys.version_info[:2] == (3, 13)"
    for python in [shutil.which("python3.13"), *map(str, sorted(kept))]:
        if python and subprocess.run([python, "-c", question], capture_output=True).returncode == 0:
            return python
    return None


def stock_environment(python: str) -> Path:
    """Return the site-packages of Colab's stock environment, made unless it is there already."""
    lacking, kernel = listed("lacking.txt"), listed("kernel.txt")
    has = [line for name, line in locked(environment.LOCK).items() if name not in lacking]
    has += [line for name, line in locked(tools.root() / "requirements.lock").items() if name in kernel]
    version = subprocess.run([python, "-VV"], capture_output=True, text=True, check=True).stdout
    text = "\n".join(dict.fromkeys(has)) + "\n"
    key = hashlib.sha256("\n".join([version, text, str(STAND_IN)]).encode()).hexdigest()[:12]
    folder = tools.root() / ".cache" / "colab" / key
    packages = folder / "lib" / "python3.13" / "site-packages"
    if not (folder / "made").exists():
        print("Making Colab's stock environment (once, about two minutes) ... ", end="", flush=True)
        shutil.rmtree(folder.parent, ignore_errors=True)  # an older one is of no use
        subprocess.run([python, "-m", "venv", folder], check=True)
        (folder / "stock.lock").write_text(text)
        pip(folder / "bin" / "python", "install", "--no-deps", "--ignore-requires-python", "-r", folder / "stock.lock")
        (packages / "google" / "colab").mkdir(parents=True)
        for file, content in STAND_IN.items():
            (packages / "google" / "colab" / file).write_text(content)
        (folder / "made").touch()
        print("done.", flush=True)
    return packages


def check(name: str, python: str, stock: Path, wheel: Path) -> list[str]:
    """Run one notebook in a session of its own; return what is wrong, in sentences."""
    with tempfile.TemporaryDirectory() as folder:
        session = Path(folder) / "session"
        subprocess.run([python, "-m", "venv", "--without-pip", session], check=True)
        # As in Colab, where the kernel starts with google.colab imported.
        (session / "lib" / "python3.13" / "site-packages" / "stock.pth").write_text(
            f"import site; site.addsitedir({str(stock)!r})\nimport google.colab\n"
        )
        mark = f"colab-check-{os.getpid()}-{name}"
        kernel = Path(folder) / "jupyter" / "kernels" / "colab"
        kernel.mkdir(parents=True)
        (kernel / "kernel.json").write_text(
            json.dumps(
                {
                    "argv": [str(session / "bin" / "python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
                    "display_name": "Colab",
                    "language": "python",
                    "env": {
                        "FEDKIT_SOURCE": str(wheel),
                        "FEDKIT_MARK": mark,
                        "PYTHONNOUSERSITE": "1",
                        "PYTHONPATH": "",
                    },
                }
            )
        )
        os.environ["JUPYTER_PATH"] = str(kernel.parents[1])
        text = pairing.source(name).read_text(encoding="utf-8")
        notebook = pairing.make(name, text, environment.repository())
        target = tools.root() / ".cache" / "colab" / f"{name}.ipynb"
        try:
            executed = running.execute(
                notebook, target, profile="smoke", figures=Path(folder) / "figures", kernel="colab"
            )
        except RuntimeError as error:
            return [str(error), *leftovers(mark)]
        return judge(executed) + goldens.compare(goldens.glued(executed), goldens.load(name)) + leftovers(mark)


def judge(executed: dict) -> list[str]:
    """Return what a reader of an executed notebook would stumble over."""
    problems = []
    outputs = [
        (number, output) for number, cell in enumerate(executed["cells"], 1) for output in cell.get("outputs", [])
    ]
    for number, output in outputs:
        if output.get("name") == "stderr":
            problems.append(f"cell {number} prints on stderr: {''.join(output['text']).strip()[:500]}")
    setup = next(cell for cell in executed["cells"] if "setup" in cell["metadata"].get("tags", []))
    said = "".join("".join(output.get("text", "")) for output in setup["outputs"])
    if "tensorflow-federated" not in said:
        problems.append(f"the set-up cell did not install tensorflow-federated; it said: {said.strip()!r}")
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
        try:
            if f"FEDKIT_MARK={mark}\0".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " ").strip())
        except OSError:  # it has just ended, or is not ours to look at
            continue
    return [line for line in found if line]


def build_wheel(folder: Path) -> Path:
    """Build fedkit's wheel from the checkout."""
    pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", folder, tools.root())
    return next(folder.glob("fedkit-*.whl"))


def listed(file: str) -> set[str]:
    """Names in one of the lists beside this file."""
    return {line for line in (HERE / file).read_text().splitlines() if line and not line.startswith("#")}


def locked(lock: Path) -> dict[str, str]:
    """Name -> whole entry of a lock; where there is one for each of several Pythons, all of them."""
    entries: dict[str, str] = {}
    for line in lock.read_text().replace("\\\n", " ").splitlines():
        name = line.partition("==")[0]
        entries[name] = f"{entries[name]}\n{line}" if name in entries else line
    return entries


def pip(python: str | Path, *arguments: str | Path) -> None:
    """Run pip quietly; its words are shown where it fails."""
    command = [python, "-m", "pip", "--disable-pip-version-check", *arguments]
    ended = subprocess.run([*map(str, command)], capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{ended.stderr}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
