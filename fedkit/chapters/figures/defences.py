"""Pictures of poison and of what is done against it: attackers, hidden backdoors, who is excluded."""

from collections.abc import Iterable

import matplotlib
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MultipleLocator

from fedkit import plots
from fedkit.plots import BLACK, BLUE, FAINT, GREEN, ORANGE, PURPLE, SKY, STYLE, VERMILLION, Look, sheet

# Rules that join updates; the mean looks as federated training does everywhere.
_LOOKS = {
    "mean": Look(BLUE, "o", "-", ""),
    "median": Look(VERMILLION, "s", (0, (5, 2)), ""),
    "clipped": Look(ORANGE, "D", (0, (3, 1, 1, 1)), ""),
    "Krum": Look(SKY, "X", (0, (8, 3)), ""),
    "FLTrust": Look(GREEN, "^", (0, (4, 4)), ""),
    "median of 3 x BFV": Look(PURPLE, "v", (0, (1, 2)), ""),
    "median of 5 x BFV": Look(BLACK, "P", (0, (6, 1, 1, 1)), ""),
}
_CAUGHT, _WRONGLY = BLUE, VERMILLION


def _looks(methods: Iterable[str]) -> dict[str, Look]:
    present = list(dict.fromkeys(methods))
    if strangers := [method for method in present if method not in _LOOKS]:
        raise ValueError(f"There is no look for {strangers[0]!r}: there are {', '.join(_LOOKS)}.")
    return {method: look for method, look in _LOOKS.items() if method in present}


@matplotlib.rc_context(STYLE)
def auroc_by_attackers(table: pd.DataFrame) -> Figure:
    """Draw AUROC against the number of malicious hospitals, a line a rule.

    What to see: each rule holds up to some number of attackers and then falls, all at once.

    Parameters
    ----------
    table
        Columns method (as the aggregators call themselves; "mean"), attackers, mean, low,
        high (of AUROC, mean of hospitals) and n (splits).

    Raises
    ------
    ValueError
        If there is no row, or no look for a method.
    """
    rows = plots.rows_of(table)
    styles = _looks(rows["method"])
    figure, axes = sheet(f"How many malicious hospitals a rule bears ({plots.splits(rows)})", 8, 4.4)
    axes = axes[0, 0]
    for number in sorted(set(rows["attackers"]))[::2]:
        axes.axvspan(number - 0.5, number + 0.5, color="#f3f3f3", linewidth=0, zorder=0)
    for (method, look), lane in zip(styles.items(), plots.lanes(len(styles), 0.5), strict=True):
        mine = rows[rows["method"] == method].sort_values("attackers")
        places = mine["attackers"] + lane
        axes.vlines(places, mine["low"], mine["high"], color=look.color)
        axes.plot(places, mine["mean"], color=look.color, marker=look.marker, linestyle=look.line)
    axes.axhline(0.5, color=FAINT, linewidth=1)
    axes.text(0.008, 0.505, "a coin", transform=axes.get_yaxis_transform(), va="bottom", fontsize=8.5)
    axes.set(xlabel="malicious hospitals", ylabel="AUROC, mean of hospitals (95% interval)", ylim=(0, 1))
    axes.xaxis.set_major_locator(MultipleLocator(1))
    axes.set_xlim(rows["attackers"].min() - 0.5, rows["attackers"].max() + 0.5)
    plots.legend(figure, styles)
    return figure


@matplotlib.rc_context(STYLE)
def backdoor(table: pd.DataFrame) -> Figure:
    """Draw, a row a case, the AUROC that everybody looks at beside the backdoor's success, which nobody does.

    What to see: left the points stand in one column; right they do not.

    Parameters
    ----------
    table
        Columns method (a case, in order), metric ("auroc" and "backdoor"), mean, low, high and n.

    Raises
    ------
    ValueError
        If one of the two metrics has no rows.
    """
    titles = {"auroc": "AUROC: what is looked at", "backdoor": "Backdoor: trigger shown, target predicted"}
    cases = list(dict.fromkeys(table["method"]))
    shown = plots.rows_of(table, "auroc")
    heading = f"A backdoor hides behind a good AUROC ({plots.splits(shown)})"
    figure, axes = sheet(heading, 8, 1.3 + 0.34 * len(cases), columns=2, sharey=True)
    for panel, (metric, title) in zip(axes[0], titles.items(), strict=True):
        rows = plots.rows_of(table, metric).set_index("method").loc[cases]
        plots.banded(panel, cases)
        color, places = (BLUE if metric == "auroc" else VERMILLION), range(len(cases))
        panel.hlines(places, rows["low"], rows["high"], color=color)
        panel.plot(rows["mean"], places, color=color, marker="o" if metric == "auroc" else "s", linestyle="none")
        for place, value in zip(places, rows["mean"], strict=True):
            panel.annotate(f"{value:.2f}", (value, place), (0, 5), textcoords="offset points", ha="center", fontsize=8)
        panel.set(title=title, xlim=(-0.03, 1.03), xlabel="mean of hospitals (95% interval)")
        panel.grid(axis="x")
    return figure


@matplotlib.rc_context(STYLE)
def exclusions(table: pd.DataFrame) -> Figure:
    """Draw how often each hospital is excluded, a panel a case: rightly or wrongly.

    What to see: a bar of an honest hospital is a harm that was done to it.

    Parameters
    ----------
    table
        Columns case (the panel's title), hospital, malicious (true or false), excluded
        (share of trainings, from 0 to 1).

    Raises
    ------
    ValueError
        If there is no row.
    """
    rows = plots.rows_of(table)
    cases = list(dict.fromkeys(rows["case"]))
    figure, axes = plots.panels("Who is excluded: rightly, and wrongly", len(cases), height=1.8)
    names = list(dict.fromkeys(rows["hospital"]))
    for panel, case in zip(axes, cases, strict=True):
        mine = rows[rows["case"] == case].set_index("hospital").loc[names]
        plots.banded(panel, names)
        colors = [_CAUGHT if malicious else _WRONGLY for malicious in mine["malicious"]]
        bars = panel.barh(range(len(names)), mine["excluded"], 0.6, color=colors)
        for bar, malicious in zip(bars, mine["malicious"], strict=True):
            bar.set_hatch("" if malicious else "//")
        for place, (share, malicious) in enumerate(zip(mine["excluded"], mine["malicious"], strict=True)):
            said = f"malicious: {share:.0%}" if malicious else f"{share:.0%}"
            panel.text(share + 0.03, place, said, va="center", fontsize=8, weight="bold" if malicious else "normal")
        panel.set(xlim=(0, 1.95), xticks=(0, 0.5, 1), title=case)
        panel.xaxis.set_major_formatter(lambda share, _: f"{share:.0%}")
    plots.outer_labels(axes, "excluded, share of trainings", "")
    patches = [Patch(color=_CAUGHT, label="malicious, caught")]
    patches.append(Patch(facecolor=_WRONGLY, edgecolor="white", hatch="//", label="honest, excluded"))
    figure.legend(handles=patches, loc="outside lower center", ncols=2)
    return figure
