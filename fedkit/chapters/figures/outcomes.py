"""Pictures of what came out, in the end and round by round: how well each method does, where, and how sure that is."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fedkit import evaluation, plots
from fedkit.evaluation import MEAN
from fedkit.plots import FAINT, looks, sheet, styled


def _title(metric: str) -> str:
    """Write a metric's name with a capital, unit left out."""
    name = plots.NAMES[metric].split(" (")[0]
    return name[0].upper() + name[1:]


@styled
def auroc_forest(summary: pd.DataFrame, metric: str = "auroc", heading: str = "") -> Figure:
    """Draw how well each method does at each hospital, with intervals, from `evaluation.summary`: a forest plot.

    What to see: how wide the intervals of small hospitals are, and whether the methods differ by more than that.
    That intervals overlap shows no equality: `paired_differences` compares on the same splits.
    """
    rows = plots.rows_of(summary, metric)
    figure, axes = plots.forest(heading or f"{_title(metric)} of each method at each hospital", rows)
    axes.set_xlabel(f"{plots.NAMES[metric]} on held-out patients (mean and 95% interval over {plots.splits(rows)})")
    return figure


@styled
def paired_differences(differences: pd.DataFrame, reference: str, margin: float, metric: str = "auroc") -> Figure:
    """Draw each method minus the reference (`evaluation.paired_differences`), against a non-inferiority margin.

    What to see: right of the dashed line is non-inferior, left of it inferior; an interval across it settles nothing.

    margin : the largest loss that would be accepted, in units of the metric
    metric : one whose higher values are better; ValueError otherwise, as the margin would be on the wrong side
    """
    if not evaluation.HIGHER_IS_BETTER.get(metric):
        raise ValueError(f"Higher values of {metric!r} are not better: choose auroc, auprc or accuracy.")
    rows = plots.rows_of(differences, metric)
    words = {(row.method, row.hospital): evaluation.verdict(row.low, row.high, margin) for row in rows.itertuples()}
    figure, axes = plots.forest(f"{_title(metric)} compared with {reference}, on the same splits", rows, words)
    reach = [*rows["low"], *rows["high"], *rows["mean"], -margin]
    left = np.nanmin(reach) - 0.1 * (np.nanmax(reach) - np.nanmin(reach))
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.axvline(-margin, color="#a00000", linewidth=1.3, linestyle=(0, (4, 3)))
    axes.axvspan(left, -margin, color="#a00000", alpha=0.05, linewidth=0)
    how = f"95% interval over {plots.splits(rows)}; dashed: margin of −{margin:g}"
    axes.set(xlim=(left, None), xlabel=f"difference in {plots.NAMES[metric]} ({how})")
    return figure


@styled
def calibration(curve: pd.DataFrame) -> Figure:
    """Draw predicted against observed shares, a panel a hospital, from `evaluation.calibration_curve`.

    What to see: above the diagonal the probabilities are too low, below it too high; a line flatter is too extreme.
    """
    rows = plots.rows_of(curve)
    styles, places = looks(rows["method"]), plots.places_of(rows)
    size = (6.8, 3.05) if len(places) in (1, 2, 4) else (8, 2.55)
    figure, panels = plots.panels("Calibration: predicted and observed share with disease", len(places), *size)
    # Later methods get smaller marks, so that one that lies below them shows.
    sizes = np.linspace(8, 4, len(styles))
    for axes, place in zip(panels, places, strict=True):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (2, 2)))
        for (method, look), size in zip(styles.items(), sizes, strict=True):
            part = rows[(rows["method"] == method) & (rows["hospital"] == place)]
            ink = {"color": look.color, "linewidth": 1.2}
            axes.vlines(part["predicted"], part["low"], part["high"], alpha=0.35, **ink)
            shape = {"marker": look.marker, "markersize": size, "linestyle": look.line}
            axes.plot(part["predicted"], part["observed"], **shape, **ink)
        axes.set(title=plots.shown(place, 115), xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal")
        axes.grid()
    plots.outer_labels(panels, "predicted probability", "observed share (95% interval)")
    plots.legend(figure, styles)
    return figure


@styled
def spread(table: pd.DataFrame, metric: str = "auroc") -> Figure:
    """Draw every split's value in `evaluation.table`, a column a method and hospital, with a box over the middle half.

    What to see: how much depends on which patients are held out: at a small hospital, perhaps more than on the method.
    """
    rows = plots.rows_of(table, metric)
    styles, places = looks(rows["method"]), plots.places_of(rows)
    figure, ((axes,),) = sheet(f"{_title(metric)} of every split: spread over hospitals and seeds", 8, 4.4)
    plots.banded(axes, places, upright=True)
    for (method, look), lane in zip(styles.items(), plots.lanes(len(styles), 0.74), strict=True):
        ink = {part: {"color": look.color} for part in ("boxprops", "whiskerprops")}
        ink |= {"medianprops": {"color": look.color, "linewidth": 2}, "showfliers": False, "showcaps": False}
        points = {"linestyle": "none", "markersize": 3.2, "alpha": 0.55, "markeredgewidth": 0}
        for number, place in enumerate(places):
            values = rows.loc[(rows["method"] == method) & (rows["hospital"] == place), "value"].dropna().sort_values()
            # Points side by side by rank, not at random: the same picture every time.
            shift = (np.arange(len(values)) % 3 - 1) * 0.035
            axes.plot(number + lane + shift, values, marker=look.marker, color=look.color, **points)
            if len(values):
                axes.boxplot(values, positions=[number + lane], widths=0.13, **ink)
    for number, place in enumerate(places):
        if not rows.loc[rows["hospital"] == place, "value"].notna().any():
            at = {"transform": axes.get_xaxis_transform(), "ha": "center", "va": "center", "rotation": 90}
            axes.text(number, 0.5, "not defined", **at)
    many = len(places) > 6
    names = [plots.label(place, plots.ROOM if many else 400 / len(places)) for place in places]
    axes.set(xlim=(-0.5, len(places) - 0.5), xticks=range(len(places)), xticklabels=names)
    axes.set_ylabel(f"{plots.NAMES[metric]} on held-out patients")
    axes.tick_params(axis="x", length=0, rotation=90 if many else 0)
    axes.grid(axis="y")
    plots.legend(figure, styles, line=False)
    return figure


@styled
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
    figure, every = plots.panels(f"{_title(metric)} at each hospital, round by round", len(places), sharey=False)
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
