"""What the pictures share: one metric's rows, hospitals in order, bands, panels and the legend."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedkit.evaluation import MEAN
from fedkit.style import BAND, Look, sheet

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
