"""Pictures of what came out: how well each method does, where, and how sure that is."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from fedkit import evaluation, plots
from fedkit.evaluation import MEAN
from fedkit.plots import FAINT, STYLE, looks, sheet


@matplotlib.rc_context(STYLE)
def paired_differences(differences: pd.DataFrame, reference: str, margin: float, metric: str = "auroc") -> Figure:
    """Draw each method minus the reference on the same splits, against a non-inferiority margin.

    What to see: an interval wholly right of the dashed line is non-inferior, one
    wholly left of it inferior; one that crosses it settles nothing.

    differences : from `evaluation.paired_differences` with that reference
    margin : the largest loss that would be accepted, in units of the metric
    metric : one whose higher values are better; ValueError otherwise, as the margin would be on the wrong side
    """
    if not evaluation.HIGHER_IS_BETTER.get(metric):
        raise ValueError(f"Higher values of {metric!r} are not better: choose auroc, auprc or accuracy.")
    rows = plots.rows_of(differences, metric)
    words = {(row.method, row.hospital): evaluation.verdict(row.low, row.high, margin) for row in rows.itertuples()}
    heading = f"{plots.title(metric)} compared with {reference}, on the same splits"
    figure, axes = plots.forest(heading, rows, words)
    reach = [*rows["low"], *rows["high"], *rows["mean"], -margin]
    left = np.nanmin(reach) - 0.1 * (np.nanmax(reach) - np.nanmin(reach))
    axes.axvline(0, color=FAINT, linewidth=1)
    axes.axvline(-margin, color="#a00000", linewidth=1.3, linestyle=(0, (4, 3)))
    axes.axvspan(left, -margin, color="#a00000", alpha=0.05, linewidth=0)
    how = f"95% interval over {plots.splits(rows)}; dashed: margin of −{margin:g}"
    axes.set(xlim=(left, None), xlabel=f"difference in {plots.NAMES[metric]} ({how})")
    return figure


@matplotlib.rc_context(STYLE)
def calibration(curve: pd.DataFrame) -> Figure:
    """Draw predicted against observed shares, a panel a hospital, from `evaluation.calibration_curve`.

    What to see: on the diagonal, 30 of 100 patients at "30%" fall ill. Above it the probabilities
    are too low, below it too high; a line flatter than the diagonal is too extreme.
    """
    rows = plots.rows_of(curve)
    styles, places = looks(rows["method"]), plots.places_of(rows)
    heading = "Calibration: predicted and observed share with disease"
    width, height = (6.8, 3.05) if len(places) in (1, 2, 4) else (8, 2.55)
    figure, panels = plots.panels(heading, len(places), width, height)
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


@matplotlib.rc_context(STYLE)
def spread(table: pd.DataFrame, metric: str = "auroc") -> Figure:
    """Draw every split's value in `evaluation.table`, a column a method and hospital, with a box over the middle half.

    What to see: how much the value depends on which patients happen to be held out,
    which at a small hospital can be more than on the method.
    """
    rows = plots.rows_of(table, metric)
    styles, places = looks(rows["method"]), plots.places_of(rows)
    heading = f"{plots.title(metric)} of every split: spread over hospitals and seeds"
    figure, ((axes,),) = sheet(heading, 8, 4.4)
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


@matplotlib.rc_context(STYLE)
def training_gain(
    table: pd.DataFrame, patients: Mapping[str, int], before: str = "local", after: str = "federated"
) -> Figure:
    """Draw what each hospital gains by training together, the smallest hospital on top.

    What to see: left, both values; right, their paired difference with its interval.
    Who has few patients of their own has most to gain.

    table : from `evaluation.table`, holding AUROC of the methods `before` and `after`
    patients : hospital -> number of its patients
    """
    rows = plots.rows_of(table[table["method"].isin([before, after]) & (table["hospital"] != MEAN)], "auroc")
    gain = evaluation.paired_differences(rows, before).round(plots.DECIMALS)
    gain = gain.sort_values("hospital", key=lambda names: names.map(patients), kind="stable")
    means = rows.groupby(["hospital", "method"])["value"].mean()
    styles = looks([before, after])
    heading = f"Who gains by training together: AUROC, {before} to {after}"
    figure, ((left, right),) = sheet(heading, 8, 1.5 + 0.5 * len(gain), columns=2, sharey=True)
    for panel in (left, right):
        plots.banded(panel, [f"{plots.shown(place)}\n{patients[place]} patients" for place in gain["hospital"]])
        panel.grid(axis="x")
    for y, row in enumerate(gain.itertuples()):
        start, end = (means[row.hospital, method] for method in (before, after))
        if np.isfinite(row.mean):
            arrow = {"arrowstyle": "-|>", "color": FAINT, "shrinkA": 4, "shrinkB": 4}
            left.annotate("", (end, y), (start, y), arrowprops=arrow, zorder=1)
            text = f"{row.mean:+z.3f}".replace("-", "−")
            right.text(row.mean, y - 0.22, text, ha="center", va="bottom", fontsize=8.5)
        for value, method in ((start, before), (end, after)):
            left.plot(value, y, marker=styles[method].marker, color=styles[method].color, markersize=8)
        plots.interval(right, y, row, styles[after], markersize=8)
    right.axvline(0, color=FAINT, linewidth=1)
    left.set_xlabel(f"AUROC (mean over {plots.splits(gain)})")
    right.set_xlabel("gain in AUROC (paired, 95% interval)")
    plots.legend(figure, styles, line=False)
    return figure
