"""A picture of when records are from."""

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from fedkit import plots
from fedkit.plots import BLUE, FAINT, STYLE, VERMILLION, Look


@matplotlib.rc_context(STYLE)
def around_index(records: pd.DataFrame) -> Figure:
    """Draw records by their day, counted from their patient's index date: a line of dots a kind and an outcome.

    What to see: who has dots right of the line, which nobody could see on that day.

    records : columns kind, diabetes ("yes", "no"), days, records (how many)
    """
    kinds, looks = list(dict.fromkeys(records["kind"])), {"no": Look(BLUE, "o"), "yes": Look(VERMILLION, "s")}
    figure, ((axes,),) = plots.sheet("Records around the index date", 8, 2.6)
    for number, kind in enumerate(kinds):
        for (outcome, look), lane in zip(looks.items(), (0.2, -0.2), strict=True):
            rows = records[(records["kind"] == kind) & (records["diabetes"] == outcome)]
            size = 14 + 6 * rows["records"].clip(upper=30)
            place = [number + lane] * len(rows)
            axes.scatter(rows["days"], place, s=size, c=look.color, marker=look.marker, alpha=0.5, linewidths=0)
    axes.axvline(0, color=FAINT, linewidth=1.5)
    axes.set(yticks=range(len(kinds)), yticklabels=kinds, ylim=(len(kinds) - 0.5, -0.5))
    axes.set_xlabel("days from the index date (larger dots: more records)")
    plots.legend(figure, {f"diabetes: {outcome}": look for outcome, look in looks.items()}, line=False)
    return figure
