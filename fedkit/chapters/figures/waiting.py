"""Pictures of who works and who waits, and of what a score costs."""

from collections.abc import Mapping

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from fedkit import plots
from fedkit.plots import BLACK, BLUE, FAINT, GREEN, INK, STYLE, VERMILLION, Look

# The last three are those that `plots.looks` gives to three new methods.
COLORS = [BLACK, BLUE, GREEN, *(look.color for look in plots.looks(["", " ", "  "]).values())]
STROKES = ["-", (0, (1, 1.5)), (0, (6, 2)), "-", (0, (3, 2)), (0, (6, 1, 1, 1))]
UNITS = {"seconds": "seconds", "kB": "kB moved", "busy": "seconds of computers"}


@matplotlib.rc_context(STYLE)
def timeline(diaries: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw who works when, a panel a policy, from diaries of `clock`; an upright line is a step of the model.

    What to see: how long the fast ones wait for the slow one, and whose work comes too late.
    """
    names = sorted({name for diary in diaries.values() for name in diary["hospital"]})
    height = 1 + len(diaries) * (0.5 + 0.22 * len(names))
    heading = "Who works, who waits, and when the model moves"
    figure, axes = plots.sheet(heading, 8, height, len(diaries), sharex=True)
    for panel, (policy, diary) in zip(axes[:, 0], diaries.items(), strict=True):
        moves = diary.groupby("step")["seconds"].max().round(plots.DECIMALS)
        start = diary["began"].sub(1).map(moves).fillna(0.0)
        plots.banded(panel, [plots.label(name) for name in names])
        for row, begun in zip(diary.itertuples(), start, strict=True):
            place = names.index(row.hospital)
            panel.plot([begun, row.seconds], [place, place], color=FAINT, linewidth=0.8, zorder=1)
            color = BLUE if row.taken else VERMILLION
            panel.barh(
                place, row.busy, left=begun, height=0.55, color=color, edgecolor="white", linewidth=0.6, zorder=2
            )
        panel.vlines(moves, -0.5, len(names) - 0.5, color=INK, linewidth=0.8, zorder=3)
        panel.set_title(f"{plots.shown(policy)}: {len(moves)} steps")
    axes[-1, 0].set_xlabel("seconds")
    plots.below(
        figure, [Patch(color=BLUE, label="work that counts"), Patch(color=VERMILLION, label="work that is too late")]
    )
    return figure


@matplotlib.rc_context(STYLE)
def score_by_cost(table: pd.DataFrame) -> Figure:
    """Draw the log loss that a policy has reached by what it has spent: seconds, bytes, and its computers' seconds.

    table : columns slow (who is), policy, seconds, kB, busy, log_loss; a policy's rows in the order of time
    """
    parts = zip(dict.fromkeys(table["policy"]), COLORS, STROKES, strict=False)
    looks = {policy: Look(color, "", stroke) for policy, color, stroke in parts}
    slow, rows = list(dict.fromkeys(table["slow"])), table.round(plots.DECIMALS)
    figure, axes = plots.sheet("What a log loss costs", 8, 1 + 2.3 * len(slow), len(slow), len(UNITS), sharey=True)
    for (place, unit), panel in zip([(one, unit) for one in slow for unit in UNITS], axes.flat, strict=True):
        for policy, look in looks.items():
            drawn = rows[(rows["slow"] == place) & (rows["policy"] == policy)]
            panel.plot(drawn[unit], drawn["log_loss"], color=look.color, linestyle=look.line, linewidth=1.8)
        panel.grid()
        panel.set(xscale="log", xlabel=UNITS[unit] if place == slow[-1] else "")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_major_formatter("{x:g}")
    for place, line in zip(slow, axes, strict=True):
        line[0].set_ylabel("log loss")
        line[0].set_title(f"{plots.label(place)} is slow")
    plots.legend(figure, looks, marker=False)
    return figure
