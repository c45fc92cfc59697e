"""Who holds what, and what travels: the architecture and one encrypted round, drawn."""

from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Arc, Circle, FancyArrowPatch, FancyBboxPatch, Rectangle

from fedkit.plots import BLUE, FAINT, INK, STYLE, VERMILLION, sheet

INSIDE, OUTSIDE, GOLD = "#e6f1f8", "#f0f0f0", "#b07d00"
HOSPITALS = ("Cleveland", "Hungary", "Switzerland", "VA Long Beach")


def _canvas(title: str, width: float, height: float) -> tuple[Figure, Axes]:
    """Open an empty drawing, a tenth of an inch a unit, (0, 0) at the lower left."""
    figure, axes = sheet(title, width, height + 0.4)
    axes[0, 0].set(xlim=(0, 10 * width), ylim=(0, 10 * height), aspect="equal")
    axes[0, 0].set_axis_off()
    return figure, axes[0, 0]


def _box(axes: Axes, x: float, y: float, width: float, height: float, face: str, edge: str = "none") -> None:
    """Draw a rounded box, (x, y) its lower left corner."""
    style = "round,pad=0,rounding_size=1.2"
    axes.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, facecolor=face, edgecolor=edge, linewidth=1.3))


def _arrow(axes: Axes, start: tuple, end: tuple, color: str = INK, bend: str = "arc3", line: str = "-") -> None:
    arrow = {"arrowstyle": "-|>,head_length=5,head_width=2.6", "linestyle": line, "linewidth": 1.7, "color": color}
    axes.add_patch(FancyArrowPatch(start, end, connectionstyle=bend, shrinkA=0, shrinkB=0, **arrow))


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


def _rows(axes: Axes, x: float, y: float) -> None:
    """Draw a small table of patients, its upper left corner at (x, y)."""
    for row in range(4):
        for column in range(4):
            face = BLUE if row == 0 else "white"
            cell = Rectangle(
                (x + 1.7 * column, y - 1.1 * (row + 1)), 1.7, 1.1, facecolor=face, edgecolor=BLUE, linewidth=0.8
            )
            axes.add_patch(cell)


def _step(axes: Axes, x: float, y: float, width: float, height: float, lines: tuple[str, str, str]) -> None:
    """Draw one step of the work: what is done, its formula, and why."""
    _box(axes, x, y, width, height, "white", BLUE if height > 10 else INK)
    middle = x + width / 2
    verb, formula, why = lines
    axes.text(middle, y + height - 2.2, verb, ha="center", va="center", weight="bold", fontsize=9.5)
    axes.text(middle, y + 0.52 * height, formula, ha="center", va="center", fontsize=9)
    axes.text(middle, y + 0.22 * height, why, ha="center", va="center", fontsize=8, linespacing=1.3)


@matplotlib.rc_context(STYLE)
def architecture(hospitals: Sequence[str] = HOSPITALS, encrypted: bool = True) -> Figure:
    """Draw the hospitals, the server and what travels between them.

    What to see: patients' rows never leave a hospital. Encrypted, updates leave it
    only as ciphertext: the hospitals hold the key, the server holds none. In the
    clear, the server reads every update.

    Parameters
    ----------
    hospitals
        Two to five names.
    encrypted
        Whether updates are encrypted.

    Raises
    ------
    ValueError
        For another number of hospitals: they would not fit on the page.
    """
    if not 2 <= len(hospitals) <= 5:
        raise ValueError(f"{len(hospitals)} hospitals do not fit in the drawing: name two to five.")
    if encrypted:
        title = "Hospitals hold the rows and the key; the server holds neither"
        server = ("adds ciphertexts, cannot read them", "")
        up = "each hospital's update,\nencrypted: bytes that\nlook like noise"
        down = "the sum of all updates,\nstill encrypted"
        foot = "The key goes from hospital to hospital, never to the server. Inside, everything can be read."
    else:
        title = "Rows stay in the hospitals; the server reads every update"
        server = ("averages the updates,", "and can read each of them")
        up = "each hospital's update:\nnumbers in the clear"
        down = "the mean of all updates,\nin the clear"
        foot = "Only numbers computed from the rows leave a hospital, but the server can read those."
    figure, axes = _canvas(title, 8, 5.1)
    _box(axes, 0, 0, 80, 24, INSIDE)
    _box(axes, 24, 39.5, 32, 11, OUTSIDE, INK)
    axes.text(40, 48, "Server", ha="center", va="center", weight="bold", fontsize=11)
    for y, text in zip((44.9, 42), server, strict=True):
        axes.text(40, y, text, ha="center", va="center")
    if encrypted:
        _key(axes, 36.2, 41.8, struck=True)
        axes.text(41, 41.8, "no key", va="center")
    step = 80 / len(hospitals)
    for number, name in enumerate(hospitals):
        middle = step * (number + 0.5)
        _box(axes, middle - 7.5, 6, 15, 15.3, "white", BLUE)
        axes.text(middle, 19, name, ha="center", va="center", weight="bold", fontsize=9.5)
        _rows(axes, middle - 3.4, 17.1)
        axes.text(middle, 11, "patients' rows", ha="center", va="center", fontsize=8.5)
        if encrypted:
            _key(axes, middle - 5.6, 8.4)
            axes.text(middle - 1.2, 8.4, "secret key", va="center", fontsize=8.5)
            axes.plot([middle, middle], [4.3, 6], color=GOLD, linewidth=1.5, linestyle=(0, (2, 1.5)))
        else:
            axes.text(middle, 8.4, "stay here", ha="center", va="center", fontsize=8.5)
        # Hospitals stand wider apart than the server is broad, so their arrows fan in.
        gate = 40 + 24 * (number / (len(hospitals) - 1) - 0.5)
        for shift, color, share in [(-1.9, VERMILLION, 0.38), (1.9, BLUE, 0.62)]:
            low, high = (middle + shift, 21.8), (gate + shift, 39)
            _arrow(axes, *((low, high) if shift < 0 else (high, low)), color=color)
            if encrypted:
                _lock(axes, low[0] + share * (high[0] - low[0]), low[1] + share * (high[1] - low[1]))
    if encrypted:
        axes.plot([step / 2, 80 - step / 2], [4.3, 4.3], color=GOLD, linewidth=1.5, linestyle=(0, (2, 1.5)))
    axes.text(40, 2.1, foot, ha="center", va="center", fontsize=8.5)
    for x, color, direction, text in [(1, VERMILLION, "▲ up", up), (60, BLUE, "▼ down", down)]:
        axes.text(x, 49.4, direction, color=color, weight="bold", va="center")
        axes.text(x, 47.8, text, va="top", linespacing=1.4)
    return figure


@matplotlib.rc_context(STYLE)
def workflow() -> Figure:
    """Draw one encrypted round: nine steps, above at every hospital, below at the server.

    What to see: weights are applied before encryption and the division is done after
    decryption, so that the server need only add. Nothing but ciphertext crosses the
    gap between the two.
    """
    figure, axes = _canvas("One encrypted round: the server adds what it cannot read", 8, 4.6)
    _box(axes, 0, 17.5, 80, 28.5, INSIDE)
    _box(axes, 0, 0, 80, 13, OUTSIDE)
    for (x, y), text, struck in [((1.5, 43.4), "Every hospital", False), ((1.5, 10.2), "Server", True)]:
        axes.text(x, y, text, weight="bold", va="center", fontsize=10)
        _key(axes, *((17, 43.4) if not struck else (2.6, 6.9)), struck=struck)
    axes.text(22, 43.4, "has the key and reads numbers", va="center")
    axes.text(7.6, 6.9, "has no key", va="center")
    axes.text(1.5, 3.5, "and sees only bytes", va="center")
    above = [
        ("1 train", r"$\Delta$", "weights $w$ after\nminus before"),
        ("2 weight", r"$n\Delta$", "by its number of\npatients $n$"),
        ("3 encrypt", r"$E\,(n\Delta,\ n)$", "fresh noise\nevery time"),
        ("7 decrypt", r"$\Sigma\, n\Delta,\ \Sigma\, n$", "nothing but the\nsum is opened"),
        ("8 divide", r"$\Sigma\, n\Delta\ /\ \Sigma\, n$", "the weighted\nmean"),
        ("9 apply", r"$w \leftarrow w$ + mean", "the same model\neverywhere"),
    ]
    for number, lines in enumerate(above):
        x = 1.5 + 13.1 * number
        _step(axes, x, 22, 11.5, 14, lines)
        if number not in (2, 5):
            _arrow(axes, (x + 11.5, 29), (x + 13.1, 29))
    _step(
        axes,
        25,
        2,
        30,
        9,
        (
            "5 add",
            r"$E\,(n\Delta,\ n) + E\,(n\Delta,\ n) + \ldots = E\,(\Sigma\, n\Delta,\ \Sigma\, n)$",
            "no key is needed to add",
        ),
    )
    sent, returned = 1.5 + 13.1 * 2 + 5.75, 1.5 + 13.1 * 3 + 5.75
    _arrow(axes, (sent, 22), (sent, 11), VERMILLION)
    _arrow(axes, (returned, 11), (returned, 22), BLUE)
    for x in (sent, returned):
        _lock(axes, x, 16.2)
    axes.text(sent - 2, 15.2, "4 send: one ciphertext a hospital", ha="right", va="center")
    axes.text(returned + 2, 15.2, "6 send: their sum, to all hospitals", va="center")
    start, end = 1.5 + 5.75, 1.5 + 13.1 * 5 + 5.75
    axes.plot([end, end, start], [36, 39.3, 39.3], color=INK, linewidth=1.7, solid_joinstyle="round")
    _arrow(axes, (start, 39.3), (start, 36))
    axes.text(40, 39.3, "next round", ha="center", va="center", backgroundcolor=INSIDE)
    return figure
