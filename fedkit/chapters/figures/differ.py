"""Pictures of hospitals that differ, and of what helps."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fedkit import plots
from fedkit.evaluation import MEAN
from fedkit.plots import BLUE, FAINT, INK, ORANGE, SKY, VERMILLION, styled


@styled
def against_chance(found: pd.DataFrame) -> Figure:
    """Draw how far hospitals are apart, a panel a measure, beside where shuffled patients bring them by chance.

    What to see: a point beyond its bar is no chance. Columns measure, hospital, value, low, high (of shuffled ones).
    """
    rows, names = plots.rows_of(found), plots.places_of(found)
    measures = list(dict.fromkeys(rows["measure"]))
    heading, height = "How far each hospital is from all, and from all by chance", 1.6 + 0.4 * len(names)
    figure, (panels,) = plots.sheet(heading, 8, height, 1, len(measures), sharey=True)
    for axes, measure in zip(panels, measures, strict=True):
        plots.banded(axes, [plots.shown(name) for name in names])
        for y, row in enumerate(rows[rows["measure"] == measure].itertuples()):
            axes.plot([row.low, row.high], [y, y], color=FAINT, linewidth=7, alpha=0.5, solid_capstyle="butt")
            axes.plot(row.value, y, marker="o", color=VERMILLION, markersize=8)
        axes.set_title(measure)
        axes.grid(axis="x")
    bar = Patch(color=FAINT, alpha=0.5, label="95% of shuffles")
    plots.below(figure, [Line2D([], [], color=VERMILLION, marker="o", linestyle="none", label="real"), bar])
    return figure


@styled
def partitions(parts: Mapping[str, pd.DataFrame], feature: str) -> Figure:
    """Draw pretend hospitals: above, how many patients they have and how many are ill; below, a feature.

    What to see: each way of dividing makes hospitals differ in one thing. Rows have "hospital", "label" and a feature.
    """
    figure, axes = plots.sheet("One table of patients, divided on purpose", 8, 4.2, 2, len(parts), sharey="row")
    for (above, below), (name, rows) in zip(axes.T, parts.items(), strict=True):
        groups = sorted(rows.groupby("hospital"), key=lambda group: int(group[0].split()[-1]))
        ill, size = (np.array([getattr(own["label"], what)() for _, own in groups]) for what in ("sum", "count"))
        numbers = np.arange(1, len(groups) + 1)
        above.bar(numbers, ill, color=VERMILLION, hatch="///")
        above.bar(numbers, size - ill, bottom=ill, color=SKY)
        below.boxplot([own[feature].dropna() for _, own in groups], widths=0.6, whis=(0, 100))
        above.set_title(plots.shown(name))
        below.set_xlabel("pretend hospital")
        for panel in (above, below):
            panel.set(xticks=numbers, xticklabels=numbers)
            panel.grid(axis="y")
    axes[0, 0].set_ylabel("patients")
    axes[1, 0].set_ylabel(plots.shown(feature))
    plots.below(figure, [Patch(color=VERMILLION, hatch="///", label="label 1"), Patch(color=SKY, label="label 0")])
    return figure


@styled
def side_by_side(differences: Mapping[str, pd.DataFrame], metrics: Mapping[str, str], reference: str) -> Figure:
    """Draw methods minus a reference in several metrics: what to see is where both sets' intervals leave out 0.

    differences : set of splits -> `evaluation.paired_differences`, of the mean of hospitals
    metrics : metric -> how it is called, and which way is better
    """
    names = list(dict.fromkeys(next(iter(differences.values()))["method"]))
    heading = f"Each method minus {reference}, on the same splits: mean of hospitals"
    figure, (panels,) = plots.sheet(heading, 8, 1.4 + 0.27 * len(names), 1, len(metrics), sharey=True)
    looks = dict(zip(differences, [plots.Look(BLUE, "o"), plots.Look(ORANGE, "s")], strict=True))
    for axes, (metric, title) in zip(panels, metrics.items(), strict=True):
        plots.banded(axes, [plots.shown(name) for name in names])
        axes.axvline(0, color=INK, linewidth=1)
        for lane, look, table in zip(plots.lanes(2, 0.8), looks.values(), differences.values(), strict=True):
            for row in plots.rows_of(table, metric).itertuples():
                plots.interval(axes, names.index(row.method) + lane, row, look, markersize=4.5)
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x")
    plots.legend(figure, looks)
    return figure


@styled
def heat(values: pd.DataFrame, heading: str, what: str, most: float, decimals: int = 2) -> Figure:
    """Draw a table of differences as colours with their numbers: purple is below 0, orange above.

    What to see: which row, and which column, stands out. `what` is written below, beyond `most` no colour changes.
    """
    figure, ((axes,),) = plots.sheet(heading, 8, 1.3 + 0.3 * len(values))
    table = values.round(plots.DECIMALS).rename(columns=lambda name: plots.shown(name).replace(" ", "\n", 1))
    write = lambda value, _: f"{value:+z.{decimals}f}".replace("-", "−")  # noqa: E731
    white = (-0.58 * most, 0.72 * most)  # where it is the more legible, on this purple and orange
    plots.tiles(axes, table, write, "PuOr_r", most, dark=white, size=9)
    axes.set_xlabel(what)
    return figure


@styled
def local_global_distance(metrics: pd.DataFrame) -> Figure:
    """Draw how far each hospital's model moves in a round, from metrics of `evaluation.stack`, mean over seeds.

    What to see: whether a hospital moves farther than where the same patients are shuffled among the hospitals.
    """
    rows = plots.rows_of(metrics[metrics["hospital"] != MEAN], "distance")
    styles, places = plots.looks(rows["method"]), plots.places_of(rows)
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
    parts = zip(places, shapes, strict=True)
    plots.below(figure, [Line2D([], [], color=INK, label=plots.label(place), **shape) for place, shape in parts])
    plots.outer_labels(every, "round", plots.NAMES["distance"])
    return figure
