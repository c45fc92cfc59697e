"""Pictures of what came out: how well each method does, where, and how sure that is."""

from collections.abc import Mapping

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fedkit import evaluation, plots
from fedkit.evaluation import MEAN
from fedkit.plots import BAND, FAINT, STYLE, Look, looks, sheet


def _forest(axes: Axes, rows: pd.DataFrame, styles: Mapping[str, Look], note: Mapping | None = None) -> None:
    """Draw a mean with its interval a method and hospital, and write the numbers at the right."""
    places = plots.places_of(rows)
    plots.banded(axes, [plots.label(place) for place in places])
    for (method, look), lane in zip(styles.items(), plots.lanes(len(styles)), strict=True):
        for row in rows[rows["method"] == method].itertuples():
            y = places.index(row.hospital) + lane
            axes.plot([row.low, row.high], [y, y], color=look.color, linewidth=1.6, solid_capstyle="butt")
            axes.plot(row.mean, y, marker=look.marker, color=look.color, markeredgecolor="white", markeredgewidth=0.6)
            # A sign before each number where there may be a minus keeps the columns straight.
            sign = "+z.3f" if note else ".3f"
            text = f"{row.mean:{sign}}" + (f" [{row.low:{sign}}, {row.high:{sign}}]" if row.n > 1 else "")
            text = text.replace("-", "−") + (f"  {note[method, row.hospital]}" if note else "")
            axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.grid(axis="x")


@matplotlib.rc_context(STYLE)
def auroc_forest(summary: pd.DataFrame, metric: str = "auroc", heading: str = "") -> Figure:
    """Draw how well each method does at each hospital, with intervals: a forest plot.

    What to see: how wide the intervals of small hospitals are, and whether the
    methods differ by more than that. Overlapping intervals do not show that methods
    are equal: `paired_differences` compares them on the same splits.

    Parameters
    ----------
    summary
        From `evaluation.summary`.
    metric
        Which of its metrics.
    heading
        What stands above it, if not the metric's name.
    """
    rows = plots.rows_of(summary, metric)
    styles = looks(rows["method"])
    height = 1.3 + len(plots.places_of(rows)) * (0.25 + 0.17 * len(styles))
    figure, axes = sheet(heading or f"{plots.title(metric)} of each method at each hospital", 8, height)
    _forest(axes[0, 0], rows, styles)
    axes[0, 0].set_xlabel(
        f"{plots.NAMES[metric]} on held-out patients (mean and 95% interval over {plots.splits(rows)})"
    )
    plots.legend(figure, styles, line=False)
    return figure


@matplotlib.rc_context(STYLE)
def paired_differences(differences: pd.DataFrame, reference: str, margin: float, metric: str = "auroc") -> Figure:
    """Draw each method minus the reference on the same splits, against a non-inferiority margin.

    What to see: an interval wholly right of the dashed line is non-inferior, one
    wholly left of it inferior; one that crosses it settles nothing.

    Parameters
    ----------
    differences
        From `evaluation.paired_differences` with that reference.
    reference
        The method that the others are compared with.
    margin
        The largest loss that would be accepted, in units of the metric.
    metric
        One whose higher values are better.

    Raises
    ------
    ValueError
        For a metric whose lower values are better: the margin would be on the wrong side.
    """
    if not evaluation.HIGHER_IS_BETTER.get(metric):
        raise ValueError(f"Higher values of {metric!r} are not better: choose auroc, auprc or accuracy.")
    rows = plots.rows_of(differences, metric)
    styles = looks(rows["method"])
    height = 1.3 + len(plots.places_of(rows)) * (0.25 + 0.17 * len(styles))
    figure, axes = sheet(f"{plots.title(metric)} compared with {reference}, on the same splits", 8, height)
    words = {(row.method, row.hospital): evaluation.verdict(row.low, row.high, margin) for row in rows.itertuples()}
    _forest(axes[0, 0], rows, styles, words)
    left = min(rows["low"].min(), -margin) - 0.1 * np.ptp([*rows["low"], *rows["high"], -margin])
    axes[0, 0].axvline(0, color=FAINT, linewidth=1)
    axes[0, 0].axvline(-margin, color="#a00000", linewidth=1.3, linestyle=(0, (4, 3)))
    axes[0, 0].axvspan(left, -margin, color="#a00000", alpha=0.05, linewidth=0)
    axes[0, 0].set(
        xlim=(left, None),
        xlabel=f"difference in {plots.NAMES[metric]} (95% interval over {plots.splits(rows)}; "
        f"dashed: margin of −{margin:g})",
    )
    plots.legend(figure, styles, line=False)
    return figure


@matplotlib.rc_context(STYLE)
def calibration(curve: pd.DataFrame) -> Figure:
    """Draw predicted against observed shares, a panel a hospital.

    What to see: on the diagonal, 30 of 100 patients at "30%" fall ill. Above it the
    probabilities are too low, below it too high; a line flatter than the diagonal is
    too extreme.

    Parameters
    ----------
    curve
        From `evaluation.calibration_curve`, with the columns method and hospital.
    """
    rows = plots.rows_of(curve)
    styles, places = looks(rows["method"]), plots.places_of(rows)
    title = "Calibration: predicted and observed share with disease"
    width, height = (6.8, 3.05) if len(places) in (1, 2, 4) else (8, 2.55)
    figure, panels = plots.panels(title, len(places), width, height)
    # Later methods get smaller marks, so that one that lies below them shows.
    sizes = dict(zip(styles, np.linspace(8, 4, len(styles)), strict=True))
    for axes, place in zip(panels, places, strict=True):
        axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (2, 2)))
        for method, look in styles.items():
            part = rows[(rows["method"] == method) & (rows["hospital"] == place)]
            ink = {"color": look.color, "linewidth": 1.2}
            axes.vlines(part["predicted"], part["low"], part["high"], alpha=0.35, **ink)
            shape = {"marker": look.marker, "markersize": sizes[method], "linestyle": look.line}
            axes.plot(part["predicted"], part["observed"], **shape, **ink)
        axes.set(title=place, xlim=(-0.04, 1.04), ylim=(-0.04, 1.04), aspect="equal")
        axes.grid()
    plots.outer_labels(panels, "predicted probability", "observed share (95% interval)")
    plots.legend(figure, styles)
    return figure


@matplotlib.rc_context(STYLE)
def spread(table: pd.DataFrame, metric: str = "auroc") -> Figure:
    """Draw every split's value, a column a method and hospital, with a box over the middle half.

    What to see: how much the value depends on which patients happen to be held out,
    which at a small hospital can be more than on the method.

    Parameters
    ----------
    table
        From `evaluation.table`.
    metric
        Which of its metrics.
    """
    rows = plots.rows_of(table, metric)
    styles, places = looks(rows["method"]), plots.places_of(rows)
    figure, axes = sheet(f"{plots.title(metric)} of every split: spread over hospitals and seeds", 8, 4.4)
    axes = axes[0, 0]
    for number in range(0, len(places), 2):
        axes.axvspan(number - 0.5, number + 0.5, color=BAND, linewidth=0, zorder=0)
    for (method, look), lane in zip(styles.items(), plots.lanes(len(styles), 0.74), strict=True):
        for number, place in enumerate(places):
            values = rows.loc[(rows["method"] == method) & (rows["hospital"] == place), "value"].dropna().sort_values()
            # Points side by side by rank, not at random: the same picture every time.
            shift = (np.arange(len(values)) % 3 - 1) * 0.035
            axes.plot(
                number + lane + shift,
                values,
                linestyle="none",
                marker=look.marker,
                markersize=3.2,
                color=look.color,
                alpha=0.55,
                markeredgewidth=0,
            )
            axes.boxplot(
                values,
                positions=[number + lane],
                widths=0.13,
                showfliers=False,
                showcaps=False,
                medianprops={"color": look.color, "linewidth": 2},
                boxprops={"color": look.color},
                whiskerprops={"color": look.color},
            )
    axes.set(
        xlim=(-0.5, len(places) - 0.5),
        xticks=range(len(places)),
        xticklabels=map(plots.label, places),
        ylabel=f"{plots.NAMES[metric]} on held-out patients",
    )
    axes.tick_params(axis="x", length=0, rotation=20 if len(places) > 6 else 0)
    axes.grid(axis="y")
    plots.legend(figure, styles, line=False)
    return figure


@matplotlib.rc_context(STYLE)
def training_gain(
    table: pd.DataFrame,
    patients: Mapping[str, int],
    metric: str = "auroc",
    before: str = "local",
    after: str = "federated",
) -> Figure:
    """Draw what each hospital gains by training together, the smallest hospital on top.

    What to see: left, both values; right, their paired difference with its interval.
    Who has few patients of their own has most to gain.

    Parameters
    ----------
    table
        From `evaluation.table`, holding both methods.
    patients
        Hospital -> number of its patients.
    metric
        Which metric.
    before, after
        The two methods.
    """
    rows = plots.rows_of(table[table["method"].isin([before, after]) & (table["hospital"] != MEAN)], metric)
    gain = evaluation.paired_differences(rows, before).round(plots.DECIMALS).set_index("hospital")
    means = rows.groupby(["hospital", "method"])["value"].mean()
    places = sorted(gain.index, key=patients.__getitem__)
    styles = looks([before, after])
    heading = f"Who gains by training together: {plots.NAMES[metric]}, {before} to {after}"
    figure, axes = sheet(heading, 8, 1.5 + 0.5 * len(places), columns=2, sharey=True)
    left, right = axes[0]
    for panel in (left, right):
        plots.banded(panel, [f"{place}\n{patients[place]} patients" for place in places])
        panel.grid(axis="x")
    for y, place in enumerate(places):
        ends = [means[place, before], means[place, after]]
        arrow = {"arrowstyle": "-|>", "color": FAINT, "shrinkA": 4, "shrinkB": 4}
        left.annotate("", (ends[1], y), (ends[0], y), arrowprops=arrow, zorder=1)
        for value, method in zip(ends, (before, after), strict=True):
            left.plot(value, y, marker=styles[method].marker, color=styles[method].color, markersize=8)
        row, look = gain.loc[place], styles[after]
        right.plot([row["low"], row["high"]], [y, y], color=look.color)
        right.plot(row["mean"], y, marker=look.marker, color=look.color, markersize=8)
        text = f"{row['mean']:+z.3f}".replace("-", "−")
        right.text(row["mean"], y - 0.22, text, ha="center", va="bottom", fontsize=8.5)
    right.axvline(0, color=FAINT, linewidth=1)
    left.set_xlabel(f"{plots.NAMES[metric]} (mean over {plots.splits(gain)})")
    right.set_xlabel(f"gain in {plots.NAMES[metric]} (paired, 95% interval)")
    plots.legend(figure, styles, line=False)
    return figure
