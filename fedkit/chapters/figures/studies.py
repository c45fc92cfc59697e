"""A picture of a study in a shared folder, for the projector."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedkit import plots
from fedkit.plots import BLUE, FAINT, GREEN, STYLE, VERMILLION

# Told apart by colour, and for grey print and colour-blind readers by marker.
_LOOKS = {
    "counted": ("s", GREEN),
    "shared": ("D", BLUE),
    "posted": ("o", BLUE),
    "late": ("X", VERMILLION),
    "lost": ("v", VERMILLION),
    "missing": ("_", VERMILLION),
    "awaited": (".", FAINT),
}


@matplotlib.rc_context(STYLE)
def study_grid(letters: pd.DataFrame, title: str) -> Figure:
    """Draw who has sent what (`Progress.letters` of `exchange.watch`: number, hospital, state): a row a hospital.

    What to see: a column that does not fill up is a sum that somebody is waited for.
    """
    names, rounds = list(dict.fromkeys(letters["hospital"])), sorted(set(letters["number"]))
    figure, ((axes,),) = plots.sheet(title, 8.5, 1.5 + 0.22 * len(names))
    rows = letters["hospital"].map({name: row for row, name in enumerate(names)})
    handles = []
    for state, (marker, color) in _LOOKS.items():
        chosen = letters["state"] == state
        axes.scatter(letters.loc[chosen, "number"], rows[chosen], marker=marker, color=color, s=42)
        handles.append(Line2D([], [], linestyle="", marker=marker, color=color, label=state))
    axes.set_yticks(range(len(names)), [plots.shown(name) for name in names])
    axes.set(ylim=(len(names) - 0.5, -0.5), xlim=(-0.7, rounds[-1] + 0.7))
    axes.set_xticks(rounds[:: max(len(rounds) // 20, 1)])
    axes.set_xlabel("number of the sum (0: statistics, 1: bounds, then a round each, the last one: scores)")
    plots.below(figure, handles)
    return figure
