"""Pictures of what there is: the hospitals' data, the price of a training, what the server sees."""

from collections.abc import Iterable, Sequence

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from fedkit import plots
from fedkit.plots import BLUE, FAINT, INK, SKY, STYLE, VERMILLION, looks, sheet


@matplotlib.rc_context(STYLE)
def hospitals_at_a_glance(federation: Iterable, column: str = "age") -> Figure:
    """Draw what each hospital holds: patients with and without disease, one column's values, what is missing.

    What to see: hospitals differ in size, in how common the disease is, in age, and
    in what they did not measure. No two draw from the same distribution.

    Parameters
    ----------
    federation
        A `fedkit.hospitals.Federation`.
    column
        A numeric column, whose quartiles and range are drawn.
    """
    hospitals = list(federation)
    names = [hospital.name for hospital in hospitals]
    if column not in hospitals[0].table:
        raise ValueError(f"No column {column!r} to draw: choose from {', '.join(hospitals[0].table.columns)}.")
    figure, axes = sheet(
        "What each hospital holds", 8, 1.7 + 0.62 * len(names), 2, 2, width_ratios=[1.25, 1], sharey=True
    )
    ((patients, values), (missing, spare)) = axes
    grid = missing.get_gridspec()
    missing.remove()
    spare.remove()
    missing = figure.add_subplot(grid[1, :])

    ill = np.array([int(np.sum(hospital.labels)) for hospital in hospitals])
    total = np.array([len(hospital.labels) for hospital in hospitals])
    for panel in (patients, values):
        plots.banded(panel, names)
    patients.barh(names, ill, color=VERMILLION, height=0.6, label="with disease", hatch="///")
    patients.barh(names, total - ill, left=ill, color=SKY, height=0.6, label="without")
    for y, (part, whole) in enumerate(zip(ill, total, strict=True)):
        patients.text(whole + 0.02 * total.max(), y, f"{whole}, {part / whole:.0%} ill", va="center", fontsize=8.5)
    patients.set(title="Patients", xlabel="number of patients", xlim=(0, 1.45 * total.max()))
    patients.legend(
        loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.2, ncols=2, fontsize=8.5, handlelength=1.4
    )

    boxes = values.boxplot(
        [hospital.table[column].dropna().astype(float) for hospital in hospitals],
        positions=range(len(names)),
        orientation="horizontal",
        widths=0.5,
        whis=(0, 100),
        patch_artist=True,
        medianprops={"color": INK, "linewidth": 1.6},
        manage_ticks=False,
    )
    for box in boxes["boxes"]:
        box.set(facecolor="#cfe3f0", edgecolor=BLUE)
    values.set(title=f"{column}: range, quartiles, median", xlabel="years" if column == "age" else column)
    values.tick_params(labelleft=False)

    share = np.array([hospital.table.isna().mean().to_numpy() for hospital in hospitals])
    missing.imshow(share, cmap="Greys", vmin=0, vmax=1.25, aspect="auto")
    for (row, position), value in np.ndenumerate(share):
        if value:
            text = f"{value:.0%}" if value >= 0.005 else "<1%"
            missing.text(
                position, row, text, ha="center", va="center", fontsize=8, color="white" if value > 0.6 else INK
            )
    columns = list(hospitals[0].table.columns)
    missing.set(
        title="Missing values (share of the hospital's patients; empty: none)",
        xticks=range(len(columns)),
        xticklabels=columns,
        yticks=range(len(names)),
        yticklabels=names,
    )
    missing.tick_params(length=0)
    missing.spines[:].set_visible(False)
    missing.hlines(np.arange(len(names) + 1) - 0.5, -0.5, len(columns) - 0.5, color="#dddddd", linewidth=0.7)
    missing.vlines(np.arange(len(columns) + 1) - 0.5, -0.5, len(names) - 0.5, color="#dddddd", linewidth=0.7)
    return figure


def _amount(value: float, unit: str) -> str:
    """Write 12300000 bytes as "12.3 MB", 0.0031 seconds as "3.1 ms"."""
    steps = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")] + ([(1e-3, "m"), (1e-6, "µ")] if unit == "s" else [])
    for step, prefix in steps:
        if value >= step:
            return f"{value / step:.3g} {prefix}{unit}"
    return f"{value:.2g} {unit}"


@matplotlib.rc_context(STYLE)
def cost_by_method_and_phase(costs: pd.DataFrame) -> Figure:
    """Draw the bytes and seconds of one whole training, by what they went into. Measured: differs from run to run.

    What to see: both scales are logarithmic, a tick is ten times the one before.
    Encryption costs bytes first of all.

    Parameters
    ----------
    costs
        From `evaluation.costs`: columns method, direction, phase, bytes, seconds.
    """
    directions = {"up": "to the server", "down": "to hospitals", "peer": "between hospitals"}
    order = ["keys", "train", "encrypt", "add", "decrypt", "apply"]
    phases = sorted(costs["phase"].unique(), key=lambda phase: order.index(phase) if phase in order else len(order))
    styles = looks(costs["method"])
    sent = costs[costs["bytes"] > 0]
    sent = sent.assign(
        place=sent["direction"].map(directions) + sent["phase"].map(lambda p: f"\n({p})" * (p != "send"))
    )
    work = costs[costs["seconds"] > 0].assign(place=lambda rows: pd.Categorical(rows["phase"], phases))
    height = 1.5 + max(sent["place"].nunique(), work["place"].nunique()) * (0.15 + 0.145 * len(styles))
    figure, axes = sheet("The price of one training: all hospitals, all rounds", 8, height, columns=2)
    left, right = axes[0]
    for panel, rows, unit in [(left, sent, "bytes"), (right, work.sort_values("place"), "seconds")]:
        places = list(dict.fromkeys(rows["place"]))
        plots.banded(panel, places)
        for y, place in enumerate(places):
            amounts = rows[rows["place"] == place].groupby("method")[unit].sum()
            drawn = [method for method in styles if method in amounts]
            for method, lane in zip(drawn, plots.lanes(len(drawn), 0.16 * (len(styles) - 1)), strict=True):
                look, text = styles[method], "  " + _amount(amounts[method], unit[0].replace("b", "B"))
                panel.plot(amounts[method], y + lane, marker=look.marker, color=look.color, linestyle="none")
                panel.text(amounts[method], y + lane, text, va="center", fontsize=8)
        low, high = rows[unit].min() / 3, rows[unit].max()
        panel.set(xscale="log", xlabel=f"{unit} (log scale)", xlim=(low, high * (high / low) ** 0.32))
        panel.xaxis.set_major_locator(LogLocator(numticks=5))
        panel.xaxis.set_major_formatter(lambda amount, _, unit=unit: _amount(amount, unit[0].replace("b", "B")))
        panel.grid(axis="x")
    left.set_title("Bytes sent")
    right.set_title("Seconds of work, by phase")
    plots.legend(figure, styles, line=False)
    return figure


@matplotlib.rc_context(STYLE)
def encryption_error(errors: pd.DataFrame) -> Figure:
    """Draw the error that encryption adds, against the number of parameters, a line a scheme.

    What to see: CKKS computes with noisy real numbers, BFV exactly, on numbers that
    were rounded before. Both lie far below what training could notice.

    Parameters
    ----------
    errors
        Columns scheme ("ckks", "bfv" or a method's name), parameters, error (largest
        absolute difference from the plain mean, in units of the update). Rows of one
        scheme and size are averaged over; an error of 0 is drawn at the foot.
    """
    named = errors.assign(method=["federated + " + s.upper() if s in ("ckks", "bfv") else s for s in errors["scheme"]])
    styles = looks(named["method"])
    figure, axes = sheet("The error that encryption adds to the mean of the updates", 8, 3.8)
    axes = axes[0, 0]
    foot = 10 ** np.floor(np.log10(min([*errors.loc[errors["error"] > 0, "error"], 1e-7])))
    axes.axhline(2**-24, color=FAINT, linewidth=1, linestyle=(0, (2, 2)))
    axes.text(1.01, 2**-24, "rounding 1\nto float32", transform=axes.get_yaxis_transform(), va="center", fontsize=8.5)
    for method, look in styles.items():
        line = named[named["method"] == method].groupby("parameters")["error"].mean().clip(lower=foot)
        axes.plot(line.index, line, color=look.color, marker=look.marker, linestyle=look.line, label=method)
    axes.set(
        xscale="log",
        yscale="log",
        ylim=(foot / 2, None),
        xlabel="parameters of the model (log scale)",
        ylabel="largest absolute error (log scale)",
    )
    axes.grid()
    plots.legend(figure, styles)
    return figure


@matplotlib.rc_context(STYLE)
def server_view(update: np.ndarray, ciphertext: bytes, names: Sequence[str] | None = None) -> Figure:
    """Draw one hospital's update as the server sees it: without encryption, and with. Measured: noise differs.

    What to see: left, every number can be read; right, the bytes of the ciphertext,
    one grey pixel each, which look like noise and tell nothing but their length.

    Parameters
    ----------
    update
        The plain update, shape [p].
    ciphertext
        The message that the hospital sends instead.
    names
        What each of the p numbers belongs to; without them, or above 32, pixels are drawn.
    """
    figure, axes = sheet("One hospital's update, as the server sees it", 8, 4.4, columns=2, width_ratios=[1, 1.1])
    plain, secret = axes[0]
    limit = np.abs(update).max() or 1.0
    if names is not None and len(names) <= 32:
        plots.banded(plain, list(names))
        plain.barh(
            range(len(update)), update, color=[BLUE if value < 0 else VERMILLION for value in update], height=0.62
        )
        for y, value in enumerate(update):
            plain.annotate(
                f"{value:+.3f}",
                (value, y),
                xytext=(3 if value >= 0 else -3, 0),
                textcoords="offset points",
                ha="left" if value >= 0 else "right",
                va="center",
                fontsize=8,
            )
        plain.axvline(0, color=FAINT, linewidth=0.8)
        plain.set(xlabel="change of the weight", xlim=(-1.4 * limit, 1.4 * limit))
    else:
        side = int(np.ceil(np.sqrt(update.size)))
        pixels = np.pad(np.asarray(update, dtype=float), (0, side * side - update.size), constant_values=np.nan)
        image = plain.imshow(
            pixels.reshape(side, side), cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest"
        )
        figure.colorbar(image, ax=plain, label="change of the weight", shrink=0.7)
        plain.set(xticks=[], yticks=[])
        plain.spines[:].set_visible(False)
    plain.set_title(f"Plain: {update.size} numbers, {4 * update.size:,} bytes")
    shown = np.frombuffer(ciphertext, dtype=np.uint8)[: 128 * 128]
    side = int(np.ceil(np.sqrt(shown.size)))
    noise = np.pad(shown.astype(float), (0, side * side - shown.size), constant_values=np.nan).reshape(side, side)
    secret.imshow(noise, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    counts = np.bincount(np.frombuffer(ciphertext, dtype=np.uint8), minlength=256)
    shares = counts[counts > 0] / len(ciphertext)
    entropy = -np.sum(shares * np.log2(shares))
    secret.spines[:].set_visible(False)
    secret.set_title(f"Encrypted: {len(ciphertext):,} bytes")
    secret.set(
        xticks=[],
        yticks=[],
        xlabel=f"{'all' if shown.size == len(ciphertext) else 'the first'} {shown.size:,} bytes, "
        "a pixel each (black 0, white 255)\n"
        f"entropy over all bytes: {entropy:.3f} of 8 bits a byte",
    )
    return figure
