"""Pictures of what happens round by round."""

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fedkit.evaluation import MEAN
from fedkit.figures import layout
from fedkit.style import INK, STYLE, looks


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
    rows = layout.rows_of(metrics[metrics["hospital"] != MEAN], metric)
    mean = rows.groupby(["method", "seed", "round"], sort=False)["value"].mean().reset_index()
    rows = pd.concat([rows, mean.assign(hospital=MEAN)])
    styles, places = looks(rows["method"]), layout.places_of(rows)
    # Later methods are drawn thinner, so that one that lies below them shows through.
    widths = dict(zip(styles, np.linspace(3, 1.8, len(styles)), strict=True))
    figure, panels = layout.panels(f"{layout.title(metric)} on held-out patients, round by round", len(places))
    for axes, place in zip(panels, places, strict=True):
        for method, look in styles.items():
            values = rows[(rows["method"] == method) & (rows["hospital"] == place)].groupby("round")["value"]
            middle = values.mean().round(layout.DECIMALS)
            axes.plot(middle.index, middle, color=look.color, linestyle=look.line, linewidth=widths[method])
            if values.size().max() > 1:
                low, high = values.quantile(0.05), values.quantile(0.95)
                axes.fill_between(middle.index, low, high, color=look.color, alpha=0.09, linewidth=0)
        axes.set_title(layout.label(place))
        axes.grid()
    layout.outer_labels(panels, "round", f"{layout.NAMES[metric]} (mean, middle 90%)")
    layout.legend(figure, styles, marker=False)
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
    rows = layout.rows_of(metrics[metrics["hospital"] != MEAN], "distance")
    styles, places = looks(rows["method"]), layout.places_of(rows)
    handles = {}
    strokes = ["-", (0, (6, 2)), (0, (4, 1.5, 1, 1.5)), (0, (1, 1.5))]
    figure, panels = layout.panels("How far local models move from the global one", len(styles), height=2.9)
    for axes, (method, look) in zip(panels, styles.items(), strict=True):
        for number, place in enumerate(places):
            values = rows[(rows["method"] == method) & (rows["hospital"] == place)].groupby("round")["value"].mean()
            # From the fifth hospital on, the strokes come again, with a marker.
            shape = {"linestyle": strokes[number % 4], "marker": ["", "o", "s", "^", "D", "v"][number // 4 % 6]}
            axes.plot(values.index, values, color=look.color, markevery=5, markersize=4, **shape)
            handles[place] = Line2D([], [], color=INK, markersize=4, label=place, **shape)
        axes.set_title(method)
        axes.grid()
    panels[0].set_ylim(bottom=0)  # last: it ends the scaling that all panels share
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=min(len(places), 5))
    layout.outer_labels(panels, "round", "L2 distance of the weights")
    return figure
