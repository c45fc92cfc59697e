"""The makers' tool: one source -> two notebooks -> executed notebooks, figures, the report.

A notebook is edited in one place, ``notebooks/source/NN_name.py`` (jupytext's py:percent). ``NN_name.ipynb`` is what a
student opens: exercises with stubs that run. ``solutions/NN_name.ipynb`` is the same and each cell tagged ``solution``.
"""

from pathlib import Path


def root() -> Path:
    """Return the top folder of the checkout."""
    return Path(__file__).resolve().parents[2]


def names() -> list[str]:
    """Return the name of every notebook (``02_federated_learning``), in order."""
    return sorted(path.stem for path in (root() / "notebooks" / "source").glob("[0-9][0-9]_*.py"))


def choose(wanted: list[str]) -> list[str]:
    """Resolve names, or their two digits, to notebooks (ValueError where there is none); all if none is given."""
    known = {text: name for name in names() for text in (name, name[:2])}
    if unknown := [text for text in wanted if text not in known]:
        raise ValueError(f"There is no notebook {', '.join(unknown)}. There are: {', '.join(names())}.")
    return [known[text] for text in wanted] or names()
