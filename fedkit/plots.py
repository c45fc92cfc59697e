"""How pictures look, the parts that they share, and how they are saved with their numbers.

Every method has one colour, marker and line everywhere (`LOOKS`). Values are rounded to 4 decimals before they are
drawn, finer than an eye can see, so that the last bits of a sum do not change the bytes of a picture.
"""

import os
import re
import unicodedata
from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from io import BytesIO
from itertools import groupby
from pathlib import Path
from textwrap import fill

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font, get_font_names
from matplotlib.lines import Line2D
from matplotlib.style.core import STYLE_BLACKLIST
from matplotlib.textpath import text_to_path

from fedkit.evaluation import MEAN

# Okabe and Ito's colours, told apart by colour-blind readers too ("Color Universal Design", 2008).
BLACK, ORANGE, SKY, GREEN = "#000000", "#E69F00", "#56B4E9", "#009E73"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
INK, FAINT, BAND = "#222222", "#8a8a8a", "#f3f3f3"

# On top of matplotlib's own defaults, so that a reader's settings change no figure. DejaVu Sans comes with matplotlib;
# for signs that it does not have, what systems bring along.
STYLE = {key: value for key, value in matplotlib.rcParamsDefault.items() if key not in STYLE_BLACKLIST}
STYLE |= matplotlib.rc_params_from_file(Path(__file__).with_suffix(".mplstyle"), use_default_template=False)
STYLE["font.family"] = [font for font in STYLE["font.family"] if font in get_font_names()]
styled = matplotlib.rc_context(STYLE)  # above each function that draws

DECIMALS = 4
ROOM = 130  # points that a name may take, as wide as "centralized, without its rows"
NAMES = {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier score", "accuracy": "accuracy"}
NAMES |= {"log_loss": "log loss (nats)", "distance": "L2 distance of the weights"}
NAMES |= {f"calibration_{part}": f"calibration {part}" for part in ("intercept", "slope")}


@dataclass(frozen=True)
class Look:
    """How one method is drawn: by colour, and for grey print also by marker and line."""

    color: str
    marker: str
    line: str | tuple = "-"


# The dots of BFV fall into the gaps of CKKS, since the two often lie on each other.
LOOKS = {
    "local": Look(ORANGE, "s", (0, (5, 2))),
    "centralized": Look(BLACK, "D"),
    "federated": Look(BLUE, "o"),
    "federated + CKKS": Look(GREEN, "^", (0, (4, 4))),
    "federated + BFV": Look(PURPLE, "v", (2.5, (1, 3))),
}
_SPARE = [Look(VERMILLION, "p", (0, (6, 1, 1, 1))), Look(SKY, "X", (0, (3, 1, 1, 1, 1, 1)))]
_SPARE += [Look("#8c6d00", "*", (0, (8, 3))), Look(INK, "P", (0, (1, 2)))]


def looks(methods: Iterable[str]) -> dict[str, Look]:
    """Give each method its look, in the order of `LOOKS`, up to four others last; ValueError for more of them."""
    present = list(dict.fromkeys(methods))
    others = [method for method in present if method not in LOOKS]
    if len(others) > len(_SPARE):
        raise ValueError(f"No look left for {others[len(_SPARE)]!r}: add it to plots.LOOKS, or draw fewer.")
    return {method: LOOKS[method] for method in LOOKS if method in present} | dict(zip(others, _SPARE, strict=False))


@cache
def _drawable(sign: str, families: tuple[str, ...]) -> bool:
    """Whether one of the fonts has the sign, bold too."""
    fonts = [[FontProperties(family=family, weight=weight) for family in families] for weight in ("normal", "bold")]
    return all(any(get_font(findfont(font)).get_char_index(ord(sign)) for font in weight) for weight in fonts)


def _width(text: str, size: float = 9, weight: str = "normal") -> float:
    """Points that a text takes in a picture."""
    font = FontProperties(family=STYLE["font.family"], size=size, weight=weight)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]


def shown(name: object, room: float = ROOM) -> str:
    """Write a name, whatever is in it, as text that can be drawn on `room` points: "…" for the middle of a long one.

    A sign that no installed font has is written as its number in Unicode. Dollars start no formula.
    """
    signs = (sign for sign in unicodedata.normalize("NFC", str(name)) if unicodedata.category(sign) != "Cf")
    runs = groupby(" ".join("".join(signs).split()), lambda sign: _drawable(sign, tuple(STYLE["font.family"])))
    text = whole = "".join("".join(run) if has else "·".join(f"{ord(sign):04X}" for sign in run) for has, run in runs)
    kept = len(whole)
    while kept > 0 and (wide := _width(text)) > room:
        kept = min(kept - 1, int(kept * room / wide))
        text = whole[: kept - kept // 3] + "…" + whole[len(whole) - kept // 3 :]
    # A legend leaves out what begins with "_": a hair's breadth goes before.
    return ("\u200a" if text.startswith("_") else "") + text.replace("$", r"\$")


def label(place: str, room: float = ROOM) -> str:
    """Write a hospital's name, or what the mean is of."""
    return "mean of hospitals" if place == MEAN else shown(place, room)


def rows_of(table: pd.DataFrame, metric: str | None = None) -> pd.DataFrame:
    """Keep one metric's rows, rounded; ValueError if there are none."""
    kept = table if metric is None else table[table["metric"] == metric]
    if kept.empty:
        raise ValueError(f"The table has no rows{f' of the metric {metric!r}' if metric else ''}: nothing to draw.")
    return kept.round(DECIMALS)


def places_of(table: pd.DataFrame) -> list[str]:
    """List the hospitals in their order, the mean last."""
    names = list(dict.fromkeys(table["hospital"]))
    return [name for name in names if name != MEAN] + [MEAN] * (MEAN in names)


def splits(rows: pd.DataFrame) -> str:
    """Say over how many splits a mean was taken."""
    return f"{rows['n'].max()} splits" if rows["n"].max() > 1 else "one split"


def sheet(title: str, width: float, height: float, rows: int = 1, columns: int = 1, **subplots) -> tuple:
    """Open a titled figure of width x height inches: returns it and its axes, shape [rows, columns]."""
    text, signs = shown(title, 130 * width).replace(r"\$", "$"), int(9.5 * width)  # three lines at the most
    while max(_width(line, 11.5, "bold") for line in fill(text, signs).split("\n")) > 72 * width - 6:
        signs -= 1
    text = fill(text, signs).replace("$", r"\$")
    height += 0.2 * text.count("\n")
    figure, axes = plt.subplots(rows, columns, figsize=(width, height), squeeze=False, **subplots)
    plt.close(figure)  # pyplot made it, so that notebooks can show it, and lets go, so that they do so once
    figure.suptitle(text, x=0.008, ha="left")
    return figure, axes


def panels(heading: str, count: int, width: float = 8, height: float = 2.35, sharey: bool = True) -> tuple:
    """Open small multiples, three a row (of four: two): a figure and its list of axes, upwards on one scale or not."""
    columns = 2 if count == 4 else min(count, 3)
    rows = -(-count // columns)
    figure, axes = sheet(heading, width, 0.9 + height * rows, rows, columns, sharex=True, sharey=sharey)
    for spare in axes.flat[count:]:
        spare.remove()
    for foot in axes.flat[count - columns : count]:
        foot.tick_params(labelbottom=True)  # what lies below, if anything, was removed
    return figure, list(axes.flat[:count])


def outer_labels(axes: Sequence[Axes], x: str, y: str) -> None:
    """Label the axes at the left edge and at the foot of each column only."""
    columns = axes[0].get_gridspec().ncols
    for number, panel in enumerate(axes):
        panel.set(xlabel=x if number + columns >= len(axes) else "", ylabel="" if number % columns else y)


def lanes(count: int, width: float = 0.66) -> np.ndarray:
    """Spread `count` methods over a band one unit wide: their offsets from its middle."""
    return (np.arange(count) - (count - 1) / 2) * width / max(count - 1, 3)


def banded(axes: Axes, groups: Sequence[str], upright: bool = False) -> None:
    """Lay a grey band behind every other of the groups, one unit each: the first on top or, upright, at the left."""
    for number in range(0, len(groups), 2):
        (axes.axvspan if upright else axes.axhspan)(number - 0.5, number + 0.5, color=BAND, linewidth=0, zorder=0)
    if not upright:
        axes.set(yticks=range(len(groups)), yticklabels=groups, ylim=(max(len(groups), 1) - 0.5, -0.5))
        axes.tick_params(axis="y", length=0)


def word(axes: Axes, values: Iterable[float]) -> None:
    """Say so in a panel that has no value to draw."""
    if not np.isfinite([*values]).any():
        axes.text(0.5, 0.5, "not defined", transform=axes.transAxes, ha="center", va="center")


def below(figure: Figure, handles: Sequence[matplotlib.artist.Artist], **shape) -> None:
    """Put a legend under the figure, in as many lines as it needs."""
    points = sum(_width(handle.get_label().replace(r"\$", "$")) + 48 for handle in handles)
    inches = figure.get_figwidth()
    lines = np.ceil(max(points / 72 / inches, len(handles) / (inches // 1.55)))
    figure.legend(handles=handles, loc="outside lower center", ncols=int(np.ceil(len(handles) / lines)), **shape)


def legend(figure: Figure, looks: Mapping[str, Look], line: bool = True, marker: bool = True) -> None:
    """Name the methods under the figure."""
    handles = []
    for method, look in looks.items():
        shape = {"marker": look.marker if marker else "", "linestyle": look.line if line else "none", "linewidth": 2}
        handles.append(Line2D([], [], color=look.color, label=shown(method), **shape))
    below(figure, handles, columnspacing=1.8, handlelength=2.8 if line else 1)


def interval(axes: Axes, y: float, row: tuple, look: Look, line: Mapping | None = None, **mark) -> None:
    """Draw one row's interval (low, high) and its mean, or the word for a mean that is not defined."""
    axes.plot([row.low, row.high], [y, y], color=look.color, **(line or {}))
    axes.plot(row.mean, y, marker=look.marker, color=look.color, **mark)
    if np.isnan(row.mean):
        place = {"transform": axes.get_yaxis_transform(), "va": "center"}
        axes.text(0.02, y, "not defined", fontsize=8, color=look.color, **place)


def forest(heading: str, rows: pd.DataFrame, note: Mapping | None = None) -> tuple[Figure, Axes]:
    """Draw a mean and its interval a hospital and method, and write the numbers at the right: a forest plot.

    Columns method, hospital, mean, low, high, n. A note, by (method, hospital), is written behind numbers with a sign.
    """
    styles, places = looks(rows["method"]), places_of(rows)
    figure, ((axes,),) = sheet(heading, 8, 1.3 + len(places) * (0.25 + 0.17 * len(styles)))
    banded(axes, [label(place) for place in places])
    for (method, look), lane in zip(styles.items(), lanes(len(styles)), strict=True):
        for row in rows[rows["method"] == method].itertuples():
            y = places.index(row.hospital) + lane
            interval(axes, y, row, look, {"solid_capstyle": "butt"}, markeredgecolor="white", markeredgewidth=0.6)
            # A sign before each number where there may be a minus keeps the columns straight.
            sign = "+z.3f" if note else ".3f"
            text = f"{row.mean:{sign}}" + (f" [{row.low:{sign}}, {row.high:{sign}}]" if row.n > 1 else "")
            text = text.replace("-", "−") + (f"  {note[method, row.hospital]}" if note else "")
            if row.n:
                axes.text(1.02, y, text, transform=axes.get_yaxis_transform(), va="center", fontsize=8)
    axes.grid(axis="x")
    legend(figure, styles, line=False)
    return figure, axes


def tiles(axes: Axes, values: pd.DataFrame, write: Callable, cmap: str, most: float, dark: tuple, size: int) -> None:
    """Colour a table's cells by value, up to `most`, and `write` it there, white where it is beyond one of `dark`."""
    axes.pcolormesh(values, cmap=cmap, vmin=-most, vmax=most, edgecolor="white", linewidth=1.5)
    for (row, column), value in np.ndenumerate(values):
        text = "-" if np.isnan(value) else write(value, (row, column))
        ink = "white" if value < dark[0] or value > dark[1] else INK
        axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=size, color=ink)
    axes.set_xticks(np.arange(len(values.columns)) + 0.5, values.columns)
    axes.set_yticks(np.arange(len(values)) + 0.5, [shown(name) for name in values.index])
    axes.invert_yaxis()
    axes.tick_params(length=0)


@styled
def differences(report: pd.DataFrame) -> Figure:
    """Draw who differs where: how far each column of each hospital lies from that of all rows together.

    report : of `hospitals.check`; numbers are apart by so many spreads, levels by that share of rows, "-" has no value
    """
    columns, places = (list(dict.fromkeys(report[name])) for name in ("column", "hospital"))
    report = report.set_index(["column", "hospital"]).reindex(pd.MultiIndex.from_product([columns, places]))
    apart = report["apart"].to_numpy().reshape(len(columns), len(places)).round(DECIMALS)
    share = (report["least"].isna() & report["levels"].ne("")).to_numpy().reshape(apart.shape)
    figure, ((axes,),) = sheet("Who differs where", max(4.5, 1.8 + 1.25 * len(places)), 1.3 + 0.3 * len(columns))
    table = pd.DataFrame(apart, columns, [label(place, 85) for place in places])
    write = lambda value, at: f"{value:.0%}" if share[at] else f"{value:+z.1f}".replace("-", "−")  # noqa: E731
    tiles(axes, table, write, "PuOr", 2, dark=(-1.3, 1.3), size=8)
    axes.set_xlabel("mean, in spreads of all rows (levels: share of rows)")
    return figure


class Picture:
    """A figure as it stands in a notebook: an image with words in its place, for whoever cannot see it.

    HTML carries them into Lab, into what nbconvert makes and onto a site, where the words of a PNG output are lost.
    """

    def __init__(self, figure: Figure, alt: str):
        """Draw it; `alt` says in one or a few sentences what is to be seen, ValueError if it does not."""
        self.alt = " ".join(alt.split())
        if len(self.alt) < 40 or not self.alt.endswith("."):
            raise ValueError(f"Say in a sentence what is to be seen, for whoever cannot see it; this is {alt!r}.")
        png = BytesIO()
        with matplotlib.rc_context(STYLE):  # neither date nor software version, which differ from machine to machine
            figure.savefig(png, metadata={"Software": None, "Description": self.alt})
        self.png, self.width = png.getvalue(), round(96 * figure.get_figwidth())  # 96 pixels an inch

    def _repr_html_(self) -> str:
        source = f"data:image/png;base64,{b64encode(self.png).decode()}"
        return f'<img alt="{escape(self.alt)}" width="{self.width}" style="max-width: 100%" src="{source}">'

    def __repr__(self) -> str:
        return self.alt


def save(
    figure: Figure, name: str, table: pd.DataFrame, alt: str, measured: bool = False, folder: str | Path | None = None
) -> Picture:
    """Write a figure as PNG (150 dots an inch) and SVG, its numbers as CSV, the same bytes on every run, and show it.

    name : of the files, without the ending; ValueError if no plain file name
    table : the numbers that were drawn; written with 5 significant digits, its index left out
    measured : True for seconds and random noise, which no two runs share: saved to ``measured/``
    folder : otherwise FEDKIT_FIGURES of the environment, or ``figures/`` of the checkout or the current folder
    """
    if not re.fullmatch(r"\w([\w .+-]*\w)?", str(name)):
        raise ValueError(f"{name!r} is no plain file name: write letters, digits, '-' and '_', and no folder.")
    picture = Picture(figure, alt)
    here = Path(__file__).parent.parent
    checkout = here if (here / "pyproject.toml").exists() else Path()
    target = Path(folder or os.environ.get("FEDKIT_FIGURES") or checkout / "figures").expanduser()
    target = target / "measured" if measured else target
    target.mkdir(parents=True, exist_ok=True)
    (target / f"{name}.png").write_bytes(picture.png)
    with matplotlib.rc_context(STYLE):
        figure.savefig(target / f"{name}.svg", metadata={"Date": None, "Creator": None, "Description": picture.alt})
    table.to_csv(target / f"{name}.csv", index=False, float_format="%.5g", lineterminator="\n")
    return picture
