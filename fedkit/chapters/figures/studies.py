"""Pictures of a study: who has sent what, who works and who waits, what time and noise cost, and who gains."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from fedkit import evaluation, plots
from fedkit.plots import BLACK, BLUE, FAINT, GREEN, INK, ORANGE, VERMILLION, Look, styled

# Of a letter's states, told apart by colour, and for grey print and colour-blind readers by marker.
_LOOKS = {"counted": ("s", GREEN), "shared": ("D", BLUE), "posted": ("o", BLUE), "late": ("X", VERMILLION)}
_LOOKS |= {"lost": ("v", VERMILLION), "missing": ("_", VERMILLION), "awaited": (".", FAINT)}
# Of policies. The last three colours are those that `plots.looks` gives to three new methods.
COLORS = [BLACK, BLUE, GREEN, *(look.color for look in plots.looks(["", " ", "  "]).values())]
STROKES = ["-", (0, (1, 1.5)), (0, (6, 2)), "-", (0, (3, 2)), (0, (6, 1, 1, 1))]
UNITS = {"seconds": "seconds", "kB": "kB moved", "busy": "seconds of computers"}


@styled
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
    axes.set_xlabel("number of the sum (0: statistics, 1: patients, then a round each, the last one: scores)")
    plots.below(figure, handles)
    return figure


@styled
def timeline(diaries: Mapping[str, pd.DataFrame]) -> Figure:
    """Draw who works when, a panel a policy, from diaries of `clock`; an upright line is a step of the model.

    What to see: how long the fast ones wait for the slow one, and whose work comes too late.
    """
    names = sorted({name for diary in diaries.values() for name in diary["hospital"]})
    size = 8, 1 + len(diaries) * (0.5 + 0.22 * len(names)), len(diaries)
    figure, axes = plots.sheet("Who works, who waits, and when the model moves", *size, sharex=True)
    for panel, (policy, diary) in zip(axes[:, 0], diaries.items(), strict=True):
        moves = diary.groupby("step")["seconds"].max().round(plots.DECIMALS)
        start = diary["began"].sub(1).map(moves).fillna(0.0)
        plots.banded(panel, [plots.label(name) for name in names])
        for row, begun in zip(diary.itertuples(), start, strict=True):
            place = names.index(row.hospital)
            panel.plot([begun, row.seconds], [place, place], color=FAINT, linewidth=0.8, zorder=1)
            look = {"color": BLUE if row.taken else VERMILLION, "edgecolor": "white", "linewidth": 0.6}
            panel.barh(place, row.busy, left=begun, height=0.55, zorder=2, **look)
        panel.vlines(moves, -0.5, len(names) - 0.5, color=INK, linewidth=0.8, zorder=3)
        panel.set_title(f"{plots.shown(policy)}: {len(moves)} steps")
    axes[-1, 0].set_xlabel("seconds")
    late = Patch(color=VERMILLION, label="work that is too late")
    plots.below(figure, [Patch(color=BLUE, label="work that counts"), late])
    return figure


@styled
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
        line[0].set(title=f"{plots.label(place)} is slow", ylabel="log loss")
    plots.legend(figure, looks, marker=False)
    return figure


@styled
def two_hills(curves: pd.DataFrame) -> Figure:
    """Draw what may be read with a patient and without, a panel an epsilon.

    What to see: where hills overlap, nobody can say which one a number is from. Columns epsilon, read, without, with.
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


@styled
def by_epsilon(table: pd.DataFrame, heading: str, titles: Mapping[tuple[str, str], str]) -> Figure:
    """Draw what is measured over epsilon; what to see is how far to the left a line stays where it is without noise.

    table : columns group, measure, line, epsilon (infinite: no noise), mean, low, high
    titles : (group, measure), a panel each, two in a line of the picture -> its title
    """
    rows, lines = plots.rows_of(table), list(dict.fromkeys(table["line"]))
    high, wide = -(-len(titles) // 2), min(len(titles), 2)
    figure, axes = plots.sheet(heading, 8, 1.0 + 2.1 * high, high, wide, sharex=True)
    four = [Look(BLUE, "o"), Look(VERMILLION, "s", (0, (5, 2))), Look(GREEN, "^"), Look(ORANGE, "D", (0, (5, 2)))]
    looks, epsilons = dict(zip(lines, four, strict=False)), sorted(set(rows["epsilon"]))
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
    for panel in axes[-1]:
        panel.set_xlabel("epsilon (none: no noise)")
    plots.legend(figure, looks)
    return figure


@styled
def training_gain(table: pd.DataFrame, patients: Mapping[str, int]) -> Figure:
    """Draw what each hospital gains by training together, the smallest hospital on top.

    What to see: who has few patients of their own has most to gain. Left, both values; right, their paired difference.

    table : from `evaluation.table`, holding AUROC of "local" and "federated"
    patients : hospital -> number of its patients
    """
    methods = ["local", "federated"]
    rows = plots.rows_of(table[table["method"].isin(methods) & (table["hospital"] != evaluation.MEAN)], "auroc")
    gain = evaluation.paired_differences(rows, "local").round(plots.DECIMALS)
    gain = gain.sort_values("hospital", key=lambda names: names.map(patients), kind="stable")
    means = rows.groupby(["hospital", "method"])["value"].mean()
    styles, size = plots.looks(methods), (8, 1.5 + 0.5 * len(gain), 1, 2)
    heading = "Who gains by training together: AUROC, local to federated"
    figure, ((left, right),) = plots.sheet(heading, *size, sharey=True)
    for panel in (left, right):
        plots.banded(panel, [f"{plots.shown(place)}\n{patients[place]} patients" for place in gain["hospital"]])
        panel.grid(axis="x")
    for y, row in enumerate(gain.itertuples()):
        start, end = (means[row.hospital, method] for method in methods)
        if np.isfinite(row.mean):
            arrow = {"arrowstyle": "-|>", "color": FAINT, "shrinkA": 4, "shrinkB": 4}
            left.annotate("", (end, y), (start, y), arrowprops=arrow, zorder=1)
            text = f"{row.mean:+z.3f}".replace("-", "−")
            right.text(row.mean, y - 0.22, text, ha="center", va="bottom", fontsize=8.5)
        for value, look in zip((start, end), styles.values(), strict=True):
            left.plot(value, y, marker=look.marker, color=look.color, markersize=8)
        plots.interval(right, y, row, styles["federated"], markersize=8)
    right.axvline(0, color=FAINT, linewidth=1)
    left.set_xlabel(f"AUROC (mean over {plots.splits(gain)})")
    right.set_xlabel("gain in AUROC (paired, 95% interval)")
    plots.legend(figure, styles, line=False)
    return figure
