"""Execute a notebook with papermill, and tidy what comes back.

What is kept of an executed notebook is what its reader wants: the outputs. Times,
progress bars, papermill's notes and everything that differs from machine to machine
are taken out, so that two runs can be compared and committed.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tools
from tools import pairing

PROFILES = ("smoke", "full")
CELL_SECONDS = 300  # a cell that takes longer hangs
_BARS = "application/vnd.jupyter.widget-view+json"


def execute(notebook: dict, file: Path, *, profile: str, figures: Path, kernel: str = "python3") -> dict:
    """Execute a notebook from top to bottom, in a folder of its own.

    It sees no checkout around it, as in Colab: whatever it needs comes with fedkit.

    Parameters
    ----------
    notebook
        As `pairing.make` gives it.
    file
        Where to write it, executed; also where it fails, as far as it came.
    profile
        "full", which is what the notebook itself says, or "smoke": quick.
    figures
        The folder that the notebook's figures go to (``FEDKIT_FIGURES``).
    kernel
        Name of a Jupyter kernel.

    Returns
    -------
    dict
        The executed notebook, tidied.

    Raises
    ------
    ValueError
        If the profile is unknown.
    RuntimeError
        If a cell raises, takes too long, or ends its Python.
    """
    import papermill
    from nbclient.exceptions import CellTimeoutError, DeadKernelError

    if profile not in PROFILES:
        raise ValueError(f"The profile must be one of {', '.join(PROFILES)}, and it is {profile!r}.")
    settings = {
        "FEDKIT_FIGURES": str(figures.resolve()),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",  # else the kernel's debugger warns, on stderr
    }
    for needed in (file.parent, figures):
        needed.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, _environment(settings):
        raw = Path(folder) / "in.ipynb"
        pairing.write(notebook, raw)
        try:
            papermill.execute_notebook(
                raw,
                file,
                parameters={} if profile == "full" else {"PROFILE": profile},
                kernel_name=kernel,
                cwd=folder,
                progress_bar=os.isatty(2),
                execution_timeout=CELL_SECONDS,
            )
        except papermill.PapermillExecutionError as error:
            raise RuntimeError(f"{file.stem}: a cell failed. What was run is in {file}.\n{error}") from None
        except DeadKernelError:
            raise RuntimeError(f"{file.stem}: its Python ended in the middle of a cell (no memory left?).") from None
        except CellTimeoutError:
            raise RuntimeError(f"{file.stem}: a cell took more than {CELL_SECONDS} s, and was stopped.") from None
    executed = tidy(pairing.read(file))
    pairing.write(executed, file)
    return executed


def tidy(notebook: dict) -> dict:
    """Take out of an executed notebook what is not its reader's.

    Papermill's notes and its injected cell, times, widgets (progress bars), and the
    seams between pieces of one printed output, which fall differently in each run.
    """
    cells = []
    for cell in notebook["cells"]:
        tags = cell["metadata"].get("tags", [])
        if "injected-parameters" in tags:
            continue
        cell = cell | {"metadata": {"tags": tags} if tags else {}}
        if cell["cell_type"] == "code":
            cell["outputs"] = _joined(output for output in cell["outputs"] if _BARS not in output.get("data", {}))
        cells.append(cell)
    return notebook | {"cells": cells, "metadata": pairing.METADATA}


def machine_traces(notebook: dict) -> list[str]:
    """Find what an executed notebook says of the machine it ran on: paths and addresses.

    Returns
    -------
    list of str
        A sentence for each; empty where there is none.
    """
    folders = {str(place.resolve()) for place in (tools.root(), Path.home(), Path(tempfile.gettempdir()))} - {"/"}
    trace = re.compile("|".join([*map(re.escape, sorted(folders)), r"\bat 0x[0-9a-f]{6,}"]))
    found = []
    for number, cell in enumerate(notebook["cells"], 1):
        for output in cell.get("outputs", []):
            for match in set(trace.findall(_text(output))):
                found.append(f"An output of cell {number} shows {match!r}, which is of this machine only.")
    return found


def _joined(outputs: Iterator[dict]) -> list[dict]:
    joined: list[dict] = []
    for output in outputs:
        if output["output_type"] == "stream":
            output = output | {"text": "".join(output["text"])}
            if joined and joined[-1].get("name") == output["name"]:
                joined[-1]["text"] += output["text"]
                continue
        joined.append(output)
    for output in joined:
        if output["output_type"] == "stream":
            output["text"] = output["text"].splitlines(keepends=True)
    return joined


def _text(output: dict) -> str:
    shown = [output.get("text", ""), *output.get("traceback", [])]
    shown += [data for kind, data in output.get("data", {}).items() if kind.startswith("text/")]
    return "\n".join(part if isinstance(part, str) else "".join(part) for part in shown)


@contextmanager
def _environment(settings: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
