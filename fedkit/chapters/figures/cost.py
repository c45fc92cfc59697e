"""Pictures of what encryption costs: bytes a number, step by step, by size, against accuracy, and of one training."""

from collections.abc import Mapping
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from fedkit import plots
from fedkit.plots import BLUE, FAINT, INK, VERMILLION, looks, sheet, styled

PLAIN = 4.0  # bytes of a float32
_INTERVAL = ("mean", "low", "high")


def _significant(values: pd.Series | np.ndarray, digits: int = 3) -> np.ndarray:
    """Round to so many digits, whatever the size."""
    return np.array([float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=float)])


@styled
def staircase(steps: pd.DataFrame, lines: Mapping[str, float] | None = None) -> Figure:
    """Draw the bytes that one number costs, an idea a step, from the dearest to the cheapest.

    What to see: steps above the line of plain float32 cost more than no encryption at all, steps below it less.

    steps : columns step (what was done) and bytes_per_number, in order
    lines : name -> bytes a number of what to compare with, beside plain float32
    """
    heights = _significant(steps["bytes_per_number"])
    marks = {"plain float32": PLAIN} | dict(lines or {})
    figure, ((axes,),) = sheet("From the default to less than plain: bytes to send one number of an update", 8, 4.6)
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
        axes.text(0.008, value * (1.04 if value == PLAIN else 0.96), f"{plots.shown(name)}: {value:g}", **place)
    axes.set(yscale="log", ylim=(foot, heights.max() * 1.6), ylabel="bytes a number (log scale)")
    axes.set_xticks(range(count), [fill(plots.shown(step), 11) for step in steps["step"]])
    axes.set_xlim(-0.5, count - 0.5)
    axes.tick_params(axis="x", length=0)
    axes.yaxis.set_major_locator(FixedLocator([1, 2, 4, 8, 16, 32, 64, 128]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")
    return figure


@styled
def cost_by_size(table: pd.DataFrame) -> Figure:
    """Draw the bytes a number, against the size of the model (fewest hospitals) and their number (largest model).

    What to see: left, small models pay for what every message has; right, hardly anything grows with the hospitals.
    Columns method, numbers, hospitals, up, down (both in bytes a number), of every method, size and number of them.
    """
    styles = looks(table["method"])
    figure, ((left, right),) = sheet("What a message costs, by size of the model and number of hospitals", 8, 4.1, 1, 2)
    fewest, largest = table["hospitals"].min(), table["numbers"].max()
    for method, look in styles.items():
        mine = table[table["method"] == method]
        shape = {"color": look.color, "marker": look.marker, "markersize": 5}
        by_size = mine[mine["hospitals"] == fewest].sort_values("numbers")
        left.plot(by_size["numbers"], _significant(by_size["up"]), **shape)
        by_hospitals = mine[mine["numbers"] == largest].sort_values("hospitals")
        for direction, stroke in (("up", "-"), ("down", (0, (2, 1.5)))):
            right.plot(by_hospitals["hospitals"], _significant(by_hospitals[direction]), linestyle=stroke, **shape)
    for panel in (left, right):
        panel.axhline(PLAIN, color=INK, linewidth=1.1)
        panel.set(xscale="log", yscale="log")
        panel.grid(which="major")
        panel.yaxis.set_major_formatter("{x:g}")
        panel.text(0.01, PLAIN, "plain float32", transform=panel.get_yaxis_transform(), va="bottom", fontsize=8.5)
    right.yaxis.set_major_locator(FixedLocator([1, 2, 4, 8, 16, 32, 64]))
    right.yaxis.set_minor_locator(NullLocator())
    left.set(title=f"Up, {fewest} hospitals", xlabel="numbers in the model (log scale)", ylabel="bytes a number (log)")
    right.set(title=f"{largest:,} numbers: full up, dashed down", xlabel="hospitals (log scale)")
    plots.legend(figure, styles, line=False)
    return figure


@styled
def accuracy_by_bits(table: pd.DataFrame) -> Figure:
    """Draw what few bits do to a model: its accuracy, minus that of plain training, and its distance from that model.

    What to see: the distance of the weights shows a change long before the accuracy does.

    table : columns rounding, bits, mean, low, high (difference of AUROC), distance (relative, of the weights)
    """
    styles, widths = looks(table["rounding"]), sorted(table["bits"].unique())
    figure, ((left, right),) = sheet("Few bits: what rounding does to the model", 8, 3.9, columns=2)
    plots.banded(left, widths, upright=True)
    for (rounding, look), lane in zip(styles.items(), plots.lanes(len(styles), 0.75), strict=True):
        mine = table[table["rounding"] == rounding].sort_values("bits").round(dict.fromkeys(_INTERVAL, plots.DECIMALS))
        places = np.array([widths.index(bits) for bits in mine["bits"]])
        shape = {"color": look.color, "marker": look.marker}
        left.vlines(places + lane, mine["low"], mine["high"], color=look.color)
        left.plot(places + lane, mine["mean"], linestyle="none", **shape)
        right.plot(places, _significant(mine["distance"], 2), linestyle=look.line, **shape)
    left.axhline(0, color=FAINT, linewidth=1)
    for panel, column in ((left, "mean"), (right, "distance")):
        panel.set(xticks=range(len(widths)), xticklabels=widths, xlabel="bits of one number's sum")
        panel.set_xlim(-0.5, len(widths) - 0.5)
        plots.word(panel, table[column])
    left.set(title="Mean of hospitals: AUROC minus plain", ylabel="difference (95% interval)")
    right.set(title="Distance of the weights from plain", yscale="log", ylabel="share of their length (log scale)")
    right.grid()
    right.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    plots.legend(figure, styles)
    return figure


def _amount(value: float, unit: str) -> str:
    """Write 12300000 bytes as "12.3 MB", 0.0031 seconds as "3.1 ms"."""
    steps = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")] + ([(1e-3, "m"), (1e-6, "µ")] if unit == "s" else [])
    for step, prefix in steps:
        if value >= step:
            return f"{value / step:.3g} {prefix}{unit}"
    return f"{value:.2g} {unit}"


@styled
def cost_by_method_and_phase(costs: pd.DataFrame) -> Figure:
    """Draw the bytes and seconds of one whole training (`evaluation.costs`), by what they went into. Measured.

    What to see: encryption costs bytes first of all; both scales are logarithmic.
    """
    directions = {"up": "to the server", "down": "to hospitals", "peer": "between hospitals"}
    order = ["keys", "train", "encrypt", "share", "add", "decrypt", "apply"]
    phases = sorted(costs["phase"].unique(), key=lambda phase: order.index(phase) if phase in order else len(order))
    styles = looks(costs["method"])
    sent, work = costs[costs["bytes"] > 0], costs[costs["seconds"] > 0]
    what = sent["phase"].map(lambda phase: f"\n({phase})" * (phase != "send"))
    sent = sent.assign(place=sent["direction"].map(directions) + what)
    work = work.assign(place=pd.Categorical(work["phase"], phases)).sort_values("place")
    height = 1.5 + max(sent["place"].nunique(), work["place"].nunique()) * (0.15 + 0.145 * len(styles))
    figure, ((left, right),) = sheet("The price of one training: all hospitals, all rounds", 8, height, columns=2)
    for panel, rows, column, unit in [(left, sent, "bytes", "B"), (right, work, "seconds", "s")]:
        places = list(dict.fromkeys(rows["place"]))
        plots.banded(panel, places)
        plots.word(panel, rows[column])
        for y, place in enumerate(places):
            amounts = rows[rows["place"] == place].groupby("method")[column].sum()
            drawn = [method for method in styles if method in amounts]
            for method, lane in zip(drawn, plots.lanes(len(drawn), 0.16 * (len(styles) - 1)), strict=True):
                look, text = styles[method], "  " + _amount(amounts[method], unit)
                panel.plot(amounts[method], y + lane, marker=look.marker, color=look.color, linestyle="none")
                panel.text(amounts[method], y + lane, text, va="center", fontsize=8)
        low, high = (rows[column].min() / 3, rows[column].max()) if len(rows) else (1, 10)
        panel.set(xscale="log", xlabel=f"{column} (log scale)", xlim=(low, high * (high / low) ** 0.32))
        panel.xaxis.set_major_locator(LogLocator(numticks=5))
        panel.xaxis.set_major_formatter(lambda amount, _, unit=unit: _amount(amount, unit))
        panel.grid(axis="x")
    left.set_title("Bytes sent")
    right.set_title("Seconds of work, by phase")
    plots.legend(figure, styles, line=False)
    return figure
