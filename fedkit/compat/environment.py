"""What the kit needs, and what is missing of it: ``python -m fedkit.compat.environment``.

``runtime.lock`` pins all that ``import fedkit.…`` needs, with hashes. What is there already, as on
Google Colab, is used as it is: replacing what a running kernel has loaded would mean a restart.
"""

import importlib
import importlib.metadata
import platform
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

LOCK = Path(__file__).with_name("runtime.lock")
PYTHONS = ((3, 11), (3, 13))  # oldest and newest
MAIN = "fedkit tensorflow tensorflow-federated tf-keras tenseal numpy pandas scikit-learn matplotlib".split()


def versions() -> dict[str, str]:
    """Version of Python and of each main package, without loading any; "missing" where it is not installed."""
    return {"python": platform.python_version()} | {name: _version(name) or "missing" for name in MAIN}


def repository() -> str:
    """Address of the repository, from the one place that states it: ``pyproject.toml``."""
    return _project()[0]


def missing(lock: Path = LOCK) -> dict[str, str]:
    """Name -> whole entry of `lock` (pin, marker, hashes) of what it names for this Python, and this Python lacks."""
    entries = {}
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = _requirement(line.partition(" --hash")[0])
            wanted = requirement.marker is None or requirement.marker.evaluate()
            if wanted and not _version(requirement.name):
                entries[requirement.name] = line
    return entries


def untested() -> list[str]:
    """Say which of the packages that are here have a version outside the range that was tested, and the range."""
    found = []
    for requirement in map(_requirement, _project()[1]):
        if (here := _version(requirement.name)) and not requirement.specifier.contains(here, prereleases=True):
            tested = ",".join(sorted(map(str, requirement.specifier), reverse=True))
            found.append(f"{requirement.name} {here} (tested: {tested})")
    return found


def install(lock: Path = LOCK) -> None:
    """Install what is missing, and say so in a line, in another what was never tested; RuntimeError if that fails."""
    here, machine = sys.version_info[:2], platform.machine()
    if not PYTHONS[0] <= here <= PYTHONS[1]:
        raise RuntimeError(
            f"fedkit needs Python 3.{PYTHONS[0][1]} to 3.{PYTHONS[1][1]}, and this is Python {here[0]}.{here[1]}. "
            "Install one of those beside it and start again with that."
        )
    if sys.platform != "linux" or machine != "x86_64":
        raise RuntimeError(
            f"TensorFlow Federated runs on Linux on x86_64 only, and this is {platform.system()} on {machine}. "
            "Open the notebooks in Google Colab, or on Windows in WSL 2."
        )
    if entries := missing(lock):
        print(f"fedkit installs {', '.join(entries)} (about a minute) ... ", end="", flush=True)
        _install(entries)
    else:
        print(f"fedkit {_version('fedkit') or ''} is ready: all it needs is here.".replace("  ", " "))
    if others := untested():
        print(f"fedkit goes on with versions that it was not tested with: {'; '.join(others)}.")


def _install(entries: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "missing.lock"
        wanted.write_text("\n".join(entries.values()) + "\n", encoding="utf-8")
        options = ["--no-deps", "--ignore-requires-python", "--no-input", "--disable-pip-version-check"]
        command = [sys.executable, "-m", "pip", "install", *options, "--requirement", str(wanted)]
        pip = subprocess.run(command, capture_output=True, text=True)
    if pip.returncode != 0:
        print("failed.", flush=True)
        lines = [*filter(None, map(str.strip, pip.stderr.splitlines()))]
        errors = [line for line in lines if line.startswith("ERROR") or "No module named pip" in line]
        raise RuntimeError(
            f"pip could not install {', '.join(entries)}. Check the internet connection, and that this Python "
            f"may be written to, then try again. pip's last words: {(errors or lines or ['(nothing)'])[-1]}"
        )
    importlib.invalidate_caches()  # so that a running kernel finds what has just come
    print("done.", flush=True)


def _project() -> tuple[str, list[str]]:
    """Return the repository's address, and what fedkit requires: of the checkout around this file, or as installed."""
    file = Path(__file__).parents[2] / "pyproject.toml"
    if file.exists():
        project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        return project["urls"]["Repository"], project["dependencies"]
    if not _version("fedkit"):
        raise RuntimeError("What fedkit requires is in its metadata, and fedkit is not installed. Install it.")
    metadata = importlib.metadata.metadata("fedkit")
    (address,) = [url.removeprefix("Repository, ") for url in metadata.get_all("Project-URL") if "Repository, " in url]
    return address, [text for text in metadata.get_all("Requires-Dist") if "extra ==" not in text]


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _requirement(text: str):
    """Parse one requirement; a bare Python has `packaging` only inside pip."""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        from pip._vendor.packaging.requirements import Requirement
    return Requirement(text)


if __name__ == "__main__":
    try:
        install()
    except RuntimeError as error:
        sys.exit(str(error))
