"""Try what `make dist` made, on each Python that the kit is for: ``make release``.

An empty environment, README.md's flags, the lock, the wheel; then notebook 00, away from the checkout. It must end
without an error, print nothing on stderr, leave no process behind, and find the golden numbers. The environment is
thrown away.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import check
import tools
from packaging.utils import parse_wheel_filename

from fedkit.compat import environment

NAME = "00_start_here"
FLAGS = ["--no-deps", "--ignore-requires-python"]


def main() -> int:
    """Try each Python, and say what is wrong; 0 if nothing is."""
    (wheel,), failed = (tools.root() / "dist").glob("fedkit-*.whl"), False
    for minor in range(environment.PYTHONS[0][1], environment.PYTHONS[1][1] + 1):
        python = check.find_python(f"3.{minor}")
        print(f"{wheel.name} on Python 3.{minor} ... ", end="", flush=True)
        start = time.perf_counter()
        found = tried(wheel, python) if python else ["none was found (on the PATH, in pyenv, in uv)"]
        print(*found or [f"{time.perf_counter() - start:.0f} s"], sep="\n", flush=True)
        failed |= bool(found)
    return int(failed)


def tried(wheel: Path, python: str) -> list[str]:
    """Install a wheel in an environment of its own and run the notebook there; return what is wrong, in sentences."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder) / "environment" / "bin" / "python"
        subprocess.run([python, "-m", "venv", here.parents[1]], check=True)
        check.pip(here, "install", *FLAGS, "--requirement", tools.root() / "requirements.lock")
        check.pip(here, "install", *FLAGS, wheel)
        _, version, *_ = parse_wheel_filename(wheel.name)
        return check.run(NAME, here, Path(folder), {f"fedkit {version} is ready: all it needs is here."})


if __name__ == "__main__":
    sys.exit(main())
