"""One-way pairing: ``notebooks/source/NN_name.py`` -> two notebooks.

A source holds only what is particular to its notebook. What is the same everywhere
is made here, from one template: the badge below the title, and the set-up cell in
front of the cell tagged ``parameters``. The same source always gives the same bytes:
a cell's id is a hash of the cell, so editing one cell changes one id.
"""

import hashlib
import json
from collections import Counter
from pathlib import Path

import tools
from fedkit.compat import environment

# fedkit comes from what FEDKIT_SOURCE names, else a wheel lying here, else the checkout around, else the repository.
SETUP = """\
# Set-up: on Colab this installs what is missing (about a minute); where all is there, it does nothing.
import glob, importlib.util, os, subprocess, sys
if getattr(importlib.util.find_spec("fedkit"), "origin", None) is None:
    near = [*glob.glob("fedkit-*.whl"), *glob.glob("../fedkit/.."), *glob.glob("../../fedkit/..")]
    source = os.path.expanduser(os.environ.get("FEDKIT_SOURCE") or [*near, "git+{repository}"][0])
    pip = subprocess.run([sys.executable, "-m", "pip", "install", "--no-deps", source], capture_output=True, text=True)
    assert pip.returncode == 0, f"pip cannot install fedkit from {{source}}: open this notebook in a clone of the " \
        "repository, lay fedkit's wheel beside it, or set FEDKIT_SOURCE to either; then run this cell again."
import fedkit.compat.environment; fedkit.compat.environment.install()"""

METADATA = {
    "colab": {"provenance": [], "toc_visible": True},
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def path(name: str, solutions: bool = False) -> Path:
    """Return where the notebook lies: the student's copy, or the one with solutions."""
    return tools.root() / "notebooks" / ("solutions" if solutions else "") / f"{name}.ipynb"


def source(name: str) -> Path:
    """Return where the notebook is edited."""
    return tools.root() / "notebooks" / "source" / f"{name}.py"


def make(name: str, text: str, repository: str, solutions: bool = False) -> dict:
    """Make a notebook, not executed, from the text of its source.

    Parameters
    ----------
    name
        Its name, ``NN_name``.
    text
        The source, in py:percent.
    repository
        Address of the repository on GitHub, which Colab opens notebooks from.
    solutions
        Whether to keep the cells tagged ``solution``.

    Returns
    -------
    dict
        The notebook as nbformat 4.5 has it, each ``source`` one string.

    Raises
    ------
    ValueError
        If the source does not begin with a title, or has not one cell of parameters.
    """
    import jupytext

    cells = []
    for cell in jupytext.reads(text, fmt="py:percent").cells:
        tags = cell.metadata.get("tags", [])
        if solutions or "solution" not in tags:
            cells.append(_cell(cell.cell_type, cell.source, tags))
    if not cells or cells[0]["cell_type"] != "markdown" or not cells[0]["source"].startswith(f"# {name[:2]}. "):
        raise ValueError(
            f"{name}.py must begin with a markdown cell whose first line is its title, '# {name[:2]}. ...'."
        )
    at = [index for index, cell in enumerate(cells) if "parameters" in cell["metadata"].get("tags", [])]
    if len(at) != 1:
        raise ValueError(f"{name}.py must have one cell tagged 'parameters', and it has {len(at)}.")
    title, _, rest = cells[0]["source"].partition("\n")
    cells[0]["source"] = f"{title}\n\n{_badge(name, repository, solutions)}\n\n{rest.lstrip()}".rstrip()
    cells.insert(at[0], _cell("code", SETUP.format(repository=repository), ["setup"]))
    _identify(cells)
    return {"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}


def build(name: str) -> None:
    """Write both notebooks, keeping the outputs of each cell that has not changed."""
    for solutions in (False, True):
        notebook = make(name, source(name).read_text(encoding="utf-8"), environment.repository(), solutions)
        target = path(name, solutions)
        if target.exists():
            old = {cell.get("id"): cell for cell in read(target)["cells"]}
            for cell in notebook["cells"]:
                if cell["cell_type"] == "code" and cell["id"] in old:
                    cell |= {key: old[cell["id"]][key] for key in ("execution_count", "outputs")}
        write(notebook, target)


def check() -> list[str]:
    """Compare every notebook's cells with what its source makes, byte by byte.

    Returns
    -------
    list of str
        A sentence for each difference; empty where there is none.
    """
    problems = []
    for solutions in (False, True):
        for name in tools.names():
            target = path(name, solutions)
            where = target.relative_to(tools.root())
            expected = make(name, source(name).read_text(encoding="utf-8"), environment.repository(), solutions)
            if not target.exists():
                problems.append(f"{where} is missing.")
                continue
            found = read(target)
            if found["metadata"] != expected["metadata"]:
                problems.append(f"{where}: its metadata is not what the source makes.")
            pairs = zip(found["cells"], expected["cells"], strict=False)
            differing = [number for number, (one, other) in enumerate(pairs, 1) if _bare(one) != _bare(other)]
            if differing:
                problems.append(f"{where}: cell {differing[0]} is not what the source makes.")
            elif len(found["cells"]) != len(expected["cells"]):
                problems.append(f"{where} has {len(found['cells'])} cells; its source makes {len(expected['cells'])}.")
        strays = {stray.stem for stray in path("any", solutions).parent.glob("*.ipynb")} - set(tools.names())
        problems += [f"{path(stray, solutions).relative_to(tools.root())} has no source." for stray in sorted(strays)]
    return problems


def read(file: Path) -> dict:
    """Read a notebook, each ``source`` one string."""
    notebook = json.loads(file.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def write(notebook: dict, file: Path) -> None:
    """Write a notebook as Jupyter does: keys in order, each ``source`` a list of lines."""
    cells = [cell | {"source": cell["source"].splitlines(keepends=True)} for cell in notebook["cells"]]
    text = json.dumps(notebook | {"cells": cells}, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text(encoding="utf-8") != text:
        file.write_text(text, encoding="utf-8")


def _badge(name: str, repository: str, solutions: bool) -> str:
    owner = repository.removeprefix("https://github.com/")
    if owner == repository:
        raise ValueError(f"Colab opens notebooks from GitHub, and pyproject.toml gives {repository}.")
    where = f"notebooks/{'solutions/' if solutions else ''}{name}.ipynb"
    badge = (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        f"(https://colab.research.google.com/github/{owner.strip('/')}/blob/main/{where})"
    )
    return badge + (f" With solutions; [without them](../{name}.ipynb)." if solutions else "")


def _cell(kind: str, text: str, tags: list[str]) -> dict:
    cell = {"cell_type": kind, "metadata": {"tags": tags} if tags else {}, "source": text}
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def _bare(cell: dict) -> dict:
    return {key: value for key, value in cell.items() if key not in ("execution_count", "outputs")}


def _identify(cells: list[dict]) -> None:
    seen = Counter()
    for cell in cells:
        identity = hashlib.sha256(json.dumps([cell["cell_type"], cell["source"]]).encode()).hexdigest()[:8]
        seen[identity] += 1
        cell["id"] = identity if seen[identity] == 1 else f"{identity}-{seen[identity]}"
