"""Pictures of attacks and of what is done against them: what an attacker reads, poison, who is excluded."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from fedkit import plots
from fedkit.plots import BLACK, BLUE, FAINT, GREEN, INK, ORANGE, PURPLE, SKY, VERMILLION, Look, looks, sheet, styled

# Rules that join updates; the mean looks as federated training does everywhere.
_LOOKS = {
    "mean": Look(BLUE, "o"),
    "median": Look(VERMILLION, "s", (0, (5, 2))),
    "clipped": Look(ORANGE, "D", (0, (3, 1, 1, 1))),
    "Krum": Look(SKY, "X", (0, (8, 3))),
    "FLTrust": Look(GREEN, "^", (0, (4, 4))),
    "median of 3 x BFV": Look(PURPLE, "v", (0, (1, 2))),
    "median of 5 x BFV": Look(BLACK, "P", (0, (6, 1, 1, 1))),
}


def _lines(axes: Axes, rows: pd.DataFrame, names: str, amount: str) -> None:
    """Draw a line a name, with an interval at each amount, side by side, and a legend inside."""
    present = rows[names].unique()
    amounts, colors = sorted(rows[amount].unique()), [ORANGE, SKY, BLUE, PURPLE, GREEN]
    for color, marker, name, lane in zip(colors, "sDov^", present, plots.lanes(len(present), 0.3), strict=False):
        mine = rows[rows[names] == name].sort_values(amount)
        places = np.array([amounts.index(value) for value in mine[amount]]) + lane
        axes.vlines(places, mine["low"], mine["high"], color=color, alpha=0.6)
        axes.plot(places, mine["mean"], color=color, marker=marker, markersize=5, label=plots.shown(name))
    axes.set(xticks=range(len(amounts)), xticklabels=[f"{value:g}" for value in amounts])
    axes.grid(axis="y")
    plots.word(axes, rows["mean"])


@styled
def rows_read(table: pd.DataFrame) -> Figure:
    """Draw the share of patients whose row is read exactly, against how many were in one update, a line a model.

    What to see: alone in a step, a patient is read by any model. Columns model, patients, mean, low, high.
    """
    figure, ((axes,),) = sheet("Patients whose row is read exactly from one update", 8, 3.7)
    _lines(axes, table.round(plots.DECIMALS), "model", "patients")
    axes.set(xlabel="patients in the one step (a batch)", ylabel="share read exactly (95% interval)")
    axes.set_ylim(-0.05, 1.06)
    axes.legend(loc="upper right")
    return figure


@styled
def remedies(table: pd.DataFrame, prices: pd.DataFrame) -> Figure:
    """Draw what remedies leave to an attacker, a panel a remedy, and what they cost in AUROC.

    What to see: a remedy works where its line leaves its start; it is cheap where its last interval holds zero.

    table : columns remedy, attack (a line), amount, measure (of the y axis), mean, low, high; three remedies
    prices : columns remedy, mean, low, high: AUROC minus that without remedies
    """
    figure, axes = sheet("What remedies leave to an attacker, and what they cost", 8, 5.6, 2, 2)
    *panels, price = axes.flat
    for panel, (remedy, rows) in zip(panels, table.round(plots.DECIMALS).groupby("remedy", sort=False), strict=True):
        _lines(panel, rows, "attack", "amount")
        top = 1.25 * np.nanmax([*rows["high"], *rows["mean"], 1e-4])  # room for a legend
        panel.set(xlabel=plots.shown(remedy), ylabel=rows["measure"].iloc[0], ylim=(-0.05 * top, top))
        panel.legend(loc="upper right", ncols=2, columnspacing=1, handlelength=2, fontsize=8)
    plots.banded(price, [plots.shown(remedy) for remedy in prices["remedy"]])
    for y, row in enumerate(prices.round(plots.DECIMALS).itertuples()):
        plots.interval(price, y, row, Look(VERMILLION, "p"))
    price.axvline(0, color=FAINT, linewidth=1)
    price.set(xlabel="AUROC minus that without (95% interval)")
    return figure


@styled
def privacy_panel(table: pd.DataFrame) -> Figure:
    """Draw how often attacks succeed against each method: columns attack, method, mean, low, high (0 to 1), chance.

    What to see: encryption ends what the server reads from messages, and leaves what the finished model tells.
    """
    rows = table.round(plots.DECIMALS)
    attacks, styles = list(dict.fromkeys(rows["attack"])), looks(rows["method"])
    heading = "Privacy: how well attacks do against each method"
    figure, axes = sheet(heading, 8, 1.3 + 0.3 * len(styles), columns=len(attacks), sharey=True, sharex=True)
    for panel, attack in zip(axes[0], attacks, strict=True):
        mine = rows[rows["attack"] == attack].set_index("method", drop=False).reindex(styles).dropna(subset="method")
        plots.banded(panel, [plots.shown(method) for method in styles])
        panel.axvline(mine["chance"].iloc[0], color=INK, linewidth=1, linestyle=(0, (2, 2)))
        for row in mine.itertuples():
            y, mark = list(styles).index(row.method), {"markersize": 7, "clip_on": False}
            plots.interval(panel, y, row, styles[row.method], {"linewidth": 2}, **mark)
        panel.set(title=plots.shown(attack, 330 / len(attacks)), xlim=(-0.03, 1.03), xlabel="dashed: chance")
        panel.grid(axis="x")
    return figure


@styled
def auroc_by_attackers(table: pd.DataFrame) -> Figure:
    """Draw AUROC (mean of hospitals) against the number of malicious hospitals, a line a rule.

    What to see: each rule holds up to some number of attackers and then falls, all at once. Columns method (as the
    aggregators call themselves; ValueError for one without a look), attackers, mean, low, high, n (splits).
    """
    rows = plots.rows_of(table)
    if strangers := [method for method in dict.fromkeys(rows["method"]) if method not in _LOOKS]:
        raise ValueError(f"There is no look for {strangers[0]!r}: there are {', '.join(_LOOKS)}.")
    styles = {method: look for method, look in _LOOKS.items() if method in set(rows["method"])}
    figure, ((axes,),) = sheet(f"How many malicious hospitals a rule bears ({plots.splits(rows)})", 8, 4.4)
    plots.banded(axes, range(rows["attackers"].max() + 1), upright=True)
    for (method, look), lane in zip(styles.items(), plots.lanes(len(styles), 0.5), strict=True):
        mine = rows[rows["method"] == method].sort_values("attackers")
        places = mine["attackers"] + lane
        axes.vlines(places, mine["low"], mine["high"], color=look.color)
        axes.plot(places, mine["mean"], color=look.color, marker=look.marker, linestyle=look.line)
    plots.word(axes, rows["mean"])
    axes.axhline(0.5, color=FAINT, linewidth=1)
    axes.text(0.008, 0.505, "a coin", transform=axes.get_yaxis_transform(), va="bottom", fontsize=8.5)
    axes.set(xlabel="malicious hospitals", ylabel="AUROC, mean of hospitals (95% interval)", ylim=(0, 1))
    axes.xaxis.set_major_locator(MultipleLocator(1))
    axes.set_xlim(rows["attackers"].min() - 0.5, rows["attackers"].max() + 0.5)
    plots.legend(figure, styles)
    return figure


@styled
def backdoor(table: pd.DataFrame) -> Figure:
    """Draw, a row a case, the AUROC that everybody looks at beside the backdoor's success, which nobody does.

    What to see: left the points stand in one column; right they do not. Columns method (a case, in order),
    metric ("auroc" and "backdoor"; ValueError if one has no rows), mean, low, high, n.
    """
    panels = {"auroc": ("AUROC: what is looked at", BLUE, "o")}
    panels |= {"backdoor": ("Backdoor: trigger shown, target predicted", VERMILLION, "s")}
    cases = list(dict.fromkeys(table["method"]))
    heading = f"A backdoor hides behind a good AUROC ({plots.splits(plots.rows_of(table, 'auroc'))})"
    figure, axes = sheet(heading, 8, 1.3 + 0.34 * len(cases), columns=2, sharey=True)
    for panel, (metric, (title, color, marker)) in zip(axes[0], panels.items(), strict=True):
        rows = plots.rows_of(table, metric).set_index("method").loc[cases]
        plots.banded(panel, [plots.shown(case) for case in cases])
        panel.hlines(range(len(cases)), rows["low"], rows["high"], color=color)
        panel.plot(rows["mean"], range(len(cases)), color=color, marker=marker, linestyle="none")
        for y, value in enumerate(rows["mean"]):
            text, x = ("not defined", 0.5) if np.isnan(value) else (f"{value:.2f}", value)
            panel.annotate(text, (x, y), (0, 5), textcoords="offset points", ha="center", fontsize=8)
        panel.set(title=title, xlim=(-0.03, 1.03), xlabel="mean of hospitals (95% interval)")
        panel.grid(axis="x")
    return figure


@styled
def exclusions(table: pd.DataFrame) -> Figure:
    """Draw how often each hospital is excluded, a panel a case: rightly or wrongly.

    What to see: a bar of an honest hospital is a harm that was done to it. Columns case (a panel's title), hospital,
    malicious (true or false), excluded (share of trainings, from 0 to 1; NaN where there were none).
    """
    rows = plots.rows_of(table)
    cases, names = (list(dict.fromkeys(rows[column])) for column in ("case", "hospital"))
    figure, axes = plots.panels("Who is excluded: rightly, and wrongly", len(cases), height=max(1.8, 0.2 * len(names)))
    for panel, case in zip(axes, cases, strict=True):
        mine = rows[rows["case"] == case].set_index("hospital").loc[names]
        plots.banded(panel, [plots.shown(name, 100) for name in names])
        colors = [BLUE if malicious else VERMILLION for malicious in mine["malicious"]]
        bars = panel.barh(range(len(names)), mine["excluded"], 0.6, color=colors)
        for y, (bar, malicious, share) in enumerate(zip(bars, mine["malicious"], mine["excluded"], strict=True)):
            bar.set_hatch("" if malicious else "//")
            said = "malicious: " * bool(malicious) + ("not defined" if pd.isna(share) else f"{share:.0%}")
            # Behind a long bar is too little room: its words stand in it.
            inside = {"ha": "right", "color": "white", "bbox": {"fc": bar.get_facecolor(), "lw": 0, "pad": 1}}
            x, style = (share - 0.03, inside) if share > 0.4 else (np.nan_to_num(share) + 0.03, {})
            panel.text(x, y, said, va="center", fontsize=8, weight="bold" if malicious else "normal", **style)
        panel.set(xlim=(0, 1), xticks=(0, 0.5, 1), xticklabels=("0%", "50%", "100%"), title=plots.shown(case, 115))
    plots.outer_labels(axes, "excluded, share of trainings", "")
    wrongly = Patch(facecolor=VERMILLION, edgecolor="white", hatch="//", label="honest, excluded")
    plots.below(figure, [Patch(color=BLUE, label="malicious, caught"), wrongly])
    return figure
