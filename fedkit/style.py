"""How pictures look, in every notebook alike, and how they are saved with their numbers."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.style.core import STYLE_BLACKLIST

# Okabe and Ito's colours, told apart by colour-blind readers too ("Color Universal Design", 2008).
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE = [
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
]
INK, FAINT, BAND = "#222222", "#8a8a8a", "#f3f3f3"

# On top of matplotlib's own defaults, so that a reader's settings change no figure.
_DEFAULTS = {key: value for key, value in matplotlib.rcParamsDefault.items() if key not in STYLE_BLACKLIST}
STYLE = _DEFAULTS | {
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.labelsize": 9,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlepad": 6,
    "axes.titlesize": 9.5,
    "figure.constrained_layout.h_pad": 0.06,
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.titlesize": 11.5,
    "figure.titleweight": "bold",
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "grid.color": "#e2e2e2",
    "grid.linewidth": 0.7,
    "hatch.color": "white",
    "hatch.linewidth": 1.2,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 2.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 5.5,
    "savefig.dpi": 150,
    "svg.fonttype": "path",
    "svg.hashsalt": "fedkit",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 8.5,
    "ytick.color": INK,
    "ytick.labelsize": 8.5,
}


@dataclass(frozen=True)
class Look:
    """How one method is drawn: by colour, and for grey print also by marker, line and hatch."""

    color: str
    marker: str
    line: str | tuple
    hatch: str


# The dots of BFV fall into the gaps of CKKS, since the two often lie on each other.
LOOKS = {
    "local": Look(ORANGE, "s", (0, (5, 2)), "//"),
    "centralized": Look(BLACK, "D", "-", ""),
    "federated": Look(BLUE, "o", "-", ".."),
    "federated + CKKS": Look(GREEN, "^", (0, (4, 4)), "xx"),
    "federated + BFV": Look(PURPLE, "v", (2.5, (1, 3)), "\\\\"),
}
COLORS = {method: look.color for method, look in LOOKS.items()}
_SPARE = [
    Look(VERMILLION, "p", (0, (6, 1, 1, 1)), "--"),
    Look(SKY, "X", (0, (3, 1, 1, 1, 1, 1)), "||"),
    Look("#8c6d00", "*", (0, (8, 3)), "oo"),
]


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """Give each method its look, in the order of `LOOKS`; methods not listed there come last.

    Raises
    ------
    ValueError
        If there are more unlisted methods than looks to spare.
    """
    present = list(dict.fromkeys(methods))
    others = [method for method in present if method not in LOOKS]
    if len(others) > len(_SPARE):
        raise ValueError(f"No look left for {others[len(_SPARE)]!r}: add it to style.LOOKS, or draw fewer.")
    known = {method: look for method, look in LOOKS.items() if method in present}
    return known | dict(zip(others, _SPARE, strict=False))


def sheet(title: str, width: float, height: float, rows: int = 1, columns: int = 1, **subplots) -> tuple:
    """Open a titled figure of width x height inches: returns it and its axes, shape [rows, columns].

    pyplot makes it, so that notebooks know how to show it, and lets go of it, so that
    they show it only once: as the value of its cell.
    """
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **subplots)
    plt.close(figure)
    figure.suptitle(title, x=0.008, ha="left")
    return figure, axes


def save(
    figure: Figure, name: str, table: pd.DataFrame, measured: bool = False, folder: str | Path | None = None
) -> dict[str, Path]:
    """Write the figure as PNG (150 dots an inch) and SVG, and its numbers as CSV, the same bytes on every run.

    Parameters
    ----------
    figure
        What one of `fedkit.figures` or `fedkit.diagrams` drew.
    name
        File name without ending.
    table
        The numbers that were drawn; written with 5 significant digits, its index left out.
    measured
        True for seconds and random noise, which no two runs share: saved to ``measured/``.
    folder
        Where to; otherwise the environment variable FEDKIT_FIGURES, or ``figures/`` of
        the checkout, or ``figures/`` of the current folder.

    Returns
    -------
    dict
        "png", "svg", "csv" -> path.
    """
    here = Path(__file__).parent.parent
    checkout = here if (here / "pyproject.toml").exists() else Path()
    target = Path(folder or os.environ.get("FEDKIT_FIGURES") or checkout / "figures") / ("measured" if measured else "")
    target.mkdir(parents=True, exist_ok=True)
    paths = {ending: target / f"{name}.{ending}" for ending in ("png", "svg", "csv")}
    with matplotlib.rc_context(STYLE):
        # Neither date nor software version, which differ from run to run and from machine to machine.
        figure.savefig(paths["png"], metadata={"Software": None})
        figure.savefig(paths["svg"], metadata={"Date": None, "Creator": None})
    table.to_csv(paths["csv"], index=False, float_format="%.5g", lineterminator="\n")
    return paths
