"""Pictures of what happens round by round."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedkit import plots
from fedkit.evaluation import MEAN
from fedkit.plots import INK, STYLE, looks


@matplotlib.rc_context(STYLE)
def convergence(metrics: pd.DataFrame, metric: str = "auroc") -> Figure:
    """Draw a metric of `evaluation.stack` over the rounds, a panel a hospital, each with a scale of its own.

    What to see: after how many rounds nothing moves any more, and whether encrypted training goes the way of plain.
    Lines are means over seeds; the bars behind the last round hold the middle 90% of the seeds there.
    """
    rows = plots.rows_of(metrics[metrics["hospital"] != MEAN], metric)
    mean = rows.groupby(["method", "seed", "round"], sort=False)["value"].mean().reset_index()
    rows = pd.concat([rows, mean.assign(hospital=MEAN)])
    styles, places = looks(rows["method"]), plots.places_of(rows)
    # Later methods are drawn thinner, so that one that lies below them shows through.
    widths = np.linspace(3, 1.8, len(styles))
    behind = rows["round"].max() * (1.03 + 0.03 * np.arange(len(styles)))
    figure, every = plots.panels(f"{plots.title(metric)} at each hospital, round by round", len(places), sharey=False)
    for axes, place in zip(every, places, strict=True):
        for (method, look), width, bar in zip(styles.items(), widths, behind, strict=True):
            values = rows[(rows["method"] == method) & (rows["hospital"] == place)].groupby("round")["value"]
            middle = values.mean().round(plots.DECIMALS)
            axes.plot(middle.index, middle, color=look.color, linestyle=look.line, linewidth=width)
            if values.size().max() > 1:
                ends = values.quantile([0.05, 0.95]).loc[middle.index[-1]]
                axes.plot([bar, bar], ends, color=look.color, linewidth=2, solid_capstyle="butt")
        axes.set_title(plots.label(place))
        axes.grid()
        plots.word(axes, rows.loc[rows["hospital"] == place, "value"])
    plots.outer_labels(every, "round", plots.NAMES[metric])
    plots.legend(figure, styles, marker=False)
    return figure


@matplotlib.rc_context(STYLE)
def local_global_distance(metrics: pd.DataFrame) -> Figure:
    """Draw how far each hospital's model moves away from the global one in a round, a panel a method, mean over seeds.

    What to see: whether a hospital moves farther than where the same patients are shuffled among the hospitals.
    `metrics` is from `evaluation.stack`, with "distance" (L2 norm, of the weights).
    """
    rows = plots.rows_of(metrics[metrics["hospital"] != MEAN], "distance")
    styles, places = looks(rows["method"]), plots.places_of(rows)
    strokes = ["-", (0, (6, 2)), (0, (4, 1.5, 1, 1.5)), (0, (1, 1.5))]
    # From the fifth hospital on, the strokes come again, with a marker.
    marks = ["", "o", "s", "^", "D", "v", "X", "P"]
    shapes = [{"linestyle": strokes[n % 4], "marker": marks[n // 4 % 8], "markersize": 4} for n in range(len(places))]
    figure, every = plots.panels("How far local models move from the global one", len(styles), height=2.9)
    for axes, (method, look) in zip(every, styles.items(), strict=True):
        mine = rows[rows["method"] == method]
        for place, shape in zip(places, shapes, strict=True):
            values = mine[mine["hospital"] == place].groupby("round")["value"].mean()
            axes.plot(values.index, values, color=look.color, markevery=5, **shape)
        axes.set_title(plots.shown(method))
        axes.grid()
        plots.word(axes, mine["value"])
    every[0].set_ylim(bottom=0)  # last: it ends the scaling that all panels share
    plots.below(
        figure, [Line2D([], [], color=INK, label=plots.label(p), **s) for p, s in zip(places, shapes, strict=True)]
    )
    plots.outer_labels(every, "round", plots.NAMES["distance"])
    return figure
