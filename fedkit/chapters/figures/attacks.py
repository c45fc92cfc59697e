"""Pictures of what an attacker reads: rows, images, and what each remedy leaves of them and costs."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedkit import plots
from fedkit.plots import BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, STYLE, VERMILLION, looks, sheet

_SHAPES = list(zip([ORANGE, SKY, BLUE, PURPLE, GREEN], "sDov^", strict=True))


def _lines(axes: Axes, rows: pd.DataFrame, names: str, amount: str) -> None:
    """Draw a line a name, with an interval at each amount, side by side, and a legend inside."""
    present = list(dict.fromkeys(rows[names]))
    amounts = sorted(rows[amount].unique())
    for (color, marker), name, lane in zip(_SHAPES, present, plots.lanes(len(present), 0.3), strict=False):
        mine = rows[rows[names] == name].sort_values(amount)
        places = np.array([amounts.index(value) for value in mine[amount]]) + lane
        axes.vlines(places, mine["low"], mine["high"], color=color, alpha=0.6)
        axes.plot(places, mine["mean"], color=color, marker=marker, markersize=5, label=name)
    axes.set(xticks=range(len(amounts)), xticklabels=[f"{value:g}" for value in amounts])
    axes.grid(axis="y")


@matplotlib.rc_context(STYLE)
def rows_read(table: pd.DataFrame) -> Figure:
    """Draw the share of patients whose row is read exactly, against how many were in one update.

    What to see: alone in a step, a patient is read by any model. In company, the wide
    network gives most away, and a ciphertext nothing.

    Parameters
    ----------
    table
        Columns model, patients, mean, low, high: a line a model.
    """
    figure, axes = sheet("Patients whose row is read exactly from one update", 8, 3.7)
    axes = axes[0, 0]
    _lines(axes, table.round(plots.DECIMALS), "model", "patients")
    axes.set(
        xlabel="patients in the one step (a batch)", ylabel="share read exactly (95% interval)", ylim=(-0.05, 1.06)
    )
    axes.legend(loc="upper right")
    return figure


@matplotlib.rc_context(STYLE)
def images(pictures: Mapping[str, np.ndarray], notes: Mapping[str, str]) -> Figure:
    """Draw square images in a row, each with a note below. Measured: a search's last bits differ.

    Parameters
    ----------
    pictures
        Name -> pixels from 0 (black) to 1 (white), shape [side, side].
    notes
        Name -> what stands below it.
    """
    figure, axes = sheet("What a search finds from one update, and from its ciphertext", 8, 2.8, columns=len(pictures))
    for panel, (name, pixels) in zip(axes[0], pictures.items(), strict=True):
        panel.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        panel.set(title=name, xlabel=notes[name], xticks=[], yticks=[])
        panel.spines[:].set_visible(False)
    return figure


@matplotlib.rc_context(STYLE)
def remedies(table: pd.DataFrame, prices: pd.DataFrame) -> Figure:
    """Draw what remedies leave to an attacker, a panel a remedy, and what they cost in AUROC.

    What to see: a remedy works where its line leaves its start; it is cheap where its
    interval in the last panel holds zero.

    Parameters
    ----------
    table
        Columns remedy, attack (a line), amount, measure (what the y axis shows), mean,
        low, high: three remedies.
    prices
        Columns remedy, mean, low, high: AUROC minus that without remedies.
    """
    figure, axes = sheet("What remedies leave to an attacker, and what they cost", 8, 5.6, 2, 2)
    *panels, price = axes.flat
    for panel, (remedy, rows) in zip(panels, table.round(plots.DECIMALS).groupby("remedy", sort=False), strict=True):
        _lines(panel, rows, "attack", "amount")
        top = 1.25 * rows["high"].max()  # room for a legend
        panel.set(xlabel=remedy, ylabel=rows["measure"].iloc[0], ylim=(-0.05 * top, top))
        panel.legend(loc="upper right", ncols=2, columnspacing=1, handlelength=2, fontsize=8)
    plots.banded(price, list(prices["remedy"]))
    for y, row in enumerate(prices.round(plots.DECIMALS).itertuples()):
        price.plot([row.low, row.high], [y, y], color=VERMILLION)
        price.plot(row.mean, y, color=VERMILLION, marker="p")
    price.axvline(0, color=FAINT, linewidth=1)
    price.set(xlabel="AUROC minus that without (95% interval)")
    return figure


@matplotlib.rc_context(STYLE)
def privacy_panel(table: pd.DataFrame) -> Figure:
    """Draw how often each attack succeeds against each method, with intervals.

    What to see: encryption ends what the server reads from messages, and leaves what the
    finished model tells.

    Parameters
    ----------
    table
        Columns attack, method, mean, low, high (from 0 to 1), chance: one row an attack
        and method.
    """
    rows = table.round(plots.DECIMALS)
    attacks, styles = list(dict.fromkeys(rows["attack"])), looks(rows["method"])
    heading = "Privacy: how well attacks do against each method"
    figure, axes = sheet(heading, 8, 1.3 + 0.3 * len(styles), columns=len(attacks), sharey=True, sharex=True)
    for panel, attack in zip(axes[0], attacks, strict=True):
        mine = rows[rows["attack"] == attack].set_index("method")
        plots.banded(panel, list(styles))
        panel.axvline(mine["chance"].iloc[0], color=INK, linewidth=1, linestyle=(0, (2, 2)))
        for y, (method, look) in enumerate(styles.items()):
            row = mine.loc[method]
            panel.plot([row["low"], row["high"]], [y, y], color=look.color, linewidth=2)
            panel.plot(row["mean"], y, color=look.color, marker=look.marker, markersize=7, clip_on=False)
        panel.set(title=attack, xlim=(-0.03, 1.03), xlabel="dashed: chance")
        panel.grid(axis="x")
    return figure
