"""Pictures of what noise hides, and of what it costs."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from fedkit import plots
from fedkit.plots import BLUE, GREEN, ORANGE, STYLE, VERMILLION, Look

LOOKS = [Look(BLUE, "o"), Look(VERMILLION, "s", (0, (5, 2))), Look(GREEN, "^"), Look(ORANGE, "D", (0, (5, 2)))]


@matplotlib.rc_context(STYLE)
def two_hills(curves: pd.DataFrame) -> Figure:
    """Draw what may be read with a patient and without, a panel an epsilon.

    What to see: where hills overlap, nobody can say which one a number is from.

    curves : columns epsilon, read, "without", "with" (densities)
    """
    epsilons = list(dict.fromkeys(curves["epsilon"]))
    heading = "What an attacker may read, with one patient and without"
    figure, (axes,) = plots.sheet(heading, 8, 2.9, 1, len(epsilons))
    looks = {"without the patient": Look(BLUE, ""), "with the patient": Look(VERMILLION, "", (0, (5, 2)))}
    for panel, epsilon in zip(axes, epsilons, strict=True):
        rows = curves[curves["epsilon"] == epsilon].round(plots.DECIMALS)
        for look, column in zip(looks.values(), ("without", "with"), strict=True):
            panel.plot(rows["read"], rows[column], color=look.color, linestyle=look.line, linewidth=2)
        panel.set(title=f"epsilon {epsilon:g}", yticks=[], ylim=(0, None), xlabel="what is read, 1 = the patient")
    axes[0].set_ylabel("how probable")
    plots.legend(figure, looks, marker=False)
    return figure


@matplotlib.rc_context(STYLE)
def by_epsilon(table: pd.DataFrame, heading: str, titles: Mapping[tuple[str, str], str]) -> Figure:
    """Draw what is measured over epsilon, a panel a group and measure; "none" stands for no noise at all.

    What to see: how far to the left a line stays where it is without noise.

    table : columns group, measure, line, epsilon, mean, low, high
    titles : (group, measure), a panel each, two in a line of the picture -> its title
    """
    rows, lines = plots.rows_of(table), list(dict.fromkeys(table["line"]))
    height, wide = 1.0 + 2.1 * -(-len(titles) // 2), min(len(titles), 2)
    figure, axes = plots.sheet(heading, 8, height, -(-len(titles) // 2), wide, sharex=True)
    looks, epsilons = dict(zip(lines, LOOKS, strict=False)), sorted(set(rows["epsilon"]))
    for panel, ((group, measure), title) in zip(axes.flat, titles.items(), strict=True):
        mine = rows[(rows["group"] == group) & (rows["measure"] == measure)]
        for line, look in looks.items():
            drawn = mine[mine["line"] == line].sort_values("epsilon")
            if drawn.empty:
                continue
            at = np.searchsorted(epsilons, drawn["epsilon"])
            panel.plot(at, drawn["mean"], color=look.color, linestyle=look.line, marker=look.marker, markersize=5)
            panel.fill_between(at, drawn["low"], drawn["high"], color=look.color, alpha=0.12, linewidth=0)
        panel.set_title(title)
        panel.grid(axis="y")
        panel.set_xticks(range(len(epsilons)), [f"{one:g}" if np.isfinite(one) else "none" for one in epsilons])
        panel.xaxis.set_minor_locator(NullLocator())
    for panel in axes[-1]:
        panel.set_xlabel("epsilon (none: no noise)")
    plots.legend(figure, looks)
    return figure
