"""How pictures look, in every notebook alike, and how they are saved with their numbers."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.style.core import STYLE_BLACKLIST

from fedkit.evaluation import MEAN

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
        What one of `fedkit.figures` or `fedkit.chapters.diagrams` drew.
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


DECIMALS = 4
NAMES = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "accuracy": "accuracy",
    "log_loss": "log loss (nats)",
    "calibration_intercept": "calibration intercept",
    "calibration_slope": "calibration slope",
    "distance": "L2 distance of the weights",
}


def rows_of(table: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Keep one metric's rows, rounded."""
    kept = table if metric is None else table[table["metric"] == metric]
    if kept.empty:
        raise ValueError(f"The table has no rows{f' of the metric {metric!r}' if metric else ''}: nothing to draw.")
    return kept.round(DECIMALS)


def places_of(table: pd.DataFrame) -> list[str]:
    """List the hospitals in their order, the mean last."""
    names = list(dict.fromkeys(table["hospital"]))
    return [name for name in names if name != MEAN] + [MEAN] * (MEAN in names)


def label(place: str) -> str:
    """Write a hospital's name, or what the mean is of."""
    return "mean of hospitals" if place == MEAN else place


def title(metric: str) -> str:
    """Write a metric's name with a capital, unit left out."""
    name = NAMES[metric].split(" (")[0]
    return name[0].upper() + name[1:]


def splits(rows: pd.DataFrame) -> str:
    """Say over how many splits a mean was taken."""
    return f"{rows['n'].max()} splits" if rows["n"].max() > 1 else "one split"


def lanes(count: int, width: float = 0.66) -> np.ndarray:
    """Spread `count` methods over a band one unit wide: their offsets from its middle."""
    return (np.arange(count) - (count - 1) / 2) * width / max(count - 1, 3)


def banded(axes: Axes, groups: Sequence[str]) -> None:
    """Lay a grey band behind every other of the groups, one unit of y each, the first on top."""
    for number in range(0, len(groups), 2):
        axes.axhspan(number - 0.5, number + 0.5, color=BAND, linewidth=0, zorder=0)
    axes.set(yticks=range(len(groups)), yticklabels=groups, ylim=(len(groups) - 0.5, -0.5))
    axes.tick_params(axis="y", length=0)


def panels(heading: str, count: int, width: float = 8, height: float = 2.35) -> tuple[Figure, list[Axes]]:
    """Open small multiples with the same scales, three a row (of four: two)."""
    columns = 2 if count == 4 else min(count, 3)
    rows = -(-count // columns)
    figure, axes = sheet(heading, width, 0.9 + height * rows, rows, columns, sharex=True, sharey=True)
    for number, spare in enumerate(axes.flat):
        if number >= count:
            spare.remove()
        elif number + columns >= count:
            spare.tick_params(labelbottom=True)  # what lies below, if anything, was removed
    return figure, list(axes.flat[:count])


def outer_labels(axes: Sequence[Axes], x: str, y: str) -> None:
    """Label the axes at the left edge and at the foot of each column only."""
    columns = axes[0].get_gridspec().ncols
    for number, panel in enumerate(axes):
        panel.set(xlabel=x if number + columns >= len(axes) else "", ylabel="" if number % columns else y)


def legend(figure: Figure, looks: Mapping[str, Look], line: bool = True, marker: bool = True) -> None:
    """Name the methods under the figure."""
    handles = [
        Line2D(
            [],
            [],
            color=look.color,
            marker=look.marker if marker else "",
            linestyle=look.line if line else "none",
            linewidth=2,
            label=method,
        )
        for method, look in looks.items()
    ]
    lines = np.ceil(len(handles) / (figure.get_figwidth() // 1.55))  # inches, for the widest entry
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=int(np.ceil(len(handles) / lines)),
        columnspacing=1.8,
        handlelength=2.8 if line else 1,
    )


@matplotlib.rc_context(STYLE)
def convergence(metrics: pd.DataFrame, metric: str = "auroc") -> Figure:
    """Draw a metric over the rounds, a panel a hospital: mean over seeds, band of the middle 90% of them.

    What to see: after how many rounds nothing moves any more, and whether encrypted
    training takes the same way as plain (its lines then lie on each other).

    Parameters
    ----------
    metrics
        From `evaluation.stack`: columns method, seed, round, hospital, metric, value.
    metric
        One recorded in every round.
    """
    rows = rows_of(metrics[metrics["hospital"] != MEAN], metric)
    mean = rows.groupby(["method", "seed", "round"], sort=False)["value"].mean().reset_index()
    rows = pd.concat([rows, mean.assign(hospital=MEAN)])
    styles, places = looks(rows["method"]), places_of(rows)
    # Later methods are drawn thinner, so that one that lies below them shows through.
    widths = dict(zip(styles, np.linspace(3, 1.8, len(styles)), strict=True))
    figure, every = panels(f"{title(metric)} on held-out patients, round by round", len(places))
    for axes, place in zip(every, places, strict=True):
        for method, look in styles.items():
            values = rows[(rows["method"] == method) & (rows["hospital"] == place)].groupby("round")["value"]
            middle = values.mean().round(DECIMALS)
            axes.plot(middle.index, middle, color=look.color, linestyle=look.line, linewidth=widths[method])
            if values.size().max() > 1:
                low, high = values.quantile(0.05), values.quantile(0.95)
                axes.fill_between(middle.index, low, high, color=look.color, alpha=0.09, linewidth=0)
        axes.set_title(label(place))
        axes.grid()
    outer_labels(every, "round", f"{NAMES[metric]} (mean, middle 90%)")
    legend(figure, styles, marker=False)
    return figure


@matplotlib.rc_context(STYLE)
def local_global_distance(metrics: pd.DataFrame) -> Figure:
    """Draw how far each hospital's model moves away from the global one in a round, a panel a method.

    What to see: which hospital pulls hardest in its own direction, and whether that
    fades. Mean over seeds.

    Parameters
    ----------
    metrics
        From `evaluation.stack`, with the metric "distance" (L2 norm of the difference
        of the weights).
    """
    rows = rows_of(metrics[metrics["hospital"] != MEAN], "distance")
    styles, places = looks(rows["method"]), places_of(rows)
    handles = {}
    strokes = ["-", (0, (6, 2)), (0, (4, 1.5, 1, 1.5)), (0, (1, 1.5))]
    figure, every = panels("How far local models move from the global one", len(styles), height=2.9)
    for axes, (method, look) in zip(every, styles.items(), strict=True):
        for number, place in enumerate(places):
            values = rows[(rows["method"] == method) & (rows["hospital"] == place)].groupby("round")["value"].mean()
            # From the fifth hospital on, the strokes come again, with a marker.
            shape = {"linestyle": strokes[number % 4], "marker": ["", "o", "s", "^", "D", "v"][number // 4 % 6]}
            axes.plot(values.index, values, color=look.color, markevery=5, markersize=4, **shape)
            handles[place] = Line2D([], [], color=INK, markersize=4, label=place, **shape)
        axes.set_title(method)
        axes.grid()
    every[0].set_ylim(bottom=0)  # last: it ends the scaling that all panels share
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=min(len(places), 5))
    outer_labels(every, "round", "L2 distance of the weights")
    return figure
