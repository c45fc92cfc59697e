"""Pictures of what encryption costs: bytes a number, step by step, by size, and against accuracy."""

from collections.abc import Mapping
from textwrap import fill

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from fedkit import plots
from fedkit.plots import BAND, BLUE, FAINT, INK, STYLE, VERMILLION, looks, sheet

PLAIN = 4.0  # bytes of a float32


def _significant(values: pd.Series | np.ndarray, digits: int = 3) -> np.ndarray:
    """Round to so many digits, whatever the size."""
    return np.array([float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=float)])


@matplotlib.rc_context(STYLE)
def staircase(steps: pd.DataFrame, lines: Mapping[str, float] | None = None) -> Figure:
    """Draw the bytes that one number costs, an idea a step, from the dearest to the cheapest.

    What to see: the scale is logarithmic, so a step that is twice as high saves the square. Steps
    above the line of plain float32 cost more than no encryption at all, steps below it less.

    Parameters
    ----------
    steps
        Columns step (what was done) and bytes_per_number, in order.
    lines
        Name -> bytes a number of what to compare with, beside plain float32.
    """
    heights = _significant(steps["bytes_per_number"])
    marks = {"plain float32": PLAIN} | dict(lines or {})
    figure, axes = sheet("From the default to less than plain: bytes to send one number of an update", 8, 4.6)
    axes = axes[0, 0]
    foot, count = min([*heights, *marks.values()]) / 1.5, len(heights)
    colors = [VERMILLION if height > PLAIN else BLUE for height in heights]
    axes.bar(range(count), heights - foot, bottom=foot, width=1, color=colors, alpha=0.22, linewidth=0)
    for number, (height, color) in enumerate(zip(heights, colors, strict=True)):
        axes.hlines(height, number - 0.5, number + 0.5, color=color, linewidth=2.6)
        above = {"xy": (number, height), "textcoords": "offset points", "ha": "center"}
        axes.annotate(f"{height:g}", xytext=(0, 4), weight="bold", fontsize=10, **above)
        if number:
            before = heights[number - 1]
            axes.vlines(number - 0.5, height, before, color=color, linewidth=1.2)
            axes.annotate(f"÷ {before / height:.2g}", xytext=(0, 17), fontsize=8.5, **above)
    for (name, value), stroke in zip(marks.items(), ["-", (0, (5, 3)), (0, (1, 2))], strict=False):
        axes.axhline(value, color=INK, linewidth=1.3, linestyle=stroke)
        place = {"transform": axes.get_yaxis_transform(), "fontsize": 8.5, "va": "bottom" if value == PLAIN else "top"}
        axes.text(0.008, value * (1.04 if value == PLAIN else 0.96), f"{name}: {value:g}", **place)
    axes.set(
        yscale="log",
        ylim=(foot, heights.max() * 1.6),
        xlim=(-0.5, count - 0.5),
        xticks=range(count),
        xticklabels=[fill(step, 13) for step in steps["step"]],
        ylabel="bytes a number (log scale)",
    )
    axes.tick_params(axis="x", length=0)
    axes.yaxis.set_major_locator(FixedLocator([1, 2, 4, 8, 16, 32, 64, 128]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    return figure


@matplotlib.rc_context(STYLE)
def cost_by_size(table: pd.DataFrame) -> Figure:
    """Draw the bytes a number, against the size of the model and the number of hospitals.

    What to see: left, small models pay for what every message has; right, only the way down
    grows with the hospitals, and only until the seeds are longer than what they stretch to.

    Parameters
    ----------
    table
        Columns method, numbers, hospitals, up, down (both in bytes a number): every method with
        every size and number of hospitals. Left is drawn with the fewest hospitals, right
        with the largest model.
    """
    styles = looks(table["method"])
    figure, axes = sheet("What a message costs, by size of the model and number of hospitals", 8, 4.1, columns=2)
    left, right = axes[0]
    fewest, largest = table["hospitals"].min(), table["numbers"].max()
    for method, look in styles.items():
        mine = table[table["method"] == method]
        by_size = mine[mine["hospitals"] == fewest].sort_values("numbers")
        left.plot(by_size["numbers"], _significant(by_size["up"]), color=look.color, marker=look.marker, markersize=5)
        by_hospitals = mine[mine["numbers"] == largest].sort_values("hospitals")
        for direction, stroke in (("up", "-"), ("down", (0, (2, 1.5)))):
            shape = {"color": look.color, "marker": look.marker, "markersize": 5, "linestyle": stroke}
            right.plot(by_hospitals["hospitals"], _significant(by_hospitals[direction]), **shape)
    for panel in (left, right):
        panel.axhline(PLAIN, color=INK, linewidth=1.1)
        panel.set(xscale="log", yscale="log")
        panel.grid(which="major")
        panel.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_major_locator(FixedLocator([1, 2, 4, 8, 16, 32, 64]))
    right.yaxis.set_minor_locator(NullLocator())
    for panel, x, side in ((left, 0.99, "right"), (right, 0.01, "left")):
        panel.text(x, PLAIN * 1.05, "plain float32", transform=panel.get_yaxis_transform(), ha=side, fontsize=8.5)
    left.set(title=f"Up, {fewest} hospitals", xlabel="numbers in the model (log scale)", ylabel="bytes a number (log)")
    right.set(title=f"{largest:,} numbers: full up, dashed down", xlabel="hospitals (log scale)")
    plots.legend(figure, styles, line=False)
    return figure


@matplotlib.rc_context(STYLE)
def accuracy_by_bits(table: pd.DataFrame, metric: str = "auroc") -> Figure:
    """Draw what few bits do to a model: its accuracy, and its distance from the one of plain training.

    What to see: left, the paired difference from plain training with its interval; right, how
    far away the weights end up, which shows a change long before the accuracy does.

    Parameters
    ----------
    table
        Columns rounding, bits, mean, low, high (difference of the metric from plain training),
        distance (relative, of the weights). A row a rounding and number of bits.
    metric
        Which metric the difference is of.
    """
    styles, widths = looks(table["rounding"]), sorted(table["bits"].unique())
    figure, axes = sheet("Few bits: what rounding does to the model", 8, 3.9, columns=2)
    left, right = axes[0]
    for number in range(0, len(widths), 2):
        left.axvspan(number - 0.5, number + 0.5, color=BAND, linewidth=0, zorder=0)
    for (rounding, look), lane in zip(styles.items(), plots.lanes(len(styles), 0.75), strict=True):
        mine = table[table["rounding"] == rounding].sort_values("bits")
        places = np.array([widths.index(bits) for bits in mine["bits"]])
        middle, low, high = (mine[column].round(plots.DECIMALS) for column in ("mean", "low", "high"))
        left.vlines(places + lane, low, high, color=look.color)
        left.plot(places + lane, middle, color=look.color, marker=look.marker, linestyle="none")
        shape = {"color": look.color, "marker": look.marker, "linestyle": look.line}
        right.plot(places, _significant(mine["distance"], 2), **shape)
    left.axhline(0, color=FAINT, linewidth=1)
    for panel in (left, right):
        panel.set(xticks=range(len(widths)), xticklabels=widths, xlabel="bits of one number's sum")
        panel.set_xlim(-0.5, len(widths) - 0.5)
    left.set(title=f"Mean of hospitals: {plots.NAMES[metric]} minus plain", ylabel="difference (95% interval)")
    right.set(title="Distance of the weights from plain", yscale="log", ylabel="share of their length (log scale)")
    right.grid()
    right.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    plots.legend(figure, styles)
    return figure
