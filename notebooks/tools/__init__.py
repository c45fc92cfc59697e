"""The maker's tool: one source -> two notebooks -> executed notebooks and figures.

A notebook is edited in one place, ``notebooks/source/NN_name.py`` (jupytext's
py:percent), and everything else follows from it::

    python -m tools build      # the cells of every notebook; outputs are kept
    python -m tools check      # are the notebooks what their sources say?
    python -m tools run 02     # execute one, at the smoke or the full profile
    python -m tools figures    # execute what the report's figures need, if it changed
    python -m tools publish    # build, execute at the full profile, write
    python -m tools golden 02  # measure the numbers that the tests compare

``notebooks/NN_name.ipynb`` is what a student opens: exercises with stubs that run.
``notebooks/solutions/NN_name.ipynb`` is the same and each cell tagged ``solution``.
"""

from pathlib import Path


def root() -> Path:
    """Return the top folder of the checkout that this package lies in.

    Raises
    ------
    FileNotFoundError
        If fedkit runs from an installed wheel: notebooks are made in a checkout.
    """
    folder = Path(__file__).resolve().parents[2]
    if not (folder / "notebooks" / "source").is_dir():
        raise FileNotFoundError(
            "Notebooks are made from notebooks/source, which only a checkout of the repository has. "
            "Clone the repository and run this there."
        )
    return folder


def names() -> list[str]:
    """Return the name of every notebook (``02_federated_learning``), in order."""
    return sorted(path.stem for path in (root() / "notebooks" / "source").glob("[0-9][0-9]_*.py"))


def choose(wanted: list[str]) -> list[str]:
    """Resolve names, or their two digits, to notebooks; all of them where none is given.

    Raises
    ------
    ValueError
        If one of them fits no notebook, or there is none at all.
    """
    known = names()
    if not known:
        raise ValueError("notebooks/source holds no notebook yet.")
    by_text = {name: name for name in known} | {name[:2]: name for name in known}
    unknown = [text for text in wanted if text not in by_text]
    if unknown:
        raise ValueError(f"There is no notebook {', '.join(unknown)}. There are: {', '.join(known)}.")
    return [by_text[text] for text in wanted] or known
