"""Pictures of hospitals that differ, and of what helps."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from fedkit import plots
from fedkit.plots import BLUE, FAINT, INK, ORANGE, SKY, STYLE, VERMILLION


@matplotlib.rc_context(STYLE)
def against_chance(found: pd.DataFrame) -> Figure:
    """Draw how far hospitals are apart, a panel a measure, beside where shuffled patients bring them by chance.

    What to see: a point beyond its bar is a difference that chance does not make.

    found : columns measure, hospital, value, low, high (of the shuffled ones)
    """
    rows, names = plots.rows_of(found), plots.places_of(found)
    measures = list(dict.fromkeys(rows["measure"]))
    size = (8, 1.6 + 0.4 * len(names), 1, len(measures))
    figure, (panels,) = plots.sheet("How far each hospital is from all, and from all by chance", *size, sharey=True)
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


@matplotlib.rc_context(STYLE)
def partitions(parts: Mapping[str, pd.DataFrame], feature: str) -> Figure:
    """Draw pretend hospitals: above, how many patients they have and how many are ill; below, a feature.

    What to see: each way of dividing patients makes hospitals differ in one thing.

    parts : what it is called -> rows with "hospital", "label" (0 or 1) and the feature
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


@matplotlib.rc_context(STYLE)
def side_by_side(differences: Mapping[str, pd.DataFrame], metrics: Mapping[str, str], reference: str) -> Figure:
    """Draw methods minus a reference in several metrics, with intervals, on two sets of splits.

    What to see: where both intervals of a method leave out 0.

    differences : set of splits -> `evaluation.paired_differences`, of the mean of hospitals
    metrics : metric -> how it is called, and which way is better
    """
    names = list(dict.fromkeys(next(iter(differences.values()))["method"]))
    heading = f"Each method minus {reference}, on the same splits: mean of hospitals"
    figure, (panels,) = plots.sheet(heading, 8, 1.4 + 0.27 * len(names), 1, len(metrics), sharey=True)
    looks = [plots.Look(BLUE, "o"), plots.Look(ORANGE, "s")]
    for axes, (metric, title) in zip(panels, metrics.items(), strict=True):
        plots.banded(axes, [plots.shown(name) for name in names])
        axes.axvline(0, color=INK, linewidth=1)
        for lane, look, table in zip(plots.lanes(2, 0.8), looks, differences.values(), strict=True):
            for row in plots.rows_of(table, metric).itertuples():
                plots.interval(axes, names.index(row.method) + lane, row, look, markersize=4.5)
        axes.set_title(title, fontsize=10)
        axes.grid(axis="x")
    plots.legend(figure, dict(zip(differences, looks, strict=True)))
    return figure


@matplotlib.rc_context(STYLE)
def heat(values: pd.DataFrame, heading: str, what: str, most: float, decimals: int = 2) -> Figure:
    """Draw a table of differences as colours with their numbers: purple is below 0, orange above.

    What to see: which row, and which column, stands out.

    values : a row of the picture each, a column each
    what : is written below
    most : beyond which the colour no longer changes
    """
    height, (rows, columns) = 1.3 + 0.3 * len(values), values.shape
    figure, ((axes,),) = plots.sheet(heading, 8, height)
    numbers = values.to_numpy().round(plots.DECIMALS)
    axes.pcolormesh(numbers, cmap="PuOr_r", vmin=-most, vmax=most, edgecolor="white", linewidth=1.5)
    for (row, column), value in np.ndenumerate(numbers):
        text = "-" if np.isnan(value) else f"{value:+z.{decimals}f}".replace("-", "−")
        ink = "white" if value < -0.58 * most or value > 0.72 * most else INK  # the more legible on this purple, orange
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=9, color=ink)
    axes.set_xticks(np.arange(columns) + 0.5, [plots.shown(name).replace(" ", "\n", 1) for name in values])
    axes.set_yticks(np.arange(rows) + 0.5, [plots.shown(name) for name in values.index])
    axes.set_xlabel(what)
    axes.invert_yaxis()
    axes.tick_params(length=0)
    return figure
