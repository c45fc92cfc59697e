"""One-way pairing: ``notebooks/source/NN_name.py`` -> two notebooks.

What is the same everywhere is made here: the badge below the title, and the set-up cell in front of the cell tagged
``parameters``. A cell tagged ``plumbing`` (set-up, glue, checks) is folded in Lab, in Colab and on a site; its first
line, a comment, is the title that is left. The same source always gives the same bytes: a cell's id is a hash of it.
"""

import hashlib
import json
import os
import re
from collections import Counter
from pathlib import Path

import jupytext
import nbformat
from nbformat import v4

import tools
from fedkit.compat import environment

# fedkit comes from what FEDKIT_SOURCE names, else a wheel lying here, else the checkout around, else the repository.
SETUP = """\
# @title Set-up: on Colab this installs what is missing (about a minute); where all is there, it does nothing.
import glob, importlib.util, os, subprocess, sys
if getattr(importlib.util.find_spec("fedkit"), "origin", None) is None:
    near = [*glob.glob("fedkit-*.whl"), *glob.glob("../fedkit/.."), *glob.glob("../../fedkit/..")]
    source = os.path.expanduser(os.environ.get("FEDKIT_SOURCE") or [*near, "git+{repository}"][0])
    pip = subprocess.run([sys.executable, "-m", "pip", "install", "--no-deps", source], capture_output=True, text=True)
    assert pip.returncode == 0, f"pip cannot install fedkit from {{source}}: open this notebook in a clone of the \
repository, lay fedkit's wheel beside it, or set FEDKIT_SOURCE to either of them; then run this cell again."
import fedkit.compat.environment; fedkit.compat.environment.install()"""

OUT = tools.root() / "build"  # what is handed out
TITLE = "# @title "  # in its first line, it gives a folded cell its name in Colab

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


def of(name: str, solutions: bool = False) -> dict:
    """Make the notebook of this name, not executed."""
    return make(name, source(name).read_text(encoding="utf-8"), environment.repository(), solutions)


def make(name: str, text: str, repository: str, solutions: bool = False) -> dict:
    """Make a notebook, not executed, from the text of its source.

    `repository` is its address on GitHub, which Colab opens notebooks from. ValueError if the source does not begin
    with a title, or has not one cell of parameters.
    """
    cells = jupytext.reads(text, fmt="py:percent").cells
    cells = [cell for cell in cells if solutions or "solution" not in cell.metadata.get("tags", [])]
    at = [index for index, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    if len(at) != 1 or not (cells[0].cell_type == "markdown" and cells[0].source.startswith(f"# {name[:2]}. ")):
        wanted = f"must begin with its title, '# {name[:2]}. ...', and have one cell tagged 'parameters'"
        raise ValueError(f"{name}.py {wanted}; it has {len(at)}.")
    title, _, rest = cells[0].source.partition("\n")
    cells[0].source = f"{title}\n\n{_badge(name, repository, solutions)}\n\n{rest.lstrip()}".rstrip()
    cells.insert(at[0], v4.new_code_cell(SETUP.format(repository=repository), metadata={"tags": ["setup", "plumbing"]}))
    seen = Counter()
    for cell in cells:
        tags = cell.metadata.get("tags", [])
        if "plumbing" in tags and not cell.source.startswith("# "):
            raise ValueError(f"{name}.py: a cell tagged 'plumbing' begins with a comment, which is its title.")
        if "plumbing" in tags and not cell.source.startswith(TITLE):
            cell.source = TITLE + cell.source[2:]
        if solutions and cell.cell_type == "markdown":
            # This copy lies a folder deeper; the other notebooks with solutions lie beside it.
            cell.source = re.sub(r"\]\((?!https?:|#|(?:\.\./)?\d\d_)", "](../", cell.source)
        identity = hashlib.sha256(json.dumps([cell.cell_type, cell.source]).encode()).hexdigest()[:8]
        seen[identity] += 1
        cell.id = identity if seen[identity] == 1 else f"{identity}-{seen[identity]}"
        cell.metadata = metadata(tags)
    return v4.new_notebook(cells=cells, metadata=METADATA)


def metadata(tags: list[str]) -> dict:
    """Return what a cell with these tags tells Lab (source_hidden), Colab (cellView) and a site (hide-input)."""
    if "plumbing" in tags:
        return {"cellView": "form", "jupyter": {"source_hidden": True}, "tags": [*tags, "hide-input"]}
    return {"tags": tags} if tags else {}


def built(name: str, solutions: bool = False) -> str:
    """Return the text of a notebook's file as it should be: its source's cells, with the outputs that they have."""
    notebook, target = of(name, solutions), path(name, solutions)
    old = {cell.id: cell for cell in nbformat.read(target, as_version=4).cells} if target.exists() else {}
    for cell in notebook.cells:
        if cell.cell_type == "code" and cell.id in old:
            cell.update(execution_count=old[cell.id].execution_count, outputs=old[cell.id].outputs)
    return nbformat.writes(notebook) + "\n"


def hand_out(name: str, solutions: bool = False) -> Path:
    """Write a copy that nobody has executed, beside the glossary, to build/handouts, or build/solutions: return where.

    What is not there is linked in the repository. Colab's badge is left out: it leads to the executed copy.
    """
    folder = OUT / ("solutions" if solutions else "handouts")
    folder.mkdir(parents=True, exist_ok=True)
    notebook = of(name, solutions)
    title, _, rest = notebook.cells[0].source.split("\n\n", 2)
    notebook.cells[0].source = f"{title}\n\n{rest}"
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = _apart(cell.source.replace("](../glossary.md", "](glossary.md"))
    glossary = (tools.root() / "notebooks" / "glossary.md").read_text(encoding="utf-8")
    (folder / "glossary.md").write_text(_apart(glossary), encoding="utf-8")
    nbformat.write(notebook, folder / f"{name}.ipynb")
    return folder / f"{name}.ipynb"


def _apart(markdown: str) -> str:
    """Lead the links of a page that leaves its folder, with all notebooks and the glossary, to the repository."""

    def linked(match: re.Match) -> str:
        if Path(match[1]).stem in {"glossary", *tools.names()}:
            return match[0]
        return f"]({environment.repository()}/blob/main/{os.path.normpath(Path('notebooks', match[1]))}"

    return re.sub(r"\]\((?!https?:|#)([^)#]+)", linked, markdown)


def _badge(name: str, repository: str, solutions: bool) -> str:
    owner = repository.removeprefix("https://github.com/")
    if owner == repository:
        raise ValueError(f"Colab opens notebooks from GitHub, and pyproject.toml gives {repository}.")
    file = f"{owner.strip('/')}/blob/main/notebooks/{'solutions/' if solutions else ''}{name}.ipynb"
    picture = "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    more = f" With solutions; [without them](../{name}.ipynb)." if solutions else ""
    return f"{picture}(https://colab.research.google.com/github/{file}){more}"
