"""The environment that has the engine: beside Python's own packages, which it sees and leaves as they are.

``python -m fedkit.network.environment`` makes it, from ``network.lock``, which pins all that it adds, with hashes.
"""

import subprocess
import sys
import venv
from pathlib import Path

LOCK = Path(__file__).with_name("network.lock")
_ROOT = Path(__file__).parents[2]
_PLACE = (_ROOT if (_ROOT / "pyproject.toml").exists() else Path.home() / ".cache" / "fedkit") / ".venv-network"
PYTHON, _MADE = _PLACE / "bin" / "python", _PLACE / "made"
ABSENT = "The engine is not here: `make network` gets it in a checkout, else `python -m fedkit.network.environment`."


def ready() -> bool:
    """Whether it is there."""
    return _MADE.exists()


def make() -> None:
    """Make it, once: a minute, and the internet; RuntimeError as `compat.environment.install`."""
    if not ready():
        venv.create(_PLACE)
        (packages,) = _PLACE.glob("lib/python*/site-packages")
        (packages / "seen.pth").write_text("\n".join(path for path in sys.path if Path(path).is_dir()) + "\n")
        get = f"from pathlib import Path; from fedkit.compat import environment as e; e.install(Path({str(LOCK)!r}))"
        if subprocess.run([PYTHON, "-c", get]).returncode:
            raise RuntimeError("The environment for the network could not be made: what pip said stands above.")
        _MADE.touch()


if __name__ == "__main__":
    make()
