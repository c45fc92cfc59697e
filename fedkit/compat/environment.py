"""What the kit needs, and what is missing of it: ``python -m fedkit.compat.environment``.

``runtime.lock`` beside this file pins everything that ``import fedkit.…`` needs, with
hashes. Where some of it is already there, as on Google Colab, it is used as it is:
replacing a package that a running kernel may have loaded would mean a restart. Only
what is absent is installed, without its dependencies, which are in the lock as well.
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
MAIN = (
    "fedkit",
    "tensorflow",
    "tensorflow-federated",
    "tf-keras",
    "tenseal",
    "numpy",
    "pandas",
    "scikit-learn",
    "matplotlib",
)


def versions() -> dict[str, str]:
    """Version of Python and of each main package, as installed, without loading any of them.

    Returns
    -------
    dict
        Name -> version; "missing" where a package is not installed.
    """
    found = {"python": platform.python_version()}
    return found | {name: _version(name) or "missing" for name in MAIN}


def repository() -> str:
    """Address of the repository, from the one place that states it: ``pyproject.toml``.

    Raises
    ------
    RuntimeError
        If fedkit was neither installed nor is run from a checkout.
    """
    project = Path(__file__).parents[2] / "pyproject.toml"
    if project.exists():
        return tomllib.loads(project.read_text(encoding="utf-8"))["project"]["urls"]["Repository"]
    if _version("fedkit"):
        for entry in importlib.metadata.metadata("fedkit").get_all("Project-URL", []):
            label, _, address = entry.partition(", ")
            if label == "Repository":
                return address
    raise RuntimeError("The repository's address is in fedkit's metadata, and fedkit is not installed. Install it.")


def missing(lock: Path = LOCK) -> dict[str, str]:
    """Find what `lock` names for this Python and platform, and this Python does not have.

    Returns
    -------
    dict
        Name -> the whole entry of the lock: pin, marker and hashes.
    """
    entries = {}
    for line in lock.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = _requirement(line.partition(" --hash")[0])
            wanted = requirement.marker is None or requirement.marker.evaluate()
            if wanted and not _version(requirement.name):
                entries[requirement.name] = line
    return entries


def install(lock: Path = LOCK) -> None:
    """Install what is missing, and say so in one line.

    Raises
    ------
    RuntimeError
        On a platform that TensorFlow Federated has no package for, or if pip fails.
    """
    _check_platform()
    entries = missing(lock)
    if not entries:
        print(f"fedkit {_version('fedkit') or ''} is ready: all it needs is here.".replace("  ", " "))
        return
    print(f"fedkit installs {', '.join(entries)} (about a minute) ... ", end="", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "missing.lock"
        wanted.write_text("\n".join(entries.values()) + "\n", encoding="utf-8")
        options = ["--no-deps", "--ignore-requires-python", "--no-input", "--disable-pip-version-check"]
        pip = subprocess.run(
            [sys.executable, "-m", "pip", "install", *options, "--requirement", str(wanted)],
            capture_output=True,
            text=True,
        )
    if pip.returncode != 0:
        print("failed.", flush=True)
        raise RuntimeError(
            f"pip could not install {', '.join(entries)}. Check the internet connection, and that this "
            f"Python may be written to, then try again. pip's last words: {_last_words(pip.stderr)}"
        )
    importlib.invalidate_caches()  # so that a running kernel finds what has just come
    print("done.", flush=True)


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


def _check_platform() -> None:
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


def _last_words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR") or "No module named pip" in line]
    return (errors or lines or ["(nothing)"])[-1]


if __name__ == "__main__":
    try:
        install()
    except RuntimeError as error:
        sys.exit(str(error))
