"""How long each notebook runs, in full, for a reader who has run nothing before: what its minutes are rounded up from.

Counted is what processors work for it, which others on the machine disturb less. A notebook computes one thing at a
time, so on a quiet machine this is what a reader waits; only in 08 several processes work side by side.
Written to figures/measured/notebooks.json; ``python tests/bench/notebooks.py 02 05`` measures these two anew.
"""

import json
import resource
import sys
import tempfile
from pathlib import Path

from nbformat import v4
from reporting import MEASURED, write

sys.path.append(str(Path(__file__).parents[2] / "notebooks"))
import tools
from tools import pairing, running


def seconds(name: str) -> float:
    """Of the kernel, and of all that it starts."""
    notebook = pairing.of(name)
    notebook.cells.insert(0, v4.new_code_cell("import os\nos.environ.pop('FEDKIT_RUNS')  # what others have trained"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        running.execute(notebook, Path(folder) / f"{name}.ipynb", "full", Path(folder))
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    file = MEASURED / "notebooks.json"
    found = json.loads(file.read_text()) if file.exists() else {}
    for name in tools.choose(sys.argv[1:]):
        found[name] = round(seconds(name))
        print(f"{name}: {found[name]} s", flush=True)
        write("notebooks", {name: found[name] for name in tools.names() if name in found})


if __name__ == "__main__":
    main()
