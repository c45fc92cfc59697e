"""Who holds what, and what travels: the architecture and one encrypted round, drawn."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from fedkit.plots import BLUE, FAINT, INK, VERMILLION, sheet, shown, styled

INSIDE, OUTSIDE, GOLD = "#e6f1f8", "#f0f0f0", "#b07d00"
HOSPITALS = ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")
CLEAR = ["Rows stay in the hospitals; the server reads every update"]
CLEAR += ["averages the updates,\nand can read each of them", "each hospital's update:\nnumbers in the clear"]
CLEAR += ["the mean of all updates,\nin the clear"]
CLEAR += ["Only numbers computed from the rows leave a hospital, but the server can read those."]
SECRET = ["Hospitals hold the rows and the keys; the server holds neither", "adds what it cannot read"]
SECRET += ["each hospital's update, encrypted;\nthen the key to it, masked"]
SECRET += ["the sum of all updates,\nstill encrypted"]
SECRET += ["Each key is used once. Only the sum of all keys is ever known, and only at the hospitals."]
# What is done, its formula, why: in the order in which they stand, at the hospitals.
STEPS = [
    ("1 train", r"$\Delta$", "weights $w$ after\nminus before"),
    ("2 weight", r"$n\Delta$", "by its number of\npatients $n$"),
    ("3 encrypt", r"$c = E_s(n\Delta,\ n)$", "under a key $s$\nthat is used once"),
    ("5 share", r"$z = s + $ masks", "for this list,\nand no other"),
    ("7 open", r"$\Sigma\, n\Delta,\ \Sigma\, n$", "the last mask is\ntaken away"),
    ("8 apply", r"$w \leftarrow w + \frac{\Sigma\, n\Delta}{\Sigma\, n}$", "the same model\neverywhere"),
]


def _canvas(title: str, height: float) -> tuple[Figure, Axes]:
    """Open an empty drawing, a tenth of an inch a unit, (0, 0) at the lower left."""
    figure, ((axes,),) = sheet(title, 8, height + 0.4)
    axes.set(xlim=(0, 80), ylim=(0, 10 * height), aspect="equal")
    axes.set_axis_off()
    return figure, axes


def _text(axes: Axes, x: float, y: float, text: str, size: float = 9, ha: str = "center", **how) -> None:
    axes.text(x, y, text, fontsize=size, ha=ha, **{"va": "center"} | how)


def _box(axes: Axes, x: float, y: float, width: float, height: float, face: str, edge: str = "none") -> None:
    """Draw a rounded box, (x, y) its lower left corner."""
    style = "round,pad=0,rounding_size=1.2"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=face, edgecolor=edge, linewidth=1.3))


def _arrow(axes: Axes, start: tuple, end: tuple, color: str = INK) -> None:
    how = {"arrowstyle": "-|>,head_length=5,head_width=2.6", "linewidth": 1.7, "color": color}
    axes.add_patch(FancyArrowPatch(start, end, shrinkA=0, shrinkB=0, **how))


def _key(axes: Axes, x: float, y: float, struck: bool = False) -> None:
    """Draw a key 4 units long, its ring at the left; struck through where there is none."""
    color = FAINT if struck else GOLD
    axes.add_patch(Circle((x, y), 0.8, fill=False, edgecolor=color, linewidth=2))
    for start, end in [((0.8, 0), (3.4, 0)), ((2.6, 0), (2.6, -0.8)), ((3.3, 0), (3.3, -0.8))]:
        axes.plot([x + start[0], x + end[0]], [y + start[1], y + end[1]], color=color, linewidth=2)
    if struck:
        axes.plot([x - 0.9, x + 3.9], [y - 1.5, y + 1.5], color=VERMILLION, linewidth=2.2)


def _lock(axes: Axes, x: float, y: float) -> None:
    """Draw a padlock around (x, y): what passes here is ciphertext."""
    axes.add_patch(Arc((x, y + 0.55), 1.3, 1.9, theta1=0, theta2=180, edgecolor=GOLD, linewidth=1.8, zorder=4))
    axes.add_patch(Rectangle((x - 1, y - 1.05), 2, 1.6, facecolor=GOLD, edgecolor="white", linewidth=0.8, zorder=5))


def _step(axes: Axes, x: float, y: float, width: float, height: float, verb: str, formula: str, why: str) -> None:
    """Draw one step of the work: what is done, its formula, and why."""
    _box(axes, x, y, width, height, "white", BLUE if height > 10 else INK)
    _text(axes, x + width / 2, y + height - 2.2, verb, 9.5, weight="bold")
    _text(axes, x + width / 2, y + 0.52 * height, formula)
    _text(axes, x + width / 2, y + 0.22 * height, why, 8, linespacing=1.3)


@styled
def architecture(hospitals: Sequence[str] = HOSPITALS, encrypted: bool = True) -> Figure:
    """Draw the hospitals (of more than five, four by name), the server and what travels between them.

    What to see: patients' rows never leave a hospital. Encrypted, updates leave it only as ciphertext: each
    hospital has keys of its own, the server has none. In the clear, the server reads every update.
    """
    title, server, up, down, foot = SECRET if encrypted else CLEAR
    names = [shown(name, 78) for name in hospitals]
    names = [*names[:4], f"and {len(names) - 4} more"] if len(names) > 5 else names
    figure, axes = _canvas(title, 5.1)
    _box(axes, 0, 0, 80, 24, INSIDE)
    _box(axes, 24, 39.5, 32, 11, OUTSIDE, INK)
    _text(axes, 40, 48, "Server", 11, weight="bold")
    for y, line in zip((44.9, 42), server.split("\n"), strict=False):
        _text(axes, 40, y, line)
    if encrypted:
        _key(axes, 36.2, 41.8, struck=True)
        _text(axes, 41, 41.8, "no key", ha="left")
    step, dashed = 80 / len(names), {"color": GOLD, "linewidth": 1.5, "linestyle": (0, (2, 1.5))}
    for number, name in enumerate(names):
        middle = step * (number + 0.5)
        _box(axes, middle - 7.5, 6, 15, 15.3, "white", BLUE)
        _text(axes, middle, 19, name, 9.5, weight="bold")
        for row, column in np.ndindex(4, 4):
            corner, face = (middle - 3.4 + 1.7 * column, 17.1 - 1.1 * (row + 1)), "white" if row else BLUE
            axes.add_patch(Rectangle(corner, 1.7, 1.1, facecolor=face, edgecolor=BLUE, linewidth=0.8))
        _text(axes, middle, 11, "patients' rows", 8.5)
        if encrypted:
            _key(axes, middle - 5.6, 8.4)
            _text(axes, middle - 1.2, 8.4, "own keys", 8.5, "left")
            axes.plot([middle, middle], [4.3, 6], **dashed)
        else:
            _text(axes, middle, 8.4, "stay here", 8.5)
        # Hospitals stand wider apart than the server is broad, so their arrows fan in.
        gate = 40 + 24 * (number / max(len(names) - 1, 1) - 0.5 * (len(names) > 1))
        for shift, color, share in [(-1.9, VERMILLION, 0.38), (1.9, BLUE, 0.62)]:
            low, high = (middle + shift, 21.8), (gate + shift, 39)
            _arrow(axes, *((low, high) if shift < 0 else (high, low)), color)
            if encrypted:
                _lock(axes, low[0] + share * (high[0] - low[0]), low[1] + share * (high[1] - low[1]))
    if encrypted:
        axes.plot([step / 2, 80 - step / 2], [4.3, 4.3], **dashed)
    _text(axes, 40, 2.1, foot, 8.5)
    for x, color, direction, text in [(1, VERMILLION, "▲ up", up), (60, BLUE, "▼ down", down)]:
        _text(axes, x, 49.4, direction, ha="left", color=color, weight="bold")
        _text(axes, x, 47.8, text, ha="left", va="top", linespacing=1.4)
    return figure


@styled
def workflow() -> Figure:
    """Draw one encrypted round: eight steps, above at every hospital, below at the server.

    What to see: two letters go down; the second, for this list alone, is the key to the first. Only the list is read.
    """
    figure, axes = _canvas("One encrypted round: the server adds what it cannot read", 4.6)
    _box(axes, 0, 17.5, 80, 28.5, INSIDE)
    _box(axes, 0, 0, 80, 13, OUTSIDE)
    _text(axes, 1.5, 43.4, "Every hospital", 10, "left", weight="bold")
    _text(axes, 1.5, 10.2, "Server", 10, "left", weight="bold")
    _key(axes, 17, 43.4)
    _key(axes, 2.6, 6.9, struck=True)
    _text(axes, 22, 43.4, "makes a new key each time and reads the sum", ha="left")
    _text(axes, 7.6, 6.9, "has no key", ha="left")
    _text(axes, 1.5, 3.5, "and sees only bytes", ha="left")
    places = [1.5 + 13.1 * number for number in range(6)]
    for number, (x, words) in enumerate(zip(places, STEPS, strict=True)):
        _step(axes, x, 22, 11.5, 14, *words)
        if number not in (2, 3, 5):
            _arrow(axes, (x + 11.5, 29), (x + 13.1, 29))
    _step(axes, 24, 2, 19.5, 9, "4 list", "names, in order", "whose letters arrived")
    _step(axes, 46.5, 2, 26, 9, "6 add", r"$\Sigma\, c$  and  $\Sigma\, z$", "masks cancel, but for one")
    start, *_, end = (x + 5.75 for x in places)
    for x, what in [(33.5, "letter one"), (42, "list"), (50.5, "letter two"), (63, "sum")]:
        down = "letter" in what
        _arrow(axes, (x, 22 if down else 11), (x, 11 if down else 22), VERMILLION if down else BLUE)
        if what != "list":
            _lock(axes, x, 16.2)
        _text(axes, x + 1.6, 15.2, what, ha="left")
    axes.plot([end, end, start], [36, 39.3, 39.3], color=INK, linewidth=1.7, solid_joinstyle="round")
    _arrow(axes, (start, 39.3), (start, 36))
    _text(axes, 40, 39.3, "next round", backgroundcolor=INSIDE)
    return figure
